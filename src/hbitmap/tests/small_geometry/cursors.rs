// SPDX-License-Identifier: GPL-2.0-or-later
//! Iterations with one change between two steps: started at each position, stopped after each
//! number of steps, changed by each call, and gone on with to the end.
//!
//! A start and a number of steps matter only as far as the cursor that they leave differs, so
//! cursors that are equal, and have the same bits ahead of them, are gone on with once. The
//! numbers of steps are those after which the cursor has just returned a bit that a search
//! would start at too, and the end.

use super::shape::{Content, Shape};
use super::walk::Walk;
use super::{Cursor, HBitmap};

/// A cursor between two steps.
#[derive(PartialEq)]
struct Stop {
    cursor: Cursor,
    /// The first bit that it may still return.
    ahead: u64,
    /// The word that it is in.
    word: usize,
}

/// Goes on after each change, from each stop, in each state.
pub(super) fn on_each_state(walk: &mut Walk) {
    for state in 0..walk.len() {
        let content = walk.content(state);
        let before = walk.shape.words(content);
        let stops = stops(&walk.bitmap(state), &walk.shape, content);
        for call in walk.calls_on(content.atoms) {
            walk.now_at(state, Some(call));
            let mut hb = walk.bitmap(state);
            let partners = walk.partners(content.atoms);
            call.make(&mut hb, &walk.shape, content.atoms, partners);
            let after = walk.shape.words(call.result(content, &walk.shape, partners).0);
            for stop in &stops {
                walk.calls += go_on(&hb, &walk.shape, stop, &before, &after);
            }
        }
    }
}

/// The cursors between any two steps of an iteration from any bit.
fn stops(hb: &HBitmap, shape: &Shape, content: Content) -> Vec<Stop> {
    let size = shape.size(content.atoms);
    let mut probes = shape.probes(content.atoms);
    probes.retain(|&item| item < size);
    probes.iter_mut().for_each(|item| *item >>= shape.granularity);
    probes.dedup();
    let mut stops = Vec::new();
    let mut add = |stop| {
        if !stops.contains(&stop) {
            stops.push(stop);
        }
    };
    for &start in &probes {
        let mut cursor = Cursor::new(hb, start << shape.granularity);
        let (mut ahead, mut word) = (start, (start / 64) as usize);
        add(Stop { cursor, ahead, word });
        while let Some(item) = cursor.next(hb) {
            let bit = item >> shape.granularity;
            (ahead, word) = (bit + 1, (bit / 64) as usize);
            if probes.binary_search(&bit).is_ok() {
                add(Stop { cursor, ahead, word });
            }
        }
        add(Stop { cursor, ahead, word });
    }
    stops
}

/// Goes on to the end of a bitmap that had the words `before` when the cursor stopped and now
/// has those of `after`. Returns the number of steps.
///
/// Items ascend; what is clear is not returned; what was set and is set is returned, and so is
/// what has been set meanwhile, unless it lies in the word that the cursor is in.
fn go_on(hb: &HBitmap, shape: &Shape, stop: &Stop, before: &[u64], after: &[u64]) -> u64 {
    let mut cursor = stop.cursor;
    let mut returned = vec![0; after.len()];
    let (mut ahead, mut steps) = (stop.ahead, 1);
    while let Some(item) = cursor.next(hb) {
        let bit = item >> shape.granularity;
        assert!(item == bit << shape.granularity && bit >= ahead, "{item} is not ahead");
        assert!(bit / 64 < after.len() as u64, "{item} is past the end");
        returned[(bit / 64) as usize] |= 1 << (bit % 64);
        ahead = bit + 1;
        steps += 1;
    }
    for (i, (&returned, &after)) in returned.iter().zip(after).enumerate() {
        let first = stop.ahead.saturating_sub(i as u64 * 64);
        let after = if first < 64 { after & (u64::MAX << first) } else { 0 };
        let before = before.get(i).copied().unwrap_or(0);
        let due = if i == stop.word { after & before } else { after };
        assert_eq!(
            returned & !after,
            0,
            "clear bits of word {i} are returned, from bit {first} on"
        );
        assert_eq!(due & !returned, 0, "bits of word {i} are left out, from bit {first} on");
    }
    steps
}
