# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's Rust 1.85 (the oldest that the library is for), for x86_64 and s390x.

Nothing is installed: the packages of Debian 12 are unpacked in the cache. What else they need (a
linker, an emulator) are packages that are installed.
"""

import re
import shutil
from pathlib import Path

from qdb_tools import build, debian, log, paths, venv
from qdb_tools.log import Failure

SUITE, VERSION, TARGET = "bookworm", "1.85", "s390x-unknown-linux-gnu"
# The last three: what LLVM is linked with.
INSTALLED = """gcc gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user debian-archive-keyring
    libedit2 libxml2 libz3-4""".split()
RUST = "rustc-web libstd-rust-web-1.85 libstd-rust-web-dev libstd-rust-web-dev:s390x".split()
# LLVM of the compiler; GLib and what GLib loads, for the C tests.
OTHERS = """libllvm19 libglib2.0-0:s390x libglib2.0-dev:s390x
    libpcre2-8-0:s390x libpcre2-dev:s390x""".split()
LINKER = "s390x-linux-gnu-gcc"
SCRIPTS = Path(__file__).with_name("s390x")


def unpacked() -> Path:
    """The folder with the packages' files, made at the first use."""
    folder = paths.cache() / f"rust-{VERSION}"
    debian.need(INSTALLED, "testing on an emulated s390x")
    build.need_cargo()
    with paths.lock(f"rust-{VERSION}"):
        stamp, wanted = folder / "wanted", " ".join(RUST + OTHERS)
        if stamp.is_file() and stamp.read_text() == wanted:
            return folder / "root"
        log.step(f"fetching Rust {VERSION} and s390x's libraries: Debian's packages from {SUITE}")
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "root").mkdir(parents=True)
        apt = debian.PrivateApt(paths.cache() / "apt-s390x", SUITE, ["amd64", "s390x"])
        apt.run("apt-get", "update")
        listed = apt.run("apt-cache", "madison", "rustc-web")
        # The newest first, as apt lists them.
        versions = re.findall(rf"^\s*rustc-web \|\s*({re.escape(VERSION)}\.\S+)", listed, re.M)
        if not versions:
            raise Failure(f"Debian's {SUITE} has no rustc-web {VERSION} any more")
        log.note(f"rustc-web {versions[0]}")
        for package in RUST + OTHERS:
            apt.unpack(package, versions[0] if package in RUST else "", folder / "root")
        stamp.write_text(wanted)
    return folder / "root"


def environment() -> dict[str, str]:
    """The variables that make cargo use this compiler, and cargo and meson those libraries and an
    emulator for programs of s390x."""
    root = unpacked()
    others = ("RUSTFLAGS", "RUSTDOC", "CARGO_BUILD_TARGET")
    env = {name: value for name, value in venv.environment().items() if name not in others}
    env |= {"QDB_RUST_ROOT": str(root), "RUSTC": str(SCRIPTS / "rustc")}
    env["PATH"] = f"{SCRIPTS}:{env['PATH']}"
    # Optimised, because the emulator is slow; not across crates, because that takes minutes for
    # each test program.
    env |= {"CARGO_PROFILE_RELEASE_LTO": "off", "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16"}
    env |= {"CARGO_PROFILE_RELEASE_DEBUG": "false", "CARGO_TARGET_DIR": str(root / "../target")}
    prefix = "CARGO_TARGET_" + TARGET.upper().replace("-", "_")
    env |= {f"{prefix}_LINKER": LINKER, f"{prefix}_RUNNER": str(SCRIPTS / "emulate")}
    libraries = root / "usr/lib/s390x-linux-gnu"
    # The old tag: the loader looks there for what GLib loads too.
    env["LDFLAGS"] = f"-Wl,--disable-new-dtags,-rpath,{libraries}"
    env["PKG_CONFIG_LIBDIR"] = str(libraries / "pkgconfig")
    return env | {"PKG_CONFIG_SYSROOT_DIR": str(root)}
