# SPDX-License-Identifier: GPL-2.0-or-later
"""The library's drop-in object, and a QEMU built on it or as QEMU has it (stock), in the cache."""

import contextlib
import hashlib
import os
import platform
import shlex
import shutil
import sys
from pathlib import Path

from qdb_tools import debian, log, paths, source, variants, venv
from qdb_tools.log import Failure
from qdb_tools.process import Words, run, watch, words

LIBRARY_NEEDS = "gcc ninja-build pkg-config libglib2.0-dev".split()
PACKAGES = (
    "gcc make ninja-build pkg-config flex bison python3-venv libglib2.0-dev libpixman-1-dev "
    "libfdt-dev zlib1g-dev libzstd-dev seabios ipxe-qemu qemu-system-data"
).split()
# Two tests that read bitmaps want zstd and parallels.
FLAGS = (
    "--target-list=x86_64-softmmu --without-default-features --enable-kvm --disable-tcg "
    "--enable-tools --enable-fdt=system --disable-install-blobs --disable-docs --disable-werror "
    "--enable-zstd --enable-parallels"
).split()
TOOLS = "qemu-img qemu-io qemu-nbd storage-daemon/qemu-storage-daemon".split()
PROGRAMS = ["qemu-system-x86_64", *TOOLS]
UNIT_TESTS = (
    "test-hbitmap test-bdrv-drain test-bdrv-graph-mod test-block-backend test-block-iothread "
    "test-blockjob test-blockjob-txn test-write-threshold"
).split()
# The firmware that a Debian source package of QEMU does not have, from Debian's packages.
FIRMWARE = "usr/share/seabios/* usr/lib/ipxe/qemu/* usr/share/qemu/*.bin".split()
OBJECT = "qemu-dirty-bitmap.o"


def need_cargo() -> None:
    if not shutil.which("cargo"):
        raise Failure("there is no cargo here: install Rust (rustup's default toolchain does)")


def library(
    *targets: str,
    folder: Path = paths.BUILD,
    source: Path = paths.ROOT,
    options: Words = (),
    env: dict[str, str] | None = None,
) -> Path:
    """The folder build/ (or another), where these targets of the library are up to date.

    build/ stays as its user has set it up; another folder is made anew if its options are new.
    """
    need_cargo()
    debian.need(LIBRARY_NEEDS, "building the library")
    env = env or venv.environment()
    setup = words(["meson", "setup", *options, folder, source])
    with paths.lock(f"library-{folder.name}"):
        if folder != paths.BUILD or not (folder / "build.ninja").is_file():
            with paths.fresh(folder, folder / "set-up-with", shlex.join(setup)) as needed:
                if needed:
                    log.step("setting the library's build up")
                    run(setup, env=env)
        log.step("building the library")
        watch(["ninja", "-C", folder, *targets], folder / "ninja.log", "library", env=env)
    return folder


def drop_in_object(variant: variants.Variant = variants.PLAIN) -> Path:
    return library(OBJECT, folder=variant.library, options=variant.library_options) / OBJECT


class Build:
    """A build folder, and the names of what is in it."""

    def __init__(self, version: str, stock: bool, variant: str = "") -> None:
        self.version, self.stock = version, stock
        self.variant = variants.get(variant, version) if variant else variants.PLAIN
        self.label = f"{version}-{'stock' if stock else 'dropin'}{variant and f'-{variant}'}"
        if tree := source.users_tree():
            # One build for each tree that users bring along.
            self.label += "-" + hashlib.sha256(str(tree).encode()).hexdigest()[:8]
        self.folder = paths.cache() / "build" / self.label
        self.tree = paths.cache() / "tree" / self.label

    def program(self, name: str) -> Path:
        return self.folder / name

    @property
    def python(self) -> Path:
        """The Python that QEMU's own tests want."""
        own = self.folder / "pyvenv" / "bin" / "python3"
        return own if own.exists() else venv.folder() / "bin" / "python3"


def fingerprint(tree: Path) -> str:
    """Changes when a file of the tree does."""
    found = hashlib.sha256()
    for folder, folders, files in os.walk(tree):
        folders[:] = sorted(set(folders) - {".git"})
        for path in sorted(Path(folder, name) for name in files):
            stat = path.lstat()
            entry = f"{path.relative_to(tree)} {stat.st_size} {stat.st_mtime_ns}\n"
            found.update(entry.encode())
    return found.hexdigest()


def copy_tree(origin: Path, copy: Path) -> None:
    """A copy of the source to apply the drop-in to; the source itself stays as it is."""
    stamp, wanted = copy.with_name(f"{copy.name}.from"), f"{origin} {fingerprint(origin)}"
    with paths.fresh(copy, stamp, wanted) as needed:
        if needed:
            log.step(f"copying {origin}")
            ignored = shutil.ignore_patterns(".git")
            shutil.copytree(origin, copy, symlinks=True, ignore=ignored, dirs_exist_ok=True)


def configure(build: Build, tree: Path) -> None:
    usual = FLAGS if build.version == "7.2" else [*FLAGS, "--disable-rust"]
    command = [str(tree / "configure"), *build.variant.flags(tree, usual)]
    stamp = build.folder / "configured-with"
    with paths.fresh(build.folder, stamp, "\n".join(command)) as needed:
        if needed:
            log.step(f"configuring QEMU {build.label}")
            log_file, env = build.folder / "configure.log", build.variant.environment()
            watch(command, log_file, "configure", cwd=build.folder, env=env)


def link_firmware(build: Build) -> None:
    bundle = build.folder / "qemu-bundle"
    if build.variant.finds_firmware:
        # A folder for an installation to come, in which QEMU would look alone.
        shutil.rmtree(bundle, ignore_errors=True)
        return
    place = bundle / "usr/local/share/qemu"
    place.mkdir(parents=True, exist_ok=True)
    for file in [file for pattern in FIRMWARE for file in Path("/").glob(pattern)]:
        with contextlib.suppress(FileExistsError):
            (place / file.name).symlink_to(file)


def build(version: str, stock: bool = False, targets: Words = (), variant: str = "") -> Build:
    """Builds what is not up to date; fetches what is not there. `variant`: as in variants.py."""
    if platform.machine() != "x86_64":
        raise Failure(f"the QEMU build is for x86_64 hosts; this is {platform.machine()}")
    debian.need(PACKAGES, "building QEMU")
    result = Build(version, stock, variant)
    tree = source.get(version)
    compiled = None if stock else drop_in_object(result.variant)
    with paths.lock(result.label):
        if compiled:
            paths.cache("tree")
            copy_tree(tree, result.tree)
            tree = result.tree
            result.variant.prepare(tree)
            done = run([sys.executable, paths.DROPIN, "apply", tree, "--object", compiled])
            if "nothing to change" not in done:
                log.step("applying the drop-in")
                log.note(done.strip())
        configure(result, tree)
        usual = [*PROGRAMS, *(f"tests/unit/{name}" for name in UNIT_TESTS)]
        names = targets or result.variant.targets(usual, result.folder)
        log.step(f"building QEMU {result.label}")
        ninja, env = ["ninja", "-C", result.folder, *names], result.variant.environment()
        watch(ninja, result.folder / "ninja.log", f"QEMU {result.label}", env=env)
        link_firmware(result)
    return result
