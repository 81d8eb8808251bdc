# SPDX-License-Identifier: GPL-2.0-or-later
"""The comparison of the crates' licences with debian/copyright."""

from pathlib import Path

import pytest
import vendored

COPYRIGHT = """\
Format: x

Files: *
Copyright: a
License: GPL-2+

Files: vendor/*
Copyright: b
License: Expat

Files: vendor/names*/*
 vendor/other/*
Copyright: c
License: Expat and Unicode-3.0
"""
RIGHT = "MIT|MIT OR Apache-2.0|Apache-2.0 / MIT|MIT/Apache-2.0"
RIGHT += "|Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT"
WRONG = "Apache-2.0|GPL-3.0-only OR BSD-2-Clause|MIT AND OpenSSL|MITX|"
# The last stanza that fits counts.
CASES = [(name, "MIT", False) for name in ("names", "names-1", "other")]
CASES += [(name, "(MIT OR Apache-2.0) AND Unicode-3.0", True) for name, _, _ in CASES]
CASES += [("a", licence, True) for licence in RIGHT.split("|")]
CASES += [("a", licence, False) for licence in WRONG.split("|")]


@pytest.mark.parametrize("crate, licence, right", CASES)
def test_licence(tmp_path: Path, crate: str, licence: str, right: bool) -> None:
    folder = tmp_path / "vendor" / crate
    folder.mkdir(parents=True)
    (tmp_path / "debian").mkdir()
    (tmp_path / "debian" / "copyright").write_text(COPYRIGHT)
    line = f'license = "{licence}"\n' if licence else ""
    (folder / "Cargo.toml").write_text(f'[package]\nname = "{crate}"\n{line}')
    assert (vendored.wrong_licences(tmp_path, [folder]) == []) == right
