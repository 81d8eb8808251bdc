# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's qcow2 disk with bitmaps (the node `disk`), in a machine that runs or in none; plain
models of its bitmaps and content; and facts, which must be the same with another QEMU."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from qdb_tools import model, regions
from qdb_tools.build import Build
from qdb_tools.machine import Action, Machine, transaction
from qdb_tools.model import Bitmap, Write
from qdb_tools.process import output, run
from qdb_tools.regions import Regions

GUEST_DISK = "/machine/peripheral/vda/virtio-backend"
IDENTICAL = "Images are identical."
LIMIT = 150  # seconds that one program may run
Models = dict[str, Bitmap]


def on(kind: str, name: str, /, node: str = "disk", **more: Any) -> Action:
    """An action of a transaction, or a command: what is done with a bitmap."""
    return f"block-dirty-bitmap-{kind}", {"node": node, "name": name, **more}


def merge(target: str, *sources: str | dict[str, str], node: str = "disk") -> Action:
    return "block-dirty-bitmap-merge", {"node": node, "target": target, "bitmaps": sources}


def backup(target: str, /, sync: str = "bitmap", job_id: str = "backup", **more: Any) -> Action:
    job = {"device": "disk", "job_id": job_id, "target": target, "sync": sync}
    return "blockdev-backup", job | more


class Session:
    vm: Machine  # the last that was started

    def __init__(self, build: Build, folder: Path, size: int, seed: int = 1) -> None:
        self.build, self.folder, self.size, self.seed = build, folder, size, seed
        self.facts: list[Any] = []
        self.models: Models = {}  # of the disk's bitmaps
        self.content: Path | None = None  # a raw file
        folder.mkdir(parents=True)

    def img(self, *args: object) -> str:
        return run(["timeout", LIMIT, self.build.program("qemu-img"), *args])

    def create(self, name: str, backing: Path | None = None) -> Path:
        file = self.folder / f"{name}.qcow2"
        args = ["-b", backing, "-F", "qcow2", file] if backing else [file, self.size]
        self.img("create", "-q", "-f", "qcow2", *args)
        return file

    def compare(self, raw: object, image: Path) -> str:
        """What qemu-img says of an image against a raw file or an export."""
        command = ["timeout", LIMIT, self.build.program("qemu-img"), "compare", "-f", "raw"]
        return output([*command, "-F", "qcow2", raw, image])[1].strip()

    @contextlib.contextmanager
    def start(self, file: Path, *more: str, build: Build | None = None) -> Iterator[Machine]:
        """A machine with the disk; if it was not killed it quits, and leaves a right image."""
        disk = "driver=qcow2,node-name=disk,discard=unmap,cache.no-flush=on,file.driver=file,"
        disk += f"file.filename={file},file.discard=unmap,file.cache.no-flush=on"
        args = ["-blockdev", disk, "-device", "virtio-blk-pci,id=vda,drive=disk,share-rw=on"]
        with Machine((build or self.build).program("qemu-system-x86_64"), *args, *more) as vm:
            self.vm = vm
            yield vm
            if vm.process.poll() is None:
                vm.quit()
                self.img("check", file)

    def do(self, *actions: Action) -> None:
        """A command, or several in a transaction; models of bitmaps follow."""
        name, arguments = actions[0] if len(actions) == 1 else transaction(*actions)
        self.vm.command(name, **arguments)
        for name, data in actions:
            if data.get("node") != "disk":
                continue
            kind, bitmap = name.rpartition("-")[2], data.get("name") or data["target"]
            if kind == "add":
                recording = not data.get("disabled")
                self.models[bitmap] = Bitmap(self.size, data["granularity"], recording)
            elif kind == "remove":
                self.models.pop(bitmap, None)
            elif kind == "merge":
                for source in data["bitmaps"]:
                    other = source if isinstance(source, str) else source["name"]
                    self.models[bitmap].merge(self.models[other])
            elif kind == "clear":
                self.models[bitmap].clear()
            else:
                self.models[bitmap].recording = kind == "enable"

    def refused(self, *attempts: Action) -> None:
        """Commands that must fail, each of them; their words are facts."""
        for name, arguments in attempts:
            answer = self.vm.ask(name, **arguments)
            assert "error" in answer, f"{name} did not fail: {arguments}"
            self.facts.append((name, answer["error"]))

    def target(self, name: str, backing: Path | None = None, **under: Any) -> Path:
        """A node with a new image; `under` describes what is between node and file."""
        path = self.create(name, backing)
        file: dict[str, Any] = {"driver": "file", "filename": str(path)}
        file = {**under, "image": file} if under else file
        self.vm.command("blockdev-add", driver="qcow2", node_name=name, file=file, backing=None)
        return path

    def bitmaps(self) -> dict[str, dict[str, Any]]:
        """The node's bitmaps, as QEMU lists them."""
        nodes = self.vm.command("query-named-block-nodes", flat=True)
        disk = next(node for node in nodes if node["node-name"] == "disk")
        return {bitmap.get("name", ""): bitmap for bitmap in disk.get("dirty-bitmaps", [])}

    def sha256(self, name: str) -> str:
        query = "x-debug-block-dirty-bitmap-sha256"
        return str(self.vm.command(query, node="disk", name=name)["sha256"])

    def as_modelled(self, models: Models | None = None) -> None:
        """Counts and hashes are those of the plain models."""
        told = self.bitmaps()
        for name, bitmap in (self.models if models is None else models).items():
            assert told[name]["count"] == bitmap.count, name
            assert self.sha256(name) == bitmap.sha256(), name

    def regions(self, export: str, bitmap: str) -> Regions:
        program = self.build.program("qemu-img")
        return regions.of_bitmap(program, self.vm.folder / "nbd", export, bitmap)

    def read_over_nbd(self, name: str) -> Regions:
        """The regions of a bitmap that may be in use: a copy of it is exported."""
        granularity = self.bitmaps()[name]["granularity"]
        self.do(on("add", "still", granularity=granularity, disabled=True), merge("still", name))
        with self.vm.exported("disk", "still"):
            found = self.regions("e", "still")
        self.do(on("remove", "still"))
        return found

    def record(self, writes: Sequence[Write]) -> None:
        for bitmap in self.models.values():
            bitmap.record(writes)
        if self.content:
            model.apply(writes, self.content)

    def write(self, writes: Sequence[Write]) -> None:
        """The guest writes; it is recorded in all models."""
        for write in writes:
            self.vm.guest_io(GUEST_DISK, write.line)
        self.record(writes)
