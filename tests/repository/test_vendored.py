# SPDX-License-Identifier: GPL-2.0-or-later
"""The comparison of the crates' licences with debian/copyright."""

from pathlib import Path

import pytest
import vendored

COPYRIGHT = """\
Format: x

Files: *
License: GPL-2+

Files: vendor/*
License: Expat

Files: vendor/names*/*
 vendor/other/*
License: Expat and Unicode-3.0
"""
RIGHT = """MIT|MIT OR Apache-2.0|Apache-2.0 / MIT|MIT/Apache-2.0
Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT"""
WRONG = "Apache-2.0|GPL-3.0-only OR BSD-2-Clause|MIT AND OpenSSL|MITX|"
CASES = [("a", licence, True) for licence in RIGHT.replace("\n", "|").split("|")]
CASES += [("a", licence, False) for licence in WRONG.split("|")]
for name in "names", "names-1", "other":
    CASES += [(name, "MIT", False), (name, "(MIT OR Apache-2.0) AND Unicode-3.0", True)]


@pytest.mark.parametrize("name, licence, right", CASES)
def test_licence(tmp_path: Path, name: str, licence: str, right: bool) -> None:
    (tmp_path / "debian").mkdir()
    (tmp_path / "debian" / "copyright").write_text(COPYRIGHT)
    crate = tmp_path / "vendor" / name
    crate.mkdir(parents=True)
    line = f'license = "{licence}"\n' if licence else ""
    (crate / "Cargo.toml").write_text(f'[package]\nname = "{name}"\n{line}')
    assert vendored.is_licence(*vendored.licences(tmp_path, crate)) == right
