# SPDX-License-Identifier: GPL-2.0-or-later
"""What qemu-img and qemu-io do with persistent bitmaps: each build makes the same image of it."""

from pathlib import Path

from qdb_tools import qcow2
from qdb_tools.process import run

STEPS = """qemu-img create -q -f qcow2 disk 200M
qemu-img bitmap --add -g 4096 disk fine
qemu-img bitmap --add -g 1M disk coarse
qemu-io -f qcow2 -c 'write -P 1 0 64k' -c 'write 1M 8k' -c 'write -P 2 77M 12345' disk
qemu-img bitmap --add --disable disk copy
qemu-img bitmap --merge fine --merge coarse disk copy
qemu-io -f qcow2 -c 'write -z 100M 3M' -c 'discard 1M 64k' disk
qemu-img resize -q --shrink disk 78M
qemu-img resize -q disk 300M
qemu-img bitmap --clear disk coarse
qemu-io -f qcow2 -c 'write 299M 1M' disk
qemu-img bitmap --merge fine disk coarse
qemu-img bitmap --disable disk fine
qemu-io -f qcow2 -c 'write -P 3 0 4k' -c 'write -z 60M 4M' disk
qemu-img bitmap --clear disk fine"""


def image(programs: Path, folder: Path, emulator: str = "") -> bytes:
    """What the steps leave."""
    folder.mkdir()
    for step in STEPS.splitlines():
        run(["sh", "-ec", f"{emulator} {programs}/{step}"], cwd=folder, timeout=300)
    assert set(qcow2.stored(folder / "disk") or ()) == {b"fine", b"coarse", b"copy"}
    return (folder / "disk").read_bytes()
