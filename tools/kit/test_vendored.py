# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of the comparison of the crates' licences with debian/copyright."""
import tempfile
import unittest
from pathlib import Path

from kit import say, vendored

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


class Licences(unittest.TestCase):
    def check(self, **crates) -> str:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "debian").mkdir()
            (folder / "debian" / "copyright").write_text(COPYRIGHT)
            places = []
            for crate, licence in crates.items():
                places.append(folder / "vendor" / crate)
                places[-1].mkdir(parents=True)
                line = f'license = "{licence}"\n' if licence else ""
                (places[-1] / "Cargo.toml").write_text(f'[package]\nname = "{crate}"\n{line}')
            return vendored.check_licences(folder, places)

    def test_offered(self):
        for licence in ("MIT", "MIT OR Apache-2.0", "Apache-2.0 / MIT", "MIT/Apache-2.0", "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT"):
            self.assertEqual(self.check(a=licence, b="MIT"), "2 crates")

    def test_the_last_stanza_counts(self):
        for crate in ("names", "names-1", "other"):
            self.assertEqual(self.check(**{crate: "(MIT OR Apache-2.0) AND Unicode-3.0"}), "1 crates")
            with self.assertRaises(say.Failure):
                self.check(**{crate: "MIT"})

    def test_not_offered(self):
        for licence in ("Apache-2.0", "GPL-3.0-only OR BSD-2-Clause", "MIT AND OpenSSL", "MITX", None):
            with self.assertRaises(say.Failure):
                self.check(a=licence)


if __name__ == "__main__":
    unittest.main()
