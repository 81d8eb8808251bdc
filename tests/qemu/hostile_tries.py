# SPDX-License-Identifier: GPL-2.0-or-later
"""What is done with a hostile image, by one build of QEMU, and what is kept of it."""

import hashlib
import json
import os
import re
import resource
import shlex
import shutil
import struct
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qdb_tools import process, qcow2, regions
from qdb_tools.build import Build
from qdb_tools.log import Failure
from qdb_tools.machine import Daemon, transaction

LIMIT = 1800  # seconds for one program; only the longest come near, on a busy machine
MEMORY = 64 << 30  # of address space: the same for both builds, whatever the machine promises
DISK = "disk.qcow2"
BLOCK = 4096
GROWN = 27 << 16  # bytes that `resize` adds: up to the end of the bitmap's last word
# A and B are the names of the first and the second bitmap.
PROGRAMS = {
    "info": f"qemu-img info --output=json {DISK}",
    "check": f"qemu-img check --output=json {DISK}",
    "repair": f"qemu-img check -q -r all {DISK}",
    "add": f"qemu-img bitmap --add {DISK} new",
    "remove": f"qemu-img bitmap --remove {DISK} A",
    "clear": f"qemu-img bitmap --clear {DISK} A",
    "merge": f"qemu-img bitmap --merge A {DISK} B",
    "resize": f"qemu-img resize -q {DISK} +{GROWN}",
    "open": f"qemu-io -f qcow2 -c 'write 0 64k' -c 'write 1M 512' {DISK}",
}
TRIES = (*PROGRAMS, "qsd")
ASSERTION = re.compile(r"(\b\w+: Assertion `.*' failed)")


@dataclass
class Outcome:
    """What came of one try. `code` is negative for a signal."""

    code: int
    out: str
    said: str
    bitmaps: qcow2.Bitmaps | None = None  # of the image afterwards
    image: str = ""  # the hash of the image afterwards
    seen: dict[str, dict[str, Any]] | None = None  # qsd: bitmap: count, sha256, regions

    @property
    def died(self) -> bool:
        return self.code < 0 or self.code == 124 or self.code >= 128

    @property
    def about(self) -> str:
        """How it ended, without what differs from build to build."""
        found = ASSERTION.search(self.said)
        return found[1] if found else f"{self.code}: {self.said.strip()}"


def limit() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def signal_or_code(code: int) -> int:
    return 128 - code if 128 < code < 160 else code


def constant(text: str) -> str:
    """Without what is never the same: random names of nodes, space on disk, times."""
    return re.sub(r'(?<=#block)\d+|\s*"actual-size": \d+,?|.*ops; .*\n', "", text)


def run(build: Build, folder: Path, program: str, words: Sequence[str | bytes]) -> Outcome:
    command = ["timeout", str(LIMIT), build.program(program), *words]
    options: dict[str, Any] = {"cwd": folder, "stdin": subprocess.DEVNULL, "preexec_fn": limit}
    done = subprocess.run(command, capture_output=True, errors="replace", **options)
    return Outcome(signal_or_code(done.returncode), constant(done.stdout), constant(done.stderr))


def contents(path: Path) -> tuple[qcow2.Bitmaps | None, str]:
    """The bitmaps of an image as far as they can be read, and the image's hash."""
    found = None
    with suppress(ArithmeticError, ValueError, OSError, MemoryError, struct.error):
        found = qcow2.stored(path)
    return found, digest(path)


def digest(path: Path) -> str:
    """A hash of a file's size and of what is not zero: a repair may leave terabytes of holes."""
    found = hashlib.sha256(b"%d" % path.stat().st_size)
    at = 0
    with path.open("rb", buffering=0) as file, suppress(OSError):  # after the last data
        while True:
            at = file.seek(at, os.SEEK_DATA)
            if any(block := file.read(BLOCK)):
                found.update(b"%d" % at + block)
            at += BLOCK
    return found.hexdigest()


