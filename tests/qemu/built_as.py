# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU on the library, built as people build it (`tools/qemu-build --as NAME`).

    tools/test tests/qemu/built_as.py -k debian

Builds it if it is not there, which takes many minutes; so this is run only if it is asked for. A
cross-built QEMU runs in qemu-user, and without the iotests.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import iotests
import pytest
from image_steps import image
from qdb_tools import paths, symbols
from qdb_tools.build import PROGRAMS, Build
from qdb_tools.machine import Machine
from qdb_tools.process import run
from qdb_tools.variants import VARIANTS

IOTESTS = "124 165 176 246 254 256 257 271 qemu-img-bitmaps remove-bitmap-from-backing".split()
HBITMAP = "tests/unit/test-hbitmap"
native = pytest.mark.parametrize(
    "variant", [name for name in VARIANTS if not name.startswith("cross-")], indirect=True
)


@pytest.fixture(scope="module", params=VARIANTS)
def variant(
    request: pytest.FixtureRequest,
    made: Callable[..., Build],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Build]:
    versions = VARIANTS[request.param].versions
    version = paths.DEFAULT if paths.DEFAULT in versions else versions[0]
    with pytest.MonkeyPatch.context() as patch:
        # QEMU itself leaks at its end; the addresses are what is looked at. What AddressSanitizer
        # says of coroutines is a warning on stderr, which iotests compare: it goes to files.
        said = tmp_path_factory.mktemp("sanitizer")
        patch.setenv("ASAN_OPTIONS", f"detect_leaks=0:log_path={said}/asan")
        built = made(version, False, request.param)
        # For those that have modules, as Debian's own tests are told.
        patch.setenv("QEMU_MODULE_DIR", str(built.folder))
        yield built
        wrong = [file for file in said.iterdir() if "ERROR: " in file.read_text(errors="replace")]
        assert wrong == [], wrong[0].read_text(errors="replace")


def test_no_c_left(variant: Build) -> None:
    names = [name for name in [*PROGRAMS, HBITMAP] if variant.program(name).exists()]
    assert {"qemu-img", HBITMAP} <= set(names)
    for name in names:
        assert symbols.of_c(variant.program(name)) == [], name
        assert symbols.has_library(variant.program(name)), name


def test_hbitmap(variant: Build) -> None:
    passed = iotests.unit_tests(variant.program(HBITMAP), variant.variant.emulator())
    assert passed == iotests.HBITMAP_TESTS


def test_same_image_as_stock(variant: Build, made: Callable[..., Build], tmp_path: Path) -> None:
    ours = image(variant.folder, tmp_path / "variant", " ".join(variant.variant.emulator()))
    assert ours == image(made(paths.DEFAULT, True).folder, tmp_path / "stock")


@native
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


@native
def test_iotests(variant: Build) -> None:
    results = iotests.check(variant, IOTESTS, "qcow2")
    print("\n".join(f"{name}: {result}" for name, result in results.items()))
    assert {name: result for name, result in results.items() if result.status != "pass"} == {}
