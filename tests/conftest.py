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
    parser.addoption("--everything", action="store_true", help="also what takes minutes each")
    parser.addoption("--seed", type=int, default=1, help="of tests with random input")
