# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU as people build it: what differs from the plain build of build.py."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from qdb_tools import debian, log, paths, qemu_crates, venv
from qdb_tools.log import Failure
from qdb_tools.process import Words, run


class Variant:
    """A way to build QEMU; this one is the plain way with other options."""

    def __init__(
        self,
        about: str,
        flags: str,
        packages: str = "",
        versions: Sequence[str] = tuple(paths.SUITES),
    ) -> None:
        self.about, self.options, self.packages = about, flags.split(), packages.split()
        self.versions = versions

    finds_firmware = False  # where Debian's packages have it

    def prepare(self, tree: Path) -> None:
        """Puts into a copy of QEMU's source what the build wants beside it."""

    def flags(self, tree: Path, usual: Sequence[str]) -> list[str]:
        return [*usual, *self.options]

    def environment(self) -> dict[str, str]:
        return venv.environment()

    @property
    def library(self) -> Path:
        """Where its drop-in object is made."""
        return paths.BUILD

    def library_options(self) -> Words:
        """What meson is told of it."""
        return []

    def targets(self, usual: Sequence[str], folder: Path) -> list[str]:
        return list(usual)

    def emulator(self) -> list[str]:
        """What runs a program of the build here."""
        return []


class Rust(Variant):
    """QEMU's own Rust devices, in one program with the library."""

    MESON = "meson>=1.9,<1.10"  # as 10.2 wants for its Rust code

    def prepare(self, tree: Path) -> None:
        qemu_crates.put_into(tree)

    def environment(self) -> dict[str, str]:
        return venv.environment(venv.folder("python-rust", [self.MESON, "pycotap"]))


class Debian(Variant):
    """The configure line of the source package's debian/rules, but one target only."""

    finds_firmware = True
    # Build-dependencies under their packages' names. The kit has a meson of its own, and builds
    # neither pages nor Xen's QEMU. Debian 12 has no libblkio.
    OTHERS = dict.fromkeys(
        [
            "debhelper-compat",
            "meson",
            "python3-sphinx",
            "python3-sphinx-rtd-theme",
            "libxen-dev",
            "qemu-system-data",
            "libblkio-dev",
        ],
        "",
    ) | {"gnutls-dev": "libgnutls28-dev"}
    LACKING = ["--enable-blkio"]

    def targets(self, usual: Sequence[str], folder: Path) -> list[str]:
        # Each module, for the emulator looks at all of them.
        modules = re.findall(r"^build (\S+\.so):", (folder / "build.ninja").read_text(), re.M)
        return [*usual, *modules]

    def prepare(self, tree: Path) -> None:
        control = (tree / "debian" / "control").read_text()
        fields = re.findall(r"^Build-Depends(?:-Arch)?:((?:.*\n)(?:[ #].*\n)*)", control, re.M)
        listed = re.sub(r"^#.*\n", "", "".join(fields), flags=re.M).replace("\n", "")
        names = []
        for entry in filter(None, map(str.strip, listed.split(","))):
            found = re.fullmatch(
                r"([^\s:\[<]+)(?::\w+)?\s*(?:\([^)]*\))?\s*(?:\[(.*?)\])?.*", entry
            )
            if found and (not found[2] or {"amd64", "linux-any"} & set(found[2].split())):
                names.append(found[1])
        needed = [self.OTHERS.get(name, name) for name in dict.fromkeys(names)]
        debian.need([name for name in needed if name], "building QEMU as Debian does")

    def flags(self, tree: Path, usual: Sequence[str]) -> list[str]:
        rules = [
            "make",
            "-n",
            "-f",
            "debian/rules",
            "BUILD_PACKAGES=qemu-system qemu-utils",
            "b/qemu/configured",
        ]
        printed = subprocess.run(rules, cwd=tree, capture_output=True, text=True, check=True).stdout
        line = printed.replace("\\\n", " ").split("../../configure ")[1].split("||")[0]
        words = [word for word in shlex.split(line) if word not in self.LACKING]
        return [*words, "--target-list=x86_64-softmmu", *self.options]


