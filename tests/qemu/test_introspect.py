# SPDX-License-Identifier: GPL-2.0-or-later
"""What people see of bitmaps in a QEMU: its trace events, query-block, `info block`, qemu-img info.

All of it is the same for the library and for stock QEMU.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qdb_tools.build import Build
from qdb_tools.machine import Machine
from qdb_tools.process import run

Both = Callable[..., list[Any]]

SIZE = 64 << 20
# A cluster is 64 KiB, a word of a bitmap 64 clusters: these are in different words.
WRITES = ["write 0 64k", "write 1M 8k", "write 20M 128k", "write 40M 12345"]
# With bitmap granularity 4 KiB: what QEMU's trace event tells of them.
SETS = [
    "items 0,65536 bits 0..15",
    "items 1048576,8192 bits 256..257",
    "items 20971520,131072 bits 5120..5151",
    "items 41943040,12345 bits 10240..10243",
]
CHANGES = ("hbitmap_set", "hbitmap_reset")


def events(output: str, name: str) -> list[str]:
    """What a trace event told, sorted, without addresses."""
    return sorted(re.findall(rf"{name} hb 0x[0-9a-f]+ (.*\S)", output))


def traces(build: Build, folder: Path) -> list[str]:
    """What is traced of writes to an image with a bitmap, of a merge into a coarser bitmap, of a
    commit, and of a truncate."""
    img, io = build.program("qemu-img"), build.program("qemu-io")
    traced = ["-T", "hbitmap_*"]
    disk, overlay = folder / "disk.qcow2", folder / "overlay.qcow2"
    run([img, "create", "-q", "-f", "qcow2", disk, SIZE])
    run([img, "bitmap", "--add", "-g", "4096", disk, "bitmap"])
    commands = [word for write in WRITES for word in ("-c", write)]
    silent = run([io, "-f", "qcow2", "-c", WRITES[0], disk])
    assert "hbitmap_" not in silent, "none is switched on"
    writes = run([io, *traced, "-f", "qcow2", *commands, disk])
    run([img, "create", "-q", "-f", "qcow2", "-b", disk, "-F", "qcow2", overlay])
    run([io, "-f", "qcow2", *commands, overlay])
    run([img, "bitmap", "--add", "-g", "65536", disk, "coarse"])
    merge = run([img, *traced, "bitmap", "--merge", "bitmap", disk, "coarse"])
    commit = run([img, *traced, "commit", overlay])
    return [writes, merge, commit, run([img, *traced, "resize", "--shrink", disk, SIZE // 2])]


def test_trace_events(both: Both) -> None:
    """Each event fires; the changes are told as stock QEMU tells them."""
    told = both(traces)
    # Iterators take other ways through a bitmap, so only the changes are the same.
    theirs, ours = ([[events(text, name) for name in CHANGES] for text in side] for side in told)
    assert ours == theirs
    (sets, _), (merged, _), commit, (_, cut_off) = ours
    assert sets == sorted(SETS)
    assert all(commit) and events(told[1][2], "hbitmap_iter_skip_words")
    # QEMU sets each area of the source, and resets what is cut off.
    assert len(merged) == len(WRITES) and len(cut_off) == 2


def states(build: Build, folder: Path) -> dict[str, Any]:
    """What is told of bitmaps in each state that they can have."""
    img, disk = build.program("qemu-img"), folder / "disk.qcow2"
    blockdev = f"driver=qcow2,node-name=disk,file.driver=file,file.filename={disk}"
    device = "virtio-blk-pci,drive=disk,id=guest-disk"
    guest_disk = "guest-disk/virtio-backend"

    def start() -> Machine:
        program = build.program("qemu-system-x86_64")
        return Machine(program, "-blockdev", blockdev, "-device", device)

    run([img, "create", "-q", "-f", "qcow2", disk, SIZE])
    run([img, "bitmap", "--add", disk, "stored"])
    run([img, "bitmap", "--add", "--disable", "-g", "1M", disk, "disabled"])
    told: dict[str, Any] = {"stored": stored(img, disk)}
    with start() as vm:

        def on_disk(what: str, **arguments: Any) -> None:
            vm.command(f"block-dirty-bitmap-{what}", node="disk", **arguments)

        on_disk("add", name="passing", granularity=4096)
        on_disk("add", name="exported", persistent=True)
        for write in WRITES:
            vm.guest_io(guest_disk, write)
        told["running"] = asked(vm)
        # A bitmap that records can not be exported read-only.
        on_disk("disable", name="exported")
        vm.serve()
        vm.export("disk", "e", bitmaps=["exported"])
        told["exported"] = asked(vm)
        vm.command("block-export-del", id="e", mode="hard")
        on_disk("clear", name="stored")
        on_disk("disable", name="passing")
        on_disk("merge", target="disabled", bitmaps=["exported"])
        told["changed"] = asked(vm)
        vm.quit()
    told["after"] = stored(img, disk)
    with start() as vm:
        vm.guest_io(guest_disk, WRITES[0])
        vm.kill()
    with start() as vm:
        told["killed"] = asked(vm)
    return told


def stored(img: Path, disk: Path) -> tuple[Any, list[str]]:
    """What qemu-img tells of an image's bitmaps."""
    bitmaps = json.loads(run([img, "info", "--output=json", disk]))["format-specific"]["data"]
    text = run([img, "info", disk])
    return bitmaps.get("bitmaps"), re.findall(r"^    bitmaps:\n(?:^     .*\n)*", text, re.M)


def asked(vm: Machine) -> tuple[Any, Any, str]:
    """What a running QEMU tells of its bitmaps, and `info block`."""
    inserted = [device["inserted"] for device in vm.command("query-block") if "inserted" in device]
    nodes = [n for n in vm.command("query-named-block-nodes") if n["node-name"] == "disk"]
    of_devices, of_nodes = ([n.get("dirty-bitmaps") for n in part] for part in (inserted, nodes))
    # Where the image lies and how much of the file system it takes is no matter of bitmaps.
    elsewhere = r"\S*/disk\.qcow2|json:\{.*\}|^disk size: .*$|#block\d+"
    return of_devices, of_nodes, re.sub(elsewhere, "", vm.monitor("info block -v"), flags=re.M)


def test_bitmaps_in_each_state(both: Both) -> None:
    theirs, ours = both(states)
    assert ours == theirs
    situations = ("running", "exported", "changed", "killed")
    told = [bitmap for name in situations for device in ours[name][0] for bitmap in device]
    wanted = {"recording", "busy", "persistent", "inconsistent"}
    assert {state for bitmap in told for state in wanted if bitmap.get(state)} == wanted
