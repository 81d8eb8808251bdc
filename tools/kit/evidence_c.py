# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults of QEMU's two C files that a C program can show: what it says there, and what it says here."""
import re
from dataclasses import dataclass

from . import both_libraries


@dataclass
class Row:
    entry: int  # of docs/differences.md
    fault: str
    case: str  # of tools/evidence.d/
    stock: str  # a pattern of what QEMU's C says
    ours: str  # a pattern of what the library says


READS_WILD = r"AddressSanitizer: (?:SEGV|heap-buffer-overflow)"
AFTER_FREE = r"AddressSanitizer: heap-use-after-free"
NULL_READ = r"AddressSanitizer: SEGV"
RACE = r"ThreadSanitizer: data race"

FAULTS = [
    Row(1, "next_zero, start past the end", "next_zero_past_the_end", rf"{READS_WILD}.* in hbitmap_next_zero", r"^-1\nended with 0"),
    Row(1, "next_zero, negative start", "next_zero_of_a_negative_start", rf"{READS_WILD}.* in hbitmap_next_zero",
        r"^hbitmap_next_zero: Assertion `start >= 0 && count >= 0' failed"),
    Row(2, "merge into a coarser result", "merge_into_a_coarser_result", r"AddressSanitizer: heap-buffer-overflow .* in hbitmap_merge",
        r"^2048 dirty\nended with 0"),
    Row(2, "merge into a finer result", "merge_into_a_finer_result", r"^2 dirty\n", r"^2048 dirty\nended with 0"),
    Row(3, "iterate after truncate", "iterate_after_truncate", rf"(?:{READS_WILD}|{AFTER_FREE}).* in hbitmap_iter_next", r"^-1\nended with 0"),
    Row(4, "iterate after clear with a backup", "iterate_after_clear_with_a_backup", rf"{AFTER_FREE}.* in hbitmap_iter_next", r"^-1\nended with 0"),
    Row(4, "iterate after restore", "iterate_after_restore", rf"{AFTER_FREE}.* in hbitmap_iter_next", r"^0\nended with 0"),
    Row(8, "deserialised bits past the end", "bits_past_the_end", r"^28 items, 28 past the end\n", r"^0 items, 0 past the end\nended with 0"),
    Row(8, "deserialised ones, unaligned size", "ones_past_the_end", r"^128 items, 28 past the end\n", r"^100 items, 0 past the end\nended with 0"),
    Row(8, "a guest's write after that, the disk grown", "write_lost_after_bits_past_the_end", r"^written: lost\n", r"^written: dirty\nended with 0"),
    Row(9, "a guest's write before the finish", "write_lost_after_a_part_without_finish", r"^written: lost\n", r"^written: dirty\nended with 0"),
    Row(9, "a guest's write after zeroes, before the finish", "write_after_zeroes_without_finish", r"hbitmap_iter_skip_words: Assertion `cur' failed",
        r"^1 dirty\nended with 0"),
    Row(14, "NULL", "count_of_nothing", NULL_READ, r"^hbitmap_count: argument `hb' must not be NULL"),
    Row(13, "disable NULL", "disable_nothing", rf"{NULL_READ}.* in bdrv_disable_dirty_bitmap", r"^lives\n"),
    Row(13, "enable NULL", "enable_nothing", rf"{NULL_READ}.* in bdrv_enable_dirty_bitmap", r"^lives\n"),
    Row(15, "zeroes across 2^64", "zeroes_around_the_end_of_numbers", r"AddressSanitizer: negative-size-param", r"^serialization_chunk: Assertion"),
    Row(16, "coverage of 2^28 bytes", "coverage_of_a_large_chunk", r"^18446603336221196288 bytes\n", r"^bdrv_dirty_bitmap_serialization_coverage: Assertion"),
    Row(18, "enable a successor that is not there", "enable_a_successor_that_is_not_there", NULL_READ,
        r"^bdrv_dirty_bitmap_enable_successor: Assertion `bitmap->successor != NULL' failed"),
    Row(19, "restore NULL", "restore_of_nothing", rf"^restored\n[\s\S]*{NULL_READ}", r"^bdrv_restore_dirty_bitmap: argument `backup' must not be NULL"),
    Row(19, "restore granularity 33", "restore_of_a_coarse_bitmap", r"^granularity 2\n", r"^bdrv_restore_dirty_bitmap: Assertion"),
    Row(20, "finish of no bits", "finish_of_no_bits", r"hbitmap_iter_init: Assertion `pos < hb->size' failed", r"^finished\nended with 0"),
    Row(21, "truncate, a later bitmap busy", "truncate_with_a_busy_bitmap", r"^aborted; the other bitmap has 50 granules\n",
        r"^aborted; the other bitmap has 100 granules\n"),
]
RACES = [
    Row(12, "crossed merges", "crossed_merges", r"^deadlock\n", r"^400000 merges\nended with 0"),
    Row(5, "restore while a guest writes", "restore_while_a_guest_writes", RACE, r"^done\nended with 0"),
    Row(6, "count while a guest writes", "count_while_a_guest_writes", RACE, r"^done\nended with 0"),
    Row(7, "serialise while a guest writes", "serialise_while_a_guest_writes", RACE, r"^done\nended with 0"),
    Row(7, "look through the list while it changes", "look_at_the_list_while_it_changes", RACE, r"^done\nended with 0"),
    Row(22, "freeze while a guest writes", "freeze_while_a_guest_writes", RACE, r"^done\nended with 0"),
]
# How often a race is tried: whether it is seen depends on when which thread runs.
TRIES = 5


def gist(text: str) -> str:
    """The line that says most."""
    lines = text.splitlines()
    for wanted in (r"SUMMARY: (\S+: [\w-]+(?: .*)? in \w+)", r"^(aborted; .*)", r"(\w+: Assertion `.*' failed)", r"^((?!=|WARNING).+)$"):
        for line in lines:
            found = re.search(wanted, line)
            if found:
                # Where the tree lies is no matter.
                return re.sub(r" \S*/(\w+/[\w.-]+:\d+)", r" \1", found[1])
    return "nothing"


def judge(pair: both_libraries.Pair, row: Row):
    """(entry, fault, what stock does, what the library does, good)."""
    attempts = TRIES if row.stock == RACE else 1
    for _ in range(attempts):
        stock = pair.run(pair.stock, row.case)
        if re.search(row.stock, stock, re.M):
            break
    ours = pair.run(pair.ours, row.case)
    if "Sanitizer" in ours:
        good = False
    else:
        good = bool(re.search(row.stock, stock, re.M)) and bool(re.search(row.ours, ours, re.M))
    return row.entry, row.fault, gist(stock), gist(ours), good


def rows():
    for make, table in (both_libraries.faults, FAULTS), (both_libraries.races, RACES):
        pair = make()
        for row in table:
            yield judge(pair, row)
