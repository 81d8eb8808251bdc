# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's Rust 1.85 (the oldest that the library is for), with the standard library of x86_64 and of s390x.

Nothing is installed: the packages of Debian 12 are unpacked in the cache. What else they need (a
linker, an emulator) are packages that are installed.
"""

import os
import re
import shlex
import shutil
from pathlib import Path

from qdb_tools import build, debian, log, paths
from qdb_tools.log import Failure

SUITE = "bookworm"
VERSION = "1.85"
TARGET = "s390x-unknown-linux-gnu"
INSTALLED = [
    "gcc",
    "gcc-s390x-linux-gnu",
    "libc6-dev-s390x-cross",
    "qemu-user",
    "debian-archive-keyring",
    "libedit2",
    "libxml2",
    "libz3-4",  # what LLVM is linked with
]
RUST = ["rustc-web", "libstd-rust-web-1.85", "libstd-rust-web-dev", "libstd-rust-web-dev:s390x"]
# LLVM of the compiler; GLib and what GLib loads, for the C tests.
OTHERS = ["libllvm19", "libglib2.0-0:s390x", "libglib2.0-dev:s390x", "libpcre2-8-0:s390x"]
LINKER = "s390x-linux-gnu-gcc"
EMULATOR = ["qemu-s390x", "-L", "/usr/s390x-linux-gnu"]


class Toolchain:
    """The unpacked compiler, made at the first use."""

    def __init__(self) -> None:
        self.folder = paths.cache() / f"rust-{VERSION}"
        self.root = self.folder / "root"
        debian.need(INSTALLED, "testing on an emulated s390x")
        build.need_cargo()
        with paths.lock(f"rust-{VERSION}"):
            self.unpack()

    def unpack(self) -> None:
        stamp, wanted = self.folder / "wanted", " ".join(RUST + OTHERS)
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        log.step(f"fetching Rust {VERSION} and s390x's libraries: Debian's packages from {SUITE}")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.root.mkdir(parents=True)
        apt = debian.PrivateApt(paths.cache() / "apt-s390x", SUITE, ["amd64", "s390x"])
        apt.run("apt-get", "update")
        listed = apt.run("apt-cache", "madison", "rustc-web")
        # The newest first, as apt lists them.
        versions = re.findall(rf"^\s*rustc-web \|\s*({re.escape(VERSION)}\.\S+)", listed, re.M)
        if not versions:
            raise Failure(f"Debian's {SUITE} has no rustc-web {VERSION} any more")
        log.note(f"rustc-web {versions[0]}")
        for package in RUST:
            apt.unpack(package, versions[0], self.root)
        for package in OTHERS:
            apt.unpack(package, "", self.root)
        self.write_wrapper()
        stamp.write_text(wanted)

    @property
    def rustc(self) -> Path:
        return self.folder / "rustc"

    def write_wrapper(self) -> None:
        """The compiler as cargo starts it: with its own libraries, which no other program sees."""
        libraries = shlex.quote(f"{self.root}/usr/lib/x86_64-linux-gnu")
        self.rustc.write_text(
            "#!/bin/sh\n# SPDX-License-Identifier: GPL-2.0-or-later\n"
            f'LD_LIBRARY_PATH={libraries} exec {shlex.quote(str(self.root / "usr/bin/rustc"))} "$@"\n'
        )
        self.rustc.chmod(0o755)

    def environment(self) -> dict[str, str]:
        """The variables that make cargo use this compiler, and run s390x programs in the emulator."""
        env = {
            name: value
            for name, value in os.environ.items()
            if name not in ("RUSTFLAGS", "RUSTDOC", "CARGO_BUILD_TARGET")
        }
        prefix = "CARGO_TARGET_" + TARGET.upper().replace("-", "_")
        env.update(
            {
                "RUSTC": str(self.rustc),
                "CARGO_TARGET_DIR": str(self.folder / "target"),
                # Optimised, because the emulator is slow; not across crates, because that takes minutes for each test program.
                "CARGO_PROFILE_RELEASE_LTO": "off",
                "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
                "CARGO_PROFILE_RELEASE_DEBUG": "false",
                f"{prefix}_LINKER": LINKER,
                f"{prefix}_RUNNER": " ".join(EMULATOR),
            }
        )
        return env

    def library(self, name: str) -> Path:
        """A shared library of s390x."""
        found = next(self.root.glob(f"**/s390x-linux-gnu/{name}"), None)
        if not found:
            raise Failure(f"there is no {name} of s390x in {self.root}")
        return found