def attempt(build: Build, folder: Path, name: str, image: qcow2.Image) -> Outcome:
    """One try, on a copy of the image that is in the folder."""
    work = folder / build.label
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    process.run(["cp", "--sparse=always", folder / DISK, work])
    if name in PROGRAMS:
        names = [bitmap.name.split(b"\0")[0][:2000] for bitmap in image.bitmaps[:2]]
        called = dict(zip(("A", "B"), [*names, b"missing", b"missing"]))
        program, *words = shlex.split(PROGRAMS[name])
        outcome = run(build, work, program, [called.get(word, word) for word in words])
    else:
        with Session(build, work) as daemon:
            outcome = daemon.outcome()
    if name not in ("info", "check"):
        outcome.bitmaps, outcome.image = contents(work / DISK)
    return outcome


class Session(Daemon):
    """Opens the image, looks at its bitmaps in every way that there is, and changes them."""

    def __init__(self, build: Build, folder: Path) -> None:
        self.build, self.work = build, folder
        self.answers: list[Any] = []
        self.seen: dict[str, dict[str, Any]] = {}
        program = build.program("storage-daemon/qemu-storage-daemon")
        super().__init__(program, folder, LIMIT, limit)

    def ask(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        answer = super().ask(name, **arguments)
        self.answers.append({name: answer})
        return answer

    def on_disk(self, what: str, **arguments: Any) -> None:
        self.ask(f"block-dirty-bitmap-{what}", node="disk", **arguments)

    def listed(self) -> list[dict[str, Any]]:
        """The bitmaps of the node; of the answer only they are kept."""
        answer = self.ask("query-named-block-nodes", flat=True)
        node = next(node for node in answer["return"] if node["node-name"] == "disk")
        answer["return"] = node.get("dirty-bitmaps", [])
        return list(answer["return"])

    def outcome(self) -> Outcome:
        try:
            file = {"driver": "file", "filename": DISK}
            if "error" not in self.ask("blockdev-add", driver="qcow2", node_name="disk", file=file):
                bitmaps = self.listed()
                self.look(bitmaps[:4])
                if bitmaps:
                    self.change(bitmaps[0], bitmaps[-1]["name"])
            self.quit()
        except Failure as failure:
            self.answers.append(str(failure).split(":")[0])
        told = constant(json.dumps(self.answers, indent=1, sort_keys=True))
        code = signal_or_code(self.process.wait())
        return Outcome(code, told, constant(self.said()), seen=self.seen)

    def look(self, bitmaps: list[dict[str, Any]]) -> None:
        self.serve("sock")
        for bitmap in bitmaps:
            name = bitmap["name"]
            about = self.seen[name] = {key: bitmap[key] for key in ("count", "granularity")}
            about["in use"] = bitmap.get("inconsistent", False)
            answer = self.ask("x-debug-block-dirty-bitmap-sha256", node="disk", name=name)
            about["sha256"] = answer.get("return", {}).get("sha256")
            if not about["in use"]:
                self.on_disk("disable", name=name)
                try:
                    with self.exported("disk", name):
                        program, socket = self.build.program("qemu-img"), self.work / "sock"
                        areas = regions.of_bitmap(program, socket, "e", name)
                    about["regions"] = areas
                    self.answers.append(areas)
                except Failure as failure:
                    self.answers.append(str(failure).rpartition(": ")[2])  # without paths

    def change(self, bitmap: dict[str, Any], last: str) -> None:
        first = bitmap["name"]
        self.on_disk("add", name="coarse", granularity=1 << 20)
        self.on_disk("add", name="same", granularity=bitmap["granularity"])
        for target in ("coarse", "same"):
            self.on_disk("merge", target=target, bitmaps=[first])
        self.on_disk("enable", name=last)
        merge = {"node": "disk", "target": last, "bitmaps": [first]}
        same, nobody = ({"node": "disk", "name": name} for name in ("same", "nobody"))
        clear, into = "block-dirty-bitmap-clear", "block-dirty-bitmap-merge"
        name, actions = transaction((clear, same), (into, merge), (clear, nobody))
        self.ask(name, **actions)
        self.on_disk("merge", target=last, bitmaps=[first])
        self.on_disk("clear", name=first)
        self.listed()
        self.on_disk("remove", name=first)
