// SPDX-License-Identifier: GPL-2.0-or-later
//! Every state of a small bitmap, and every call on each, beside a plain model.
//!
//! Built with `--cfg qdb_tiny`, a chunk has two spans of four words and its header holds two bit
//! indices, so that three chunks, of which the last one is short, have few enough states to go
//! through all of them. (Without, chunks are as large as ever, and a smaller part of the
//! same is walked.)
//!
//! # States and calls
//!
//! A state is a size, which bits are set, and how each chunk is stored. The walk starts with
//! the empty bitmap, makes every call that changes something, and goes on from each state that
//! it has not seen, until there is none. After each call all bits, the count, the size, what
//! the call returned and the invariants are compared with the model. Then each state is reached
//! again for the calls that change nothing (`reads`), for iterations with a change between two
//! steps (`cursors`), and for merges with other states (`merges`). `cuts` truncates between the
//! bounds of atoms.
//!
//! What a chunk has in memory but does not store (words, where the header says all) is no part
//! of its state, and no call may read it. So the walk is done twice: from a bitmap whose memory
//! is new, and from one in which every bit has been set. Whatever bit of such memory were read
//! would be wrong in one of the two.
//!
//! # Atoms
//!
//! The bits are grouped into *atoms*, runs of bits that are set and cleared together, because
//! the states of single bits are too many. That leaves nothing out, for this reason. What the
//! engine does with the bits inside a word are bitwise operations, counts of ones, searches for
//! the lowest or highest one, and comparisons with 0 and with all ones. All of them treat the
//! bits of a word alike but for their order. So if two states have the same bits at the positions
//! where an operation's outcome can turn, and set bits elsewhere in the same order, each call
//! takes the same way through the engine on both. Its outcome can turn at
//!
//! * the first and the last bit of a word, of a chunk, of the bitmap, where a mask is empty or
//!   whole: these are atoms of their own in some word of each shape;
//! * the ends of the range that a call is given: a call that changes a bitmap has them at the
//!   bounds of atoms, also of atoms that begin and end in the middle of a word; one that
//!   changes nothing is given all pairs of the first, second and last bits of atoms;
//! * a count of no bits, of as many as a header holds, of one more, of all but one, and of all:
//!   there are more atoms of one bit in a chunk than a header holds indices.
//!
//! That other positions inside a word are no different is what the random tests and the fuzzers
//! try.
//!
//! Levels above the first one need 64 chunks for each word; the random tests reach them too.
//!
//! # Merges
//!
//! Any two states of three chunks would be some 10^10 pairs. A merge makes each chunk from the
//! two chunks at its position and from nothing else; what chunks share is the count and the
//! levels. So all pairs of states are taken for two chunks with all atoms, which has every pair
//! of chunk states beside every other, and for three chunks with fewer atoms.

mod call;
mod cursors;
mod cuts;
mod merges;
mod reads;
mod shape;
mod shapes;
mod walk;

use super::super::geometry::{ARRAY_LEN, CHUNK_BITS};
use super::{Cursor, HBitmap};
use shape::Shape;
use std::time::Instant;
use walk::Walk;

/// How each chunk is stored: a number below four.
fn stores(hb: &HBitmap) -> Vec<u8> {
    hb.stores()
}

/// Puts another bitmap where one was, as the state machine does.
fn replace(hb: &mut HBitmap, mut other: HBitmap) {
    other.bump_generation(hb);
    *hb = other;
}

/// Checks size, count, each bit, and the invariants.
fn agree(hb: &HBitmap, size: u64, bits: u64, words: &[u64]) {
    hb.check_invariants();
    let ones: u64 = words.iter().map(|word| u64::from(word.count_ones())).sum();
    assert_eq!((hb.size(), hb.bits()), (size, bits));
    assert_eq!((hb.count(), hb.is_empty()), (ones << hb.granularity(), ones == 0));
    let mut bytes = vec![0; words.len() * 8];
    hb.serialize_part(&mut bytes, 0, size);
    for (i, (bytes, word)) in bytes.chunks_exact(8).zip(words).enumerate() {
        assert_eq!(bytes, word.to_le_bytes(), "word {i} is not {word:#x}");
    }
}

/// States and calls so far.
#[derive(Default)]
struct Total {
    states: usize,
    calls: u64,
}

impl Total {
    /// Walks through a shape, does `more` with its states, and adds up.
    fn walk(&mut self, name: &str, shape: Shape, more: &[fn(&mut Walk)]) {
        let begun = Instant::now();
        let mut walk = Walk::new(shape);
        more.iter().for_each(|more| more(&mut walk));
        self.add(name, &[&walk], begun);
    }

    /// Merges any two states of two shapes.
    fn merge(&mut self, name: &str, a: Shape, b: Shape) {
        let begun = Instant::now();
        let (mut a, mut b) = (Walk::new(a), Walk::new(b));
        merges::of_two_granularities(&mut a, &mut b);
        self.add(name, &[&a, &b], begun);
    }

    fn add(&mut self, name: &str, walks: &[&Walk], begun: Instant) {
        let states: usize = walks.iter().map(|walk| walk.len()).sum();
        let calls: u64 = walks.iter().map(|walk| walk.calls).sum();
        println!("{name}: {states} states, {calls} calls, {:.1} s", begun.elapsed().as_secs_f64());
        self.states += states;
        self.calls += calls;
    }
}

#[test]
fn every_call_on_every_state_of_a_small_geometry() {
    let mut total = Total::default();
    shapes::walk(&mut total);
    println!("{} states, {} calls", total.states, total.calls);
}
