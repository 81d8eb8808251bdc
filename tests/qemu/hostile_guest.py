# SPDX-License-Identifier: GPL-2.0-or-later
"""A QEMU that receives a migration stream of dirty bitmaps, and what it then says of its
bitmaps."""

import hashlib
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hostile_tries
from bitmap_stream import Bitmap
from qdb_tools import regions
from qdb_tools.build import Build
from qdb_tools.log import Failure
from qdb_tools.machine import Machine
from qdb_tools.regions import Regions

GRANULE = 65536
NODES = {b"disk": 101 * GRANULE, b"other": 64 * 4096, b"empty": 0}  # name: bytes
WRITES = [65, 0, 100]  # granules of `disk` that the guest writes after the migration
PATIENCE = 20  # seconds


Key = tuple[bytes, bytes]  # node, bitmap
Survey = dict[Key, tuple[int, str | None, Regions | None]]  # count in bytes, SHA-256, regions


def bitmaps() -> dict[Key, Bitmap]:
    """What the incoming QEMU has before."""
    return {(b"disk", b"own"): Bitmap(NODES[b"disk"], GRANULE)}


@dataclass
class Guest:
    ended: str = ""  # completed, fails, dies
    about: str = ""  # how, in words
    told: list[Any] = field(default_factory=list)
    after_stream: Survey = field(default_factory=dict)
    after_writes: Survey = field(default_factory=dict)


def migrate(build: Build, folder: Path, data: bytes) -> Guest:
    folder.mkdir(exist_ok=True)
    stream = folder / "stream"
    stream.write_bytes(data)
    guest = Guest()
    nodes = [
        word
        for name, size in NODES.items()
        for word in (
            "-blockdev",
            f"driver=null-co,node-name={name.decode()},size={size},read-zeroes=on",
        )
    ]
    vm = Machine(
        build.program("qemu-system-x86_64"),
        "-machine",
        "none",
        *nodes,
        "-incoming",
        "defer",
        lives_at_most=120,
    )
    with vm:
        try:
            vm.command("block-dirty-bitmap-add", node="disk", name="own", granularity=GRANULE)
            vm.command(
                "migrate-set-capabilities",
                capabilities=[{"capability": "dirty-bitmaps", "state": True}],
            )
            vm.command("migrate-incoming", uri=f"exec:cat {stream}")
            wait_for_end(vm)
            guest.ended = "completed"
            look(build, vm, guest)
            vm.quit()
        except (Failure, OSError):
            code = hostile_tries.signal_or_code(vm.process.wait(timeout=PATIENCE))
            died = "dies" if code not in (0, 1) else "fails"
            # A guest that dies after it has arrived has not arrived well.
            guest.ended = died if not guest.ended else f"{guest.ended}, then {died}"
            said = vm.said()
            found = hostile_tries.ASSERTION.search(said)
            guest.about = found[1] if found else f"code {code}: {without_names(said)}"
    return guest


def without_names(said: str) -> str:
    return re.sub(r"^\S*qemu-system-x86_64: |\S*/stream\b", "", said, flags=re.MULTILINE).strip()


def wait_for_end(vm: Machine) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        status = vm.command("query-migrate").get("status")
        if status == "completed":
            return
        time.sleep(0.01)
    raise Failure("the migration does not end")


def look(build: Build, vm: Machine, guest: Guest) -> None:
    vm.command("nbd-server-start", addr={"type": "unix", "data": {"path": f"{vm.folder}/nbd"}})
    guest.after_stream = survey(build, vm, guest)
    for granule in WRITES:
        vm.monitor(f'qemu-io disk "write {granule * GRANULE} 512"')
    guest.after_writes = survey(build, vm, guest)


def survey(build: Build, vm: Machine, guest: Guest) -> Survey:
    """Count, hash and regions of each bitmap.

    Of one that is in use, or records, a copy is exported.
    """
    found: Survey = {}
    listed = [
        (node["node-name"], bitmap)
        for node in vm.command("query-named-block-nodes", flat=True)
        for bitmap in node.get("dirty-bitmaps", [])
        if "name" in bitmap
    ]
    for node, bitmap in listed[:6]:
        name = bitmap["name"]
        guest.told.append(bitmap)
        digest = vm.ask("x-debug-block-dirty-bitmap-sha256", node=node, name=name)
        guest.told.append(digest)
        areas = None
        if not bitmap["busy"] and NODES[node.encode()]:
            vm.command(
                "block-dirty-bitmap-add",
                node=node,
                name="copy",
                granularity=bitmap["granularity"],
                disabled=True,
            )
            guest.told.append(
                vm.ask("block-dirty-bitmap-merge", node=node, target="copy", bitmaps=[name])
            )
            areas = read_over_nbd(build, vm, node)
            guest.told.append(areas)
            vm.command("block-dirty-bitmap-remove", node=node, name="copy")
        found[node.encode(), name.encode()] = (
            bitmap["count"],
            digest.get("return", {}).get("sha256"),
            areas,
        )
    return found


def read_over_nbd(build: Build, vm: Machine, node: str) -> Regions:
    vm.command("block-export-add", type="nbd", id="e", node_name=node, name="e", bitmaps=["copy"])
    areas = regions.of_bitmap(build.program("qemu-img"), vm.folder / "nbd", "e", "copy")
    vm.command("block-export-del", id="e", mode="hard")
    vm.event("BLOCK_EXPORT_DELETED")
    return areas


def as_modelled(guest: Guest, models: dict[Key, Bitmap]) -> list[str]:
    """Problems: what the guest tells of a bitmap that is not what the stream said."""
    found = []
    written = sum(1 << granule for granule in WRITES)
    for moment, told in (
        ("after the stream", guest.after_stream),
        ("after writes", guest.after_writes),
    ):
        for key, (count, digest, areas) in told.items():
            if key not in models:
                found.append(f"{moment}: there is a bitmap {key}")
                continue
            model = models[key]
            bits = model.bits
            if (
                moment == "after writes"
                and key[0] == b"disk"
                and model.recording
                and model.granularity == GRANULE
            ):
                bits |= written
            wanted = bits.bit_count() * model.granularity
            if count != wanted:
                found.append(f"{moment}: {key}: {count} bytes dirty, not {wanted}")
            data = bits.to_bytes(max(-(-model.count // 64), 1) * 8, "little")
            if digest != hashlib.sha256(data).hexdigest():
                found.append(f"{moment}: {key}: not the hash of {data.hex()[:64]}")
            if areas is not None and dirty(areas, model) != bits:
                found.append(f"{moment}: {key}: regions {areas}")
    return found


def dirty(areas: Regions, model: Bitmap) -> int:
    """The bits of regions that lie within the disk.

    A region past its end makes a bit that no bitmap has.
    """
    bits = 0
    for start, length in areas:
        first, end = start // model.granularity, -(-(start + length) // model.granularity)
        bits |= ((1 << end - first) - 1) << first
        if start + length > model.size:
            bits |= 1 << model.count
    return bits
