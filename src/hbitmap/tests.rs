// SPDX-License-Identifier: GPL-2.0-or-later
//! The engine against a model: sequences of all its calls on several bitmaps, the invariants
//! checked after each one.

#[cfg(not(qdb_tiny))]
mod bounds;
mod levels;
mod small_geometry;

use super::*;
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The plainest bitmap there is: one `bool` for each bit.
#[derive(Clone)]
struct Model {
    size: u64,
    granularity: u32,
    bits: Vec<bool>,
}

impl Model {
    fn new(size: u64, granularity: u32) -> Self {
        Model { size, granularity, bits: vec![false; size.div_ceil(1 << granularity) as usize] }
    }

    /// The bits that the items `start..start + count` lie in.
    fn range(&self, start: u64, count: u64) -> std::ops::Range<usize> {
        if count == 0 {
            return 0..0;
        }
        (start >> self.granularity) as usize..((start + count - 1) >> self.granularity) as usize + 1
    }

    /// The first item of `start..start + count` whose bit is `dirty`.
    fn find(&self, start: u64, count: u64, dirty: bool) -> Option<u64> {
        if start >= self.size || count == 0 {
            return None;
        }
        let count = count.min(self.size - start);
        let bit = self.range(start, count).find(|&bit| self.bits[bit] == dirty)?;
        Some(((bit as u64) << self.granularity).max(start))
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.bits.len().div_ceil(64).max(1) * 8];
        for (bit, _) in self.bits.iter().enumerate().filter(|&(_, &dirty)| dirty) {
            bytes[bit / 8] |= 1 << (bit % 8);
        }
        bytes
    }

    fn merge(&mut self, other: &Model) {
        for bit in (0..other.bits.len()).filter(|&bit| other.bits[bit]) {
            let start = (bit as u64) << other.granularity;
            let count = (1 << other.granularity).min(self.size - start);
            for mine in self.range(start, count) {
                self.bits[mine] = true;
            }
        }
    }

    fn count(&self) -> u64 {
        (self.bits.iter().filter(|&&dirty| dirty).count() as u64) << self.granularity
    }
}

impl HBitmap {
    /// All of the bitmap, serialised.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0x55; self.serialization_size(0, self.size()) as usize];
        self.serialize_part(&mut bytes, 0, self.size());
        bytes
    }
}

/// One call. Positions and lengths are fractions of the size, or near a boundary of the layout: see
/// `position`.
#[derive(Clone, Debug)]
enum Op {
    Set(u32, u32),
    SetScattered(u32, u8),
    Reset(u32, u32),
    ResetScattered(u32, u8),
    ResetAll,
    Truncate(u32),
    MergeOther,
    MergeIntoOther,
    Union,
    Clone,
    Serialize(u32, u32),
    Deserialize(u32, u32, u64),
    Zeroes(u32, u32),
    Ones(u32, u32),
    Iterate(u32),
    IterateAcross(u32, u32, u32),
    Search(u32, u32),
}

fn ops() -> impl Strategy<Value = Op> {
    let p = any::<u32>;
    prop_oneof![
        4 => (p(), p()).prop_map(|(a, b)| Op::Set(a, b)),
        4 => (p(), any::<u8>()).prop_map(|(a, b)| Op::SetScattered(a, b)),
        4 => (p(), p()).prop_map(|(a, b)| Op::Reset(a, b)),
        2 => (p(), any::<u8>()).prop_map(|(a, b)| Op::ResetScattered(a, b)),
        1 => Just(Op::ResetAll),
        2 => p().prop_map(Op::Truncate),
        2 => Just(Op::MergeOther),
        2 => Just(Op::MergeIntoOther),
        1 => Just(Op::Union),
        1 => Just(Op::Clone),
        2 => (p(), p()).prop_map(|(a, b)| Op::Serialize(a, b)),
        3 => (p(), p(), any::<u64>()).prop_map(|(a, b, c)| Op::Deserialize(a, b, c)),
        1 => (p(), p()).prop_map(|(a, b)| Op::Zeroes(a, b)),
        1 => (p(), p()).prop_map(|(a, b)| Op::Ones(a, b)),
        1 => p().prop_map(Op::Iterate),
        2 => (p(), p(), p()).prop_map(|(a, b, c)| Op::IterateAcross(a, b, c)),
        4 => (p(), p()).prop_map(|(a, b)| Op::Search(a, b)),
    ]
}

