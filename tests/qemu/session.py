# SPDX-License-Identifier: GPL-2.0-or-later
"""One of two QEMU builds that do the same work: its machines, what is checked, what it says."""

import json
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from model import Bitmap, Content, Write
from qdb_tools import regions
from qdb_tools.build import Build
from qdb_tools.log import Failure
from qdb_tools.machine import Machine, spelled
from qdb_tools.process import output, run
from qdb_tools.regions import Regions

GUEST_DISK = "/machine/peripheral/vda/virtio-backend"
LIMIT = 150  # seconds that one program may run
SLOW = 1 << 20  # bytes a second: a job that lasts as long as the writers
Action = tuple[str, dict[str, Any]]
Models = Mapping[str, Bitmap]


def on(kind: str, name: str, /, node: str = "disk", **more: Any) -> Action:
    """An action of a transaction, or a command: what is done with a bitmap of the disk."""
    return f"block-dirty-bitmap-{kind}", {"node": node, "name": name, **more}


def merge(target: str, *sources: str | dict[str, str], node: str = "disk") -> Action:
    arguments = {"node": node, "target": target, "bitmaps": list(sources)}
    return "block-dirty-bitmap-merge", arguments


class Session:
    def __init__(self, build: Build, folder: Path, size: int) -> None:
        self.build, self.folder, self.size = build, folder, size
        self.facts: dict[str, Any] = {}  # what must be the same on the other side
        folder.mkdir(parents=True)

    def fact(self, about: str, value: Any) -> None:
        assert about not in self.facts, f"two facts are called {about}"
        self.facts[about] = value

    def refused(self, vm: Machine, about: str, action: Action) -> None:
        """A command that must fail; its words are a fact."""
        name, arguments = action
        answer = vm.ask(name, **arguments)
        assert "error" in answer, f"{about}: {name} did not fail"
        self.fact(f"error: {about}", answer["error"])

    def refused_transaction(self, vm: Machine, about: str, *actions: Action) -> None:
        listed = [{"type": name, "data": spelled(data)} for name, data in actions]
        self.refused(vm, about, ("transaction", {"actions": listed}))

    # Programs

    def img(self, *words: object) -> str:
        return run(["timeout", LIMIT, self.build.program("qemu-img"), *words])

    def create(self, name: str, *words: str) -> Path:
        file = self.folder / f"{name}.qcow2"
        size = [] if "-b" in words else [self.size]
        self.img("create", "-q", "-f", "qcow2", *words, file, *size)
        return file

    def same(self, about: str, content: Path, image: Path) -> None:
        """qemu-img compares an image with the plain content."""
        words = ["compare", "-f", "raw", "-F", "qcow2", content, image]
        code, said = output(["timeout", LIMIT, self.build.program("qemu-img"), *words])
        assert (code, said.strip()) == (0, "Images are identical."), about

    def image_is_clean(self, about: str, file: Path, repair: bool = False) -> None:
        """With `repair`, clusters that nobody uses (a killed QEMU leaves them) are freed."""
        command = ["timeout", LIMIT, self.build.program("qemu-img"), "check", "--output=json", file]
        found = json.loads(output(command, stderr=None)[1])
        assert not found.get("corruptions") and not found.get("check-errors"), f"{about}: {found}"
        if repair and found.get("leaks"):
            self.img("check", "-q", "-r", "leaks", file)
            self.image_is_clean(f"{about}, leaks freed", file)
        else:
            assert not found.get("leaks"), f"{about}: {found}"

    def start(self, file: Path, *arguments: str, build: Build | None = None) -> Machine:
        fast = "discard=unmap,cache.no-flush=on"
        under = f"file.driver=file,file.filename={file},file.discard=unmap,file.cache.no-flush=on"
        return Machine(
            (build or self.build).program("qemu-system-x86_64"),
            "-blockdev",
            f"driver=qcow2,node-name=disk,{fast},{under}",
            "-device",
            "virtio-blk-pci,id=vda,drive=disk,share-rw=on",
            *arguments,
            lives_at_most=300,
        )

    # Bitmaps

    def plain(self, granularity: int) -> Bitmap:
        return Bitmap(self.size, granularity)

    def add(
        self,
        vm: Machine,
        name: str,
        granularity: int,
        persistent: bool = False,
        disabled: bool = False,
    ) -> Bitmap:
        self.do(
            vm, on("add", name, granularity=granularity, persistent=persistent, disabled=disabled)
        )
        return Bitmap(self.size, granularity, not disabled)

    def do(self, vm: Machine, action: Action) -> Any:
        name, arguments = action
        return vm.command(name, **arguments)

    def listed(self, vm: Machine) -> list[dict[str, Any]]:
        """The bitmaps of the disk, as query-block lists them."""
        disks = [b for b in vm.command("query-block") if "vda" in b.get("qdev", "")]
        return list(disks[0]["inserted"].get("dirty-bitmaps", []))

    def of_node(self, vm: Machine, name: str) -> dict[str, Any]:
        nodes = vm.command("query-named-block-nodes", flat=True)
        found = next(n for n in nodes if n["node-name"] == "disk")
        return next(b for b in found["dirty-bitmaps"] if b.get("name") == name)

    def sha256(self, vm: Machine, name: str) -> str:
        answer = vm.command("x-debug-block-dirty-bitmap-sha256", node="disk", name=name)
        return str(answer["sha256"])

    def as_modelled(self, vm: Machine, about: str, models: Models) -> None:
        """Counts and hashes are those of the plain models; the hashes are facts."""
        counts = {b["name"]: b["count"] for b in self.listed(vm) if b.get("name") in models}
        assert counts == {n: m.count for n, m in models.items()}, f"{about}: counts"
        hashes = {name: self.sha256(vm, name) for name in models}
        assert hashes == {n: m.sha256() for n, m in models.items()}, f"{about}: hashes"
        self.fact(f"{about}: hashes", hashes)

    def serve(self, vm: Machine) -> Path:
        socket = vm.folder / "nbd"
        vm.command("nbd-server-start", addr={"type": "unix", "data": {"path": str(socket)}})
        return socket

    def export(self, vm: Machine, name: str, **more: Any) -> None:
        vm.command("block-export-add", type="nbd", id=name, node_name="disk", name=name, **more)

    def regions(self, vm: Machine, export: str, bitmap: str) -> Regions:
        program = self.build.program("qemu-img")
        return regions.of_bitmap(program, vm.folder / "nbd", export, bitmap)

    def read_over_nbd(self, vm: Machine, name: str, granularity: int) -> Regions:
        """The regions of a bitmap that may be in use: a copy of it is exported."""
        copy = on("add", "still", granularity=granularity, disabled=True)
        vm.transaction(copy, merge("still", name))
        self.export(vm, "still", bitmaps=["still"])
        found = self.regions(vm, "still", "still")
        vm.command("block-export-del", id="still")
        vm.event("BLOCK_EXPORT_DELETED", id="still")
        self.do(vm, on("remove", "still"))
        return found

    # Load

    def guest_writes(
        self,
        vm: Machine,
        writes: Sequence[Write],
        models: Iterable[Bitmap] = (),
        content: Content | None = None,
    ) -> None:
        for write in writes:
            vm.guest_io(GUEST_DISK, write.line)
        written(writes, models, content)

    def load(
        self,
        vm: Machine,
        about: str,
        shares: Sequence[Sequence[Write]],
        models: Iterable[Bitmap],
        content: Content,
        job: str = "",
    ) -> None:
        """Two qemu-io over NBD and the guest write at once, each in its own part of the disk.

        A `job` must be running from before the first write until after the last.
        """
        writers = [self.writer(f"nbd+unix:///live?socket={vm.folder}/nbd", s) for s in shares[1:]]
        try:
            for write in shares[0]:
                vm.guest_io(GUEST_DISK, write.line)
            for writer in writers:
                said, _ = writer.communicate()
                bad = writer.returncode != 0 or "failed" in said or "error" in said.lower()
                assert not bad, f"a writer ended with {writer.returncode}: {said[-1000:]}"
        finally:
            for writer in writers:
                writer.kill()
        running = {j["device"] for j in vm.command("query-block-jobs")}
        assert not job or job in running, f"{about}: the job ended before the writers"
        models = list(models)
        for share in shares:
            written(share, models, content)

    def writer(self, uri: str, writes: Sequence[Write]) -> subprocess.Popen[str]:
        words = [word for write in writes for word in ("-c", write.line)]
        program = str(self.build.program("qemu-io"))
        return subprocess.Popen(
            ["timeout", str(LIMIT), program, "-f", "raw", "-d", "unmap", *words, uri],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def written(writes: Sequence[Write], models: Iterable[Bitmap], content: Content | None) -> None:
    for model in models:
        model.record(writes)
    if content:
        content.apply(writes)


def wait_until(about: str, condition: Callable[[], bool], limit: int = LIMIT) -> None:
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"{about}: not within {limit} s")
        time.sleep(0.05)
