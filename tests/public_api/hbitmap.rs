// SPDX-License-Identifier: GPL-2.0-or-later
//! `HBitmap` beside the model: results, errors, content.

use std::ops::Range;

use proptest::prelude::*;
use qemu_dirty_bitmap::{Error, HBitmap, MAX_BITS};

use super::model::Model;

/// A change of a bitmap or a question to it.
#[derive(Clone, Debug)]
enum Op {
    Set(Range<u64>),
    Reset(Range<u64>),
    Clear,
    Truncate(u64),
    Search(Range<u64>, u64),
    Merge(u32, Vec<Range<u64>>),
    /// Serialise a part and load it into another bitmap.
    Copy(Range<u64>),
    /// Load bytes, repeated as needed.
    Load(Range<u64>, Vec<u8>),
    Ones(Range<u64>),
    Zeroes(Range<u64>),
}

/// Offsets that are likely to matter for a bitmap of `size` items: in it, about its end, and where
/// arithmetic wraps.
fn offset(size: u64, granularity: u64) -> BoxedStrategy<u64> {
    let align = move |to: u64| (0..=size / to + 1).prop_map(move |n| n * to);
    prop_oneof![
        4 => 0..=size,
        4 => align(granularity),
        3 => align(granularity * 64),
        2 => size.saturating_sub(2)..=size + 2,
        1 => prop::sample::select(vec![0, i64::MAX as u64, 1 << 63, u64::MAX - 1, u64::MAX]),
    ]
    .boxed()
}

fn range(size: u64, granularity: u64) -> BoxedStrategy<Range<u64>> {
    let offset = move || offset(size, granularity);
    prop_oneof![
        1 => (offset(), offset()).prop_map(|(a, b)| a..b),
        4 => (offset(), offset()).prop_map(|(a, b)| a.min(b)..a.max(b)),
        4 => (offset(), 0..granularity * 3).prop_map(|(a, n)| a..a.saturating_add(n)),
        1 => Just(0..size),
    ]
    .boxed()
}

fn op(size: u64, granularity: u64) -> BoxedStrategy<Op> {
    let range = move || range(size, granularity);
    prop_oneof![
        6 => range().prop_map(Op::Set),
        4 => range().prop_map(Op::Reset),
        1 => Just(Op::Clear),
        1 => (0..=size * 2).prop_map(Op::Truncate),
        6 => (range(), prop_oneof![Just(u64::MAX), 0..200u64])
            .prop_map(|(range, max)| Op::Search(range, max)),
        1 => (0..8u32, prop::collection::vec(range(), 0..4))
            .prop_map(|(log2, ranges)| Op::Merge(log2, ranges)),
        2 => range().prop_map(Op::Copy),
        2 => (range(), prop::collection::vec(any::<u8>(), 1..20))
            .prop_map(|(range, bytes)| Op::Load(range, bytes)),
        1 => range().prop_map(Op::Ones),
        1 => range().prop_map(Op::Zeroes),
    ]
    .boxed()
}

/// A size, a granularity, and what to do. The engine stores bits in chunks of 32768: some bitmaps
/// have several.
fn case() -> impl Strategy<Value = (u64, u64, Vec<Op>)> {
    let size = prop_oneof![6 => 0..300u64, 4 => 0..5000u64, 1 => 60_000..140_000u64];
    (size, 0..5u32).prop_flat_map(|(size, log2)| {
        let granularity = 1 << log2;
        (Just(size), Just(granularity), prop::collection::vec(op(size, granularity), 1..30))
    })
}

fn apply(op: &Op, bitmap: &mut HBitmap, model: &mut Model) {
    let align = 64 * model.granularity;
    match op {
        Op::Set(range) => assert_eq!(bitmap.set(range.clone()), model.set(range)),
        Op::Reset(range) => {
            assert_eq!(bitmap.reset(range.clone()), model.reset(range, model.granularity))
        }
        Op::Clear => {
            bitmap.clear();
            model.clear();
        }
        Op::Truncate(size) => {
            bitmap.truncate(*size).unwrap();
            model.truncate(*size);
        }
        Op::Search(range, max) => search(bitmap, model, range, *max),
        Op::Merge(log2, ranges) => {
            let (mut other, mut its_model) =
                (HBitmap::new(model.size, 1 << log2).unwrap(), Model::new(model.size, 1 << log2));
            for range in ranges {
                assert_eq!(other.set(range.clone()), its_model.set(range));
            }
            let union = HBitmap::union(bitmap, &other, 4).unwrap();
            bitmap.merge(&other).unwrap();
            let mut union_model = Model::new(model.size, 4);
            union_model.merge(model);
            union_model.merge(&its_model);
            union_model.check(&union);
            model.merge(&its_model);
            its_model.check(&other);
        }
        Op::Copy(range) => {
            let expected = model.aligned(range, align).map(|()| model.bytes(range));
            assert_eq!(bitmap.serialize(range.clone()), expected);
            assert_eq!(
                bitmap.serialized_len(range.clone()),
                expected.clone().map(|bytes| bytes.len())
            );
            if let Ok(mut bytes) = expected {
                let mut copy = HBitmap::new(model.size, model.granularity).unwrap();
                copy.deserialize(range.clone(), &bytes).unwrap();
                assert_eq!(copy.areas(range.clone()).collect::<Vec<_>>(), model.areas(range));
                bytes.push(0);
                let error = Error::BufferLength { expected: bytes.len() - 1, actual: bytes.len() };
                assert_eq!(copy.deserialize(range.clone(), &bytes), Err(error.clone()));
                assert_eq!(copy.serialize_into(range.clone(), &mut bytes), Err(error));
            }
        }
        Op::Load(range, pattern) => match bitmap.serialized_len(range.clone()) {
            Ok(length) => {
                let bytes: Vec<u8> = pattern.iter().copied().cycle().take(length).collect();
                bitmap.deserialize(range.clone(), &bytes).unwrap();
                model.load(range, &bytes);
            }
            Err(error) => assert_eq!(bitmap.deserialize(range.clone(), pattern), Err(error)),
        },
        Op::Ones(range) => {
            let expected = model.aligned(range, align);
            assert_eq!(bitmap.deserialize_ones(range.clone()), expected);
            if expected.is_ok() {
                model.set(range).unwrap();
            }
        }
        Op::Zeroes(range) => {
            assert_eq!(
                bitmap.deserialize_zeroes(range.clone()),
                model.reset(range, align).map(drop)
            );
        }
    }
}

