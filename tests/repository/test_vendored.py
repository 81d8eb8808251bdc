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
BOTH = "(MIT OR Apache-2.0) AND Unicode-3.0"


@pytest.mark.parametrize(
    "crate, licence, right",
    [
        ("a", "MIT", True),
        ("a", "MIT OR Apache-2.0", True),
        ("a", "Apache-2.0 / MIT", True),
        ("a", "MIT/Apache-2.0", True),
        ("a", "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT", True),
        ("a", "Apache-2.0", False),
        ("a", "GPL-3.0-only OR BSD-2-Clause", False),
        ("a", "MIT AND OpenSSL", False),
        ("a", "MITX", False),
        ("a", "", False),
        # The last stanza that fits counts.
        *[(name, BOTH, True) for name in ("names", "names-1", "other")],
        *[(name, "MIT", False) for name in ("names", "names-1", "other")],
    ],
)
def test_licence(tmp_path: Path, crate: str, licence: str, right: bool) -> None:
    (tmp_path / "debian").mkdir()
    (tmp_path / "debian" / "copyright").write_text(COPYRIGHT)
    folder = tmp_path / "vendor" / crate
    folder.mkdir(parents=True)
    line = f'license = "{licence}"\n' if licence else ""
    (folder / "Cargo.toml").write_text(f'[package]\nname = "{crate}"\n{line}')
    assert (vendored.wrong_licences(tmp_path, [folder]) == []) == right
