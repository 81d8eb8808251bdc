// SPDX-License-Identifier: GPL-2.0-or-later
//! Every way of stepping, with and without changes in between, against a sorted set.

use super::Cursor;
use crate::hbitmap::HBitmap;
use std::collections::BTreeSet;

/// Not a whole number of words, nor of chunks, nor of 64 chunks.
const BITS: u64 = 70 * 32768 + 12_345;

/// A small deterministic generator: the test replays exactly.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// A bitmap whose content changes its density every few chunks, from none to all, and the set of its bits.
fn patchwork(random: &mut Random) -> (HBitmap, BTreeSet<u64>) {
    let mut hb = HBitmap::new(BITS, 0);
    let mut model = BTreeSet::new();
    let mut at = 0;
    while at < BITS {
        // One bit in so many, or all.
        let every = [1, 2, 7, 40, 100, 300, 900, 4_000, 8_000, 20_000, u64::MAX][random.below(11) as usize];
        let end = (at + random.below(3 * 32768)).min(BITS);
        if every == 1 {
            hb.set(at, end - at);
            model.extend(at..end);
            at = end;
        }
        while at < end {
            at = at.saturating_add(1 + random.below(every.saturating_mul(2).min(BITS)));
            if at < end {
                hb.set(at, 1);
                model.insert(at);
            }
        }
        at = end.max(at.min(BITS));
    }
    (hb, model)
}

#[test]
fn returns_just_what_is_set() {
    for seed in 0..12 {
        let mut random = Random(seed);
        let (hb, model) = patchwork(&mut random);
        for first in [0, 1, 32767, random.below(BITS), BITS - 1] {
            let mut cursor = Cursor::new(&hb, first);
            for &bit in model.range(first..) {
                assert_eq!(cursor.next(&hb), Some(bit), "seed {seed}, from {first}");
            }
            assert_eq!(cursor.next(&hb), None);
            assert_eq!(cursor.next(&hb), None);
        }
    }
}

#[test]
fn keeps_its_promise_while_bits_change() {
    for seed in 0..12 {
        let mut random = Random(seed);
        let (mut hb, mut model) = patchwork(&mut random);
        let mut cursor = Cursor::new(&hb, 0);
        let mut last = None;
        // What was set all the time, and lies ahead.
        let mut due = model.clone();
        loop {
            let item = cursor.next(&hb);
            let next_due = due.first().copied();
            let Some(bit) = item else {
                assert_eq!(next_due, None, "seed {seed}: the end after {last:?}");
                break;
            };
            assert!(model.contains(&bit), "seed {seed}: {bit} is clear");
            assert!(last.is_none_or(|last| last < bit), "seed {seed}: {bit} after {last:?}");
            assert!(next_due.is_none_or(|due| due >= bit), "seed {seed}: {bit} left out {next_due:?}");
            due.remove(&bit);
            last = Some(bit);
            // Around the cursor, mostly ahead of it: what it may hold already.
            for _ in 0..random.below(3) {
                let near = [3, 64, 700, 5_000, 70_000][random.below(5) as usize];
                let place = (bit + random.below(near)).min(BITS - 1);
                if random.below(2) == 0 {
                    hb.set(place, 1);
                    model.insert(place);
                    // It is due only from the next word on, and if it lies ahead.
                    if place / 64 > bit / 64 {
                        due.insert(place);
                    }
                } else {
                    hb.reset(place, 1);
                    model.remove(&place);
                    due.remove(&place);
                }
            }
        }
    }
}
