// SPDX-License-Identifier: GPL-2.0-or-later
//! The shapes that are walked.

use super::shape::Shape;
use super::{cursors, cuts, merges, reads, Total, CHUNK_BITS};

/// Bits of a chunk.
const C: u64 = CHUNK_BITS;

#[cfg(qdb_tiny)]
pub(super) fn walk(total: &mut Total) {
    // First and last bits of words and chunks; the last chunk ends after one bit, one word, five bits of
    // a word, and whole.
    let three = Shape::new(
        0,
        &[0, 1, 64, 65, 127, 128, 129, 192, 193, 255, 256, 257, 320, 325, 384],
        &[0, 1, 2, 4, 5, 6, 7, 10, 11, 12, 13, 14],
    );
    total.walk("three chunks", three, &[reads::on_each_state]);
    // Other places in a word; a bit stands for eight items, and the last one for three.
    let inner = &[0, 20, 21, 64, 100, 101, 128, 163, 164, 192, 205];
    let inner = Shape { missing: 5, ..Shape::new(3, inner, &[1, 3, 4, 6, 8, 10]) };
    total.walk("other places", inner, &[reads::on_each_state, cuts::on_each_state]);

    let three = Shape::new(0, &[0, 1, 127, 128, 129, 255, 256, 257, 325], &[1, 3, 4, 6, 7, 8]);
    total.walk("iterations, three chunks", three, &[cursors::on_each_state]);
    let two = Shape::new(0, &[0, 1, 64, 65, 127, 128, 129, 192, 197], &[2, 5, 7, 8]);
    total.walk("iterations, two chunks", two, &[cursors::on_each_state]);

    let two = Shape::new(0, &[0, 1, 64, 65, 127, 128, 129, 192, 197], &[8]);
    total.walk("any two of two chunks", two, &[merges::of_any_two]);
    let three = Shape::new(0, &[0, 127, 128, 129, 256, 257, 320], &[6]);
    total.walk("any two of three chunks", three, &[merges::of_any_two]);

    for shift in [1, 2, 3, 6, 7, 8] {
        // Three fine chunks, and as many coarse bits as they need.
        let fine = Shape::new(2, &[0, 1, 127, 128, 255, 256, 320, 325], &[7]);
        let bits = 325u64.div_ceil(1 << shift);
        let mut bounds = vec![0, 1, bits / 2, (bits / 2).next_multiple_of(64).min(bits - 1), bits - 1, bits];
        bounds.sort_unstable();
        bounds.dedup();
        let atoms = bounds.len() - 1;
        let coarse = Shape { missing: ((bits << shift) - 325) << 2, ..Shape::new(2 + shift, &bounds, &[atoms]) };
        total.merge(&format!("three fine chunks, coarser by {shift}"), fine, coarse);
    }
}

#[cfg(not(qdb_tiny))]
pub(super) fn walk(total: &mut Total) {
    let bounds = &[0, 1, 7, C - 1, C, C + 1, C + 64, C + 69];
    let shape = Shape::new(0, bounds, &[1, 3, 4, 5, 6, 7]);
    total.walk("two chunks", shape, &[reads::on_each_state]);
}
