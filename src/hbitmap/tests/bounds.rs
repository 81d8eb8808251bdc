// SPDX-License-Identifier: GPL-2.0-or-later
//! Every range that begins and ends at a bound of words, spans or chunks, or a bit from one, on
//! chunks of each store: set, reset, searched and iterated, beside a model.

use super::HBitmap;
use crate::hbitmap::Cursor;
use crate::hbitmap::geometry::{CHUNK_BITS, SPAN_BITS};

/// Whole chunks, and a short one.
const BITS: u64 = 3 * CHUNK_BITS + SPAN_BITS + 70;

/// Bits at which something begins or ends, and those around them.
fn bounds() -> Vec<u64> {
    let chunks = [CHUNK_BITS, 2 * CHUNK_BITS, 3 * CHUNK_BITS, BITS];
    let mut bounds = vec![0, 1, 64, SPAN_BITS, CHUNK_BITS + 64, CHUNK_BITS + SPAN_BITS];
    bounds.extend(chunks.iter().flat_map(|&end| [end - 64, end - 1, end]));
    bounds.extend([CHUNK_BITS + 1, BITS - 2, 3 * CHUNK_BITS + SPAN_BITS]);
    bounds.retain(|&bit| bit < BITS);
    bounds.sort_unstable();
    bounds
}

/// A bitmap, and the words that it must have. (The model of the other tests has a `bool` for each
/// bit: too slow for so many cases.)
struct Pair {
    hb: HBitmap,
    words: Vec<u64>,
}

impl Pair {
    fn new() -> Self {
        Self::of(BITS, 0)
    }

    fn of(size: u64, granularity: u32) -> Self {
        let hb = HBitmap::new(size, granularity);
        let words = vec![0; hb.bits().div_ceil(64) as usize];
        Pair { hb, words }
    }

    fn write(&mut self, first: u64, last: u64, set: bool) {
        let changes = self.write_words(first, last, set);
        let granularity = self.hb.granularity();
        let (start, count) = (first << granularity, (last - first + 1) << granularity);
        let changed = match set {
            true => self.hb.set(start, count),
            false => self.hb.reset(start, count),
        };
        assert_eq!(changed, changes, "{first} to {last}");
    }

    fn write_words(&mut self, first: u64, last: u64, set: bool) -> bool {
        let mut changes = false;
        for word in first / 64..=last / 64 {
            let from = if word == first / 64 { u64::MAX << (first % 64) } else { u64::MAX };
            let to = if word == last / 64 { u64::MAX >> (63 - last % 64) } else { u64::MAX };
            let old = self.words[word as usize];
            let new = if set { old | from & to } else { old & !(from & to) };
            changes |= new != old;
            self.words[word as usize] = new;
        }
        changes
    }

    fn writing(mut self, ranges: &[(u64, u64)], set: bool) -> Self {
        ranges.iter().for_each(|&(first, last)| self.write(first, last, set));
        self
    }

    fn merge(&mut self, from: &Pair) {
        self.hb.merge_from(&from.hb);
        self.words.iter_mut().zip(&from.words).for_each(|(word, other)| *word |= other);
    }

    fn copy(&self) -> Self {
        Pair { hb: self.hb.clone(), words: self.words.clone() }
    }

    fn compare(&self) {
        self.hb.check_invariants();
        let count: u64 = self.words.iter().map(|word| u64::from(word.count_ones())).sum();
        assert_eq!(self.hb.count(), count << self.hb.granularity());
        let bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        assert!(self.hb.bytes() == bytes, "the bits differ");
    }

    /// The first bit from `from` on that is set, or is not.
    fn find(&self, from: u64, set: bool) -> Option<u64> {
        let mut bit = from;
        while bit < self.hb.bits() {
            let word = self.words[bit as usize / 64] ^ if set { 0 } else { u64::MAX };
            let ahead = word >> (bit % 64);
            if ahead != 0 {
                let found = bit + u64::from(ahead.trailing_zeros());
                return Some(found).filter(|&bit| bit < self.hb.bits());
            }
            bit = (bit / 64 + 1) * 64;
        }
        None
    }

    /// What each search finds from each bound.
    fn search(&self) {
        let (g, end) = (self.hb.granularity(), self.hb.size());
        for from in bounds() {
            let item = |bit: u64| bit << g;
            let (dirty, clean) = (self.find(from, true), self.find(from, false));
            let is_dirty = dirty == Some(from);
            let (from, dirty, clean) = (item(from), dirty.map(item), clean.map(item));
            for count in [end - from, u64::MAX] {
                assert_eq!(self.hb.next_dirty(from, count), dirty, "from {from}");
                assert_eq!(self.hb.next_zero(from, count), clean, "from {from}");
            }
            assert_eq!(self.hb.get(from), is_dirty, "{from}");
            let length = if is_dirty { clean } else { dirty }.unwrap_or(end) - from;
            assert_eq!(self.hb.status(from, end - from), (is_dirty, length), "from {from}");
            // Cut in the middle, just before the end of what was found, and there.
            for count in [length / 2, length - 1, length].into_iter().filter(|&count| count != 0) {
                let found = is_dirty.then_some(from);
                assert_eq!(self.hb.next_dirty(from, count), found, "{count} from {from}");
                let found = (!is_dirty).then_some(from);
                assert_eq!(self.hb.next_zero(from, count), found, "{count} from {from}");
                let area = is_dirty.then_some((from, count));
                assert_eq!(self.hb.next_dirty_area(from, from + count, u64::MAX), area);
            }
        }
    }

