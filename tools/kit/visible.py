# SPDX-License-Identifier: GPL-2.0-or-later
"""What people see of bitmaps in a QEMU: its trace events, query-block, `info block`, qemu-img info.

Each function returns text or data that is the same for the library and for QEMU's own C.
"""
import json
import re
from pathlib import Path

from . import machine, say

SIZE = 64 << 20
EVENT = re.compile(r"(hbitmap_\w+) hb 0x[0-9a-f]+ (.*)")
# A cluster is 64 KiB, a word of a bitmap 64 clusters: these are in different words.
WRITES = ["write 0 64k", "write 1M 8k", "write 20M 128k", "write 40M 12345"]
# With bitmap granularity 4 KiB: what QEMU's trace event tells of them.
SETS = [
    "items 0,65536 bits 0..15", "items 1048576,8192 bits 256..257", "items 20971520,131072 bits 5120..5151",
    "items 41943040,12345 bits 10240..10243",
]
CHANGES = ("hbitmap_set", "hbitmap_reset")


def events(output: str):
    """{trace event: what it told, sorted, without addresses}."""
    found = {}
    for name, about in EVENT.findall(output):
        found.setdefault(name, []).append(about.strip())
    return {name: sorted(lines) for name, lines in found.items()}


def changes(found):
    return {name: found.get(name) for name in CHANGES}


