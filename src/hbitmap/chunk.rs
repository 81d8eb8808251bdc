// SPDX-License-Identifier: GPL-2.0-or-later
//! The storage of one chunk of leaf words that are neither all zero nor all one.
//!
//! A chunk is one allocation of words:
//!
//! ```text
//!   0..8   summary: bit i % 64 of word i / 64 says that leaf word i is not zero
//!   8..10  ranks: eight 16-bit counts, the non-zero leaf words before each summary word (packed chunks only)
//!   10..   leaf words
//! ```
//!
//! It is *dense* if it has room for each of its leaf words, and then leaf word `i` is at `10 + i`. Otherwise it is *packed*:
//! only the leaf words that are not zero are stored, in order, and the summary says which they are. A sparse bitmap so costs a
//! cache line or two for each chunk instead of a page, in memory and in the time to walk or merge it. A packed chunk becomes
//! dense when more than a quarter of its words are in use; a dense one stays so until it is empty, so that a bitmap which
//! keeps changing does not go to and fro.

use super::words::{self, mask};

/// log2 of the bits in a chunk.
pub(super) const CHUNK_SHIFT: u32 = 15;
/// Bits in a chunk.
pub(super) const CHUNK_BITS: u64 = 1 << CHUNK_SHIFT;
/// Leaf words in a chunk (the last chunk of a bitmap may have fewer).
pub(super) const CHUNK_WORDS: usize = (CHUNK_BITS / 64) as usize;
/// Words before the leaf words.
pub(super) const HEADER: usize = 10;
/// The length of a dense chunk of full size.
pub(super) const DENSE_LEN: usize = HEADER + CHUNK_WORDS;

const SUMMARY_WORDS: usize = 8;
const RANKS: usize = SUMMARY_WORDS;
/// The room of a packed chunk when it is made, in words: with the header and malloc's own word it fills two cache lines.
const FIRST_ROOM: usize = 5;

/// A chunk's allocation. A plain box, so that a table of them can start as untouched zero pages.
pub(super) type Chunk = Box<[u64]>;

/// A chunk of which `leaves` (its number of leaf words) and the words are known, for reading.
#[derive(Clone, Copy)]
pub(super) enum View<'a> {
    /// All leaf words.
    Dense(&'a [u64]),
    /// The leaf words that are not zero, in the order of the summary's bits.
    Packed(&'a [u64]),
}

fn zeroed(len: usize) -> Chunk {
    vec![0; len].into_boxed_slice()
}

/// The most leaf words that a packed chunk of `leaves` words holds. Chunks too short for packing to pay are always dense.
fn packed_limit(leaves: usize) -> usize {
    if leaves < 8 * FIRST_ROOM {
        0
    } else {
        leaves / 4
    }
}

/// A dense chunk of zeroes.
pub(super) fn new_dense(leaves: usize) -> Chunk {
    zeroed(HEADER + leaves)
}

/// An empty chunk fit for a change of `touched` leaf words.
pub(super) fn new_for(leaves: usize, touched: usize) -> Chunk {
    if touched > packed_limit(leaves) {
        new_dense(leaves)
    } else {
        zeroed(HEADER + touched.max(FIRST_ROOM))
    }
}

/// A chunk with these leaf words, in the form that suits them.
pub(super) fn from_words(leaf: &[u64], summary: &words::portable::Summary) -> Chunk {
    let used: usize = summary.words.iter().map(|word| word.count_ones() as usize).sum();
    let mut chunk = new_for(leaf.len(), used);
    assign(&mut chunk, leaf, summary);
    chunk
}

/// Overwrites a chunk that is dense, or packed with enough room.
pub(super) fn assign(chunk: &mut Chunk, leaf: &[u64], summary: &words::portable::Summary) {
    chunk[..SUMMARY_WORDS].copy_from_slice(&summary.words);
    if is_dense(chunk, leaf.len()) {
        chunk[HEADER..].copy_from_slice(leaf);
    } else {
        for (at, word) in (HEADER..).zip(set_words(chunk)) {
            chunk[at] = leaf[word];
        }
        rank_all(chunk);
    }
}

#[inline]
pub(super) fn is_dense(chunk: &[u64], leaves: usize) -> bool {
    chunk.len() == HEADER + leaves
}

/// Which summary words and bits name the leaf words that are not zero, ascending.
pub(super) fn set_words(chunk: &[u64]) -> SetWords {
    let mut summary = [0; SUMMARY_WORDS];
    summary.copy_from_slice(&chunk[..SUMMARY_WORDS]);
    SetWords { summary, at: 0 }
}

/// The numbers of a chunk's non-zero leaf words.
pub(super) struct SetWords {
    summary: [u64; SUMMARY_WORDS],
    at: usize,
}

impl Iterator for SetWords {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.at < SUMMARY_WORDS {
            let word = &mut self.summary[self.at];
            if *word != 0 {
                let place = word.trailing_zeros() as usize;
                *word &= *word - 1;
                return Some(self.at * 64 + place);
            }
            self.at += 1;
        }
        None
    }
}

