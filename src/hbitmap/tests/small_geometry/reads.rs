// SPDX-License-Identifier: GPL-2.0-or-later
//! The calls that change nothing, on each state: searches, iterations, parts as bytes, the
//! hash.

use super::call::part;
use super::shape::{Content, Shape};
use super::walk::Walk;
use super::{Cursor, HBitmap};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};

/// Iterates over each state, from each position.
pub(super) fn iterate_each_state(walk: &mut Walk) {
    for state in 0..walk.len() {
        walk.now_at(state, None);
        walk.calls += iterations(&walk.bitmap(state), &walk.shape, walk.content(state));
    }
}

/// Makes each other call that changes nothing on each state.
pub(super) fn on_each_state(walk: &mut Walk) {
    let mut hashes = HashMap::new();
    for state in 0..walk.len() {
        walk.now_at(state, None);
        let (hb, content) = (walk.bitmap(state), walk.content(state));
        walk.calls += bits(&hb, &walk.shape, content);
        walk.calls += searches(&hb, &walk.shape, content);
        walk.calls += parts(&hb, &walk.shape, content);
        let hash = hashes.entry((content.atoms, content.set));
        assert_eq!(&hb.sha256(), hash.or_insert_with(|| fresh_hash(&walk.shape, content)));
        // It is what it was.
        walk.agree(&hb, content);
    }
}

/// The hash of a bitmap with this content that was made just now, which is what sha2 says of
/// the bytes.
fn fresh_hash(shape: &Shape, content: Content) -> String {
    let mut fresh = HBitmap::new(shape.size(content.atoms), shape.granularity);
    for atom in (0..content.atoms).filter(|atom| content.set >> atom & 1 != 0) {
        fresh.set(shape.item(atom), shape.items(atom, atom, content.atoms));
    }
    let mut words = shape.words(content);
    words.resize(words.len().max(1), 0);
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let expected: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(fresh.sha256(), expected);
    expected
}

fn bits(hb: &HBitmap, shape: &Shape, content: Content) -> u64 {
    let size = shape.size(content.atoms);
    let probes = shape.probes(content.atoms);
    let inside = probes.iter().filter(|&&item| item < size);
    inside.map(|&item| assert_eq!(hb.get(item), shape.get(content, item), "get {item}")).count()
        as u64
}

fn searches(hb: &HBitmap, shape: &Shape, content: Content) -> u64 {
    let size = shape.size(content.atoms);
    let probes = shape.probes(content.atoms);
    let mut calls = 0;
    for (i, &start) in probes.iter().enumerate() {
        let far = [size + 1, i64::MAX as u64, u64::MAX];
        for &end in probes[i..].iter().chain(&far) {
            let (count, find) = (end - start, |dirty| shape.find(content, start, end, dirty));
            let (dirty, clean) = (find(true), find(false));
            assert_eq!(hb.next_dirty(start, count), dirty, "next_dirty {start} {count}");
            assert_eq!(hb.next_zero(start, count), clean, "next_zero {start} {count}");
            for max in [1, 2, 64, 200, u64::MAX] {
                let area = dirty.map(|first| {
                    let end = end.min(size).min(first.saturating_add(max));
                    (first, shape.find(content, first, end, false).unwrap_or(end) - first)
                });
                assert_eq!(hb.next_dirty_area(start, end, max), area, "area {start} {end} {max}");
            }
            calls += 7;
            if start < end && end <= size {
                let is_dirty = dirty == Some(start);
                let other = if is_dirty { clean } else { dirty };
                let run = other.map_or(count, |other| other - start);
                assert_eq!(hb.status(start, count), (is_dirty, run), "status {start} {count}");
                calls += 1;
            }
        }
    }
    calls
}

fn iterations(hb: &HBitmap, shape: &Shape, content: Content) -> u64 {
    let (size, g) = (shape.size(content.atoms), shape.granularity);
    let words = shape.words(content);
    let starts = shape.probes(content.atoms).into_iter().filter(|&item| item < size);
    let mut calls = 0;
    for start in starts {
        let mut cursor = Cursor::new(hb, start);
        for (i, &word) in words.iter().enumerate().skip((start >> g) as usize / 64) {
            let first = (start >> g).saturating_sub(i as u64 * 64);
            let mut left = word & (u64::MAX << first);
            while left != 0 {
                let bit = i as u64 * 64 + u64::from(left.trailing_zeros());
                assert_eq!(cursor.next(hb), Some(bit << g), "iteration from {start}");
                left &= left - 1;
                calls += 1;
            }
        }
        // Asked again at the end, it says so again.
        assert_eq!((cursor.next(hb), cursor.next(hb)), (None, None), "iteration from {start}");
        calls += 3;
    }
    calls
}

fn parts(hb: &HBitmap, shape: &Shape, content: Content) -> u64 {
    let words = shape.words(content);
    // Those that have the first or the last bit of an atom stand for all.
    let ends = (0..content.atoms).flat_map(|atom| [shape.bounds[atom], shape.bounds[atom + 1] - 1]);
    let ends: BTreeSet<usize> = ends.map(|bit| (bit / 64) as usize).collect();
    let mut calls = 0;
    for &first in &ends {
        for &last in ends.range(first..) {
            let (start, items) = part(shape, content.atoms, first, last);
            let mut bytes = vec![0x77; (last - first + 1) * 8];
            assert_eq!(hb.serialization_size(start, items), bytes.len() as u64);
            hb.serialize_part(&mut bytes, start, items);
            let read = bytes.chunks_exact(8).zip(&words[first..=last]);
            for (bytes, word) in read {
                assert_eq!(bytes, word.to_le_bytes(), "words {first}..={last}");
            }
            calls += 2;
        }
    }
    calls
}
