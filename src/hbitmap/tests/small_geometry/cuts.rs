// SPDX-License-Identifier: GPL-2.0-or-later
//! Truncates to sizes that lie between the bounds of atoms, and what is there when they are
//! taken back.

use super::walk::Walk;
use super::{HBitmap, agree};

/// Cuts each state of the largest size at each position, extends it again, and fills it.
pub(super) fn on_each_state(walk: &mut Walk) {
    let atoms = walk.shape.bounds.len() - 1;
    let (size, bits) = (walk.shape.size(atoms), walk.shape.bits(atoms));
    let sizes = walk.shape.probes(atoms);
    for state in walk.largest() {
        walk.now_at(state, None);
        let again = walk.maker(state);
        let words = walk.shape.words(walk.content(state));
        for &cut in &sizes {
            let mut hb = again.bitmap(walk);
            hb.truncate(cut);
            let left = cut.div_ceil(1 << walk.shape.granularity);
            let mut kept = words.clone();
            keep(&mut kept, left);
            agree(&hb, cut, left, &kept[..left.div_ceil(64) as usize]);
            hb.truncate(size);
            agree(&hb, size, bits, &kept);
            fill_behind(&mut hb, &mut kept, cut);
            agree(&hb, size, bits, &kept);
            walk.calls += 3;
        }
    }
}

/// Clears all words from bit `end` on.
fn keep(words: &mut [u64], end: u64) {
    for (i, word) in words.iter_mut().enumerate() {
        let kept = end.saturating_sub(i as u64 * 64).min(64);
        *word &= if kept == 64 { u64::MAX } else { !(u64::MAX << kept) };
    }
}

/// Sets all items from `cut` on.
fn fill_behind(hb: &mut HBitmap, words: &mut [u64], cut: u64) {
    let changed = hb.set(cut, hb.size() - cut);
    assert_eq!(changed, cut < hb.size() && keeps_clear(words, cut >> hb.granularity(), hb.bits()));
    if cut < hb.size() {
        super::shape::fill(words, cut >> hb.granularity(), hb.bits());
    }
}

/// Whether a bit of `first..end` is clear.
fn keeps_clear(words: &[u64], first: u64, end: u64) -> bool {
    (first..end).any(|bit| words[(bit / 64) as usize] >> (bit % 64) & 1 == 0)
}
