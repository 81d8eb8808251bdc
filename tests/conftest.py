# SPDX-License-Identifier: GPL-2.0-or-later
"""Options of all the Python tests."""

import pytest
from qdb_tools import paths


def pytest_addoption(parser: pytest.Parser) -> None:
    add, versions = parser.addoption, list(paths.SUITES)
    add("--qemu", nargs="+", choices=versions, default=[paths.DEFAULT], help="versions of QEMU")
    add("--as-built", action="store_true", help="take the cache's builds as they are")
    add("--everything", action="store_true", help="all that touches bitmaps")
    add("--long", action="store_true", help="also images that take minutes to open")
    add("--seed", type=int, default=1, help="of tests with random input")
    add("--package-tests", action="store_true", help="C tests in Debian's build")
    add("--install-packages", action="store_true", help="install them here, as root")
