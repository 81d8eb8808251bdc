# SPDX-License-Identifier: GPL-2.0-or-later
"""Options of all the Python tests."""

import pytest
from qdb_tools import paths


def pytest_addoption(parser: pytest.Parser) -> None:
    versions = list(paths.SUITES)
    parser.addoption(
        "--qemu", nargs="+", choices=versions, default=[paths.DEFAULT], help="versions of QEMU"
    )
    parser.addoption("--as-built", action="store_true", help="take the cache's builds as they are")
    parser.addoption("--everything", action="store_true", help="all that touches bitmaps")
    parser.addoption("--long", action="store_true", help="also images that take minutes to open")
    parser.addoption("--seed", type=int, default=1, help="of tests with random input")
    parser.addoption("--stress-seconds", type=int, default=2, help="for each number of bitmaps")
    parser.addoption("--package-tests", action="store_true", help="C tests in Debian's build")
    parser.addoption("--install-packages", action="store_true", help="install them here, as root")
    parser.addoption("--again", action="store_true", help="in the new machine of the last run")
