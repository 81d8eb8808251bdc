# SPDX-License-Identifier: GPL-2.0-or-later
"""README's numbers of QEMU: taken from docs/performance.md, of rows that are measured."""

from generators import pictures
from qdb_tools import bench_rows

ROWS = "".join(
    f"| {name} | {number} ms | 5 ms | **{number / 5:.2f}** |\n"
    for number, name in enumerate(pictures.NAMES, 4)
)


def test_each_row_is_measured() -> None:
    assert pictures.NAMES.keys() <= {row.name for row in bench_rows.ROWS}


def test_numbers_are_taken_over() -> None:
    found = pictures.rows(pictures.BEGIN + ROWS + pictures.END)
    assert found[0] == (next(iter(pictures.NAMES.values())), "4 ms", "5 ms", "0.80")
    assert "| 8 ms | 5 ms | 1.60× |" in pictures.markdown(found)
    assert "1.60×: 8 ms → 5 ms" in pictures.picture(found)
