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

Events = dict[str, list[str]]
Start = Callable[..., Machine]

SIZE = 64 << 20
EVENT = re.compile(r"(hbitmap_\w+) hb 0x[0-9a-f]+ (.*)")
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


def events(output: str) -> Events:
    """{trace event: what it told, sorted, without addresses}."""
    found: Events = {}
    for name, about in EVENT.findall(output):
        found.setdefault(name, []).append(about.strip())
    return {name: sorted(lines) for name, lines in found.items()}


def changes(found: Events) -> Events:
    return {name: found.get(name, []) for name in CHANGES}


def trace(build: Build, folder: Path) -> list[Events]:
    """Trace events of writes to an image with a bitmap, of a merge into a coarser bitmap, of a truncate, and of a commit."""
    img, io = build.program("qemu-img"), build.program("qemu-io")
    disk, overlay = folder / "disk.qcow2", folder / "overlay.qcow2"
    run([img, "create", "-q", "-f", "qcow2", disk, SIZE])
    run([img, "bitmap", "--add", "-g", "4096", disk, "bitmap"])
    commands = [word for write in WRITES for word in ("-c", write)]
    silent = run([io, "-f", "qcow2", "-c", WRITES[0], disk])
    assert "hbitmap_" not in silent, "none is switched on"
    found = [run([io, "-T", "hbitmap_*", "-f", "qcow2", *commands, disk])]
    run([img, "create", "-q", "-f", "qcow2", "-b", disk, "-F", "qcow2", overlay])
    run([io, "-f", "qcow2", *commands, overlay])
    run([img, "bitmap", "--add", "-g", "65536", disk, "coarse"])
    found.append(run([img, "-T", "hbitmap_*", "bitmap", "--merge", "bitmap", disk, "coarse"]))
    found.append(run([img, "-T", "hbitmap_*", "commit", overlay]))
    found.append(run([img, "-T", "hbitmap_*", "resize", "--shrink", disk, SIZE // 2]))
    return [events(output) for output in found]


def test_trace_events(builds: list[Build], fast: Path) -> None:
    """Each event fires; the changes are told as stock QEMU tells them."""
    found = []
    for build in builds:
        (fast / build.label).mkdir()
        found.append(trace(build, fast / build.label))
    theirs, ours = found
    # Iterators take other ways through a bitmap, so only the changes are the same.
    assert [changes(events) for events in ours] == [changes(events) for events in theirs]
    writes, merge, commit, shrink = ours
    assert writes["hbitmap_set"] == sorted(SETS)
    assert commit.keys() >= {*CHANGES, "hbitmap_iter_skip_words"}
    # QEMU sets each area of the source, and resets what is cut off.
    assert len(merge["hbitmap_set"]) == len(WRITES) and len(shrink["hbitmap_reset"]) == 2


def start(machine: Start, build: Build, disk: Path) -> Machine:
    blockdev = f"driver=qcow2,node-name=disk,file.driver=file,file.filename={disk}"
    device = "virtio-blk-pci,drive=disk,id=guest-disk"
    return machine(build, "-blockdev", blockdev, "-device", device)


def states(machine: Start, build: Build, folder: Path) -> dict[str, Any]:
    """What is told of bitmaps in each state that they can have."""
    img, disk = build.program("qemu-img"), folder / "disk.qcow2"
    told: dict[str, Any] = {}
    run([img, "create", "-q", "-f", "qcow2", disk, SIZE])
    run([img, "bitmap", "--add", disk, "stored"])
    run([img, "bitmap", "--add", "--disable", "-g", "1M", disk, "disabled"])
    told["stored"] = stored(img, disk)
    with start(machine, build, disk) as vm:
        vm.command("block-dirty-bitmap-add", node="disk", name="passing", granularity=4096)
        vm.command("block-dirty-bitmap-add", node="disk", name="exported", persistent=True)
        for write in WRITES:
            vm.guest_io("guest-disk/virtio-backend", write)
        told["running"] = asked(vm)
        # A bitmap that records can not be exported read-only.
        vm.command("block-dirty-bitmap-disable", node="disk", name="exported")
        vm.command(
            "nbd-server-start", addr={"type": "unix", "data": {"path": str(vm.folder / "nbd")}}
        )
        vm.command("block-export-add", id="e", type="nbd", node_name="disk", bitmaps=["exported"])
        told["exported"] = asked(vm)
        vm.command("block-export-del", id="e", mode="hard")
        vm.command("block-dirty-bitmap-clear", node="disk", name="stored")
        vm.command("block-dirty-bitmap-disable", node="disk", name="passing")
        vm.command("block-dirty-bitmap-merge", node="disk", target="disabled", bitmaps=["exported"])
        told["changed"] = asked(vm)
        vm.quit()
    told["after"] = stored(img, disk)
    with start(machine, build, disk) as vm:
        vm.guest_io("guest-disk/virtio-backend", WRITES[0])
        vm.kill()
    with start(machine, build, disk) as vm:
        told["killed"] = asked(vm)
    return told


def stored(img: Path, disk: Path) -> tuple[Any, list[str]]:
    """What qemu-img tells of an image's bitmaps."""
    info = json.loads(run([img, "info", "--output=json", disk]))
    text = run([img, "info", disk])
    return info["format-specific"]["data"].get("bitmaps"), re.findall(
        r"^    bitmaps:\n(?:^     .*\n)*", text, re.M
    )


def asked(vm: Machine) -> tuple[Any, Any, str]:
    """What a running QEMU tells of its bitmaps, and `info block`."""
    devices = [
        device["inserted"].get("dirty-bitmaps")
        for device in vm.command("query-block")
        if "inserted" in device
    ]
    nodes = [
        node.get("dirty-bitmaps")
        for node in vm.command("query-named-block-nodes")
        if node["node-name"] == "disk"
    ]
    text = vm.monitor("info block -v")
    # Where the image lies and how much of the file system it takes is no matter of bitmaps.
    text = re.sub(r"\S*/disk\.qcow2|json:\{.*\}|^disk size: .*$|#block\d+", "", text, flags=re.M)
    return devices, nodes, text


def test_bitmaps_in_each_state(builds: list[Build], machine: Start, fast: Path) -> None:
    found = []
    for build in builds:
        (fast / build.label).mkdir()
        found.append(states(machine, build, fast / build.label))
    theirs, ours = found
    assert ours == theirs
    situations = ("running", "exported", "changed", "killed")
    told = [bitmap for name in situations for device in ours[name][0] for bitmap in device]
    wanted = {"recording", "busy", "persistent", "inconsistent"}
    assert {state for bitmap in told for state in wanted if bitmap.get(state)} == wanted