#[inline]
pub(super) fn view(chunk: &[u64], leaves: usize) -> View<'_> {
    if is_dense(chunk, leaves) {
        View::Dense(&chunk[HEADER..])
    } else {
        View::Packed(&chunk[HEADER..HEADER + used(chunk)])
    }
}

/// Whether no bit is set.
pub(super) fn is_empty(chunk: &[u64]) -> bool {
    chunk[..SUMMARY_WORDS].iter().all(|&word| word == 0)
}

/// The number of leaf words that are not zero.
pub(super) fn used(chunk: &[u64]) -> usize {
    chunk[..SUMMARY_WORDS].iter().map(|word| word.count_ones() as usize).sum()
}

/// The number of bits set.
pub(super) fn ones(chunk: &[u64], leaves: usize) -> u64 {
    match view(chunk, leaves) {
        View::Dense(words) | View::Packed(words) => words::count_ones(words),
    }
}

/// The place of leaf word `word` in a packed chunk, whether it is there or would have to be inserted there.
#[inline]
fn place(chunk: &[u64], word: usize) -> usize {
    let group = word / 64;
    let rank = (chunk[RANKS + group / 4] >> (group % 4 * 16)) as u16;
    let before = chunk[group] & ((1 << (word % 64)) - 1);
    HEADER + usize::from(rank) + before.count_ones() as usize
}

#[inline]
fn is_set_word(chunk: &[u64], word: usize) -> bool {
    chunk[word / 64] >> (word % 64) & 1 != 0
}

/// Writes the ranks from the summary.
fn rank_all(chunk: &mut [u64]) {
    let mut ranks = [0; 2];
    let mut rank = 0;
    for group in 0..SUMMARY_WORDS {
        ranks[group / 4] |= rank << (group % 4 * 16);
        rank += u64::from(chunk[group].count_ones());
    }
    chunk[RANKS..HEADER].copy_from_slice(&ranks);
}

/// Leaf word `word`.
#[inline]
pub(super) fn word(chunk: &[u64], leaves: usize, word: usize) -> u64 {
    if is_dense(chunk, leaves) {
        chunk[HEADER + word]
    } else if is_set_word(chunk, word) {
        chunk[place(chunk, word)]
    } else {
        0
    }
}

/// The first leaf word from `from` on that is not zero: its number and value.
#[inline]
pub(super) fn next_set_word(chunk: &[u64], leaves: usize, from: usize) -> Option<(usize, u64)> {
    let mut group = from / 64;
    if group >= SUMMARY_WORDS {
        return None;
    }
    let mut bits = chunk[group] & (u64::MAX << (from % 64));
    while bits == 0 {
        group += 1;
        if group == SUMMARY_WORDS {
            return None;
        }
        bits = chunk[group];
    }
    let found = group * 64 + bits.trailing_zeros() as usize;
    let at = if is_dense(chunk, leaves) { HEADER + found } else { place(chunk, found) };
    Some((found, chunk[at]))
}

