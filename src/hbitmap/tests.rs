// SPDX-License-Identifier: GPL-2.0-or-later
//! The engine against a model: sequences of all its calls on several bitmaps, the invariants checked after each one.

use super::*;
use proptest::prelude::*;
use std::panic::{catch_unwind, AssertUnwindSafe};

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
        for (bit, _) in self.bits.iter().enumerate().filter(|(_, &dirty)| dirty) {
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

/// One call. Places and lengths are fractions of the size, or near a boundary of the layout: see `place`.
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
const SIZES: &[u64] = &[1, 2, 63, 64, 65, 1000, 2500, 4096, 16384, 32767, 32768, 32769, 40000, 65536, 70001, 131073];

/// A place below `size`: anywhere, or within two of a multiple of a word, a group of 64 words, or a chunk.
fn place(raw: u32, size: u64) -> u64 {
    let unit = [1, 1, 64, 4096, 32768][raw as usize % 5];
    let jitter = u64::from(raw / 5 % 5);
    let at = u64::from(raw / 25) % (size / unit + 1) * unit;
    (at + jitter).saturating_sub(2).min(size.saturating_sub(1))
}

/// A part for serialisation: aligned start and length, or up to the end.
fn part(a: u32, b: u32, size: u64, align: u64) -> (u64, u64) {
    let start = place(a, size) / align * align;
    let count = (place(b, size) / align * align).min((size - start) / align * align);
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

fn apply(op: &Op, pair: &mut [(HBitmap, Model); 2]) {
    let [(hb, model), (other, other_model)] = pair;
    let size = model.size;
    let unit = 1u64 << model.granularity;
    match *op {
        Op::Set(a, b) if size > 0 => {
            let start = place(a, size);
            let count = place(b, size - start) + 1;
            let range = model.range(start, count);
            let changed = model.bits[range.clone()].iter().any(|&dirty| !dirty);
            model.bits[range].fill(true);
            assert_eq!(hb.set(start, count), changed);
        }
        Op::SetScattered(a, n) if size > 0 => {
            for i in 0..u32::from(n) {
                let start = place(a.wrapping_mul(2654435761).wrapping_add(i.wrapping_mul(40503 * 65)), size);
                let bit = (start >> model.granularity) as usize;
                assert_eq!(hb.set(start, 1), !model.bits[bit]);
                model.bits[bit] = true;
            }
        }
        Op::Reset(a, b) if size > 0 => {
            let start = place(a, size) / unit * unit;
            let count = (place(b, size - start) / unit + 1) * unit;
            let count = if b % 4 == 0 || start + count > size { size - start } else { count };
            let range = model.range(start, count);
            let changed = model.bits[range.clone()].iter().any(|&dirty| dirty);
            model.bits[range].fill(false);
            assert_eq!(hb.reset(start, count), changed);
        }
        Op::ResetScattered(a, n) if size > 0 => {
            for i in 0..u32::from(n) {
                let start = place(a.wrapping_mul(2654435761).wrapping_add(i.wrapping_mul(65)), size) / unit * unit;
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
            let size = place(a, 150_000) * unit.min(4) / 4;
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
                *byte = [0, 0xff, (x >> 40) as u8, if i % 97 == 0 { 1 } else { 0 }]
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
            let first = place(a, size) >> model.granularity;
            let mut cursor = Cursor::new(hb, first << model.granularity);
            for bit in (first as usize..model.bits.len()).filter(|&bit| model.bits[bit]) {
                assert_eq!(cursor.next(hb), Some((bit as u64) << model.granularity));
            }
            assert_eq!(cursor.next(hb), None);
        }
        Op::IterateAcross(a, b, c) if size > 0 => {
            // Change the bitmap on the way: what is returned is set at that moment and ascends, and nothing that was set all the
            // time is left out.
            let mut cursor = Cursor::new(hb, 0);
            let always = model.bits.clone();
            let mut last = None;
            let mut step = 0;
            let mut returned = Vec::new();
            loop {
                if step == 3 {
                    let start = place(a, size) / unit * unit;
                    let count = (place(b, size - start) / unit * unit).max(unit).min(size - start);
                    if count % unit == 0 || start + count == size {
                        hb.reset(start, count);
                        let range = model.range(start, count);
                        model.bits[range].fill(false);
                    }
                    hb.set(place(c, size), 1);
                    model.bits[(place(c, size) >> model.granularity) as usize] = true;
                }
                step += 1;
                let Some(item) = cursor.next(hb) else { break };
                assert!(last < Some(item), "the items do not ascend");
                assert!(hb.get(item), "a clean item was returned");
                last = Some(item);
                returned.push(item >> model.granularity);
            }
            for (bit, _) in always.iter().zip(&model.bits).enumerate().filter(|(_, (&before, &now))| before && now) {
                if bit as u64 != place(c, size) >> model.granularity {
                    assert!(returned.binary_search(&(bit as u64)).is_ok(), "bit {bit} was left out");
                }
            }
        }
        Op::Search(a, b) if size > 0 => {
            let start = place(a, size + 70);
            let count = if b % 7 == 0 { i64::MAX as u64 } else { place(b, size + 70) };
            assert_eq!(hb.next_dirty(start, count), model.find(start, count, true));
            assert_eq!(hb.next_zero(start, count), model.find(start, count, false));
            let end = start.saturating_add(count);
            let max = u64::from(b % 1000) + 1;
            let area = model.find(start, count.min(size.saturating_sub(start)), true).map(|first| {
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
fn a_full_short_last_chunk_ends() {
    // The search once went on behind the last bit, and a merge from a coarser bitmap for ever.
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
        assert_eq!((a.next_dirty(0, 1), a.next_zero(0, 1), a.next_dirty_area(0, 1, 1)), (None, None, None));
        a.deserialize_finish();
        a.truncate(1000);
        a.truncate(0);
        assert_eq!((a.count(), a.clone().bits()), (0, 0));
        a.check_invariants();
    }
}

#[test]
fn a_petabyte_is_free_until_used() {
    let mut hb = HBitmap::new(1 << 50, 9);
    assert_eq!(hb.bits(), MAX_BITS);
    hb.set(0, 1 << 50);
    assert_eq!(hb.count(), 1 << 50);
    assert_eq!(hb.next_zero(0, u64::MAX), None);
    hb.reset((1 << 50) - 512, 512);
    assert_eq!(hb.next_zero(0, u64::MAX), Some((1 << 50) - 512));
    hb.reset_all();
    assert!(hb.is_empty());
    hb.set((1 << 50) - 1, 1);
    assert_eq!(hb.next_dirty(0, u64::MAX), Some((1 << 50) - 512));
    assert_eq!(hb.next_dirty_area(0, u64::MAX, u64::MAX), Some(((1 << 50) - 512, 512)));
}

/// Ends a call whose result does not matter.
fn discard<T>(_: T) {}

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
    let text = |function: &str, condition: &str| format!("{function}: Assertion `{condition}' failed.");
    assert_eq!(message(|| discard(HBitmap::new(1 << 63, 0))), text("hbitmap_alloc", "size <= INT64_MAX"));
    assert_eq!(message(|| discard(HBitmap::new(1, 64))), text("hbitmap_alloc", "granularity >= 0 && granularity < 64"));
    let too_many = "size <= ((uint64_t)1 << HBITMAP_LOG_MAX_SIZE)";
    assert_eq!(message(|| discard(HBitmap::new(MAX_BITS + 1, 0))), text("hbitmap_alloc", too_many));
    assert_eq!(message(|| hb.truncate(MAX_BITS * 8 + 1)), text("hbitmap_truncate", too_many));
    let past = "last < hb->size";
    for (start, count) in [(1000, 1), (0, 1001), (u64::MAX, 1), (8, u64::MAX), (u64::MAX, u64::MAX)] {
        assert_eq!(message(|| discard(hb.set(start, count))), text("hbitmap_set", past));
    }
    assert_eq!(message(|| discard(hb.reset(1000, 8))), text("hbitmap_reset", past));
    assert_eq!(message(|| discard(hb.reset(1, 8))), text("hbitmap_reset", "QEMU_IS_ALIGNED(start, gran)"));
    let count = "QEMU_IS_ALIGNED(count, gran) || (start + count == hb->orig_size)";
    assert_eq!(message(|| discard(hb.reset(8, 9))), text("hbitmap_reset", count));
    assert_eq!(message(|| discard(hb.get(1000))), text("hbitmap_get", "pos < hb->size"));
    assert_eq!(message(|| discard(hb.status(0, 0))), text("hbitmap_status", "count > 0"));
    assert_eq!(message(|| discard(hb.status(1, 1000))), text("hbitmap_status", "start + count <= hb->orig_size"));
    assert_eq!(message(|| discard(Cursor::new(&hb, 1000))), text("hbitmap_iter_init", "pos < hb->size"));
    assert_eq!(message(|| discard(Cursor::new(&HBitmap::new(0, 0), 0))), text("hbitmap_iter_init", "pos < hb->size"));
    let align = "hbitmap_is_serializable(hb)";
    assert_eq!(
        message(|| discard(HBitmap::new(1, 58).serialization_align())),
        text("hbitmap_serialization_align", align)
    );
    let part = "serialization_chunk";
    assert_eq!(message(|| discard(hb.serialization_size(8, 8))), text(part, "(start & (gran - 1)) == 0"));
    assert_eq!(message(|| discard(hb.serialization_size(0, 8))), text(part, "(count & (gran - 1)) == 0"));
    assert_eq!(message(|| discard(hb.serialization_size(0, 2048))), text(part, "(last >> hb->granularity) < hb->size"));
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
    // At the end of a sparse chunk: what is set in the words behind the one it is in is found.
    let mut hb = HBitmap::new(98_374, 0);
    hb.set(9890, 1);
    let mut cursor = Cursor::new(&hb, 19_266);
    assert_eq!(cursor.next(&hb), None);
    hb.set(0, 58_752);
    assert_eq!(cursor.next(&hb), Some(19_266 / 64 * 64 + 64));
}

/// A number below `n`, and the seed of the next one.
fn below(seed: &mut u64, n: u64) -> u64 {
    *seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    (*seed >> 20) % n
}

/// A plain array of words beside a bitmap that is large enough for several regions of dense chunks.
struct Flat {
    hb: HBitmap,
    words: Vec<u64>,
    seed: u64,
}

impl Flat {
    fn below(&mut self, n: u64) -> u64 {
        below(&mut self.seed, n)
    }

    /// Makes the content of some chunks in a row random, sparse or empty.
    fn load(&mut self, chunk: u64, chunks: u64, kind: u64) {
        let start = (chunk << CHUNK_SHIFT).min(self.hb.size() / CHUNK_BITS * CHUNK_BITS);
        let count = (chunks << CHUNK_SHIFT).min(self.hb.size() - start);
        let mut bytes = vec![0; self.hb.serialization_size(start, count) as usize];
        let len = bytes.len() as u64;
        match kind {
            0 => bytes.iter_mut().for_each(|byte| *byte = self.below(256) as u8),
            1 => (0..len / 600).for_each(|_| bytes[self.below(len) as usize] = 4),
            _ => {}
        }
        self.hb.deserialize_part(&bytes, start, count);
        for (word, bytes) in self.words[(start / 64) as usize..].iter_mut().zip(bytes.chunks(8)) {
            *word = u64::from_le_bytes(bytes.try_into().unwrap());
        }
        self.trim();
    }

    fn change(&mut self, first: u64, last: u64, dirty: bool) {
        if dirty {
            self.hb.set(first, last - first + 1);
        } else {
            self.hb.reset(first, last - first + 1);
        }
        for (k, bits) in levels::word_masks(first as usize, last as usize) {
            self.words[k] = if dirty { self.words[k] | bits } else { self.words[k] & !bits };
        }
    }

    fn truncate(&mut self, size: u64) {
        self.hb.truncate(size);
        self.words.resize(size.div_ceil(64) as usize, 0);
        self.trim();
    }

    /// Drops what lies past the end.
    fn trim(&mut self) {
        if let (Some(last), 1..) = (self.words.last_mut(), self.hb.size() % 64) {
            *last &= !(u64::MAX << (self.hb.size() % 64));
        }
    }

    fn compare(&self) {
        self.hb.check_invariants();
        let mut bytes = vec![0x77; self.words.len() * 8];
        self.hb.serialize_part(&mut bytes, 0, self.hb.size());
        assert!(bytes.chunks(8).zip(&self.words).all(|(b, w)| b == w.to_le_bytes()), "the bits differ");
        let ones: u64 = self.words.iter().map(|word| u64::from(word.count_ones())).sum();
        assert_eq!(self.hb.count(), ones);
    }
}

/// A part of 4 MiB and more is written past the caches, in steps that depend on where the buffer starts.
#[test]
fn a_large_part_is_what_its_pieces_are() {
    const CHUNKS: u64 = 1026;
    let bits = CHUNKS * CHUNK_BITS - 77;
    let mut hb = HBitmap::new(bits, 0);
    for c in 0..CHUNKS {
        let first = c * CHUNK_BITS;
        match c % 5 {
            0 => {}
            1 => _ = hb.set(first, (bits - first).min(CHUNK_BITS)),
            2 => (0..3 + c % 30).for_each(|i| _ = hb.set((first + i * 1000 + c).min(bits - 1), 1)),
            3 => (0..200).for_each(|i| _ = hb.set((first + i * 150).min(bits - 1), 7)),
            _ => _ = hb.set(first + 64 * (c % 512), 1),
        }
    }
    let align = hb.serialization_align();
    for start in [0, align, 100 * align] {
        let count = bits - start;
        let size = hb.serialization_size(start, count) as usize;
        assert!(size >= 4 << 20);
        let mut expected = vec![0; size];
        for (piece, bytes) in expected.chunks_mut(24).enumerate() {
            let at = start + piece as u64 * 24 * 8;
            hb.serialize_part(bytes, at, (bits - at).min(bytes.len() as u64 * 8));
        }
        for offset in [0, 1, 8, 16, 24] {
            let mut buffer = vec![0xa5; size + 64];
            let before = offset + buffer.as_ptr().align_offset(32);
            hb.serialize_part(&mut buffer[before..before + size], start, count);
            assert!(buffer[before..before + size] == expected, "from {start} to a buffer at {offset}");
            assert!(buffer[..before].iter().chain(&buffer[before + size..]).all(|&byte| byte == 0xa5));
        }
    }
}

#[test]
fn regions_come_and_go() {
    const REGION: u64 = 1 << 24;
    let size = 2 * REGION + 3 * CHUNK_BITS + 77;
    let mut flat = Flat { hb: HBitmap::new(size, 0), words: vec![0; size.div_ceil(64) as usize], seed: 3 };
    let chunks = size >> CHUNK_SHIFT;
    // Crowd the first region, page by page first, then as a large page; then the second, and thin them out again.
    for (chunk, count, kind) in [(0, 100, 0), (100, 27, 0), (127, 1, 0), (128, 200, 0), (500, 300, 0), (0, 520, 1)] {
        flat.load(chunk, count, kind);
        flat.compare();
    }
    for step in 0..24 {
        let size = flat.hb.size();
        let (a, b) = (flat.below(size), flat.below(size));
        match step % 6 {
            0 => {
                let (chunk, count, kind) = (flat.below(chunks), flat.below(400) + 1, flat.below(3));
                flat.load(chunk, count, kind);
            }
            1 => flat.change(a.min(b), a.max(b), false),
            2 => {
                let edge = [REGION, 2 * REGION, REGION + CHUNK_BITS][flat.below(3) as usize];
                let size = edge + flat.below(3) * 64 + flat.below(3) - 65;
                flat.truncate(size);
            }
            3 => {
                let last = (a + flat.below(70_000)).min(size - 1);
                flat.change(a, last, true);
            }
            4 => flat.truncate(2 * REGION + 3 * CHUNK_BITS + 77),
            _ => {
                let copy = flat.hb.clone();
                flat.hb.merge_from(&copy);
                flat.hb = copy;
            }
        }
        flat.compare();
    }
}

/// A bitmap of less than a region has no count of its dense chunks by the region, and gets one when it grows.
#[test]
fn dense_chunks_are_counted_by_the_region_once_there_is_one() {
    const REGION: u64 = 1 << 24;
    let small = REGION - 64;
    let mut flat = Flat { hb: HBitmap::new(small, 0), words: vec![0; (small / 64) as usize], seed: 5 };
    flat.load(1, 140, 0);
    for size in [2 * REGION + 5, REGION, small, REGION + 1, 70_000, small, 3 * REGION, 4 << CHUNK_SHIFT, REGION, 100] {
        flat.truncate(size);
        flat.compare();
    }
    flat.change(0, 99, false);
    flat.compare();
}

/// A bitmap whose chunks are coarse where they can be, and one of the same content that has none such.
struct Twins {
    coarse: HBitmap,
    plain: HBitmap,
    seed: u64,
}

/// Six whole chunks and a short one, at one item for each bit.
const TWIN_SIZE: u64 = 6 * CHUNK_BITS + 12_345;

impl Twins {
    fn below(&mut self, n: u64) -> u64 {
        below(&mut self.seed, n)
    }

    /// The twins after a merge from a random bitmap of granularity `from`, some of whose chunks' worth is empty or full.
    fn new(seed: u64, from: u32) -> Twins {
        let mut twins = Twins { coarse: HBitmap::new(TWIN_SIZE, 0), plain: HBitmap::new(TWIN_SIZE, 0), seed };
        let mut source = HBitmap::new(TWIN_SIZE, from);
        for start in (0..TWIN_SIZE).step_by(CHUNK_BITS as usize) {
            let end = (start + CHUNK_BITS).min(TWIN_SIZE);
            let every = [0, 1, 2, 2, 5, 50][twins.below(6) as usize];
            match every {
                0 => {}
                1 => _ = source.set(start, end - start),
                _ => (start..end).step_by(1 << from).for_each(|item| {
                    if twins.below(every) == 0 {
                        source.set(item, 1);
                    }
                }),
            }
        }
        twins.coarse.merge_from(&source);
        twins.plain = twins.coarse.plain();
        twins.compare();
        twins
    }

    fn compare(&self) {
        self.coarse.check_invariants();
        self.plain.check_invariants();
        assert_eq!(self.coarse.count(), self.plain.count());
        assert_eq!(self.coarse.bytes(), self.plain.bytes());
        assert_eq!(self.coarse.sha256(), self.plain.sha256());
    }

    /// What `call` returns of both, which must be the same.
    fn both<T: PartialEq + std::fmt::Debug>(&mut self, mut call: impl FnMut(&mut HBitmap) -> T) -> T {
        let result = call(&mut self.coarse);
        assert_eq!(result, call(&mut self.plain));
        result
    }
}

impl HBitmap {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0x77; self.bits().div_ceil(64) as usize * 8];
        self.serialize_part(&mut bytes, 0, self.size());
        bytes
    }

    /// A bitmap with the same bits, loaded from bytes.
    fn plain(&self) -> HBitmap {
        let mut plain = HBitmap::new(self.size(), self.granularity());
        plain.deserialize_part(&self.bytes(), 0, self.size());
        plain
    }

    fn coarse_chunks(&self) -> usize {
        (0..self.chunk_count()).filter(|&c| self.chunks.is_coarse(c)).count()
    }
}

#[test]
fn coarse_chunks_read_as_others_do() {
    for (seed, from) in (4..=13).enumerate() {
        let mut twins = Twins::new(seed as u64, from);
        assert_eq!(twins.plain.coarse_chunks(), 0);
        for _ in 0..3000 {
            let start = twins.below(TWIN_SIZE);
            let count = [1, 16, 100, 5_000, TWIN_SIZE][twins.below(5) as usize].min(TWIN_SIZE - start);
            twins.both(|hb| hb.get(start));
            twins.both(|hb| hb.word_from(start));
            twins.both(|hb| hb.next_dirty(start, count));
            twins.both(|hb| hb.next_zero(start, count));
            twins.both(|hb| hb.next_dirty_area(start, start + count, 77));
            twins.both(|hb| hb.status(start, count));
            let (first, len) = (start / 64 * 64, count.next_multiple_of(64));
            let len = if first + len > TWIN_SIZE { TWIN_SIZE - first } else { len };
            twins.both(|hb| {
                let mut bytes = vec![9; hb.serialization_size(first, len) as usize];
                hb.serialize_part(&mut bytes, first, len);
                bytes
            });
        }
        for start in [0, 1, 17, 64, CHUNK_BITS - 1, 3 * CHUNK_BITS + 7] {
            twins.both(|hb| {
                let mut cursor = Cursor::new(hb, start);
                std::iter::from_fn(|| cursor.next(hb)).collect::<Vec<_>>()
            });
        }
    }
}

#[test]
fn coarse_chunks_change_as_others_do() {
    for seed in 0..120 {
        let from = 4 + (seed % 10) as u32;
        let mut twins = Twins::new(seed, from);
        for _ in 0..12 {
            let size = twins.plain.size();
            let start = twins.below(size);
            let unit = [1, 16, 64, 300, 2 * CHUNK_BITS][twins.below(5) as usize];
            let start = start / unit * unit;
            let count = unit.min(size - start);
            match twins.below(11) {
                0 | 1 => _ = twins.both(|hb| hb.set(start, count)),
                2 | 3 => _ = twins.both(|hb| hb.reset(start, count)),
                4 => {
                    let part = vec![0x5a; 8 * 32];
                    let start = (start / 64 * 64).min(size.saturating_sub(4096) / 64 * 64);
                    if size >= start + 2048 {
                        twins.both(|hb| hb.deserialize_part(&part, start, 2048));
                    }
                }
                // Other bitmaps, with all forms of chunks, into these and these into those.
                5..=7 => {
                    let granularity = [0, 0, 2, 4, 6][twins.below(5) as usize];
                    let (other_seed, other_from) = (twins.below(1 << 30), 4 + twins.below(10) as u32);
                    let mut other = Twins::new(other_seed, other_from);
                    let [few, many] = [other.below(TWIN_SIZE), other.below(TWIN_SIZE - 3000)];
                    let kind = other.below(3);
                    other.both(|hb| match kind {
                        0 => _ = hb.set(few, 1),
                        1 => (0..400).for_each(|i| _ = hb.set(many + i * 7, 1)),
                        _ => {}
                    });
                    other.both(|hb| hb.truncate(size));
                    if granularity != 0 {
                        let mut rescaled = [HBitmap::new(size, granularity), HBitmap::new(size, granularity)];
                        rescaled[0].merge_from(&other.coarse);
                        rescaled[1].merge_from(&other.plain);
                        let [coarse, plain] = rescaled;
                        other = Twins { coarse, plain, seed };
                    }
                    other.compare();
                    if twins.below(2) == 0 {
                        twins.coarse.merge_from(&other.coarse);
                        twins.plain.merge_from(&other.plain);
                    } else {
                        other.coarse.merge_from(&twins.coarse);
                        other.plain.merge_from(&twins.plain);
                    }
                    other.compare();
                }
                8 => {
                    let size = (size + twins.below(3 * CHUNK_BITS)).saturating_sub(CHUNK_BITS);
                    twins.both(|hb| hb.truncate(size));
                }
                9 => {
                    let copy = twins.coarse.clone();
                    twins.coarse = HBitmap::union(&copy, &twins.plain, 0);
                }
                _ => {
                    let cut = twins.below(40);
                    if cut == 0 {
                        twins.both(HBitmap::reset_all);
                    }
                }
            }
            twins.compare();
            if twins.plain.size() == 0 {
                break;
            }
        }
    }
}

/// What the form is for: a merge of 64 KiB blocks into 4 KiB blocks takes a sixteenth of the words; a guest that writes what is dirty
/// already changes nothing about it; the first other write makes the chunk dense, and the last one full.
#[test]
fn a_merge_from_sixteen_times_as_coarse_makes_coarse_chunks() {
    let size = 40 << 27;
    let mut source = HBitmap::new(size, 16);
    (0..size).step_by(3 << 16).for_each(|item| _ = source.set(item, 1));
    let mut hb = HBitmap::new(size, 12);
    hb.merge_from(&source);
    hb.check_invariants();
    assert_eq!(hb.coarse_chunks(), 40);
    assert_eq!(hb.clone().coarse_chunks(), 40);
    assert!(!hb.set(3 << 16, 4096) && !hb.set(3 << 16, 1 << 16) && !hb.reset(1 << 16, 1 << 16));
    assert_eq!(hb.coarse_chunks(), 40);
    assert!(hb.set(1 << 16, 1) && hb.reset(3 << 27, 4096));
    assert_eq!(hb.coarse_chunks(), 38);
    hb.check_invariants();
    for shift in 1..3 {
        let mut other = HBitmap::new(size, 16);
        (0..size).skip(shift << 16).step_by(3 << 16).for_each(|item| _ = other.set(item, 1));
        hb.merge_from(&other);
        hb.check_invariants();
    }
    assert_eq!((hb.coarse_chunks(), hb.count()), (0, size - 4096));
    hb.reset_all();
    hb.check_invariants();
    assert!(hb.is_empty());
}