/// Sizes in bits: around words, levels and chunks, short last chunks of each kind.
const SIZES: &[u64] =
    &[1, 2, 63, 64, 65, 1000, 2500, 4096, 16384, 32767, 32768, 32769, 40000, 65536, 70001, 131073];

/// A position below `size`: anywhere, or within two of a multiple of a word, of 64 words, or of a
/// chunk.
fn position(raw: u32, size: u64) -> u64 {
    let unit = [1, 1, 64, 4096, 32768][raw as usize % 5];
    let jitter = u64::from(raw / 5 % 5);
    let at = u64::from(raw / 25) % (size / unit + 1) * unit;
    (at + jitter).saturating_sub(2).min(size.saturating_sub(1))
}

/// A part for serialisation: aligned start and length, or up to the end.
fn part(a: u32, b: u32, size: u64, align: u64) -> (u64, u64) {
    let start = position(a, size) / align * align;
    let count = (position(b, size) / align * align).min((size - start) / align * align);
    (start, if b % 3 == 0 || count == 0 { size - start } else { count })
}

fn compare(hb: &HBitmap, model: &Model) {
    hb.check_invariants();
    assert_eq!(hb.size(), model.size);
    assert_eq!(hb.bits(), model.bits.len() as u64);
    assert_eq!(hb.count(), model.count());
    assert_eq!(hb.is_empty(), model.count() == 0);
    let bytes = hb.bytes();
    assert!(bytes[..] == model.bytes()[..bytes.len()], "the bits differ");
}

