# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU's C has the faults that docs/differences.md lists and a C program can show; the library has not.

One C program (tests/qemu/evidence), linked with QEMU's two C files and with the library, both
watched by the same sanitizer.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import checkers
import pytest
from qdb_tools import debian, paths
from qdb_tools.process import output, run

SOURCES = Path(__file__).with_name("evidence")
LIMIT = 120  # seconds
# How often a race is tried: whether it is seen depends on when which thread runs.
TRIES = 5


@dataclass
class Row:
    entry: int  # of docs/differences.md
    fault: str
    case: str  # of the program
    stock: str  # a pattern of what QEMU's C says
    ours: str  # a pattern of what the library says


READS_WILD = r"AddressSanitizer: (?:SEGV|heap-buffer-overflow)"
AFTER_FREE = r"AddressSanitizer: heap-use-after-free"
NULL_READ = r"AddressSanitizer: SEGV"
RACE = r"ThreadSanitizer: data race"

FAULTS = [
    Row(
        1,
        "next_zero, start past the end",
        "next_zero_past_the_end",
        rf"{READS_WILD}.* in hbitmap_next_zero",
        r"^-1\nended with 0",
    ),
    Row(
        1,
        "next_zero, negative start",
        "next_zero_of_a_negative_start",
        rf"{READS_WILD}.* in hbitmap_next_zero",
        r"^hbitmap_next_zero: Assertion `start >= 0 && count >= 0' failed",
    ),
    Row(
        2,
        "merge into a coarser result",
        "merge_into_a_coarser_result",
        r"AddressSanitizer: heap-buffer-overflow .* in hbitmap_merge",
        r"^2048 dirty\nended with 0",
    ),
    Row(
        2,
        "merge into a finer result",
        "merge_into_a_finer_result",
        r"^2 dirty\n",
        r"^2048 dirty\nended with 0",
    ),
    Row(
        3,
        "iterate after truncate",
        "iterate_after_truncate",
        rf"(?:{READS_WILD}|{AFTER_FREE}).* in hbitmap_iter_next",
        r"^-1\nended with 0",
    ),
    Row(
        4,
        "iterate after clear with a backup",
        "iterate_after_clear_with_a_backup",
        rf"{AFTER_FREE}.* in hbitmap_iter_next",
        r"^-1\nended with 0",
    ),
    Row(
        4,
        "iterate after restore",
        "iterate_after_restore",
        rf"{AFTER_FREE}.* in hbitmap_iter_next",
        r"^0\nended with 0",
    ),
    Row(
        8,
        "deserialised bits past the end",
        "bits_past_the_end",
        r"^28 items, 28 past the end\n",
        r"^0 items, 0 past the end\nended with 0",
    ),
    Row(
        8,
        "deserialised ones, unaligned size",
        "ones_past_the_end",
        r"^128 items, 28 past the end\n",
        r"^100 items, 0 past the end\nended with 0",
    ),
    Row(
        8,
        "a guest's write after that, the disk grown",
        "write_lost_after_bits_past_the_end",
        r"^written: lost\n",
        r"^written: dirty\nended with 0",
    ),
    Row(
        9,
        "a guest's write before the finish",
        "write_lost_after_a_part_without_finish",
        r"^written: lost\n",
        r"^written: dirty\nended with 0",
    ),
    Row(
        9,
        "a guest's write after zeroes, before the finish",
        "write_after_zeroes_without_finish",
        r"hbitmap_iter_skip_words: Assertion `cur' failed",
        r"^1 dirty\nended with 0",
    ),
    Row(
        14, "NULL", "count_of_nothing", NULL_READ, r"^hbitmap_count: argument `hb' must not be NULL"
    ),
    Row(
        13,
        "disable NULL",
        "disable_nothing",
        rf"{NULL_READ}.* in bdrv_disable_dirty_bitmap",
        r"^lives\n",
    ),
    Row(
        13,
        "enable NULL",
        "enable_nothing",
        rf"{NULL_READ}.* in bdrv_enable_dirty_bitmap",
        r"^lives\n",
    ),
    Row(
        15,
        "zeroes across 2^64",
        "zeroes_around_the_end_of_numbers",
        r"AddressSanitizer: negative-size-param",
        r"^serialization_chunk: Assertion",
    ),
    Row(
        16,
        "coverage of 2^28 bytes",
        "coverage_of_a_large_chunk",
        r"^18446603336221196288 bytes\n",
        r"^bdrv_dirty_bitmap_serialization_coverage: Assertion",
    ),
    Row(
        18,
        "enable a successor that is not there",
        "enable_a_successor_that_is_not_there",
        NULL_READ,
        r"^bdrv_dirty_bitmap_enable_successor: Assertion `bitmap->successor != NULL' failed",
    ),
    Row(
        19,
        "restore NULL",
        "restore_of_nothing",
        rf"^restored\n[\s\S]*{NULL_READ}",
        r"^bdrv_restore_dirty_bitmap: argument `backup' must not be NULL",
    ),
    Row(
        19,
        "restore granularity 33",
        "restore_of_a_coarse_bitmap",
        r"^granularity 2\n",
        r"^bdrv_restore_dirty_bitmap: Assertion",
    ),
    Row(
        20,
        "finish of no bits",
        "finish_of_no_bits",
        r"hbitmap_iter_init: Assertion `pos < hb->size' failed",
        r"^finished\nended with 0",
    ),
    Row(
        21,
        "truncate, a later bitmap busy",
        "truncate_with_a_busy_bitmap",
        r"^aborted; the other bitmap has 50 granules\n",
        r"^aborted; the other bitmap has 100 granules\n",
    ),
]
RACES = [
    Row(12, "crossed merges", "crossed_merges", r"^deadlock\n", r"^400000 merges\nended with 0"),
    Row(
        5,
        "restore while a guest writes",
        "restore_while_a_guest_writes",
        RACE,
        r"^done\nended with 0",
    ),
    Row(
        6, "count while a guest writes", "count_while_a_guest_writes", RACE, r"^done\nended with 0"
    ),
    Row(
        7,
        "serialise while a guest writes",
        "serialise_while_a_guest_writes",
        RACE,
        r"^done\nended with 0",
    ),
    Row(
        7,
        "look through the list while it changes",
        "look_at_the_list_while_it_changes",
        RACE,
        r"^done\nended with 0",
    ),
    Row(
        22,
        "freeze while a guest writes",
        "freeze_while_a_guest_writes",
        RACE,
        r"^done\nended with 0",
    ),
]