def trace(build, folder: Path):
    """Trace events of writes to an image with a bitmap, of a merge into a coarser bitmap, of a truncate, and of a commit."""
    img, io = build.program("qemu-img"), build.program("qemu-io")
    disk, overlay = folder / "disk.qcow2", folder / "overlay.qcow2"
    say.run([img, "create", "-q", "-f", "qcow2", disk, SIZE])
    say.run([img, "bitmap", "--add", "-g", "4096", disk, "bitmap"])
    commands = [word for write in WRITES for word in ("-c", write)]
    silent = say.run([io, "-f", "qcow2", "-c", WRITES[0], disk]).stdout
    if "hbitmap_" in silent:
        raise say.Failure(f"trace events though none is switched on:\n{silent}")
    found = [say.run([io, "-T", "hbitmap_*", "-f", "qcow2", *commands, disk]).stdout]
    say.run([img, "create", "-q", "-f", "qcow2", "-b", disk, "-F", "qcow2", overlay])
    say.run([io, "-f", "qcow2", *commands, overlay])
    say.run([img, "bitmap", "--add", "-g", "65536", disk, "coarse"])
    found.append(say.run([img, "-T", "hbitmap_*", "bitmap", "--merge", "bitmap", disk, "coarse"]).stdout)
    found.append(say.run([img, "-T", "hbitmap_*", "commit", overlay]).stdout)
    found.append(say.run([img, "-T", "hbitmap_*", "resize", "--shrink", disk, SIZE // 2]).stdout)
    return [events(output) for output in found]


def trace_as_it_should_be(build, stock, folder: Path) -> str:
    """Each event fires; the changes are told as stock QEMU tells them."""
    found = trace(build, fresh(folder / "ours"))
    writes, merge, commit, shrink = found
    if writes.get("hbitmap_set") != sorted(SETS):
        raise say.Failure(f"hbitmap_set told {writes.get('hbitmap_set')} of {WRITES}")
    for name in (*CHANGES, "hbitmap_iter_skip_words"):
        if not commit.get(name):
            raise say.Failure(f"a commit did not tell of {name}: {commit}")
    # QEMU sets each area of the source, and resets what is cut off.
    if len(merge.get("hbitmap_set", [])) != len(WRITES) or len(shrink.get("hbitmap_reset", [])) != 2:
        raise say.Failure(f"a merge across granularities told {merge}, a truncate {shrink}")
    if stock:
        # Iterators take other ways through a bitmap, so only the changes are the same.
        ours = [changes(events) for events in found]
        theirs = [changes(events) for events in trace(stock, fresh(folder / "stock"))]
        if ours != theirs:
            raise say.Failure(f"the library: {ours}\nstock: {theirs}")
    count = sum(len(lines) for events in found for lines in events.values())
    return f"{count} events" + (", as stock" if stock else "")


def fresh(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def start(build, disk: Path) -> machine.Machine:
    return machine.Machine(
        build.program("qemu-system-x86_64"), "-blockdev", f"driver=qcow2,node-name=disk,file.driver=file,file.filename={disk}",
        "-device", "virtio-blk-pci,drive=disk,id=guest-disk",
    )


def states(build, folder: Path):
    """What is told of bitmaps in each state that they can have."""
    img, disk = build.program("qemu-img"), folder / "disk.qcow2"
    told = {}
    say.run([img, "create", "-q", "-f", "qcow2", disk, SIZE])
    say.run([img, "bitmap", "--add", disk, "stored"])
    say.run([img, "bitmap", "--add", "--disable", "-g", "1M", disk, "disabled"])
    told["stored"] = stored(img, disk)
    with start(build, disk) as vm:
        vm.command("block-dirty-bitmap-add", node="disk", name="passing", granularity=4096)
        vm.command("block-dirty-bitmap-add", node="disk", name="exported", persistent=True)
        for write in WRITES:
            vm.guest_io("guest-disk/virtio-backend", write)
        told["running"] = asked(vm)
        # A bitmap that records can not be exported read-only.
        vm.command("block-dirty-bitmap-disable", node="disk", name="exported")
        vm.command("nbd-server-start", addr={"type": "unix", "data": {"path": str(Path(vm.sockets.name) / "nbd")}})
        vm.command("block-export-add", id="e", type="nbd", node_name="disk", bitmaps=["exported"])
        told["exported"] = asked(vm)
        vm.command("block-export-del", id="e", mode="hard")
        vm.command("block-dirty-bitmap-clear", node="disk", name="stored")
        vm.command("block-dirty-bitmap-disable", node="disk", name="passing")
        vm.command("block-dirty-bitmap-merge", node="disk", target="disabled", bitmaps=["exported"])
        told["changed"] = asked(vm)
        vm.quit()
    told["after"] = stored(img, disk)
    with start(build, disk) as vm:
        vm.guest_io("guest-disk/virtio-backend", WRITES[0])
        vm.kill()
    with start(build, disk) as vm:
        told["killed"] = asked(vm)
    return told


def stored(img: Path, disk: Path):
    """What qemu-img tells of an image's bitmaps."""
    info = json.loads(say.run([img, "info", "--output=json", disk]).stdout)
    text = say.run([img, "info", disk]).stdout
    return info["format-specific"]["data"].get("bitmaps"), re.findall(r"^    bitmaps:\n(?:^     .*\n)*", text, re.M)


def asked(vm):
    """What a running QEMU tells of its bitmaps, and `info block`."""
    devices = [device["inserted"].get("dirty-bitmaps") for device in vm.command("query-block") if "inserted" in device]
    nodes = [node.get("dirty-bitmaps") for node in vm.command("query-named-block-nodes") if node["node-name"] == "disk"]
    text = vm.command("human-monitor-command", command_line="info block -v")
    # Where the image lies and how much of the file system it takes is no matter of bitmaps.
    text = re.sub(r"\S*/disk\.qcow2|json:\{.*\}|^disk size: .*$|#block\d+", "", text, flags=re.M)
    return devices, nodes, text


STATES = {"recording", "busy", "persistent", "inconsistent"}


def states_as_they_should_be(build, stock, folder: Path) -> str:
    ours = states(build, fresh(folder / "states-ours"))
    bitmaps = [bitmap for name in ("running", "exported", "changed", "killed") for device in ours[name][0] for bitmap in device]
    seen = {state for bitmap in bitmaps for state in STATES if bitmap.get(state)}
    if seen != STATES:
        raise say.Failure(f"no bitmap was {', '.join(sorted(STATES - seen))}: {json.dumps(ours)}")
    if not stock:
        return "not compared: stock is not built"
    theirs = states(stock, fresh(folder / "states-stock"))
    for name, told in theirs.items():
        if ours[name] != told:
            raise say.Failure(f"{name}\nthe library: {json.dumps(ours[name])}\nstock: {json.dumps(told)}")
    return f"{len(theirs)} situations, as stock"
