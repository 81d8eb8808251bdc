// SPDX-License-Identifier: GPL-2.0-or-later
//! Merges of any two states, of the same shape and of two granularities.

use super::shape::{Content, Shape};
use super::walk::Walk;
use super::{HBitmap, agree};

/// Merges any two states: in place, and to a third bitmap, which has been the union of two
/// others.
pub(super) fn of_any_two(walk: &mut Walk) {
    let states = walk.largest();
    let bitmaps: Vec<HBitmap> = states.iter().map(|&state| walk.bitmap(state)).collect();
    let contents: Vec<Content> = states.iter().map(|&state| walk.content(state)).collect();
    let mut union = walk.bitmap(states[0]);
    for (i, &state) in states.iter().enumerate() {
        walk.now_at(state, None);
        let again = walk.maker(state);
        for (src, &src_content) in bitmaps.iter().zip(&contents) {
            let content = Content { set: contents[i].set | src_content.set, ..src_content };
            let mut dest = again.bitmap(walk);
            dest.merge_from(src);
            walk.agree(&dest, content);
            walk.recognise(&dest, content);
            union.assign_union(&bitmaps[i], src);
            walk.agree(&union, content);
            walk.recognise(&union, content);
        }
    }
    for (src, &content) in bitmaps.iter().zip(&contents) {
        walk.agree(src, content);
    }
}

/// Merges any state of one shape with any of another one, of as many items and another
/// granularity, in both directions.
pub(super) fn of_two_granularities(a: &mut Walk, b: &mut Walk) {
    one_direction(a, b);
    one_direction(b, a);
}

fn one_direction(dest: &mut Walk, src: &mut Walk) {
    let sources: Vec<(HBitmap, Vec<u64>)> = src
        .largest()
        .into_iter()
        .map(|state| (src.bitmap(state), image(&src.shape, src.content(state), &dest.shape)))
        .collect();
    for state in dest.largest() {
        dest.now_at(state, None);
        let again = dest.maker(state);
        let content = dest.content(state);
        let (size, bits) = (dest.shape.size(content.atoms), dest.shape.bits(content.atoms));
        let own = dest.shape.words(content);
        let mut union = again.bitmap(dest);
        for (from, image) in &sources {
            let words: Vec<u64> = own.iter().zip(image).map(|(own, other)| own | other).collect();
            let mut hb = again.bitmap(dest);
            union.assign_union(from, &hb);
            agree(&union, size, bits, &words);
            hb.merge_from(from);
            agree(&hb, size, bits, &words);
            dest.calls += 2;
        }
    }
}

/// The words of a bitmap of shape `to` in which each bit is set that has an item of a set bit.
pub(super) fn image(from: &Shape, content: Content, to: &Shape) -> Vec<u64> {
    let atoms = to.bounds.len() - 1;
    let size = from.size(content.atoms);
    assert_eq!(to.size(atoms), size, "two shapes have as many items");
    let mut image = vec![0; to.bits(atoms).div_ceil(64) as usize];
    let words = from.words(content);
    for bit in
        (0..from.bits(content.atoms)).filter(|bit| words[*bit as usize / 64] >> (bit % 64) & 1 != 0)
    {
        let (first, end) = (bit << from.granularity, ((bit + 1) << from.granularity).min(size));
        super::shape::fill(&mut image, first >> to.granularity, ((end - 1) >> to.granularity) + 1);
    }
    image
}
