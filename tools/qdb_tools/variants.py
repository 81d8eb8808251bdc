# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU as people build it: what differs from the plain build of build.py."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qdb_tools import debian, paths, qemu_crates, venv
from qdb_tools.log import Failure
from qdb_tools.process import Words, output, run


@dataclass
class Variant:
    """A way to build QEMU; this one is the plain way with other options."""

    about: str
    options: str
    packages: str = ""
    versions: Sequence[str] = tuple(paths.SUITES)
    finds_firmware: bool = False  # where Debian's packages have it
    library: Path = paths.BUILD  # where its drop-in object is made
    library_options: Words = ()  # what meson is told of that

    def need(self) -> None:
        """Sees to it that there is what the build takes from this machine."""
        debian.need(self.packages.split(), f"building QEMU {self.about}")

    def prepare(self, tree: Path) -> None:
        """Puts into a copy of QEMU's source what the build wants beside it."""

    def flags(self, tree: Path, usual: Sequence[str]) -> list[str]:
        return [*usual, *self.options.split()]

    def environment(self) -> dict[str, str]:
        return venv.environment()

    def targets(self, usual: Sequence[str], folder: Path) -> list[str]:
        return list(usual)

    def emulator(self) -> list[str]:
        """What runs a program of the build here."""
        return []


class Rust(Variant):
    """QEMU's own Rust devices, in one program with the library."""

    def prepare(self, tree: Path) -> None:
        qemu_crates.put_into(tree)

    def environment(self) -> dict[str, str]:
        # As 10.2 wants it for its Rust code.
        return venv.environment(venv.folder("python-rust", ["meson>=1.9,<1.10", "pycotap"]))


class Debian(Variant):
    """The configure line of the source package's debian/rules, but one target only."""

    # The kit has a meson of its own, and builds neither pages nor Xen's QEMU. Debian 12 has no
    # libblkio.
    LEFT_OUT = """debhelper-compat meson python3-sphinx python3-sphinx-rtd-theme libxen-dev
        qemu-system-data libblkio-dev""".split()
    PACKAGES = "BUILD_PACKAGES=qemu-system qemu-utils"

    def targets(self, usual: Sequence[str], folder: Path) -> list[str]:
        # Each module, for the emulator looks at all of them.
        modules = re.findall(r"^build (\S+\.so):", (folder / "build.ninja").read_text(), re.M)
        return [*usual, *modules]

    def prepare(self, tree: Path) -> None:
        said = output(["env", "LC_ALL=C", "dpkg-checkbuilddeps", "-B"], cwd=tree)[1]
        # NAME, NAME:any or NAME:native, and (>= VERSION), which is Debian 13's.
        unmet = re.sub(r"\(.*?\)|:\w+", "", said.partition("dependencies:")[2]).split()
        needed = [name for name in unmet if name not in self.LEFT_OUT]
        debian.need(needed, "building QEMU as Debian does")

    def flags(self, tree: Path, usual: Sequence[str]) -> list[str]:
        rules = [*"make -n -f debian/rules b/qemu/configured".split(), self.PACKAGES]
        printed = run(rules, cwd=tree).replace("\\\n", " ")
        words = shlex.split(printed.split("../../configure ")[1].split("||")[0])
        words.remove("--enable-blkio")
        return [*words, "--target-list=x86_64-softmmu", *self.options.split()]


class Cross(Variant):
    """For another machine: the tools and the unit tests, as Debian's cross compiler makes them."""

    GLIB = "libglib2.0-0 libglib2.0-dev libpcre2-8-0 libpcre2-dev zlib1g zlib1g-dev"
    TARGETS = "qemu-img qemu-io qemu-nbd storage-daemon/qemu-storage-daemon tests/unit/test-hbitmap"

    def __init__(self, machine: str, architecture: str) -> None:
        self.machine, self.architecture = machine, architecture
        self.triplet, cache = f"{machine}-linux-gnu", paths.cache()
        packages = "dpkg-dev qemu-user debian-archive-keyring "
        packages += f"gcc-{self.triplet} libc6-dev-{architecture}-cross"
        options = "--disable-system --disable-user --without-default-features --enable-tools "
        options += "--disable-install-blobs --disable-docs --disable-werror --target-list= "
        options += f"--cross-prefix={self.triplet}-"
        super().__init__(f"cross-built for {machine}, run by qemu-user", options, packages)
        self.library, self.sysroot = cache / f"library-{machine}", cache / f"sysroot-{machine}"
        self.cross_file = cache / f"cross-{machine}.ini"
        self.library_options = ["--cross-file", self.cross_file, "-Dlibrary=false"]
        self.libraries = f"{self.sysroot}/usr/lib/{self.triplet}"
        self.search = f"{self.libraries}:{self.sysroot}/lib/{self.triplet}"

    def need_c(self) -> None:
        """All but Rust."""
        super().need()
        describe = ["meson", "env2mfile", "--cross", "--debarch", self.architecture]
        run([*describe, "-o", self.cross_file], env=venv.environment())
        glib = [f"{package}:{self.architecture}" for package in self.GLIB.split()]
        debian.unpacked(self.sysroot, self.architecture, glib)

    def need(self) -> None:
        self.need_c()
        target = f"{self.machine}-unknown-linux-gnu"
        printed = run(["rustc", "--print", "target-libdir", "--target", target])
        if not Path(printed.strip()).is_dir():
            run(["rustup", "target", "add", target])

    def flags(self, tree: Path, usual: Sequence[str]) -> list[str]:
        compiled = f"--extra-cflags=-I{self.sysroot}/usr/include"
        linked = f"--extra-ldflags=-L{self.libraries} -Wl,-rpath-link,{self.search}"
        return [*self.options.split(), compiled, linked]

    def environment(self) -> dict[str, str]:
        found = f"{self.libraries}/pkgconfig:{self.sysroot}/usr/share/pkgconfig"
        more = {"PKG_CONFIG": "pkg-config", "PKG_CONFIG_LIBDIR": found}
        return venv.environment() | more | {"PKG_CONFIG_SYSROOT_DIR": str(self.sysroot)}

    def targets(self, usual: Sequence[str], folder: Path) -> list[str]:
        return self.TARGETS.split()

    def emulator(self) -> list[str]:
        found = f"LD_LIBRARY_PATH={self.search}"
        return [f"qemu-{self.machine}", "-L", f"/usr/{self.triplet}", "-E", found]


PLAIN = Variant("", "")
CLANG = "--cc=clang --host-cc=clang --cxx=clang++"
# AddressSanitizer does not follow swapcontext, which coroutines use else.
ASAN = f"{CLANG} --enable-asan --with-coroutine=sigaltstack"
VARIANTS = {
    "debian": Debian("with the configure line of Debian's package", "", "dpkg-dev", ["10.0"], True),
    "asan": Variant("with clang's AddressSanitizer", ASAN, "clang libclang-rt-14-dev"),
    "lto": Variant("with link-time optimisation", "--enable-lto"),
    "rust": Rust("with QEMU's own Rust devices", "--enable-rust", "bindgen clang", ["10.2"]),
    "cross-s390x": Cross("s390x", "s390x"),
    "cross-aarch64": Cross("aarch64", "arm64"),
}


def get(name: str, version: str) -> Variant:
    variant = VARIANTS[name]
    if version not in variant.versions:
        raise Failure(f"--as {name} is for QEMU {', '.join(variant.versions)}")
    variant.need()
    return variant
