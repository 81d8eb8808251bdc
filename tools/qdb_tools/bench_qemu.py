# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures real QEMU programs, stock and drop-in, in turn: what operators do with big bitmaps.

Prints medians and their ratio, also where nothing changes. With --write the table in
docs/performance.md is made anew, and README's part of it. The machine should do nothing else.
Images are in memory where it has some, so that no disk is measured.
"""

import argparse
import shutil
import statistics
from pathlib import Path

from generators import pictures

from qdb_tools import bench_rows, bench_writes, build, debian, log, paths
from qdb_tools.bench_rows import Row
from qdb_tools.build import Build
from qdb_tools.process import run

Pairs = list[list[float]]  # [seconds of stock, seconds of the drop-in] of each round
Results = list[tuple[str, Pairs]]
SPACE = 1 << 30  # bytes: the largest image, and a copy


def in_turn(row: Row, builds: list[Build], rounds: int, folder: Path) -> Pairs:
    """Measures a row; who is first changes."""
    original = work = folder / "original"
    original.mkdir()
    row.prepare(original)
    found: Pairs = []
    # The first round warms the caches.
    warm = 0 if row.once else 1
    for number in range(1 if row.once else rounds + warm):
        pair = [0.0, 0.0]
        for side in (0, 1) if number % 2 else (1, 0):
            if row.fresh:
                work = folder / "copy"
                shutil.rmtree(work, ignore_errors=True)
                work.mkdir()
                run(["cp", "--sparse=always", original / "disk.qcow2", work])
            pair[side] = row.measure(builds[side], work)
        if number >= warm:
            found.append(pair)
    return found


def shown(seconds: float) -> str:
    for unit, size in ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6):
        if seconds >= size:
            return f"{seconds / size:.{0 if seconds >= 100 * size else 2}f} {unit}"
    return f"{seconds * 1e9:.1f} ns"


def compared(pairs: Pairs) -> tuple[str, str, str]:
    stock, ours = map(statistics.median, zip(*pairs))
    return shown(stock), shown(ours), f"{stock / ours:.2f}"


def rows(results: Results) -> str:
    lines = ["| operation | stock | drop-in | stock ÷ drop-in |", "| --- | --- | --- | --- |"]
    for name, pairs in results:
        stock, ours, ratio = compared(pairs)
        lines.append(f"| {name} | {stock} | {ours} | **{ratio}** |")
    return "\n".join(lines) + "\n"


def main() -> int:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("tools/bench --qemu", description=__doc__, formatter_class=raw)
    parser.add_argument("version", nargs="?", default=paths.DEFAULT, choices=paths.SUITES)
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    where = "put the table into docs/performance.md and README.md"
    parser.add_argument("--write", action="store_true", help=where)
    args = parser.parse_args()
    debian.need(["libnbd-bin"], "reading a bitmap with nbdinfo")
    targets = [*build.PROGRAMS, bench_writes.TEST]
    builds = [build.build(args.version, stock, targets) for stock in (True, False)]
    programs: Results = []
    for row in bench_rows.ROWS:
        log.step(row.name)
        with paths.fast_folder(SPACE) as folder:
            programs.append((row.name, in_turn(row, builds, args.rounds, Path(folder))))
        log.note("stock {}, drop-in {}, {}".format(*compared(programs[-1][1])))
    writes = bench_writes.measure(builds, args.rounds)
    text = f"QEMU {args.version}, medians of {args.rounds} rounds; what takes minutes, once.\n\n"
    text += rows(programs) + "\nA guest's write, without a guest and a disk:\n\n" + rows(writes)
    print(text, end="")
    if args.write:
        document = pictures.DOCUMENT
        document.write_text(pictures.with_block(document.read_text(), document, text))
        for path, made in pictures.make().items():
            path.write_text(made or "")
    print(f"{len(programs) + len(writes)} rows measured")
    return 0


if __name__ == "__main__":
    log.main(main)