#[allow(clippy::cognitive_complexity)] // One arm for each operation.
fn apply(op: &Op, pair: &mut [(HBitmap, Model); 2]) {
    let [(hb, model), (other, other_model)] = pair;
    let size = model.size;
    let unit = 1u64 << model.granularity;
    match *op {
        Op::Set(a, b) if size > 0 => {
            let start = position(a, size);
            let count = position(b, size - start) + 1;
            let range = model.range(start, count);
            let changed = model.bits[range.clone()].iter().any(|&dirty| !dirty);
            model.bits[range].fill(true);
            assert_eq!(hb.set(start, count), changed);
        }
        Op::SetScattered(a, n) if size > 0 => {
            for i in 0..u32::from(n) {
                let start = position(
                    a.wrapping_mul(2654435761).wrapping_add(i.wrapping_mul(40503 * 65)),
                    size,
                );
                let bit = (start >> model.granularity) as usize;
                assert_eq!(hb.set(start, 1), !model.bits[bit]);
                model.bits[bit] = true;
            }
        }
        Op::Reset(a, b) if size > 0 => {
            let start = position(a, size) / unit * unit;
            let count = (position(b, size - start) / unit + 1) * unit;
            let count = if b % 4 == 0 || start + count > size { size - start } else { count };
            let range = model.range(start, count);
            let changed = model.bits[range.clone()].iter().any(|&dirty| dirty);
            model.bits[range].fill(false);
            assert_eq!(hb.reset(start, count), changed);
        }
        Op::ResetScattered(a, n) if size > 0 => {
            for i in 0..u32::from(n) {
                let seed = a.wrapping_mul(2654435761).wrapping_add(i.wrapping_mul(65));
                let start = position(seed, size) / unit * unit;
                let bit = (start >> model.granularity) as usize;
                assert_eq!(hb.reset(start, unit), model.bits[bit]);
                model.bits[bit] = false;
            }
        }
        Op::ResetAll => {
            hb.reset_all();
            model.bits.fill(false);
        }
        Op::Truncate(a) => {
            let size = position(a, 150_000) * unit.min(4) / 4;
            hb.truncate(size);
            other.truncate(size);
            for m in [model, other_model] {
                m.size = size;
                m.bits.resize(size.div_ceil(1 << m.granularity) as usize, false);
            }
        }
        Op::MergeOther => {
            hb.merge_from(other);
            model.merge(other_model);
        }
        Op::MergeIntoOther => {
            other.merge_from(hb);
            other_model.merge(model);
        }
        Op::Union => {
            let union = HBitmap::union(hb, other, hb.granularity());
            model.merge(other_model);
            *hb = union;
        }
        Op::Clone => *hb = hb.clone(),
        Op::Serialize(a, b) if size > 0 => {
            let (start, count) = part(a, b, size, 64 * unit);
            let bytes = model.bytes();
            let from = (start / unit / 8) as usize;
            let len = hb.serialization_size(start, count) as usize;
            let mut buf = vec![0x77; len];
            hb.serialize_part(&mut buf, start, count);
            assert!(buf == bytes[from..from + len], "a serialised part differs");
        }
        Op::Deserialize(a, b, seed) if size > 0 => {
            let (start, count) = part(a, b, size, 64 * unit);
            let mut buf = vec![0; hb.serialization_size(start, count) as usize];
            let mut x = seed;
            for (i, byte) in buf.iter_mut().enumerate() {
                x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                // Sparse, dense, full and mixed stretches, and bits past the end.
                *byte = [0, 0xff, (x >> 40) as u8, u8::from(i % 97 == 0)]
                    [(seed >> (i / 4096 % 16 * 2) & 3) as usize];
            }
            hb.deserialize_part(&buf, start, count);
            hb.deserialize_finish();
            let first = (start / unit) as usize;
            for (i, bit) in model.bits[first..].iter_mut().take(buf.len() * 8).enumerate() {
                *bit = buf[i / 8] >> (i % 8) & 1 != 0;
            }
        }
        Op::Zeroes(a, b) | Op::Ones(a, b) if size > 0 => {
            let (start, count) = part(a, b, size, 64 * unit);
            let dirty = matches!(op, Op::Ones(..));
            if dirty {
                hb.deserialize_ones(start, count);
            } else {
                hb.deserialize_zeroes(start, count);
            }
            let first = (start / unit) as usize;
            let len = hb.serialization_size(start, count) as usize * 8;
            for bit in model.bits[first..].iter_mut().take(len) {
                *bit = dirty;
            }
        }
        Op::Iterate(a) if size > 0 => {
            let first = position(a, size) >> model.granularity;
            let mut cursor = Cursor::new(hb, first << model.granularity);
            for bit in (first as usize..model.bits.len()).filter(|&bit| model.bits[bit]) {
                assert_eq!(cursor.next(hb), Some((bit as u64) << model.granularity));
            }
            assert_eq!(cursor.next(hb), None);
        }
        Op::IterateAcross(a, b, c) if size > 0 => {
            // Change the bitmap on the way: what is returned is set at that moment and ascends, and
            // nothing that was set all the time is left out.
            let mut cursor = Cursor::new(hb, 0);
            let always = model.bits.clone();
            let mut last = None;
            let mut step = 0;
            let mut returned = Vec::new();
            loop {
                if step == 3 {
                    let start = position(a, size) / unit * unit;
                    let left = size - start;
                    let count = (position(b, left) / unit * unit).max(unit).min(left);
                    if count % unit == 0 || start + count == size {
                        hb.reset(start, count);
                        let range = model.range(start, count);
                        model.bits[range].fill(false);
                    }
                    hb.set(position(c, size), 1);
                    model.bits[(position(c, size) >> model.granularity) as usize] = true;
                }
                step += 1;
                let Some(item) = cursor.next(hb) else { break };
                assert!(last < Some(item), "the items do not ascend");
                assert!(hb.get(item), "a clean item was returned");
                last = Some(item);
                returned.push(item >> model.granularity);
            }
            for (bit, _) in always
                .iter()
                .zip(&model.bits)
                .enumerate()
                .filter(|&(_, (&before, &now))| before && now)
            {
                if bit as u64 != position(c, size) >> model.granularity {
                    assert!(
                        returned.binary_search(&(bit as u64)).is_ok(),
                        "bit {bit} was left out"
                    );
                }
            }
        }
        Op::Search(a, b) if size > 0 => {
            let start = position(a, size + 70);
            let count = if b % 7 == 0 { i64::MAX as u64 } else { position(b, size + 70) };
            assert_eq!(hb.next_dirty(start, count), model.find(start, count, true));
            assert_eq!(hb.next_zero(start, count), model.find(start, count, false));
            let end = start.saturating_add(count);
            let max = u64::from(b % 1000) + 1;
            let area =
                model.find(start, count.min(size.saturating_sub(start)), true).map(|first| {
                    let last = end.min(size).min(first + max);
                    (first, model.find(first, last - first, false).unwrap_or(last) - first)
                });
            assert_eq!(hb.next_dirty_area(start, end, max), area);
            if start < size {
                let count = count.clamp(1, size - start);
                let dirty = model.bits[(start >> model.granularity) as usize];
                let len = model.find(start, count, !dirty).map_or(count, |end| end - start);
                assert_eq!(hb.status(start, count), (dirty, len));
                assert_eq!(hb.get(start), dirty);
            }
        }
        _ => {}
    }
}

