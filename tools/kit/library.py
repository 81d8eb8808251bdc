# SPDX-License-Identifier: GPL-2.0-or-later
"""The library's drop-in object, built by meson and cargo."""
import os
import shutil
from pathlib import Path

from . import debian, places, say, venv

OBJECT = "qemu-dirty-bitmap.o"


def drop_in_object() -> Path:
    """The object, up to date. QDB_OBJECT names one to take as it is."""
    if os.environ.get("QDB_OBJECT"):
        given = Path(os.environ["QDB_OBJECT"]).resolve()
        if not given.is_file():
            raise say.Failure(f"QDB_OBJECT={given}: no such file")
        return given
    if not shutil.which("cargo"):
        raise say.Failure("there is no cargo here: install Rust (rustup's default toolchain does)")
    debian.need(["gcc", "ninja-build", "pkg-config", "libglib2.0-dev"], "building the library")
    build = places.ROOT / "build"
    env = venv.environment()
    with places.lock("library"):
        if not (build / "build.ninja").is_file():
            say.step("setting the library's build up")
            say.run(["meson", "setup", build, places.ROOT], env=env)
        say.step("building the library")
        say.watch(["ninja", "-C", build, OBJECT], places.cache() / "library.log", "library", env=env)
    return build / OBJECT
