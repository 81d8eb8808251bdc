# SPDX-License-Identifier: GPL-2.0-or-later
"""What in the tools can go wrong in silence."""

from pathlib import Path

import iotests
import pytest
from qdb_tools import debian, regions
from qdb_tools.log import Failure


def stanza(uri: str, suites: str) -> str:
    beginning = f"Types: deb\n# was elsewhere\nURIs: http://{uri}\n"
    return f"{beginning}Suites: {suites}\nComponents: main\n\n"


# What apt reads, and the host of the Debian mirror among it.
MIRRORS = {
    "one": {
        "a.sources": stanza("node.example/x", "nodistro"),
        "b.sources": stanza("one.example/debian", "bookworm bookworm-updates")
        + stanza("one.example/debian-security", "bookworm-security"),
    },
    "two": {
        "../sources.list": """\
# deb http://no.example/debian bookworm main
deb [arch=amd64 signed-by=/x] http://sec.example/debian-security bookworm-security main
deb [arch=amd64] http://two.example/debian/ bookworm main # ours
""",
        "cloud.list": "deb https://cloud.example/apt cloud-sdk-bookworm main\n",
    },
    "three": {
        "a.list": "deb https://docker.example/linux/debian-like bookworm stable\n",
        "b.sources": stanza("three.example/debian", "trixie"),
    },
    "": {
        "a.sources": "Enabled: no\n" + stanza("off.example/debian", "sid"),
        "b.list.off": "deb http://off.example/debian bookworm main\n",
    },
}


@pytest.mark.parametrize("host, files", [*MIRRORS.items(), ("", {})])
def test_mirror(
    host: str, files: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Debian mirror is found among whatever else a machine's apt has; or it says so."""
    monkeypatch.delenv("QDB_DEBIAN_MIRROR", raising=False)
    (tmp_path / "sources.list.d").mkdir()
    for file, text in files.items():
        (tmp_path / "sources.list.d" / file).write_text(text)
    if host:
        assert debian.mirror(tmp_path) == f"http://{host}.example/debian"
    else:
        with pytest.raises(Failure, match="QEMU_SRC"):
            debian.mirror(tmp_path)


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