proptest! {
    #[test]
    fn behaves_as_the_model(
        size in prop::sample::select(SIZES),
        granularity in 0u32..4,
        finer in 0u32..16,
        ops in prop::collection::vec(ops(), 1..40),
    ) {
        // Up to 131073 bits in the finer of the two.
        let size = (size << granularity.min(finer)).saturating_sub(u64::from(finer % 3)).max(1);
        let pair = |granularity| (HBitmap::new(size, granularity), Model::new(size, granularity));
        let mut pair = [pair(granularity), pair(finer)];
        for op in &ops {
            apply(op, &mut pair);
            for (hb, model) in &pair {
                compare(hb, model);
            }
        }
    }
}

#[test]
fn known_hash_of_nothing() {
    // sha256 of eight zero bytes.
    let expected = "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc";
    assert_eq!(HBitmap::new(0, 0).sha256(), expected);
    assert_eq!(HBitmap::new(64, 0).sha256(), expected);
}

#[test]
fn the_word_of_an_item_begins_with_its_bit() {
    let mut hb = HBitmap::new(200 << 3, 3);
    hb.set(70 << 3, 1);
    hb.set(100 << 3, 1);
    for (bit, word) in [
        (0, 0),
        (64, 1 << 6 | 1 << 36),
        (70, 1 << 6 | 1 << 36),
        (71, 1 << 36),
        (101, 0),
        (199, 0),
        (256, 0),
    ] {
        assert_eq!(hb.word_from(bit << 3), word, "bit {bit}");
    }
}

#[test]
fn a_full_bitmap_of_bits_as_large_as_can_be_ends() {
    // The first bit past a word, in items, is no number of 64 bits.
    for granularity in 50..64 {
        let size = i64::MAX as u64;
        let mut hb = HBitmap::new(size, granularity);
        hb.set(0, size);
        for start in [0, 1, size / 2, size - 1] {
            for count in [1, size - start, size, u64::MAX] {
                assert_eq!(hb.next_zero(start, count), None, "{start} {count} {granularity}");
            }
        }
        assert_eq!(hb.next_dirty_area(0, size, size), Some((0, size)));
        assert_eq!(hb.status(0, size), (true, size));
    }
}

#[test]
fn a_full_short_last_chunk_ends() {
    // The search once went on past the last bit, and a merge from a coarser bitmap for ever.
    for size in [1, 100, 32768 + 77] {
        let mut coarse = HBitmap::new(size, 4);
        coarse.set(0, size);
        let mut fine = HBitmap::new(size, 0);
        fine.merge_from(&coarse);
        assert_eq!(fine.count(), size);
        assert_eq!(fine.next_set_bit(size), None);
        assert_eq!(fine.next_set_bit(size - 1), Some(size - 1));
    }
}

#[test]
fn an_area_of_the_last_bit_alone_ends() {
    for bits in [1, 64, 65, 4096, 256 * 64, 32_768, 32_768 + 256 * 64] {
        // Sparse, dense, and so many chunks that the last one is full.
        for before in [0, 100, bits] {
            let mut hb = HBitmap::new(bits, 0);
            hb.set(0, before.min(bits - 1));
            hb.set(bits - 1, 1);
            assert_eq!(hb.next_dirty_area(bits - 1, bits, 1), Some((bits - 1, 1)));
            assert_eq!(hb.next_dirty_area(bits - 1, u64::MAX, u64::MAX), Some((bits - 1, 1)));
        }
    }
}