    /// What is iterated over, from each bound.
    fn iterate(&self) {
        for from in bounds() {
            let (mut cursor, mut bit) = (Cursor::new(&self.hb, from), from);
            // Enough to come to the next chunk but one, unless all are dirty.
            for _ in 0..300 {
                let expected = self.find(bit, true);
                assert_eq!(cursor.next(&self.hb), expected, "from {from}");
                let Some(found) = expected else { break };
                assert_eq!(cursor.word(), found / 64);
                bit = found + 1;
            }
        }
    }
}

/// Bitmaps whose chunks are stored in all ways, and next to each other in all orders: with new
/// memory, and with memory that is full of what no store has any more.
fn states() -> Vec<Pair> {
    let used = || {
        let mut pair = Pair::new();
        // No chunk becomes full, so the words of all are written.
        (0..BITS).step_by(64).for_each(|bit| {
            pair.hb.set(bit + 1, 63.min(BITS - bit - 1));
        });
        pair.hb.reset_all();
        pair
    };
    let mut states = states_of(Pair::new);
    states.extend(states_of(used));
    states
}

/// Those states of bitmaps that `empty` makes, which have [`BITS`] bits.
fn states_of(empty: impl Fn() -> Pair) -> Vec<Pair> {
    let (c, s) = (CHUNK_BITS, SPAN_BITS);
    let array = |at: u64| [0, 1, 64, s, c - 64, c - 1].map(|bit| (at + bit, at + bit));
    let words = |at: u64| [(at + 1, at + 1), (at + 63, at + 200), (at + s - 1, at + c / 2)];
    let end = [(3 * c, 3 * c), (3 * c + 63, 3 * c + 64), (BITS - 1, BITS - 1)];
    vec![
        empty(),
        empty().writing(&[(0, BITS - 1)], true),
        empty().writing(&array(0), true).writing(&words(c), true).writing(&end, true),
        empty().writing(&words(0), true).writing(&array(c), true).writing(&array(2 * c), true),
        empty().writing(&[(c, 2 * c - 1)], true).writing(&array(2 * c), true),
        // Full of words, all but one bit, and with spans that are full or not stored.
        empty().writing(&[(0, BITS - 1)], true).writing(&[(5, 5), (c + 70, c + 70)], false),
        empty().writing(&[(0, BITS - 1)], true).writing(&[(s, 3 * s), (c, c + s)], false),
    ]
}

#[test]
fn ranges_between_bounds_are_set_and_reset() {
    let bounds = bounds();
    for state in states() {
        state.compare();
        for (i, &first) in bounds.iter().enumerate() {
            for &last in &bounds[i..] {
                for set in [true, false] {
                    let mut copy = state.copy();
                    copy.write(first, last, set);
                    copy.compare();
                }
            }
        }
    }
}

#[test]
fn searches_and_iterations_from_bounds() {
    let bounds = bounds();
    for state in states() {
        state.search();
        state.iterate();
        for pair in bounds.windows(2) {
            for set in [true, false] {
                let mut copy = state.copy();
                copy.write(pair[0], pair[1], set);
                copy.search();
            }
        }
    }
}

#[test]
fn searches_of_larger_items() {
    for state in states_of(|| Pair::of((BITS << 3) - 5, 3)) {
        state.search();
    }
}

#[test]
fn parts_between_bounds_go_out_and_come_in() {
    let mut bounds: Vec<u64> = bounds().iter().map(|bit| bit / 64 * 64).chain([BITS]).collect();
    bounds.dedup();
    let (states, dotted) =
        (states(), Pair::new().writing(&[(0, 0), (63, 64), (BITS - 9, BITS - 2)], true));
    for (number, state) in states.iter().enumerate() {
        let source = states.get(number + 1).unwrap_or(&dotted);
        for (i, &start) in bounds.iter().enumerate() {
            for &end in bounds[i..].iter().skip(1 + number % 3).step_by(3) {
                let words = start as usize / 64..end.div_ceil(64) as usize;
                let mut bytes = vec![0x55; words.len() * 8];
                source.hb.serialize_part(&mut bytes, start, end - start);
                let expected =
                    source.words[words.clone()].iter().flat_map(|word| word.to_le_bytes());
                assert!(bytes.iter().copied().eq(expected), "{start} to {end}");

                let mut copy = state.copy();
                if end == BITS {
                    // What is past the end is dropped.
                    bytes.last_mut().into_iter().for_each(|byte| *byte |= 0xc0);
                }
                copy.hb.deserialize_part(&bytes, start, end - start);
                copy.words[words.clone()].copy_from_slice(&source.words[words]);
                copy.compare();
                copy.write_words(start, end - 1, true);
                copy.hb.deserialize_ones(start, end - start);
                copy.compare();
                copy.write_words(start, end - 1, false);
                copy.hb.deserialize_zeroes(start, end - start);
                copy.compare();
            }
        }
    }
}