/// The first leaf word from `from` on that has a zero bit: its number and value.
pub(super) fn next_word_with_zero(chunk: &[u64], leaves: usize, from: usize) -> Option<(usize, u64)> {
    match view(chunk, leaves) {
        View::Dense(words) => {
            let mut at = from;
            // Whole blocks of ones first: this is the walk along a long dirty run.
            while at + 32 <= leaves && words::all_ones(&words[at..at + 32]) {
                at += 32;
            }
            words[at..].iter().position(|&word| word != u64::MAX).map(|i| (at + i, words[at + i]))
        }
        View::Packed(_) => (from..leaves).map(|i| (i, word(chunk, leaves, i))).find(|&(_, word)| word != u64::MAX),
    }
}

/// Makes a packed chunk dense.
pub(super) fn make_dense(chunk: &mut Chunk, leaves: usize) {
    if is_dense(chunk, leaves) {
        return;
    }
    let mut dense = new_dense(leaves);
    dense[..SUMMARY_WORDS].copy_from_slice(&chunk[..SUMMARY_WORDS]);
    for (at, word) in set_words(chunk).enumerate() {
        dense[HEADER + word] = chunk[HEADER + at];
    }
    *chunk = dense;
}

/// Makes room for one more leaf word in a packed chunk, which becomes dense if it is not sparse any more.
fn make_room(chunk: &mut Chunk, leaves: usize) {
    let used = used(chunk);
    if HEADER + used < chunk.len() {
        return;
    }
    if used >= packed_limit(leaves) {
        make_dense(chunk, leaves);
        return;
    }
    let room = (used * 2).min(packed_limit(leaves));
    let mut larger = zeroed(HEADER + room);
    larger[..chunk.len()].copy_from_slice(chunk);
    *chunk = larger;
}

/// Sets the bits `bits` (not none) of leaf word `word`; returns the word's old value.
pub(super) fn set_in_word(chunk: &mut Chunk, leaves: usize, word: usize, bits: u64) -> u64 {
    if !is_dense(chunk, leaves) && !is_set_word(chunk, word) {
        make_room(chunk, leaves);
    }
    if is_dense(chunk, leaves) {
        let old = chunk[HEADER + word];
        chunk[HEADER + word] = old | bits;
        chunk[word / 64] |= 1 << (word % 64);
        return old;
    }
    let at = place(chunk, word);
    if is_set_word(chunk, word) {
        let old = chunk[at];
        chunk[at] = old | bits;
        return old;
    }
    let end = HEADER + used(chunk);
    chunk.copy_within(at..end, at + 1);
    chunk[at] = bits;
    chunk[word / 64] |= 1 << (word % 64);
    rank_all(chunk);
    0
}

/// Clears the bits `bits` of leaf word `word`; returns the word's old value.
pub(super) fn reset_in_word(chunk: &mut Chunk, leaves: usize, word: usize, bits: u64) -> u64 {
    if !is_set_word(chunk, word) {
        return 0;
    }
    let dense = is_dense(chunk, leaves);
    let at = if dense { HEADER + word } else { place(chunk, word) };
    let old = chunk[at];
    chunk[at] = old & !bits;
    if chunk[at] == 0 {
        if !dense {
            let end = HEADER + used(chunk);
            chunk.copy_within(at + 1..end, at);
        }
        chunk[word / 64] &= !(1 << (word % 64));
        if !dense {
            rank_all(chunk);
        }
    }
    old
}

/// A range of a chunk's bits, cut at word bounds.
struct Cut {
    /// A first word covered in part, with the mask of the bits in it.
    head: Option<(usize, u64)>,
    /// The words covered whole.
    whole: std::ops::Range<usize>,
    /// A last word covered in part.
    tail: Option<(usize, u64)>,
}