#[test]
fn a_bitmap_of_no_bits_does_all_that_one_may_ask_of_it() {
    for granularity in [0, 9, 63] {
        let (mut a, b) = (HBitmap::new(0, granularity), HBitmap::new(0, 16));
        a.merge_from(&b);
        a.assign_union(&b, &b);
        assert!(!a.set(0, 0) && !a.reset(0, 0));
        a.reset_all();
        assert_eq!(
            (a.next_dirty(0, 1), a.next_zero(0, 1), a.next_dirty_area(0, 1, 1)),
            (None, None, None)
        );
        a.deserialize_finish();
        a.truncate(1000);
        a.truncate(0);
        assert_eq!((a.count(), a.clone().bits()), (0, 0));
        a.check_invariants();
    }
}

#[test]
fn a_petabyte_takes_no_time() {
    const UNIT: u64 = 1 << 16;
    let mut hb = HBitmap::new(1 << 50, 16);
    assert_eq!(hb.bits(), 1 << 34);
    hb.set(0, 1 << 50);
    assert_eq!(hb.count(), 1 << 50);
    assert_eq!(hb.next_zero(0, u64::MAX), None);
    hb.reset((1 << 50) - UNIT, UNIT);
    assert_eq!(hb.next_zero(0, u64::MAX), Some((1 << 50) - UNIT));
    hb.reset_all();
    assert!(hb.is_empty());
    hb.set((1 << 50) - 1, 1);
    assert_eq!(hb.next_dirty(0, u64::MAX), Some((1 << 50) - UNIT));
    assert_eq!(hb.next_dirty_area(0, u64::MAX, u64::MAX), Some(((1 << 50) - UNIT, UNIT)));
}

/// Ends a call whose result does not matter.
fn discard<T>(_: T) {}

/// The text of the panic that `call` ends with.
///
/// Out of line: Rust 1.85 for s390x does not restore all registers of a caller that it is inlined
/// in.
#[inline(never)]
fn message(call: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(call)).expect_err("the call did not panic");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn what_qemu_asserts_on_panics_with_its_text() {
    let mut hb = HBitmap::new(1000, 3);
    let before = {
        hb.set(0, 80);
        hb.sha256()
    };
    let text =
        |function: &str, condition: &str| format!("{function}: Assertion `{condition}' failed.");
    assert_eq!(
        message(|| discard(HBitmap::new(1 << 63, 0))),
        text("hbitmap_alloc", "size <= INT64_MAX")
    );
    assert_eq!(
        message(|| discard(HBitmap::new(1, 64))),
        text("hbitmap_alloc", "granularity >= 0 && granularity < 64")
    );
    let too_many = "size <= ((uint64_t)1 << HBITMAP_LOG_MAX_SIZE)";
    assert_eq!(message(|| discard(HBitmap::new(MAX_BITS + 1, 0))), text("hbitmap_alloc", too_many));
    assert_eq!(message(|| hb.truncate(MAX_BITS * 8 + 1)), text("hbitmap_truncate", too_many));
    let past = "last < hb->size";
    for (start, count) in [(1000, 1), (0, 1001), (u64::MAX, 1), (8, u64::MAX), (u64::MAX, u64::MAX)]
    {
        assert_eq!(message(|| discard(hb.set(start, count))), text("hbitmap_set", past));
    }
    assert_eq!(message(|| discard(hb.reset(1000, 8))), text("hbitmap_reset", past));
    assert_eq!(
        message(|| discard(hb.reset(1, 8))),
        text("hbitmap_reset", "QEMU_IS_ALIGNED(start, gran)")
    );
    let count = "QEMU_IS_ALIGNED(count, gran) || (start + count == hb->orig_size)";
    assert_eq!(message(|| discard(hb.reset(8, 9))), text("hbitmap_reset", count));
    assert_eq!(message(|| discard(hb.get(1000))), text("hbitmap_get", "pos < hb->size"));
    assert_eq!(message(|| discard(hb.status(0, 0))), text("hbitmap_status", "count > 0"));
    assert_eq!(
        message(|| discard(hb.status(1, 1000))),
        text("hbitmap_status", "start + count <= hb->orig_size")
    );
    assert_eq!(
        message(|| discard(Cursor::new(&hb, 1000))),
        text("hbitmap_iter_init", "pos < hb->size")
    );
    assert_eq!(
        message(|| discard(Cursor::new(&HBitmap::new(0, 0), 0))),
        text("hbitmap_iter_init", "pos < hb->size")
    );
    let align = "hbitmap_is_serializable(hb)";
    assert_eq!(
        message(|| discard(HBitmap::new(1, 58).serialization_align())),
        text("hbitmap_serialization_align", align)
    );
    let part = "serialization_chunk";
    assert_eq!(
        message(|| discard(hb.serialization_size(8, 8))),
        text(part, "(start & (gran - 1)) == 0")
    );
    assert_eq!(
        message(|| discard(hb.serialization_size(0, 8))),
        text(part, "(count & (gran - 1)) == 0")
    );
    assert_eq!(
        message(|| discard(hb.serialization_size(0, 2048))),
        text(part, "(last >> hb->granularity) < hb->size")
    );
    let sizes = "b->orig_size == result->orig_size";
    assert_eq!(message(|| hb.merge_from(&HBitmap::new(999, 3))), text("hbitmap_merge", sizes));
    hb.check_invariants();
    assert_eq!(hb.sha256(), before, "a refused call changed the bitmap");
}