#[test]
fn unions_of_all_stores() {
    let states = states();
    for to in &states {
        for from in &states {
            let mut union = to.copy();
            union.merge(from);
            union.compare();
            union.search();
        }
    }
}

#[test]
fn unions_of_many_chunks() {
    let word = 64 * CHUNK_BITS;
    // The short chunk at the end is alone in its word of chunks, or its last one.
    for size in [129 * CHUNK_BITS + 100, word - 100, 2 * word, 3 * word - 100] {
        let ranges: [&[(u64, u64)]; 7] = [
            &[(0, size - 1)],
            &[(0, size.min(word) - 1)],
            &[(0, word - 101), (size - 5, size - 5)],
            &[((size + 100).saturating_sub(word), size - 1)],
            &[(1, word / 2), (word / 2 + 2, size - 1)],
            &[(5 * CHUNK_BITS, word - 101), (size / CHUNK_BITS * CHUNK_BITS - 1, size - 1)],
            &[],
        ];
        for to in ranges {
            for from in ranges {
                let mut union = Pair::of(size, 0).writing(to, true);
                union.merge(&Pair::of(size, 0).writing(from, true));
                union.compare();
            }
        }
    }
}

/// Sizes whose headers have room in the memory of the smaller, just have, and have none.
#[test]
fn sizes_up_and_down_at_once_keep_the_bits() {
    let chunks = [1, 2, 3, 4, 5, 8, 9, 16, 17, 33, 70];
    let sizes = chunks.iter().flat_map(|&n| [n * CHUNK_BITS - 100, n * CHUNK_BITS]);
    let sizes: Vec<u64> = sizes.collect();
    for &from in &sizes {
        // Words in each chunk, up to the last bit.
        let bits =
            (0..from / 1000).map(|i| (i * 1000 + 1, i * 1000 + 60)).chain([(from - 2, from - 1)]);
        let bits: Vec<_> = bits.collect();
        let old = Pair::of(from, 0).writing(&bits, true);
        for &to in &sizes {
            let mut new = old.copy();
            new.hb.truncate(to);
            new.words.resize(to.div_ceil(64) as usize, 0);
            if to % 64 != 0 {
                new.words[to as usize / 64] &= !(u64::MAX << (to % 64));
            }
            new.compare();
            // What comes is clean, and lies over nothing that was there.
            let chunks = (0..to / CHUNK_BITS).map(|c| (c * CHUNK_BITS + 777, c * CHUNK_BITS + 777));
            new.writing(&chunks.collect::<Vec<_>>(), true).compare();
        }
    }
}

/// Merges `from` into an empty and into a dotted bitmap of another granularity.
fn merge_rescaled(from: &Pair, granularity: u32) {
    let size = from.hb.size();
    for step in [0, 77, 1000] {
        let mut to = Pair::of(size, granularity);
        let dots = if step == 0 { 0..0 } else { 0..to.hb.bits() };
        for bit in dots.step_by(step.max(1)) {
            to.write(bit, bit, true);
        }
        to.hb.merge_from(&from.hb);
        let mut next = from.find(0, true);
        while let Some(first) = next {
            let end = from.find(first, false).unwrap_or(from.hb.bits());
            let start = first << from.hb.granularity();
            let last = (end << from.hb.granularity()).min(size) - 1;
            to.write_words(start >> granularity, last >> granularity, true);
            next = from.find(end, true);
        }
        to.compare();
    }
}

#[test]
fn unions_of_all_stores_with_other_granularities() {
    let scattered = |empty: Pair, step| {
        let bits: Vec<_> = (0..BITS / step).map(|i| (i * step, i * step + i % 3)).collect();
        empty.writing(&bits, true)
    };
    let dotted = |empty: &dyn Fn() -> Pair| [5, 150, 3000].map(|step| scattered(empty(), step));
    for state in states().iter().chain(&dotted(&Pair::new)) {
        (1..=17).for_each(|granularity| merge_rescaled(state, granularity));
    }
    for shift in 1..=7 {
        let empty = || Pair::of((BITS << shift) - 1, shift);
        // Runs in the last word: what the last one becomes is cut at the end.
        let ends = empty().writing(&[(BITS - 6, BITS - 6), (BITS - 3, BITS - 1)], true);
        for state in states_of(empty).iter().chain(&dotted(&empty)).chain([&ends]) {
            merge_rescaled(state, 0);
        }
    }
    // A run to the end of a bitmap that fills its last word of chunks.
    let bits = 64 * CHUNK_BITS;
    merge_rescaled(&Pair::of(bits, 0).writing(&[(5, bits - 1)], true), 1);
    merge_rescaled(&Pair::of(2 * bits, 1).writing(&[(5, bits - 1)], true), 0);
}