/// Cuts the bits `first..=last` of a chunk.
fn cut(first: u64, last: u64) -> Cut {
    let (low, high) = ((first / 64) as usize, (last / 64) as usize);
    if low == high {
        return Cut { head: Some((low, mask(first % 64, last % 64))), whole: 0..0, tail: None };
    }
    let head = (first % 64 != 0).then(|| (low, mask(first % 64, 63)));
    let tail = (last % 64 != 63).then(|| (high, mask(0, last % 64)));
    let whole = low + usize::from(head.is_some())..high + usize::from(tail.is_none());
    Cut { head, whole, tail }
}

/// Sets the bits `first..=last` of the chunk; returns how many were clear.
pub(super) fn set_range(chunk: &mut Chunk, leaves: usize, first: u64, last: u64) -> u64 {
    let Cut { head, whole, tail } = cut(first, last);
    if !is_dense(chunk, leaves) && used(chunk) + whole.len() + 2 > packed_limit(leaves) {
        make_dense(chunk, leaves);
    }
    let mut gained = 0;
    for (word, bits) in head.into_iter().chain(tail) {
        gained += u64::from((bits & !set_in_word(chunk, leaves, word, bits)).count_ones());
    }
    if is_dense(chunk, leaves) {
        let words = &mut chunk[HEADER + whole.start..HEADER + whole.end];
        gained += words.len() as u64 * 64 - words::count_ones(words);
        words.fill(u64::MAX);
        if !whole.is_empty() {
            for (group, bits) in super::levels::word_masks(whole.start, whole.end - 1) {
                chunk[group] |= bits;
            }
        }
    } else {
        for word in whole {
            gained += u64::from(set_in_word(chunk, leaves, word, u64::MAX).count_zeros());
        }
    }
    gained
}

/// Clears the bits `first..=last` of the chunk; returns how many were set. The chunk may be empty afterwards.
pub(super) fn reset_range(chunk: &mut Chunk, leaves: usize, first: u64, last: u64) -> u64 {
    let Cut { head, whole, tail } = cut(first, last);
    let mut lost = 0;
    for (word, bits) in head.into_iter().chain(tail) {
        lost += u64::from((bits & reset_in_word(chunk, leaves, word, bits)).count_ones());
    }
    if whole.is_empty() {
        return lost;
    }
    let range = if is_dense(chunk, leaves) {
        HEADER + whole.start..HEADER + whole.end
    } else {
        // The place of the first word behind the range: `place` of a word that may not exist, taken at the last one within.
        let last = whole.end - 1;
        place(chunk, whole.start)..place(chunk, last) + usize::from(is_set_word(chunk, last))
    };
    lost += words::count_ones(&chunk[range.clone()]);
    if is_dense(chunk, leaves) {
        chunk[range].fill(0);
    } else {
        let end = HEADER + used(chunk);
        chunk.copy_within(range.end..end, range.start);
    }
    for (group, bits) in super::levels::word_masks(whole.start, whole.end - 1) {
        chunk[group] &= !bits;
    }
    if !is_dense(chunk, leaves) {
        rank_all(chunk);
    }
    lost
}

/// Copies the leaf words `from..from + out.len()` to `out`.
pub(super) fn copy_words(chunk: &[u64], leaves: usize, from: usize, out: &mut [u64]) {
    match view(chunk, leaves) {
        View::Dense(words) => out.copy_from_slice(&words[from..from + out.len()]),
        View::Packed(words) => {
            out.fill(0);
            for (at, word) in set_words(chunk).enumerate() {
                if let Some(to) = word.checked_sub(from).and_then(|i| out.get_mut(i)) {
                    *to = words[at];
                }
            }
        }
    }
}

