# SPDX-License-Identifier: GPL-2.0-or-later
"""What in the tools can go wrong in silence."""

import os
from pathlib import Path

import iotests
import pytest
from qdb_tools import debian, regions
from qdb_tools.log import Failure

# Archives that an apt has: their hosts, and Origin and Label of their Release files.
ARCHIVES = {"cloud": "Cloud Debian", "sec": "Debian Debian-Security", "one": "Debian Debian"}
RELEASE = "Origin: {}\nLabel: {}\nSuite: x\nSHA256:\n {:064} 0 main/binary-amd64/Packages\n"


def test_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Debian mirror is found among whatever else a machine's apt has; or it says so."""
    (tmp_path / "lists").mkdir()
    sources = "".join(f"deb http://{host}.example/debian x main\n" for host in ARCHIVES)
    (tmp_path / "sources.list").write_text(sources)
    own = f'Dir::Etc "{tmp_path}"; Dir::State "{tmp_path}"; Dir::State::status "/dev/null";'
    (tmp_path / "apt.conf").write_text(own)
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    monkeypatch.delenv("QDB_DEBIAN_MIRROR", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)  # or it would update
    with pytest.raises(Failure, match="QEMU_SRC"):
        debian.mirror()
    for host, who in ARCHIVES.items():
        suite = tmp_path / "lists" / f"{host}.example_debian_dists_x_"
        Path(f"{suite}Release").write_text(RELEASE.format(*who.split(), 0))
        Path(f"{suite}main_binary-amd64_Packages").touch()
    assert debian.mirror() == "http://one.example/debian"


# Lines of QEMU's ./check: each stands for a test that has ended (name, status, rest), or for none.
CHECK = """
124   pass       [11:44:01] [11:44:11] 9.7s   (last: 9.1s)   => 124;pass;9.7s (last: 9.1s)
303   not run    [11:44:01] [11:44:11] ...                  no zstd => 303;not run;... no zstd
185   \x1b[1m\x1b[31mfail      \x1b[0m [1:2:3] [1:2:3] 0.1s  x => 185;fail;0.1s x
124   started    [11:44:01]               ...                   =>
124   ...        [11:44:01]               ...                   =>
Passed all 15 iotests =>
"""


@pytest.mark.parametrize("case", CHECK.strip().splitlines())
def test_lines_of_check(case: str) -> None:
    line, wanted = case.split(" =>")
    found = iotests.LINE.match(line)
    told = [found["name"], found["status"], " ".join(found["rest"].split())] if found else []
    assert ";".join(told) == wanted.strip()


def test_map() -> None:
    """A dirty byte is never drawn as clean, a clean cell never as dirty."""
    rows = regions.draw([(0, 100), (250, 1), (6000, 450)], 12800, 128, "0").splitlines()
    cells = "".join(row.split("MiB  ")[1] for row in rows)
    clean, full = cells[1], cells[0]
    assert len(cells) == 128 and clean != full
    assert {i for i, sign in enumerate(cells) if sign != clean} == {0, 2, 60, 61, 62, 63, 64}
    assert {i for i, sign in enumerate(cells) if sign == full} == {0, 60, 61, 62, 63}
