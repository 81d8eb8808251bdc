# SPDX-License-Identifier: GPL-2.0-or-later
"""What is done with a hostile image, by one build of QEMU, and what is kept of it."""

import hashlib
import json
import os
import re
import resource
import struct
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qdb_tools import qcow2
from qdb_tools.build import Build
from qdb_tools.log import Failure
from qdb_tools.machine import Daemon

LIMIT = (
    1800  # seconds for one program; only the longest of the images comes near, on a busy machine
)
MEMORY = 64 << 30  # of address space: the same for both builds, whatever the machine promises
DISK = "disk.qcow2"
BLOCK = 4096
GROWN = 27 << 16  # bytes that `resize` adds: up to the end of the bitmap's last word

# The words of each try on `DISK`. {a}, {b}: the names of the first and the second bitmap.
IMG = {
    "info": ["info", "--output=json", DISK],
    "check": ["check", "--output=json", DISK],
    "repair": ["check", "-q", "-r", "all", DISK],
    "add": ["bitmap", "--add", DISK, "new"],
    "remove": ["bitmap", "--remove", DISK, "{a}"],
    "clear": ["bitmap", "--clear", DISK, "{a}"],
    "merge": ["bitmap", "--merge", "{a}", DISK, "{b}"],
    "resize": ["resize", "-q", DISK, f"+{GROWN}"],
}
TRIES = (*IMG, "open", "qsd")
ASSERTION = re.compile(r"(\b\w+: Assertion `.*' failed)")


Ask = Callable[..., dict[str, Any]]


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


def without_numbers(text: str) -> str:
    """Nodes without a name get one with a random number."""
    return re.sub(r"#block\d+", "#block", text)


def signal_or_code(code: int) -> int:
    return 128 - code if code > 128 and code < 160 else code


