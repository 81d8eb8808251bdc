# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's libvirt and virtnbdbackup make backups on QEMU with the library as on stock QEMU."""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from qdb_tools import debian
from qdb_tools.build import Build
from qdb_tools.log import Failure

PACKAGES = [
    "libvirt-daemon",
    "libvirt-daemon-driver-qemu",
    "libvirt-clients",
    "python3-libvirt",
    "python3-libnbd",
    "virtnbdbackup",
]
PROGRAM = Path(__file__).with_name("libvirt_backups.py")
# Not root in there: libvirtd runs as it does for a user, with all its files in the user's folders.
NAMESPACES = (
    "--user --map-user=1000 --map-group=1000 --mount --mount-proc --pid --fork --kill-child "
    "--net --ipc"
).split()
# Process 1 in there: it reaps also whom it did not start. libvirt waits 40 s for a QEMU that nobody
# reaps.
INIT = ["sh", "-c", '"$@"; exit $?', "sh"]
LIMIT = 600  # seconds


def facts(build: Build) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="qdb-libvirt-") as name:
        folder = Path(name)
        env = {
            "PATH": f"{build.folder}:/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "HOME": name,
            "XDG_RUNTIME_DIR": f"{name}/run",
            "XDG_CONFIG_HOME": f"{name}/config",
            "XDG_CACHE_HOME": f"{name}/cache",
            "XDG_DATA_HOME": f"{name}/data",
            "TMPDIR": name,
            "LIBVIRT_AUTOSTART": "0",
        }
        (folder / "config" / "libvirt").mkdir(parents=True)
        (folder / "run").mkdir()
        # Without this, libvirtd would start a daemon more for the logs.
        (folder / "config" / "libvirt" / "qemu.conf").write_text('stdio_handler = "file"\n')
        done = subprocess.run(
            [
                "unshare",
                *NAMESPACES,
                *INIT,
                "/usr/bin/python3",
                "-B",
                PROGRAM,
                build.folder,
                folder,
            ],
            env=env,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        if done.returncode != 0:
            log = (
                (folder / "libvirtd.log").read_text() if (folder / "libvirtd.log").exists() else ""
            )
            raise Failure(f"{build.label}: {done.stderr[-4000:]}\nlibvirtd: {log[-2000:]}")
        return dict(json.loads(done.stdout))


def test_backups_by_libvirt(stock: Build, dropin: Build) -> None:
    debian.need(PACKAGES, "testing with libvirt")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise Failure(
            "libvirt starts these QEMUs with KVM alone: /dev/kvm must be there to read and write"
        )
    on_stock, on_library = facts(stock), facts(dropin)
    assert len(on_stock) > 40
    assert on_library == on_stock
