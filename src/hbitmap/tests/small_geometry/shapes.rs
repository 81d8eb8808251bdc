// SPDX-License-Identifier: GPL-2.0-or-later
//! The shapes that are walked.

use super::shape::Shape;
use super::walk::Walk;
use super::{ARRAY_LEN, CHUNK_BITS, Total, cursors, cuts, merges, reads};

/// Bits of a chunk.
const C: u64 = CHUNK_BITS;
/// Bits of a span, of which a chunk has two.
const S: u64 = C / 2;

pub(super) fn walk(total: &mut Total) {
    if !cfg!(qdb_tiny) {
        let shape = Shape::new(0, &[0, 1, 7, C - 1, C, C + 64, C + 69], &[1, 3, 4, 5, 6]);
        total.walk("two chunks", shape, &[reads::on_each_state]);
        return;
    }
    assert_eq!((C, ARRAY_LEN), (512, 2), "the shapes are made for this geometry");
    // The shortest first: a fault shows soon.
    granularities(total);
    merges(total);
    iterations(total);
    changes_and_reads(total);
}

fn changes_and_reads(total: &mut Total) {
    let reads: [fn(&mut Walk); 2] = [reads::on_each_state, reads::iterate_each_state];
    // In the first chunk bits at the ends of words and of the chunk. The bitmap ends after one
    // bit, within and at the end of each word of a span, one bit before and after the end of a
    // chunk, and whole.
    let first = [0, 1, 64, 65, S, C - 1];
    let second = [C, C + 1, C + S, 2 * C - 1];
    let third = [2 * C, 2 * C + 1, 2 * C + 64, 2 * C + S, 2 * C + S + 5];
    let sizes = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14];
    let three = Shape::new(0, &[&first[..], &second, &third].concat(), &sizes);
    total.walk("three chunks", three, &reads);
    // The last chunk ends where chunks do.
    let whole = [0, 1, C - 1, C, C + 1, C + 64, C + 192, 2 * C - 1, 2 * C];
    total.walk("whole chunks", Shape::new(0, &whole, &[3, 5, 6, 7, 8]), &reads);
    // Other positions in a word; a bit stands for eight items, the last one for three.
    let inner = [0, 20, 21, 64, 100, 101, S - 64, S + 40, C, C + 35, C + 36, C + 64, C + 77];
    let inner = Shape { missing: 5, ..Shape::new(3, &inner, &[1, 3, 6, 8, 10, 12]) };
    total.walk("places within words", inner, &[reads[0], reads[1], cuts::on_each_state]);
}

/// Two chunks, the last one short.
const TWO: [u64; 10] = [0, 1, 64, 65, S, C - 1, C, C + 1, C + 64, C + 69];

fn iterations(total: &mut Total) {
    let three = [0, 1, C - 1, C, C + 1, 2 * C - 1, 2 * C, 2 * C + 1, 2 * C + 69];
    let three = Shape::new(0, &three, &[1, 3, 4, 6, 7, 8]);
    total.walk("iterations, three chunks", three, &[cursors::on_each_state]);
    let two = Shape::new(0, &TWO, &[2, 4, 6, 7, 8, 9]);
    total.walk("iterations, two chunks", two, &[cursors::on_each_state]);
    // Each word of a span by itself: a cursor knows them by the summary.
    let words = Shape::new(0, &[0, 1, 64, 128, 192, S, C, C + 1, C + 69], &[2, 3, 5, 6, 7, 8]);
    total.walk("iterations, words of a span", words, &[cursors::on_each_state]);
    let inner = Shape::new(1, &[0, 20, 21, 100, 101, S + 20, C, C + 35], &[1, 3, 5, 6, 7]);
    let inner = Shape { missing: 1, ..inner };
    total.walk("iterations, places within words", inner, &[cursors::on_each_state]);
}

fn merges(total: &mut Total) {
    total.walk("any two of two chunks", Shape::new(0, &TWO, &[9]), &[merges::of_any_two]);
    let three = [0, 1, C, 2 * C - 1, 2 * C, 2 * C + 64, 2 * C + 69];
    total.walk("any two of three chunks", Shape::new(0, &three, &[6]), &[merges::of_any_two]);
}

fn granularities(total: &mut Total) {
    for shift in [1, 2, 3, 6, 7, 8] {
        // Three fine chunks, and as many coarse bits as they need.
        let items = 2 * C + 69;
        let fine = Shape::new(2, &[0, 1, C - 1, C, 2 * C - 1, 2 * C, 2 * C + 64, items], &[7]);
        let bits = items.div_ceil(1 << shift);
        let middle = (bits / 2).next_multiple_of(64).min(bits - 1);
        let mut bounds = vec![0, 1, bits / 2, middle, bits - 1, bits];
        bounds.sort_unstable();
        bounds.dedup();
        let missing = ((bits << shift) - items) << 2;
        let coarse = Shape { missing, ..Shape::new(2 + shift, &bounds, &[bounds.len() - 1]) };
        total.merge(&format!("three chunks, and coarser by {shift}"), fine, coarse);

        // Two coarse chunks, and as many fine bits as they need.
        let coarse = Shape { missing: 1, ..Shape::new(shift, &[0, 1, 64, C - 1, C, C + 44], &[5]) };
        let fine = Shape::new(0, &[0, 1, C << shift, ((C + 44) << shift) - 1], &[3]);
        total.merge(&format!("two chunks, and finer by {shift}"), coarse, fine);
    }
}