#[test]
fn a_cursor_outlives_its_chunk_and_goes_on_from_where_it_was() {
    let mut hb = HBitmap::new(100_000, 0);
    hb.set(99_000, 1000);
    let mut cursor = Cursor::new(&hb, 99_000);
    assert_eq!(cursor.next(&hb), Some(99_000));
    for size in [64, 1, 0] {
        hb.truncate(size);
        assert_eq!(cursor.next(&hb), None);
    }
    // At the end: what is set in the words after the one that it is in is found.
    let mut hb = HBitmap::new(98_374, 0);
    hb.set(9890, 1);
    let mut cursor = Cursor::new(&hb, 19_266);
    assert_eq!(cursor.next(&hb), None);
    hb.set(0, 58_752);
    assert_eq!(cursor.next(&hb), Some(19_266 / 64 * 64 + 64));
}

#[test]
fn a_cursor_in_the_last_word_of_a_chunk_goes_on_after_a_change() {
    const CHUNK: u64 = geometry::CHUNK_BITS;
    for full in [false, true] {
        let mut hb = HBitmap::new(3 * CHUNK, 0);
        hb.set(if full { 0 } else { 5 }, if full { CHUNK } else { 1 });
        hb.set(CHUNK - 1, 1);
        hb.set(2 * CHUNK, 1);
        let mut cursor = Cursor::new(&hb, CHUNK - 64);
        while cursor.next(&hb) != Some(CHUNK - 1) {}
        hb.set(CHUNK + 7, 1);
        let rest: Vec<u64> = std::iter::from_fn(|| cursor.next(&hb)).take(5).collect();
        assert_eq!(rest, [CHUNK + 7, 2 * CHUNK]);
    }
}

#[test]
fn a_cursor_past_the_new_end_of_its_chunk_returns_nothing_again() {
    let mut hb = HBitmap::new(geometry::CHUNK_BITS, 0);
    hb.set(0, 1);
    let mut cursor = Cursor::new(&hb, geometry::CHUNK_BITS - 1);
    assert_eq!(cursor.next(&hb), None);
    hb.truncate(1);
    assert_eq!(cursor.next(&hb), None);
}

#[test]
fn a_cursor_at_the_new_end_returns_nothing_again() {
    for end in [64, geometry::SPAN_BITS, geometry::CHUNK_BITS, 2 * geometry::CHUNK_BITS] {
        let mut hb = HBitmap::new(3 * geometry::CHUNK_BITS, 0);
        hb.set(end, 1);
        let mut cursor = Cursor::new(&hb, end);
        assert_eq!(cursor.next(&hb), Some(end));
        hb.truncate(end);
        assert_eq!(cursor.next(&hb), None);
        assert_eq!(cursor.next(&hb), None);
    }
}