class Cross(Variant):
    """For another machine: the tools and the unit tests, as Debian's cross compiler makes them."""

    # Debian's packages of that architecture, unpacked in the cache: nothing foreign is installed.
    SYSROOT = "libglib2.0-0 libglib2.0-dev libpcre2-8-0 libpcre2-dev zlib1g zlib1g-dev".split()
    OPTIONS = (
        "--target-list= --disable-system --disable-user --without-default-features --enable-tools "
        "--disable-install-blobs --disable-docs --disable-werror"
    )

    def __init__(self, machine: str, architecture: str, endian: str) -> None:
        self.machine, self.architecture, self.endian = machine, architecture, endian
        self.triplet = f"{machine}-linux-gnu"
        super().__init__(
            f"cross-built for {machine}, run by qemu-user",
            f"{self.OPTIONS} --cross-prefix={self.triplet}-",
            f"gcc-{self.triplet} libc6-dev-{architecture}-cross qemu-user debian-archive-keyring",
        )

    @property
    def library(self) -> Path:
        return paths.cache() / f"library-{self.machine}"

    @property
    def sysroot(self) -> Path:
        return paths.cache() / f"sysroot-{self.machine}"

    @property
    def libraries(self) -> Path:
        return self.sysroot / "usr" / "lib" / self.triplet

    def prepare(self, tree: Path) -> None:
        stamp, wanted = self.sysroot / "wanted", " ".join(self.SYSROOT)
        if stamp.is_file() and stamp.read_text() == wanted:
            return
        log.step(f"fetching GLib for {self.machine}")
        shutil.rmtree(self.sysroot, ignore_errors=True)
        self.sysroot.mkdir()
        apt = debian.PrivateApt(
            paths.cache() / f"apt-cross-{self.architecture}",
            "bookworm",
            ["amd64", self.architecture],
        )
        apt.run("apt-get", "update")
        for package in self.SYSROOT:
            apt.unpack(f"{package}:{self.architecture}", "", self.sysroot)
        stamp.write_text(wanted)

    def flags(self, tree: Path, usual: Sequence[str]) -> list[str]:
        linked = (
            f"-L{self.libraries} -Wl,-rpath-link,{self.libraries}:{self.sysroot}/lib/{self.triplet}"
        )
        return [
            *self.options,
            f"--extra-cflags=-I{self.sysroot}/usr/include",
            f"--extra-ldflags={linked}",
        ]

    def environment(self) -> dict[str, str]:
        return dict(
            venv.environment(),
            PKG_CONFIG="pkg-config",
            PKG_CONFIG_SYSROOT_DIR=str(self.sysroot),
            PKG_CONFIG_LIBDIR=f"{self.libraries}/pkgconfig:{self.sysroot}/usr/share/pkgconfig",
        )

    def library_options(self) -> Words:
        target = f"{self.machine}-unknown-linux-gnu"
        lib = Path(run(["rustc", "--print", "target-libdir", "--target", target]).strip())
        if not lib.is_dir():
            run(["rustup", "target", "add", target])
        cross = paths.cache() / f"cross-{self.machine}.ini"
        cross.write_text(
            f"[binaries]\nc = '{self.triplet}-gcc'\nar = '{self.triplet}-ar'\n"
            f"[host_machine]\nsystem = 'linux'\ncpu_family = '{self.machine}'\n"
            f"cpu = '{self.machine}'\nendian = '{self.endian}'\n"
        )
        return ["--cross-file", cross, f"-Dcargo_target={target}", "-Dlibrary=false"]

    def targets(self, usual: Sequence[str], folder: Path) -> list[str]:
        return [
            "qemu-img",
            "qemu-io",
            "qemu-nbd",
            "storage-daemon/qemu-storage-daemon",
            "tests/unit/test-hbitmap",
        ]

    def emulator(self) -> list[str]:
        found = f"LD_LIBRARY_PATH={self.libraries}:{self.sysroot}/lib/{self.triplet}"
        return [f"qemu-{self.machine}", "-L", f"/usr/{self.triplet}", "-E", found]


PLAIN = Variant("", "")
CLANG = "--cc=clang --host-cc=clang --cxx=clang++"
VARIANTS = {
    "debian": Debian("with the configure line of Debian's package", "", "dpkg-dev", ("10.0",)),
    "asan": Variant(
        # AddressSanitizer does not follow swapcontext, which coroutines use else.
        "with clang's AddressSanitizer",
        f"{CLANG} --enable-asan --with-coroutine=sigaltstack",
        "clang libclang-rt-14-dev",
    ),
    "lto": Variant("with link-time optimisation", "--enable-lto"),
    "rust": Rust("with QEMU's own Rust devices", "--enable-rust", "bindgen clang", ("10.2",)),
    "cross-s390x": Cross("s390x", "s390x", "big"),
    "cross-aarch64": Cross("aarch64", "arm64", "little"),
}


def get(name: str, version: str) -> Variant:
    variant = VARIANTS[name]
    if version not in variant.versions:
        raise Failure(f"--as {name} is for QEMU {', '.join(variant.versions)}")
    debian.need(variant.packages, f"building QEMU {variant.about}")
    return variant