/// Ors `src` into `dst`, both chunks of `leaves` words; returns how many bits `dst` gained.
pub(super) fn merge(dst: &mut Chunk, src: &[u64], leaves: usize) -> u64 {
    match view(src, leaves) {
        View::Dense(from) => {
            make_dense(dst, leaves);
            for group in 0..SUMMARY_WORDS {
                dst[group] |= src[group];
            }
            words::or_into(&mut dst[HEADER..], from)
        }
        View::Packed(from) => {
            let mut gained = 0;
            if !is_dense(dst, leaves) {
                let union: u32 = (0..SUMMARY_WORDS).map(|group| (dst[group] | src[group]).count_ones()).sum();
                if union as usize > packed_limit(leaves) {
                    make_dense(dst, leaves);
                } else {
                    return merge_packed(dst, src, from, union as usize);
                }
            }
            for (at, word) in set_words(src).enumerate() {
                let old = dst[HEADER + word];
                gained += u64::from((from[at] & !old).count_ones());
                dst[HEADER + word] = old | from[at];
            }
            for group in 0..SUMMARY_WORDS {
                dst[group] |= src[group];
            }
            gained
        }
    }
}

/// Merges two packed chunks whose union has `union` words and may stay packed: from the back, in place if there is room.
fn merge_packed(dst: &mut Chunk, src: &[u64], from: &[u64], union: usize) -> u64 {
    let used = used(dst);
    if HEADER + union > dst.len() {
        let mut larger = zeroed(HEADER + union);
        larger[..HEADER + used].copy_from_slice(&dst[..HEADER + used]);
        *dst = larger;
    }
    let mut gained = 0;
    let (mut left, mut right, mut to) = (HEADER + used, from.len(), HEADER + union);
    for group in (0..SUMMARY_WORDS).rev() {
        let (ours, theirs) = (dst[group], src[group]);
        let mut both = ours | theirs;
        while both != 0 {
            let bit = 1 << (63 - both.leading_zeros());
            both ^= bit;
            to -= 1;
            let mut word = 0;
            if ours & bit != 0 {
                left -= 1;
                word = dst[left];
            }
            if theirs & bit != 0 {
                right -= 1;
                gained += u64::from((from[right] & !word).count_ones());
                word |= from[right];
            }
            dst[to] = word;
        }
        dst[group] = ours | theirs;
    }
    rank_all(dst);
    gained
}

/// Panics unless the chunk is what this module says a chunk is. `tail` is the mask of the last leaf word's valid bits.
pub(super) fn check_invariants(chunk: &[u64], leaves: usize, tail: u64) {
    assert!(leaves > 0 && leaves <= CHUNK_WORDS, "a chunk has 1 to 512 leaf words");
    let used = used(chunk);
    let dense = is_dense(chunk, leaves);
    assert!(
        dense || chunk.len() >= HEADER + used && used <= packed_limit(leaves),
        "a packed chunk has room and is sparse"
    );
    for word in 0..SUMMARY_WORDS * 64 {
        if word >= leaves {
            assert!(!is_set_word(chunk, word), "the summary names leaf word {word}, which is past the end");
        } else if dense {
            assert_eq!(is_set_word(chunk, word), chunk[HEADER + word] != 0, "the summary lies about leaf word {word}");
        } else if is_set_word(chunk, word) {
            assert_ne!(chunk[place(chunk, word)], 0, "a packed chunk stores the zero word {word}");
        }
    }
    if !dense {
        let mut ranked = chunk.to_vec();
        rank_all(&mut ranked);
        assert_eq!(ranked[RANKS..HEADER], chunk[RANKS..HEADER], "wrong ranks");
    }
    assert_eq!(word(chunk, leaves, leaves - 1) & !tail, 0, "bits are set past the end");
    let ones = ones(chunk, leaves);
    assert!(ones > 0, "an empty chunk has memory");
    assert!(ones < (leaves as u64 - 1) * 64 + u64::from(tail.count_ones()), "a full chunk has memory");
}
