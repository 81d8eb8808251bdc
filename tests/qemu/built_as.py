# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU on the library, built as people build it (`tools/qemu-build --as NAME`).

    tools/test tests/qemu/built_as.py -k debian

Builds it if it is not there, which takes many minutes; so this is run only if it is asked for. A
cross-built QEMU runs in qemu-user, and without the iotests.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import iotests
import pytest
from qdb_tools import build, paths, symbols
from qdb_tools.build import Build
from qdb_tools.machine import Machine
from qdb_tools.process import run
from qdb_tools.variants import VARIANTS

IOTESTS = "124 165 176 246 254 256 257 271 qemu-img-bitmaps remove-bitmap-from-backing".split()
NATIVE = [name for name in VARIANTS if not name.startswith("cross-")]
IMAGE = "disk.qcow2"
# What qemu-img and qemu-io do with persistent bitmaps: the same image comes out of each build.
STEPS = [
    "qemu-img create -q -f qcow2 IMAGE 200M",
    "qemu-img bitmap --add -g 4096 IMAGE fine",
    "qemu-img bitmap --add -g 1M IMAGE coarse",
    "qemu-io -f qcow2 -c 'write 0 64k' -c 'write 1M 8k' -c 'write 77M 12345' IMAGE",
    "qemu-img bitmap --add --disable IMAGE copy",
    "qemu-img bitmap --merge fine --merge coarse IMAGE copy",
    "qemu-io -f qcow2 -c 'write -z 100M 3M' -c 'discard 1M 64k' IMAGE",
    "qemu-img resize -q --shrink IMAGE 78M",
    "qemu-img resize -q IMAGE 300M",
    "qemu-img bitmap --clear IMAGE coarse",
    "qemu-io -f qcow2 -c 'write 299M 1M' IMAGE",
    "qemu-img bitmap --merge fine IMAGE coarse",
]


def made(version: str, stock: bool, name: str, config: pytest.Config) -> Build:
    if config.getoption("as_built"):
        return Build(version, stock, name)
    return build.build(version, stock, variant=name)


@pytest.fixture(scope="module", params=VARIANTS)
def variant(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Build]:
    name = str(request.param)
    versions = VARIANTS[name].versions
    version = paths.DEFAULT if paths.DEFAULT in versions else versions[0]
    with pytest.MonkeyPatch.context() as patch:
        # QEMU itself leaks at its end; the addresses are what is looked at. What AddressSanitizer
        # says of coroutines is a warning on stderr, which iotests compare: it goes to files.
        said = tmp_path_factory.mktemp("sanitizer")
        patch.setenv("ASAN_OPTIONS", f"detect_leaks=0:log_path={said}/asan")
        built = made(version, False, name, request.config)
        # For those that have modules, as Debian's own tests are told.
        patch.setenv("QEMU_MODULE_DIR", str(built.folder))
        yield built
        wrong = [file for file in said.iterdir() if "ERROR: " in file.read_text(errors="replace")]
        assert wrong == [], wrong[0].read_text(errors="replace")


def programs(built: Build) -> list[str]:
    return [
        name
        for name in [*build.PROGRAMS, "tests/unit/test-hbitmap"]
        if built.program(name).exists()
    ]


def test_no_c_left(variant: Build) -> None:
    names = programs(variant)
    assert {"qemu-img", "tests/unit/test-hbitmap"} <= set(names)
    for name in names:
        assert symbols.of_c(variant.program(name)) == [], name
        assert symbols.has_library(variant.program(name)), name


def test_hbitmap(variant: Build) -> None:
    emulator = variant.variant.emulator()
    said = run([*emulator, variant.program("tests/unit/test-hbitmap"), "--tap", "-k"], timeout=600)
    assert len(re.findall(r"^ok \d+(?!.*# SKIP)", said, re.M)) == 40, said


def image(built: Build, folder: Path) -> bytes:
    """What the steps leave."""
    folder.mkdir()
    for step in STEPS:
        name, rest = step.replace("IMAGE", str(folder / IMAGE)).split(" ", 1)
        command = " ".join(map(str, [*built.variant.emulator(), built.program(name)]))
        run(["sh", "-c", f"{command} {rest}"], timeout=300)
    return (folder / IMAGE).read_bytes()


def test_same_image_as_stock(variant: Build, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    stock = made(paths.DEFAULT, True, "", pytestconfig)
    assert image(variant, tmp_path / "variant") == image(stock, tmp_path / "stock")


@pytest.mark.parametrize("variant", NATIVE, indirect=True)
def test_bitmap_in_a_machine(variant: Build, tmp_path: Path) -> None:
    """The emulator starts with its devices (in `rust`, a Rust HPET), and counts writes."""
    program, disk = variant.program("qemu-system-x86_64"), tmp_path / "disk.qcow2"
    if "--enable-rust" in variant.variant.options:
        assert "hpet::" in run(["nm", "-C", program])
    run([variant.program("qemu-img"), "create", "-q", "-f", "qcow2", disk, "64M"])
    blockdev = f"driver=qcow2,node-name=disk,file.driver=file,file.filename={disk}"
    device = "virtio-blk-pci,id=vda,drive=disk"
    with Machine(program, "-M", "pc,hpet=on", "-blockdev", blockdev, "-device", device) as vm:
        found = vm.command("qom-list", path="/machine/unattached")
        assert "child<hpet>" in {one["type"] for one in found}
        vm.command("block-dirty-bitmap-add", node="disk", name="b", granularity=65536)
        vm.guest_io("/machine/peripheral/vda/virtio-backend", "write 1M 100k")
        bitmaps = vm.command("query-block")[0]["inserted"]["dirty-bitmaps"]
        assert [bitmap["count"] for bitmap in bitmaps] == [131072]
        vm.quit()


@pytest.mark.parametrize("variant", NATIVE, indirect=True)
def test_iotests(variant: Build) -> None:
    results = iotests.check(variant, IOTESTS, "qcow2")
    print(os.linesep.join(f"{name}: {result}" for name, result in results.items()))
    assert {name: result for name, result in results.items() if result.status != "pass"} == {}