class Pair:
    """The two programs that a file of evidence/ makes."""

    def __init__(self, checker: checkers.Checker, file: str, options: str, oracle: Path) -> None:
        self.checker, self.env = (
            checker,
            os.environ | {f"{checker.name[0].upper()}SAN_OPTIONS": options},
        )
        folder = checker.folder
        sanitizer = f"-fsanitize={checker.name}"
        compile_it = ["gcc", "-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", sanitizer]
        compile_it += ["-fno-omit-frame-pointer", f"-I{paths.INCLUDE}", str(SOURCES / file)]
        self.stock, self.ours = folder / "on-c", folder / "on-library"
        shared = [oracle / "libqemu-dirty-bitmap-oracle.so", f"-Wl,-rpath,{oracle}"]
        run([*compile_it, *shared, "-o", self.stock, "-lpthread"])
        ours = [checkers.archive(checker), *checker.more_objects(), *checkers.LIBRARIES]
        run([*compile_it, *ours, "-o", self.ours])

    def run(self, program: Path, case: str) -> str:
        """What a case says on stdout and stderr, and how it ends."""
        command = ["timeout", LIMIT, *self.checker.command(program, case), case]
        code, said = output(command, env=self.env)
        return f"{said}ended with {code}\n"

    def shows(self, row: Row) -> None:
        for _ in range(TRIES if row.stock == RACE else 1):
            stock = self.run(self.stock, row.case)
            if re.search(row.stock, stock, re.M):
                break
        ours = self.run(self.ours, row.case)
        assert re.search(row.stock, stock, re.M), f"QEMU's C does not show it: {stock[-3000:]}"
        assert re.search(row.ours, ours, re.M) and "Sanitizer" not in ours, ours[-3000:]


@pytest.fixture(scope="module")
def faults(oracle_with: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Pair:
    debian.need(["gcc", "pkg-config", "libglib2.0-dev"], "the C programs")
    checker = checkers.Address(tmp_path_factory.mktemp("address"))
    # Deaths shall look as they do without it: a SIGSEGV of C's is the fault itself.
    options = "detect_leaks=0:handle_abort=0"
    return Pair(checker, "faults.c", options, oracle_with("-fsanitize=address"))


@pytest.fixture(scope="module")
def races(oracle_with: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Pair:
    debian.need(["gcc", "pkg-config", "libglib2.0-dev", "util-linux"], "the C programs")
    checker = checkers.Thread(tmp_path_factory.mktemp("thread"))
    # The real deadlock shall be seen, not a warning of it.
    options = "halt_on_error=1:detect_deadlocks=0:exitcode=66"
    return Pair(checker, "races.c", options, oracle_with("-fsanitize=thread"))


@pytest.mark.parametrize("row", FAULTS, ids=lambda row: row.fault)
def test_fault(row: Row, faults: Pair) -> None:
    faults.shows(row)


@pytest.mark.parametrize("row", RACES, ids=lambda row: row.fault)
def test_race(row: Row, races: Pair) -> None:
    races.shows(row)
