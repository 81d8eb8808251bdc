# SPDX-License-Identifier: GPL-2.0-or-later
"""The library, built by meson for a checker: a program of tests/sanitize/checkers.toml."""

import re
import tomllib
from pathlib import Path

from qdb_tools import build, debian, paths, venv
from qdb_tools.process import output, run

FOLDER = paths.ROOT / "tests" / "sanitize"
ALL = tomllib.loads((FOLDER / "checkers.toml").read_text())
ARCHIVE, THREAD_CHECKER = "libqemu_dirty_bitmap_rust.a", "c-tests/libthread-checker.a"
# To start a program: gcc 12's run-time library for threads does not know the address layout of
# newer kernels with many random bits.
START = ["setarch", "--addr-no-randomize"]
CHECKED = "CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS".split()


def made(name: str, *targets: str, source: Path = paths.ROOT) -> Path:
    """The folder where meson has built these targets of the library, or of a copy that has planted
    faults, for the checker."""
    debian.need("binutils util-linux valgrind libc6-dbg".split(), "programs that watch others")
    checker, flags = ALL[name], ALL[name]["rust"]
    # std comes compiled without it, which newer compilers refuse although it changes no ABI. What
    # std inlines into the library (atomics, Arc) is watched.
    if name == "thread" and "unsafe-allow-abi-mismatch" in run(["rustc", "-C", "help"]):
        flags += " -Cunsafe-allow-abi-mismatch=sanitizer"
    # Any rustc will do: RUSTC_BOOTSTRAP=1 opens -Zsanitizer.
    env = venv.environment() | {"RUSTC_BOOTSTRAP": "1", "RUSTFLAGS": flags}
    env |= dict.fromkeys(CHECKED if name == "checks" else [], "true")
    # With a target, what runs while cargo builds is not built for the checker.
    (target,) = re.findall(r"^host: (\S+)", run(["rustc", "-vV"]), re.M)
    define = "" if source == paths.ROOT else "-DPLANTED"
    options = [f"-Db_sanitize={checker['b_sanitize']}", f"-Dc_args={checker['c']} {define}"]
    options += ["-Db_lundef=false", "-Dman=false", f"-Dcargo_target={target}"]
    place = paths.cache("sanitize", name) / source.name
    build.library(*targets, folder=place, source=source, options=options, env=env)
    names = output(["nm", place / ARCHIVE], stderr=None)[1]
    missing = [wanted for wanted in checker["wanted"] if wanted not in names]
    assert not missing, f"nothing would be checked: no {missing} in {place}"
    return place


def libraries(name: str) -> list[object]:
    """What links a program with the library for the checker, without meson."""
    system = ["-lpthread", "-ldl", "-lm", "-lgcc_s"]
    if name != "thread":
        return [made(name, ARCHIVE) / ARCHIVE, *system]
    folder = made(name, ARCHIVE, THREAD_CHECKER)
    own = ["-Wl,--whole-archive", folder / THREAD_CHECKER, "-Wl,--no-whole-archive"]
    return [*own, folder / ARCHIVE, *system]
