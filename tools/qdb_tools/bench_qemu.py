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

from qdb_tools import bench_rows, build, log, paths
from qdb_tools.bench_rows import Row
from qdb_tools.build import Build
from qdb_tools.process import run

SPACE = 1 << 30  # bytes: the largest image, and a copy


def in_turn(row: Row, builds: list[Build], rounds: int, folder: Path) -> list[list[float]]:
    """[seconds of stock, seconds of the drop-in] of each round; who is first changes."""
    original = folder / "original"
    original.mkdir()
    row.prepare(original)
    work = original
    found: list[list[float]] = []
    for number in range(rounds + 1):
        pair = [0.0, 0.0]
        for side in (0, 1) if number % 2 else (1, 0):
            if row.fresh:
                work = folder / "copy"
                shutil.rmtree(work, ignore_errors=True)
                work.mkdir()
                run(["cp", "--sparse=always", original / "disk.qcow2", work / "disk.qcow2"])
            pair[side] = row.measure(builds[side], work)
        # The first round warms the caches.
        if number:
            found.append(pair)
    for used in (original, folder / "copy"):
        shutil.rmtree(used, ignore_errors=True)
    return found


def shown(seconds: float) -> str:
    return (
        f"{seconds:.2f} s"
        if seconds >= 1
        else f"{seconds * 1000:.{0 if seconds >= 0.1 else 1}f} ms"
    )


def table(version: str, rounds: int, results: list[tuple[str, list[list[float]]]]) -> str:
    lines = [
        f"QEMU {version}, medians of {rounds} rounds.",
        "",
        "| operation | stock | drop-in | stock ÷ drop-in |",
        "| --- | --- | --- | --- |",
    ]
    for name, pairs in results:
        stock, ours = (statistics.median(pair[side] for pair in pairs) for side in (0, 1))
        lines.append(f"| {name} | {shown(stock)} | {shown(ours)} | **{stock / ours:.2f}** |")
    return "\n".join(lines) + "\n"


def write(text: str) -> None:
    document = pictures.DOCUMENT
    document.write_text(pictures.with_block(document.read_text(), document, text))
    for path, made in pictures.make().items():
        path.write_text(made or "")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="tools/bench --qemu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("version", nargs="?", default=paths.DEFAULT, choices=paths.SUITES)
    parser.add_argument("--rounds", type=int, default=5, help="(default: 5)")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument(
        "--as-built", action="store_true", help="take the builds in the cache as they are"
    )
    parser.add_argument(
        "--write", action="store_true", help="put the table into docs/performance.md and README.md"
    )
    args = parser.parse_args()
    if args.write and args.only:
        parser.error("--write wants all rows")
    make = Build if args.as_built else build.build
    builds = [make(args.version, True), make(args.version, False)]
    results: list[tuple[str, list[list[float]]]] = []
    for row in bench_rows.ROWS:
        if args.only not in row.name:
            continue
        log.step(row.name)
        with paths.fast_folder(SPACE) as folder:
            results.append((row.name, in_turn(row, builds, args.rounds, Path(folder))))
        stock, ours = (statistics.median(pair[side] for pair in results[-1][1]) for side in (0, 1))
        log.note(f"stock {shown(stock)}, drop-in {shown(ours)}, {stock / ours:.2f}")
    text = table(args.version, args.rounds, results)
    print(text, end="")
    if args.write:
        write(text)
    print(f"{len(results)} rows measured")
    return 0


if __name__ == "__main__":
    log.main(main)
