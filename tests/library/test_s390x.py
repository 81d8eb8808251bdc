# SPDX-License-Identifier: GPL-2.0-or-later
"""The library on big-endian s390x (emulated), and with the oldest Rust that it is for (1.85).

Serialised bitmaps and their hashes are the same on both machines: QEMU's own C gives the numbers of
tests/portable.txt on x86_64, the library gives them here and on s390x.
"""

import ctypes
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import configured
import oldest_rust
import pytest
from oldest_rust import LINKER, SCRIPTS, TARGET, VERSION
from qdb_tools import debian, paths, source
from qdb_tools.process import run

# Emulated threads are slow, and what they test does not depend on the byte order.
C_PROGRAMS = ["test-hbitmap", "test-dirty-bitmap", "test-abort", "test-error", "test-save"]
PORTABLE = (paths.ROOT / "tests" / "portable.txt").read_text().splitlines()
WIDE = (1 << 64) - 1
BUILDS = {
    "library and tests": "check --locked --all-targets",
    "for C programs": "rustc --locked --profile check --lib -- --cfg qdb_c_names",
    "for QEMU": 'rustc --locked --profile check --lib -- --cfg qdb_c_names --cfg qdb_host="qemu"',
}
CARGO_TESTS = {
    "portable, x86_64": "--test portable",
    "portable, s390x": f"--target {TARGET} --test portable",
    "all, s390x": f"--target {TARGET} --lib --tests",
}


@pytest.fixture(scope="module")
def env() -> dict[str, str]:
    # Enough of the random tests for a byte order to show; on the machine itself there are more.
    return oldest_rust.environment() | {"PROPTEST_CASES": "32"}


def test_compiler(env: dict[str, str]) -> None:
    assert run(["rustc", "--version"], env=env).startswith(f"rustc {VERSION}.")


@pytest.mark.parametrize("words", BUILDS.values(), ids=BUILDS)
def test_oldest_rust_builds(env: dict[str, str], words: str) -> None:
    # The cargo of this machine: it only has to read the lock file and start the compiler.
    run(["cargo", *words.split()], env=env, cwd=paths.ROOT)


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
    item, pointer = ctypes.c_uint64, ctypes.c_void_p
    for name, types in {
        "alloc": (pointer, item, ctypes.c_int),
        "free": (None, pointer),
        "set": (None, pointer, item, item),
        "reset": (None, pointer, item, item),
        "serialization_size": (item, pointer, item, item),
        "serialize_part": (None, pointer, pointer, item, item),
        "sha256": (pointer, pointer, pointer),
    }.items():
        function = getattr(loaded, f"hbitmap_{name}")
        function.restype, *function.argtypes = types
    return loaded


@pytest.mark.parametrize("line", [line for line in PORTABLE if not line.startswith("#")])
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


def test_emulated_machine_is_big_endian(env: dict[str, str], tmp_path: Path) -> None:
    code = "int main(void) { int one = 1; return *(char *)&one; }"
    run([LINKER, "-x", "c", "-", "-o", tmp_path / "byte-order"], input=code)
    run(["emulate", tmp_path / "byte-order"], env=env)


@pytest.mark.parametrize("words", CARGO_TESTS.values(), ids=CARGO_TESTS)
def test_cargo_tests(env: dict[str, str], words: str) -> None:
    command = ["cargo", "test", "--locked", "--release", "--no-fail-fast", *words.split()]
    said = run(command, env=env, cwd=paths.ROOT)
    results = re.findall(r"^test result: (\w+)\. (\d+) passed; (\d+) failed", said, re.M)
    assert results and all(word == "ok" for word, _, _ in results)
    assert sum(int(passed) for _, passed, _ in results) > 0


@pytest.fixture(scope="module")
def cross_build(env: dict[str, str]) -> Path:
    """The C tests, built by meson for s390x."""
    options = ["--cross-file", SCRIPTS / "cross-file.ini", "-Ddropin=false", "-Dman=false"]
    folder = configured.folder(paths.cache() / "s390x-c-tests", paths.ROOT, options, env)
    run(["ninja", "-C", folder, *(f"c-tests/{name}" for name in C_PROGRAMS)], env=env)
    return folder


@pytest.mark.parametrize("name", C_PROGRAMS)
def test_c_program(env: dict[str, str], cross_build: Path, name: str) -> None:
    command = ["meson", "test", "-C", cross_build, "--no-rebuild", "--print-errorlogs", name]
    said = run([*command, "--timeout-multiplier", "6"], env=env)
    assert re.search(r"[1-9]\d* subtests passed", said), said
