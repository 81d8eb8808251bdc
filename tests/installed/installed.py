# SPDX-License-Identifier: GPL-2.0-or-later
"""An installed copy of the library, as a program of somebody else sees it: through pkg-config."""

import os
from pathlib import Path

from qdb_tools import paths
from qdb_tools.process import run

EXAMPLE_NEEDS = "nbdkit nbdkit-plugin-dev libnbd-bin python3-libnbd python3-pytest fio".split()
ARCHIVE, SONAME = "libqemu_dirty_bitmap.a", "libqemu_dirty_bitmap.so.0"
NODE = "QEMU_DIRTY_BITMAP_0"


class Copy:
    """What is under `root` (/, or what DESTDIR was), installed for `prefix` and `libdir`."""

    def __init__(self, root: Path, prefix: str, libdir: str, include: str = "include") -> None:
        self.root, self.prefix = root, root / prefix.lstrip("/")
        self.libdir, self.include = self.prefix / libdir, self.prefix / include
        without = ("PKG_CONFIG", "LD_", "CPATH", "LIBRARY_PATH")
        self.env = {n: value for n, value in os.environ.items() if not n.startswith(without)}
        # LIBDIR and not PATH: what else is on this machine is not seen.
        self.env["PKG_CONFIG_LIBDIR"] = str(self.libdir / "pkgconfig")
        if root != Path("/"):
            # In a folder /usr is a place as any other, of which the compiler has to be told.
            allow = ("PKG_CONFIG_ALLOW_SYSTEM_CFLAGS", "PKG_CONFIG_ALLOW_SYSTEM_LIBS")
            self.env |= dict.fromkeys(allow, "1") | {"PKG_CONFIG_SYSROOT_DIR": str(root)}
        self.running = {**self.env, "LD_LIBRARY_PATH": str(self.libdir)}

    def pkg_config(self, words: str) -> list[str]:
        return run(["pkg-config", *words.split(), "qemu_dirty_bitmap"], env=self.env).split()

    @property
    def version(self) -> str:
        return self.pkg_config("--modversion")[0]

    def check_names(self) -> None:
        """SONAME, the version node, and in it all the names of the list and nothing else."""
        env = os.environ | {"NM": "nm", "READELF": "readelf"}
        check = [paths.ROOT / "tools" / "build" / "check-symbols", paths.SYMBOLS]
        run([*check, "shared", self.libdir / SONAME, SONAME, NODE], env=env)
        run([*check, "archive", self.libdir / ARCHIVE], env=env)
