# SPDX-License-Identifier: GPL-2.0-or-later
"""What in the tools can go wrong in silence."""

from pathlib import Path

import iotests
import pytest
from qdb_tools import debian, regions
from qdb_tools.log import Failure

STANZAS = {
    "a.sources": "Types: deb\nURIs: https://node.example/x\nSuites: nodistro\nComponents: main\n",
    "b.sources": (
        "Types: deb\n# was elsewhere\nURIs: http://one.example/debian\n"
        "Suites: bookworm bookworm-updates\nComponents: main\n\n"
        "Types: deb\nURIs: http://one.example/debian-security\nSuites: bookworm-security\n"
    ),
}
LINES = {
    "../sources.list": (
        "# deb http://no.example/debian bookworm main\n"
        "deb [arch=amd64 signed-by=/x] http://sec.example/debian-security bookworm-security main\n"
        "deb [arch=amd64] http://two.example/debian/ bookworm main # ours\n"
    ),
    "cloud.list": "deb https://cloud.example/apt cloud-sdk-bookworm main\n",
}
OTHER_ARCHIVES = {
    "a.list": "deb https://docker.example/linux/debian-like bookworm stable\n",
    "b.sources": "Types: deb\nURIs: http://three.example/debian\nSuites: trixie\n",
}
DISABLED = {
    "a.sources": "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: sid\n",
    "b.list.off": "deb http://off.example/debian bookworm main\n",
}


def mirror(etc: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("QDB_DEBIAN_MIRROR", raising=False)
    (etc / "sources.list.d").mkdir()
    for file, text in files.items():
        (etc / "sources.list.d" / file).write_text(text)
    return debian.mirror(etc)


@pytest.mark.parametrize(
    "files, found",
    [
        (STANZAS, "http://one.example/debian"),
        (LINES, "http://two.example/debian/"),
        (OTHER_ARCHIVES, "http://three.example/debian"),
    ],
)
def test_mirror(
    tmp_path: Path, files: dict[str, str], found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Debian mirror is found among whatever else a machine's apt has."""
    assert mirror(tmp_path, files, monkeypatch) == found


@pytest.mark.parametrize("files", [DISABLED, {}])
def test_no_mirror(tmp_path: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failure, match="QEMU_SRC"):
        mirror(tmp_path, files, monkeypatch)


@pytest.mark.parametrize(
    "line, wanted",
    [
        (
            "124   pass       [11:44:01] [11:44:11] 9.7s   (last: 9.1s)  ",
            ("124", "pass", "9.7s (last: 9.1s)"),
        ),
        (
            "303   not run    [11:44:01] [11:44:11] ...                  no zstd",
            ("303", "not run", "... no zstd"),
        ),
        (
            "185   \x1b[1m\x1b[31mfail      \x1b[0m [1:2:3] [1:2:3] 0.1s  x",
            ("185", "fail", "0.1s x"),
        ),
        ("124   started    [11:44:01]               ...                  ", None),
        ("124   ...        [11:44:01]               ...                  ", None),
        ("Passed all 15 iotests", None),
    ],
)
def test_lines_of_check(line: str, wanted: tuple[str, str, str] | None) -> None:
    found = iotests.LINE.match(line)
    told = found and (found["name"], found["status"], " ".join(found["rest"].split()))
    assert told == wanted


def test_map() -> None:
    """A dirty byte is never drawn as clean, a clean cell never as dirty."""
    rows = regions.draw([(0, 100), (250, 1), (6000, 450)], 12800, 128, "0").splitlines()
    cells = "".join(row.split("MiB  ")[1] for row in rows)
    clean, full = cells[1], cells[0]
    assert len(cells) == 128 and clean != full
    assert {i for i, sign in enumerate(cells) if sign != clean} == {0, 2, 60, 61, 62, 63, 64}
    assert {i for i, sign in enumerate(cells) if sign == full} == {0, 60, 61, 62, 63}
