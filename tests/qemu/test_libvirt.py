# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's libvirt and virtnbdbackup make backups on QEMU with the library as on stock QEMU."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from qdb_tools import debian, paths
from qdb_tools.build import Build
from qdb_tools.process import output

PACKAGES = "libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients python3-libvirt libnbd-bin"
PROGRAM = Path(__file__).with_name("libvirt_backups.py")
# Not root in there: libvirtd runs as it does for a user, with all its files in the user's folders.
NAMESPACES = "--user --map-user=1000 --map-group=1000 --mount --mount-proc --pid --fork"
NAMESPACES += " --kill-child --net --ipc"
# Process 1 in there: it reaps also whom it did not start. libvirt waits 40 s for a QEMU that nobody
# reaps.
INIT = ["sh", "-c", '"$@"; exit $?', "sh"]


def facts(build: Build, folder: Path) -> list[Any]:
    env = {"PATH": f"{build.folder}:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    env |= {"PYTHONPATH": str(paths.ROOT / "tools"), "LIBVIRT_AUTOSTART": "0"}
    env |= {"HOME": str(folder), "TMPDIR": str(folder)}
    for kind in ("RUNTIME_DIR", "CONFIG_HOME", "CACHE_HOME", "DATA_HOME"):
        env[f"XDG_{kind}"] = str(folder / kind)
        (folder / kind).mkdir(parents=True)
    (conf := folder / "CONFIG_HOME" / "libvirt").mkdir()
    # Without this, libvirtd would start a daemon more for the logs.
    (conf / "qemu.conf").write_text('stdio_handler = "file"\n')
    program = ["/usr/bin/python3", "-B", PROGRAM, build.folder, folder]
    command = ["unshare", *NAMESPACES.split(), *INIT, *program]
    with (folder / "errors").open("w+") as errors:
        code, said = output(command, env=env, stderr=errors, timeout=600)
    logs = [file.read_text()[-4000:] for file in (folder / "errors", *folder.glob("*.log"))]
    assert code == 0, "\n".join(logs)
    return list(json.loads(said))


def test_backups_by_libvirt(stock: Build, dropin: Build) -> None:
    debian.need([*PACKAGES.split(), "virtnbdbackup"], "testing with libvirt")
    assert os.access("/dev/kvm", os.R_OK | os.W_OK), "libvirt starts these QEMUs with KVM alone"
    with tempfile.TemporaryDirectory(prefix="qdb-") as name:  # short: sockets are in there
        on_stock, on_library = (facts(build, Path(name) / build.label) for build in (stock, dropin))
    assert len(on_stock) > 20
    assert on_library == on_stock