fn search(bitmap: &HBitmap, model: &Model, range: &Range<u64>, max: u64) {
    assert_eq!(bitmap.next_dirty(range.clone()), model.next(range, true));
    assert_eq!(bitmap.next_clean(range.clone()), model.next(range, false));
    assert_eq!(bitmap.next_area(range.clone(), max), model.next_area(range, max));
    assert_eq!(bitmap.areas(range.clone()).collect::<Vec<_>>(), model.areas(range));
    assert_eq!(bitmap.status(range.clone()), model.status(range));
    let first = range.start;
    assert_eq!(bitmap.get(first).ok(), model.get(first).ok());
    let start = if first < model.size { first - first % model.granularity } else { first };
    let from = model.areas(&(start..model.size));
    let from = from.iter().flat_map(|area| area.clone().step_by(model.granularity as usize));
    assert!(bitmap.iter_from(first).eq(from));
}

proptest! {
    #[test]
    fn beside_a_set((size, granularity, ops) in case()) {
        let mut bitmap = HBitmap::new(size, granularity).unwrap();
        let mut model = Model::new(size, granularity);
        for op in &ops {
            apply(op, &mut bitmap, &mut model);
            // The large ones at the end only: the model takes its time.
            if size <= 5000 {
                model.check(&bitmap);
            }
        }
        model.check(&bitmap);
        let copy = bitmap.clone();
        prop_assert_eq!(&copy, &bitmap);
        prop_assert_eq!(copy.sha256(), bitmap.sha256());
    }
}

#[test]
fn what_can_not_be_made() {
    let most = i64::MAX as u64;
    for (size, granularity, ok) in [
        (0, 1, true),
        (1 << 30, 1, true),
        (MAX_BITS + 1, 1, false),
        (MAX_BITS * 512 + 1, 512, false),
        (most, 1 << 33, true),
        (most, 1 << 21, false),
        (most + 1, 1 << 62, false),
        (u64::MAX, 1 << 63, false),
        (most, 1 << 63, true),
    ] {
        let made =
            HBitmap::new(size, granularity).map(|bitmap| (bitmap.size(), bitmap.granularity()));
        let expected =
            if ok { Ok((size, granularity)) } else { Err(Error::TooLarge { size, granularity }) };
        assert_eq!(made, expected);
        let mut bitmap = HBitmap::new(0, granularity).unwrap();
        assert_eq!(bitmap.truncate(size), expected.map(drop));
    }
    for granularity in [0, 3, 6, u64::MAX] {
        let error = Error::Granularity { granularity, min: 1, max: 1 << 63 };
        assert_eq!(HBitmap::new(1, granularity), Err(error));
    }
}

#[test]
fn sizes_that_do_not_match() {
    let (mut a, b) = (HBitmap::new(100, 1).unwrap(), HBitmap::new(101, 1).unwrap());
    let error = Error::SizeMismatch { dest: 100, src: 101 };
    assert_eq!(
        error.to_string(),
        "Bitmaps are of different sizes (destination size is 100, source size is 101) and \
         can't be merged"
    );
    assert_eq!(a.merge(&b), Err(error.clone()));
    assert_eq!(HBitmap::union(&a, &b, 1), Err(error));
    HBitmap::union(&a, &a, 3).unwrap_err();
}

#[test]
fn granularity_too_large_to_serialise() {
    let mut bitmap = HBitmap::new(1 << 62, 1 << 58).unwrap();
    let error = Error::NotSerializable { granularity: 1 << 58 };
    assert!(!bitmap.is_serializable());
    assert_eq!(bitmap.serialization_align(), Err(error.clone()));
    assert_eq!(bitmap.serialized_len(0..1 << 62), Err(error.clone()));
    assert_eq!(bitmap.serialize(0..0), Err(error.clone()));
    assert_eq!(bitmap.deserialize(0..0, &[]), Err(error.clone()));
    assert_eq!(bitmap.deserialize_ones(0..0), Err(error.clone()));
    assert_eq!(bitmap.deserialize_zeroes(0..0), Err(error));
    assert_eq!(HBitmap::new(1 << 62, 1 << 57).unwrap().serialization_align(), Ok(1 << 63));
}

#[test]
fn equal_is_what_has_the_same_bits() {
    let new = |size, granularity| HBitmap::new(size, granularity).unwrap();
    assert_eq!(new(100, 4), new(100, 4));
    assert_ne!(new(100, 4), new(101, 4));
    assert_ne!(new(100, 4), new(100, 8));
    let (mut a, mut b) = (new(1 << 40, 4096), new(1 << 40, 4096));
    a.set(0..4096).unwrap();
    b.set(8192..8193).unwrap();
    assert_ne!(a, b);
    a.set(8192..8193).unwrap();
    b.set(1..2).unwrap();
    assert_eq!(a, b);
}
