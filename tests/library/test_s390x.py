# SPDX-License-Identifier: GPL-2.0-or-later
"""The library on big-endian s390x (emulated), and with the oldest Rust that it is for (1.85).

Serialised bitmaps and their hashes are those of tests/portable.txt on both machines. The compiler
is Debian's, unpacked in the cache; programs of s390x run in qemu-user.
"""

import re
from pathlib import Path

import pytest
from qdb_tools import build, debian, paths
from qdb_tools.process import run
from qdb_tools.variants import Cross

VERSION, TARGET = "1.85", "s390x-unknown-linux-gnu"
RUST = "rustc-web libstd-rust-web-1.85 libstd-rust-web-dev libstd-rust-web-dev:s390x".split()
LINKER, TEST = "s390x-linux-gnu-gcc", "test --locked --release --no-fail-fast"
SCRIPTS = Path(__file__).with_name("s390x")
# Emulated threads are slow, and what they test does not depend on the byte order.
C_PROGRAMS = ["test-hbitmap", "test-dirty-bitmap", "test-abort", "test-error", "test-save"]
CROSS = Cross("s390x", "s390x")
CARGO = {
    "library and tests": "check --locked --all-targets",
    "for C programs": "rustc --locked --profile check --lib -- --cfg qdb_c_names",
    "for QEMU": 'rustc --locked --profile check --lib -- --cfg qdb_c_names --cfg qdb_host="qemu"',
    "portable, x86_64": f"{TEST} --test portable",
    "portable, s390x": f"{TEST} --target {TARGET} --test portable",
    "all, s390x": f"{TEST} --target {TARGET} --lib --tests",
}


@pytest.fixture(scope="module")
def env() -> dict[str, str]:
    """What makes cargo use this compiler, and cargo and meson an emulator for s390x's programs."""
    build.need_cargo()
    # What LLVM is linked with.
    debian.need("gcc libedit2 libxml2 libz3-4".split(), "Debian's Rust")
    CROSS.need_c()
    root = paths.cache() / f"rust-{VERSION}"
    debian.unpacked(root, "s390x", ["libllvm19", *(f"{name}={VERSION}.*" for name in RUST)])
    others = ("RUSTFLAGS", "RUSTDOC", "CARGO_BUILD_TARGET")
    env = {name: value for name, value in CROSS.environment().items() if name not in others}
    env |= {"QDB_RUST_ROOT": str(root), "RUSTC": str(SCRIPTS / "rustc")}
    env |= {"PATH": f"{SCRIPTS}:{env['PATH']}", "CARGO_TARGET_DIR": str(root / "target")}
    # Optimised, because the emulator is slow; not across crates, because that takes minutes for
    # each test program.
    env |= {"CARGO_PROFILE_RELEASE_LTO": "off", "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16"}
    prefix = "CARGO_TARGET_" + TARGET.upper().replace("-", "_")
    env |= {f"{prefix}_LINKER": LINKER, f"{prefix}_RUNNER": str(SCRIPTS / "emulate")}
    # The old tag: the loader looks there for what GLib loads too.
    env["LDFLAGS"] = f"-Wl,--disable-new-dtags,-rpath,{CROSS.search}"
    # Enough of the random tests for a byte order to show; on the machine itself there are more.
    return env | {"CARGO_PROFILE_RELEASE_DEBUG": "false", "PROPTEST_CASES": "32"}


def test_compiler(env: dict[str, str]) -> None:
    assert run(["rustc", "--version"], env=env).startswith(f"rustc {VERSION}.")


@pytest.mark.parametrize("words", CARGO.values(), ids=CARGO)
def test_cargo(env: dict[str, str], words: str) -> None:
    # The cargo of this machine: it only has to read the lock file and start the compiler.
    said = run(["cargo", *words.split()], env=env, cwd=paths.ROOT)
    passed = re.findall(r"^test result: ok\. (\d+) passed; 0 failed", said, re.M)
    assert sum(map(int, passed)) > 0 or not words.startswith(TEST), said


def test_emulated_machine_is_big_endian(env: dict[str, str], tmp_path: Path) -> None:
    code = "int main(void) { int one = 1; return *(char *)&one; }"
    run([LINKER, "-x", "c", "-", "-o", tmp_path / "byte-order"], input=code)
    run(["emulate", tmp_path / "byte-order"], env=env)


@pytest.fixture(scope="module")
def cross_build(env: dict[str, str]) -> Path:
    """The C tests, built by meson for s390x."""
    files = ["--cross-file", CROSS.cross_file, "--cross-file", SCRIPTS / "cross-file.ini"]
    options, folder = [*files, "-Ddropin=false", "-Dman=false"], paths.cache() / "s390x-c-tests"
    programs = [f"c-tests/{name}" for name in C_PROGRAMS]
    return build.library(*programs, folder=folder, options=options, env=env)


@pytest.mark.parametrize("name", C_PROGRAMS)
def test_c_program(env: dict[str, str], cross_build: Path, name: str) -> None:
    command = ["meson", "test", "-C", cross_build, "--no-rebuild", "--print-errorlogs", name]
    said = run([*command, "--timeout-multiplier", "6"], env=env)
    assert re.search(r"[1-9]\d* subtests passed", said), said
