# SPDX-License-Identifier: GPL-2.0-or-later
"""README's numbers are those of docs/performance.md, and each of its rows is one that tools/bench-qemu measures."""
import unittest

from . import qemu_rows, qemu_table, qemu_writes

DOCUMENT = qemu_table.BEGIN + "".join(
    f"| {name} | {number} ms | 5 ms | **{number / 5:.2f}** |\n" for number, name in enumerate(qemu_table.NAMES, 4)
) + qemu_table.END


class Table(unittest.TestCase):
    def test_readme_is_up_to_date(self):
        found = qemu_table.rows(qemu_table.DOCUMENT.read_text())
        readme = qemu_table.block(qemu_table.README.read_text(), "README.md")
        self.assertEqual(readme, qemu_table.markdown(found), "run tools/bench-qemu --readme")
        self.assertEqual(qemu_table.PICTURE.read_text(), qemu_table.picture(found))

    def test_rows_are_measured(self):
        measured = {row.name for row in qemu_rows.ROWS} | set(map(qemu_writes.name, qemu_writes.ROWS))
        self.assertLessEqual(qemu_table.NAMES.keys(), measured)

    def test_numbers_are_taken_over(self):
        found = qemu_table.rows(DOCUMENT)
        self.assertEqual(found[0], (next(iter(qemu_table.NAMES.values())), "4 ms", "5 ms", "0.80"))
        self.assertIn("| 8 ms | 5 ms | 1.60× |", qemu_table.markdown(found))
        self.assertIn("1.60×: 8 ms → 5 ms", qemu_table.picture(found))


if __name__ == "__main__":
    unittest.main()