def run(build: Build, folder: Path, program: str, words: Sequence[str | bytes]) -> Outcome:
    done = subprocess.run(
        ["timeout", str(LIMIT), build.program(program), *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        preexec_fn=limit,
    )
    out = re.sub(r'\s*"actual-size": \d+,?', "", done.stdout.decode(errors="replace"))
    return Outcome(
        signal_or_code(done.returncode), out, without_numbers(done.stderr.decode(errors="replace"))
    )


def contents(path: Path) -> tuple[qcow2.Bitmaps | None, str]:
    """The bitmaps of an image as far as they can be read, and the image's hash."""
    try:
        found = qcow2.stored(path)
    except (ArithmeticError, ValueError, OSError, MemoryError, OverflowError, struct.error):
        found = None
    return found, digest(path)


def digest(path: Path) -> str:
    """A hash of a file's size and of what is not zero in it: a repair may leave terabytes of holes."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        end, at = os.fstat(file.fileno()).st_size, 0
        found.update(b"%d" % end)
        while at < end:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                break  # holes up to the end
            stop = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            while at < stop:
                block = os.pread(file.fileno(), min(BLOCK, stop - at), at)
                if any(block):
                    found.update(b"%d" % at + block)
                at += len(block)
    return found.hexdigest()


def attempt(build: Build, folder: Path, name: str, names: Sequence[bytes]) -> Outcome:
    """One try, on the image that is in the folder."""
    a, b = (*names, b"missing", b"missing")[:2]
    if name in IMG:
        words: list[str | bytes] = [{"{a}": a, "{b}": b}.get(word, word) for word in IMG[name]]
        outcome = run(build, folder, "qemu-img", words)
    elif name == "open":
        outcome = run(
            build,
            folder,
            "qemu-io",
            ["-f", "qcow2", "-c", "write 0 64k", "-c", "write 1M 512", DISK],
        )
        outcome.out = re.sub(r".*ops; .*\n", "", outcome.out)
    else:
        outcome = daemon_session(build, folder)
    if name not in ("info", "check"):
        outcome.bitmaps, outcome.image = contents(folder / DISK)
    return outcome


def daemon_session(build: Build, folder: Path) -> Outcome:
    """Opens the image in a daemon, looks at its bitmaps in every way that there is, changes them, and quits."""
    answers: list[dict[str, Any] | str] = []
    seen: dict[str, dict[str, Any]] = {}
    daemon = Daemon(build.program("storage-daemon/qemu-storage-daemon"), folder, LIMIT, limit)
    try:
        with daemon:

            def ask(name: str, /, **arguments: Any) -> dict[str, Any]:
                answer = daemon.ask(name, **arguments)
                answers.append({name: answer})
                return answer

            opened = ask(
                "blockdev-add",
                driver="qcow2",
                node_name="disk",
                file={"driver": "file", "filename": DISK},
            )
            if "error" not in opened:
                look(build, folder, daemon, ask, answers, seen)
            daemon.quit()
    except Failure as failure:
        answers.append(str(failure).split(":")[0])
    code, said = daemon.process.returncode, daemon.said()
    text = json.dumps(answers, indent=1, sort_keys=True)
    return Outcome(signal_or_code(code), without_numbers(text), without_numbers(said), seen=seen)


def look(
    build: Build,
    folder: Path,
    daemon: Daemon,
    ask: Ask,
    answers: list[Any],
    seen: dict[str, dict[str, Any]],
) -> None:
    bitmaps = listed(ask)
    ask("nbd-server-start", addr={"type": "unix", "data": {"path": "sock"}})
    for bitmap in bitmaps[:4]:
        name = bitmap["name"]
        about = seen[name] = {
            "count": bitmap["count"],
            "granularity": bitmap["granularity"],
            "in use": bitmap.get("inconsistent", False),
        }
        about["sha256"] = (
            ask("x-debug-block-dirty-bitmap-sha256", node="disk", name=name)
            .get("return", {})
            .get("sha256")
        )
        if about["in use"]:
            continue
        ask("block-dirty-bitmap-disable", node="disk", name=name)
        if "error" not in ask(
            "block-export-add", id="e", type="nbd", node_name="disk", name="e", bitmaps=[name]
        ):
            options = f"driver=nbd,server.type=unix,server.path=sock,export=e,x-dirty-bitmap=qemu:dirty-bitmap:{name}"
            shown = run(
                build, folder, "qemu-img", ["map", "--output=json", "--image-opts", options]
            )
            answers.append({"map": shown.out if shown.code == 0 else shown.about})
            if shown.code == 0:
                about["regions"] = [
                    (area["start"], area["length"])
                    for area in json.loads(shown.out)
                    if not area["data"]
                ]
            ask("block-export-del", id="e", mode="hard")
            daemon.event("BLOCK_EXPORT_DELETED")
    if not bitmaps:
        return
    first, last = bitmaps[0]["name"], bitmaps[-1]["name"]
    ask("block-dirty-bitmap-add", node="disk", name="coarse", granularity=1 << 20)
    ask("block-dirty-bitmap-add", node="disk", name="same", granularity=bitmaps[0]["granularity"])
    for target in ("coarse", "same"):
        ask("block-dirty-bitmap-merge", node="disk", target=target, bitmaps=[first])
    ask("block-dirty-bitmap-enable", node="disk", name=last)
    ask(
        "transaction",
        actions=[
            {"type": "block-dirty-bitmap-clear", "data": {"node": "disk", "name": "same"}},
            {
                "type": "block-dirty-bitmap-merge",
                "data": {"node": "disk", "target": last, "bitmaps": [first]},
            },
            {"type": "block-dirty-bitmap-clear", "data": {"node": "disk", "name": "nobody"}},
        ],
    )
    ask("block-dirty-bitmap-merge", node="disk", target=last, bitmaps=[first])
    ask("block-dirty-bitmap-clear", node="disk", name=first)
    listed(ask)
    ask("block-dirty-bitmap-remove", node="disk", name=first)


def listed(ask: Ask) -> list[dict[str, Any]]:
    """The bitmaps of the node; of the answer only they are kept."""
    answer = ask("query-named-block-nodes", flat=True)
    node = next(node for node in answer["return"] if node["node-name"] == "disk")
    answer["return"] = node.get("dirty-bitmaps", [])
    return list(answer["return"])
