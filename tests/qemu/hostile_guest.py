# SPDX-License-Identifier: GPL-2.0-or-later
"""A QEMU that receives a migration stream of dirty bitmaps, and what it then says of its
bitmaps."""

import hashlib
import re
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bitmap_stream import Bitmap
from hostile_tries import ASSERTION, signal_or_code
from qdb_tools.build import Build
from qdb_tools.log import Failure
from qdb_tools.machine import Machine
from qdb_tools.process import wait_until
from qdb_tools.regions import Regions, of_bitmap

GRANULE = 65536
NODES = {b"disk": 101 * GRANULE, b"other": 64 * 4096, b"empty": 0}  # name: bytes
WRITES = [65, 0, 100]  # granules of `disk` that the guest writes after the migration
PATIENCE = 20  # seconds
CAPABILITIES = [{"capability": "dirty-bitmaps", "state": True}]

Key = tuple[bytes, bytes]  # node, bitmap
Survey = dict[Key, tuple[int, str | None, Regions | None]]  # count in bytes, SHA-256, regions


def bitmaps() -> dict[Key, Bitmap]:
    """What the incoming QEMU has before."""
    return {(b"disk", b"own"): Bitmap(NODES[b"disk"], GRANULE)}


def start(build: Build, *arguments: str, **nodes: int) -> Machine:
    """A machine with nothing but null disks of these sizes."""
    program, disks = build.program("qemu-system-x86_64"), []
    for name, size in nodes.items():
        disks += ["-blockdev", f"driver=null-co,node-name={name},size={size},read-zeroes=on"]
    return Machine(program, "-machine", "none", *disks, *arguments, lives_at_most=120)


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
    sizes = {name.decode(): size for name, size in NODES.items()}
    with start(build, "-incoming", "defer", **sizes) as vm:
        try:
            vm.command("block-dirty-bitmap-add", node="disk", name="own", granularity=GRANULE)
            guest.ended = receive(vm, stream)
            vm.serve()
            guest.after_stream = survey(build, vm, guest)
            for granule in WRITES:
                vm.monitor(f'qemu-io disk "write {granule * GRANULE} 512"')
            guest.after_writes = survey(build, vm, guest)
            vm.quit()
        except (Failure, OSError):
            code = signal_or_code(vm.process.wait(timeout=PATIENCE))
            died = "dies" if code not in (0, 1) else "fails"
            # A guest that dies after it has arrived has not arrived well.
            guest.ended = died if not guest.ended else f"{guest.ended}, then {died}"
            said = re.sub(r"^\S*qemu-system-x86_64: |\S*/stream\b", "", vm.said(), flags=re.M)
            found = ASSERTION.search(said)
            guest.about = found[1] if found else f"code {code}: {said.strip()}"
    return guest


def receive(vm: Machine, stream: Path) -> str:
    vm.command("migrate-set-capabilities", capabilities=CAPABILITIES)
    vm.command("migrate-incoming", uri=f"exec:cat {stream}")
    return wait_for_end(vm)


def wait_for_end(vm: Machine) -> str:
    status, wanted = partial(vm.command, "query-migrate"), "completed"
    wait_until("the migration ends", lambda: status().get("status") == wanted, PATIENCE)
    return wanted


def survey(build: Build, vm: Machine, guest: Guest) -> Survey:
    """Count, hash and regions of each bitmap; a copy is exported, the bitmap may record."""
    found: Survey = {}
    nodes = vm.command("query-named-block-nodes", flat=True)
    listed = [(n["node-name"], b) for n in nodes for b in n.get("dirty-bitmaps", []) if "name" in b]
    for node, bitmap in listed[:6]:
        name, size = bitmap["name"], bitmap["granularity"]
        digest = vm.ask("x-debug-block-dirty-bitmap-sha256", node=node, name=name)
        guest.told += [bitmap, digest]
        areas = None
        if not bitmap["busy"] and NODES[node.encode()]:
            copy = {"node": node, "name": "copy"}
            vm.command("block-dirty-bitmap-add", **copy, granularity=size, disabled=True)
            merge = {"node": node, "target": "copy", "bitmaps": [name]}
            guest.told.append(vm.ask("block-dirty-bitmap-merge", **merge))
            with vm.exported(node, "copy"):
                areas = of_bitmap(build.program("qemu-img"), vm.folder / "nbd", "e", "copy")
            guest.told.append(areas)
            vm.command("block-dirty-bitmap-remove", **copy)
        sha256 = digest.get("return", {}).get("sha256")
        found[node.encode(), name.encode()] = bitmap["count"], sha256, areas
    return found


def as_modelled(guest: Guest, models: dict[Key, Bitmap]) -> list[str]:
    """Problems: what the guest tells of a bitmap that is not what the stream said."""
    found = []
    for moment, told in (("stream", guest.after_stream), ("writes", guest.after_writes)):
        for key, (count, digest, areas) in told.items():
            if not (model := models.get(key)):
                found.append(f"after the {moment}: there is a bitmap {key}")
                continue
            bits, size = model.bits, model.granularity
            if moment == "writes" and key[0] == b"disk" and model.recording and size == GRANULE:
                bits |= sum(1 << granule for granule in WRITES)
            data = bits.to_bytes(max(-(-model.count // 64), 1) * 8, "little")
            wanted = bits.bit_count() * size, hashlib.sha256(data).hexdigest()
            if (count, digest) != wanted:
                found.append(
                    f"after the {moment}: {key}: {count, digest}, not {wanted} of {bits:#x}"
                )
            if areas is not None and dirty(areas, model) != bits:
                found.append(f"after the {moment}: {key}: regions {areas}")
    return found


def dirty(areas: Regions, model: Bitmap) -> int:
    """The bits of regions; one past the end of the disk makes a bit that no bitmap has."""
    bits = 0
    for start, length in areas:
        first, end = start // model.granularity, -(-(start + length) // model.granularity)
        bits |= (1 << end) - (1 << first) | (start + length > model.size) << model.count
    return bits
