# SPDX-License-Identifier: GPL-2.0-or-later
"""The library on big-endian s390x (emulated), and with the oldest Rust that it is for (1.85).

The compiler and s390x's libraries are Debian 12's; they are fetched once into the cache, nothing of
them is installed. That serialised bitmaps and their hashes are the same on both machines is proved
by tests/portable.txt: QEMU's own C gives its numbers on x86_64, the library gives them here and on
s390x.
"""

import ctypes
import hashlib
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import c_programs
import pytest
from oldest_rust import EMULATOR, LINKER, TARGET, VERSION, Toolchain
from qdb_tools import debian, paths, source
from qdb_tools.process import output, run

# Enough of the random tests for a byte order to show; on the machine itself there are more.
CASES = "32"
# Emulated threads are slow, and what they test does not depend on the byte order.
C_PROGRAMS = ["test-hbitmap", "test-dirty-bitmap", "test-abort", "test-error"]
PORTABLE = [
    line
    for line in (paths.ROOT / "tests" / "portable.txt").read_text().splitlines()
    if not line.startswith("#")
]
STATICLIB = ["rustc", "--locked", "--release", "--lib", "--crate-type", "staticlib"]
CHECK = ["check", "--locked", "--release", "--lib"]


@pytest.fixture(scope="module")
def rust() -> Toolchain:
    return Toolchain()


def cargo(rust: Toolchain, *words: str) -> str:
    # The cargo of this machine: it only has to read the lock file and start the compiler.
    env = rust.environment() | {"PROPTEST_CASES": CASES}
    return run(["cargo", *words], env=env, cwd=paths.ROOT)


def test_compiler(rust: Toolchain) -> None:
    assert run([rust.rustc, "--version"]).startswith(f"rustc {VERSION}.")


@pytest.mark.parametrize(
    "words",
    [
        ["check", "--locked", "--all-targets"],
        [*CHECK, "--features", "capi"],
        [*CHECK, "--no-default-features", "--features", "qemu,capi"],
    ],
    ids=["library and tests", "for C programs", "for QEMU"],
)
def test_oldest_rust_builds(rust: Toolchain, words: list[str]) -> None:
    cargo(rust, *words)


WIDE = (1 << 64) - 1


def numbers(seed: int) -> Iterator[int]:
    while True:
        seed = (seed * 6364136223846793005 + 1442695040888963407) & WIDE
        yield seed >> 20


@pytest.fixture(scope="module")
def qemus_c(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """QEMU's util/hbitmap.c, as oracle/build makes it."""
    debian.need(["gcc", "pkg-config", "libglib2.0-dev"], "building QEMU's util/hbitmap.c")
    folder = tmp_path_factory.mktemp("oracle")
    run([paths.ROOT / "oracle" / "build", source.get(paths.DEFAULT), folder])
    loaded = ctypes.CDLL(str(folder / "libqemu-hbitmap-oracle.so"))
    item, bitmap = ctypes.c_uint64, ctypes.c_void_p
    for name, result, arguments in (
        ("alloc", bitmap, [item, ctypes.c_int]),
        ("free", None, [bitmap]),
        ("set", None, [bitmap, item, item]),
        ("reset", None, [bitmap, item, item]),
        ("serialization_size", item, [bitmap, item, item]),
        ("serialize_part", None, [bitmap, ctypes.c_void_p, item, item]),
        ("sha256", ctypes.c_void_p, [bitmap, ctypes.c_void_p]),
    ):
        function = getattr(loaded, f"hbitmap_{name}")
        function.restype, function.argtypes = result, arguments
    return loaded


@pytest.mark.parametrize("line", PORTABLE)
def test_numbers_are_those_of_qemus_c(line: str, qemus_c: ctypes.CDLL) -> None:
    """SHA-256 of the serialised bytes, and hbitmap_sha256, by the rule of tests/portable.rs."""
    words = line.split()
    size, granularity, seed, sets, longest = (int(word) for word in words[:5])
    bitmap = qemus_c.hbitmap_alloc(size, granularity)
    number, unit = numbers(seed), 1 << granularity
    for change in range(sets):
        start = next(number) % size
        count = min(next(number) % longest + 1, size - start)
        if change % 4 == 3:
            first, end = start // unit * unit, min(-(-(start + count) // unit) * unit, size)
            qemus_c.hbitmap_reset(bitmap, first, end - first)
        else:
            qemus_c.hbitmap_set(bitmap, start, count)
    buffer = ctypes.create_string_buffer(qemus_c.hbitmap_serialization_size(bitmap, 0, size))
    qemus_c.hbitmap_serialize_part(bitmap, buffer, 0, size)
    text = ctypes.string_at(qemus_c.hbitmap_sha256(bitmap, None)).decode()
    qemus_c.hbitmap_free(bitmap)
    assert [hashlib.sha256(buffer.raw).hexdigest(), text] == words[5:]


def test_emulated_machine_is_big_endian(rust: Toolchain) -> None:
    program = rust.folder / "byte-order"
    code = "int main(void) { int one = 1; return *(char *)&one; }"
    run([LINKER, "-x", "c", "-", "-o", program], input=code)
    assert output([*EMULATOR, program])[0] == 0


@pytest.mark.parametrize("target", [[], ["--target", TARGET]], ids=["x86_64", "s390x"])
@pytest.mark.parametrize("which", [["--test", "portable"], ["--lib", "--tests"]], ids=" ".join)
def test_cargo_tests(rust: Toolchain, which: list[str], target: list[str]) -> None:
    said = cargo(rust, "test", "--locked", "--release", "--no-fail-fast", *target, *which)
    results = re.findall(r"^test result: (\w+)\. (\d+) passed; (\d+) failed", said, re.M)
    assert results and all(word == "ok" for word, _, _ in results)
    assert sum(int(passed) for _, passed, _ in results) > 0


@pytest.fixture(scope="module")
def archive(rust: Toolchain) -> Path:
    """The library's archive for s390x, with C names."""
    cargo(rust, *STATICLIB, "--features", "capi", "--target", TARGET)
    return rust.folder / "target" / TARGET / "release" / "libqemu_dirty_bitmap.a"


@pytest.mark.parametrize("name", C_PROGRAMS)
def test_c_program(rust: Toolchain, archive: Path, name: str) -> None:
    glib = rust.library("libglib-2.0.so.0")
    loaded = f"{glib.parent}:{rust.library('libpcre2-8.so.0').parent}"
    compiler = [
        LINKER,
        f"-I{rust.root / 'usr/include/glib-2.0'}",
        f"-I{rust.library('glib-2.0/include/glibconfig.h').parent}",
        # The old tag: the loader looks there for what GLib loads too.
        f"-Wl,--disable-new-dtags,-rpath,{loaded}",
    ]
    program = rust.folder / "c-tests" / name
    c_programs.build(compiler, name, [archive, glib], program)
    # The program starts itself again, as its argv[0]: that has to be the emulator with it.
    script = program.with_name(f"{name}.sh")
    command = shlex.join(map(str, [*EMULATOR, "-0", script, program]))
    script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    script.chmod(0o755)
    code, said = output([script, "--tap"], timeout=1800, env=os.environ)
    good = len(re.findall(r"^\s*ok \d+(?!.*# SKIP)", said, re.M))
    assert code == 0 and good and not re.findall(r"^\s*not ok .*", said, re.M), said[-3000:]
