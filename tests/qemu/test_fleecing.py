# SPDX-License-Identifier: GPL-2.0-or-later
"""A backup reads the old content through snapshot-access while the disk is written (fleecing).

No guest runs: a qemu-io writes where the guest would, above the copy-before-write filter.
"""

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

from qdb_tools.build import Build
from qdb_tools.machine import Daemon
from qdb_tools.process import output, run

MIB = 1 << 20
SIZE = 192 * MIB + 3 * 4096  # the last cluster is not whole
WRITES = 1500
GUEST, BACKUP = "nbd+unix:///guest?socket=sock", "nbd+unix:///backup?socket=sock"


def requests(seed: int, count: int, kinds: list[str]) -> str:
    """Commands for qemu-io: requests that begin and end at any sector of the disk."""
    rng = random.Random(seed)
    lines = []
    for _ in range(count):
        start = rng.randrange(SIZE // 512) * 512
        length = min(rng.randrange(1, 512) * 512, SIZE - start)
        lines.append(f"{rng.choice(kinds).format(rng.randrange(1, 256))} {start} {length}\n")
    return "".join(lines)


def qemu_io(build: Build, folder: Path, image: str, commands: str) -> None:
    form = "raw" if "nbd" in image else "qcow2"
    words = [build.program("qemu-io"), "-d", "unmap", "-f", form, image]
    said = run(words, cwd=folder, input=commands)
    assert "error" not in said.lower() and "failed" not in said.lower(), said


def content(build: Build, folder: Path, image: str) -> bytes:
    run([build.program("qemu-img"), "convert", "-O", "raw", image, "read.raw"], cwd=folder)
    return (folder / "read.raw").read_bytes()


def extents(build: Build, folder: Path) -> str:
    return run([build.program("qemu-img"), "map", "--output=json", BACKUP], cwd=folder)


def set_up(vm: Daemon) -> None:
    """The disk, a filter above it that saves what is overwritten, and what a backup reads."""
    add: list[dict[str, object]] = [
        {"driver": "qcow2", "node_name": "disk", "file": "disk.qcow2"},
        {"driver": "qcow2", "node_name": "saved", "file": "saved.qcow2"},
        {"driver": "copy-before-write", "node_name": "filter", "file": "disk", "target": "saved"},
        {"driver": "snapshot-access", "node_name": "old", "file": "filter"},
    ]
    for node in add:
        if node["driver"] == "qcow2":
            node["file"] = {"driver": "file", "filename": node["file"]}
        vm.command("blockdev-add", discard="unmap", **node)
    vm.command("nbd-server-start", addr={"type": "unix", "data": {"path": "sock"}})
    for export, name in ("filter", "guest"), ("old", "backup"):
        vm.command(
            "block-export-add", id=name, type="nbd", node_name=export, name=name, writable=True
        )


def fleece(build: Build, folder: Path, vm: Daemon) -> list[str]:
    """One backup; the maps of the old content that it saw before and after the writes."""
    old = content(build, folder, "disk.qcow2")
    set_up(vm)
    maps = [extents(build, folder)]
    writes = requests(2, WRITES, ["write -q -P {}", "write -q -z", "discard -q"])
    (folder / "writes").write_text(writes)
    command = [str(build.program("qemu-io")), "-d", "unmap", "-f", "raw", GUEST]
    with (folder / "writes").open() as source:
        guest = subprocess.Popen(command, cwd=folder, stdin=source, stdout=subprocess.DEVNULL)
        try:
            while guest.poll() is None:
                assert content(build, folder, BACKUP) == old, "while the disk is written"
        finally:
            guest.kill()
    assert guest.wait() == 0
    assert content(build, folder, GUEST) != old, "nothing was written"
    maps.append(extents(build, folder))
    assert content(build, folder, BACKUP) == old, "after the writes"
    # What a backup has copied it discards; then that, and nothing else, can't be read any more.
    qemu_io(build, folder, BACKUP, f"discard -q {32 * MIB} {MIB}\n")
    for start, readable in (31, True), (32, False), (33, True):
        words = ["-f", "raw", "-c", f"read {start * MIB} {MIB}", BACKUP]
        code, said = output([build.program("qemu-io"), *words], cwd=folder)
        assert (code == 0) == readable, said
    return maps


def test_old_content_while_written(
    builds: list[Build], daemon: Callable[..., Daemon], fast: Path
) -> None:
    found = []
    for build in builds:
        folder = fast / build.label
        folder.mkdir()
        for name in "disk.qcow2", "saved.qcow2":
            run([builds[0].program("qemu-img"), "create", "-f", "qcow2", folder / name, SIZE])
        qemu_io(builds[0], folder, "disk.qcow2", requests(1, 150, ["write -q -P {}"]))
        vm = daemon(build, folder)
        found.append(fleece(build, folder, vm))
        assert vm.quit() == 0
    assert found[0] == found[1], "stock and drop-in report other extents"
    assert found[0][0].count("\n") > 50, "few extents prove little"