#[test]
fn no_items_change_nothing() {
    let mut hb = HBitmap::new(100 << 3, 3);
    for start in [0, 7, 8, 9, 799, 800, u64::MAX] {
        assert!(!hb.set(start, 0) && hb.is_empty(), "{start}");
    }
    hb.set(0, 800);
    for start in [0, 7, 8, 9, 799, 800, u64::MAX] {
        assert!(!hb.reset(start, 0) && hb.count() == 800, "{start}");
    }
}

/// A change of a bitmap, and a bit that a cursor must return after it.
type Change = (&'static str, fn(&mut HBitmap), Option<u64>);

#[test]
fn each_change_is_noticed_by_a_cursor() {
    const CHUNK: u64 = geometry::CHUNK_BITS;
    let changes: [Change; 11] = [
        ("reset_all", HBitmap::reset_all, None),
        ("reset of all", |hb| discard(hb.reset(0, hb.size())), None),
        ("reset of a chunk", |hb| discard(hb.reset(0, CHUNK)), None),
        ("reset of a range", |hb| discard(hb.reset(1, 100)), None),
        ("reset of a bit", |hb| discard(hb.reset(1, 1)), Some(2)),
        ("zeroes", |hb| hb.deserialize_zeroes(0, 64), None),
        ("a bit is set", |hb| discard((hb.reset(1, 3), hb.set(70, 1))), Some(70)),
        ("all is set", |hb| discard((hb.reset(1, 3), hb.set(64, hb.size() - 64))), Some(64)),
        ("a chunk is set", |hb| discard((hb.reset(1, 3), hb.set(CHUNK, CHUNK))), Some(CHUNK)),
        ("ones", |hb| hb.deserialize_ones(64, 64), Some(1)),
        ("truncate", |hb| hb.truncate(1), None),
    ];
    for (name, change, next) in changes {
        let mut hb = HBitmap::new(3 * CHUNK, 0);
        hb.set(0, 4);
        let mut cursor = Cursor::new(&hb, 0);
        assert_eq!(cursor.next(&hb), Some(0));
        change(&mut hb);
        assert_eq!(cursor.next(&hb), next, "{name}");
    }
    // Each of these is one change alone.
    let gains: [Change; 3] = [
        ("a bit", |hb| discard(hb.set(70, 1)), Some(70)),
        ("a range", |hb| discard(hb.set(70, 100)), Some(70)),
        ("a chunk", |hb| discard(hb.set(CHUNK, CHUNK)), Some(CHUNK)),
    ];
    for (name, change, next) in gains {
        for bits in [1, 20] {
            // One bit is an array, twenty are words.
            let mut hb = HBitmap::new(3 * CHUNK, 0);
            hb.set(0, 1);
            hb.set(2 * CHUNK, bits);
            hb.set(CHUNK - 20, bits);
            let mut cursor = Cursor::new(&hb, 0);
            assert_eq!(cursor.next(&hb), Some(0));
            change(&mut hb);
            let after = |bit: u64| hb.next_dirty(bit + 1, u64::MAX);
            let ahead: Vec<u64> = std::iter::successors(after(0), |&bit| after(bit)).collect();
            let returned: Vec<u64> = std::iter::from_fn(|| cursor.next(&hb)).collect();
            assert_eq!(returned, ahead, "{name}");
            assert!(next.is_some_and(|bit| returned.contains(&bit)), "{name}");
        }
    }
}

#[test]
fn a_union_with_many_full_chunks_is_noticed_by_a_cursor() {
    let size = 65 * geometry::CHUNK_BITS;
    let (mut hb, mut full) = (HBitmap::new(size, 0), HBitmap::new(size, 0));
    hb.set(0, 1);
    full.set(0, size);
    let mut cursor = Cursor::new(&hb, 0);
    assert_eq!(cursor.next(&hb), Some(0));
    hb.merge_from(&full);
    assert_eq!(cursor.next(&hb), Some(64));
}
