// SPDX-License-Identifier: GPL-2.0-or-later
//! Changes of bits, words and ranges within a chunk.

use super::{ALL_SPANS, ALL_WORDS, Chunks, Header};
use crate::hbitmap::geometry::{ARRAY_LEN, CHUNK_BITS, CHUNK_SPANS, mask, ones_of};
use crate::hbitmap::geometry::{CHUNK_WORDS, SPAN_BITS, SPAN_SHIFT, SPAN_WORDS};
use crate::hbitmap::words;

impl Chunks {
    /// Sets the bits `bits` of word `w`, of which `gained` (not 0) are clear, if its span is stored
    /// as words. Returns whether it is.
    #[inline(always)]
    pub(in crate::hbitmap) fn set_stored(&mut self, w: usize, bits: u64, gained: u64) -> bool {
        let c = w / CHUNK_WORDS;
        let is_stored = self.header(c).spans() >> ((w >> SPAN_SHIFT) % CHUNK_SPANS) & 1 != 0;
        if is_stored {
            *self.memory.word_mut(w) |= bits;
            self.summary[w >> SPAN_SHIFT] |= 1 << (w % SPAN_WORDS);
            self.change_count(c, gained as i64);
        }
        is_stored
    }

    /// Sets the bits `bits` (not none, all within the bitmap) of word `w`.
    pub(in crate::hbitmap) fn set_in_word(&mut self, w: usize, bits: u64) {
        let c = w / CHUNK_WORDS;
        let clear = bits & !self.word(w);
        let gained = u64::from(clear.count_ones());
        if clear == 0 || self.set_stored(w, clear, gained) {
            return;
        }
        let mut header = self.header(c);
        if header.spans() == 0 && header.count() + gained <= ARRAY_LEN as u64 {
            let first = (w % CHUNK_WORDS) as u64 * 64;
            ones_of(clear).for_each(|i| _ = header.array_insert(first + i as u64));
            *self.memory.header_mut(c) = header.0;
            return;
        }
        self.make_words(c);
        self.open_span(c, w % CHUNK_WORDS / SPAN_WORDS);
        self.set_stored(w, clear, gained);
    }

    /// Clears the bits `bits` of word `w`.
    #[inline]
    pub(in crate::hbitmap) fn reset_in_word(&mut self, w: usize, bits: u64) {
        let (c, s) = (w / CHUNK_WORDS, w % CHUNK_WORDS / SPAN_WORDS);
        if self.header(c).is_full() {
            self.make_words(c);
        }
        let mut header = self.header(c);
        if header.spans() >> s & 1 != 0 {
            let word = self.memory.word_mut(w);
            let lost = bits & *word;
            *word &= !bits;
            if *word == 0 {
                self.summary[w >> SPAN_SHIFT] &= !(1 << (w % SPAN_WORDS));
            }
            self.change_count(c, -i64::from(lost.count_ones()));
            self.close_if_empty(c, s);
        } else if header.has_array() {
            let first = (w % CHUNK_WORDS) as u64 * 64;
            // Of several bits most are not there. One is looked for when it is removed.
            let bits = if bits.is_power_of_two() { bits } else { bits & self.word(w) };
            ones_of(bits).for_each(|i| header.array_remove(first + i as u64));
            *self.memory.header_mut(c) = header.0;
        }
    }

    /// Sets the bits `first..=last` of chunk `c`.
    pub(in crate::hbitmap) fn set_range(&mut self, c: usize, first: u64, last: u64) {
        let mut header = self.header(c);
        if header.is_full() {
            return;
        }
        if first == 0 && last == CHUNK_BITS - 1 {
            *self.memory.header_mut(c) = Header::FULL.0;
            return;
        }
        if header.spans() == 0 {
            let few = last - first < ARRAY_LEN as u64;
            if few && (first..=last).all(|bit| header.array_insert(bit).is_some()) {
                *self.memory.header_mut(c) = header.0;
                return;
            }
            self.make_words(c);
        }
        let mut header = self.header(c);
        let size = self.size_of(c);
        let is_whole = first == 0 && last + 1 == size;
        for (s, from, to) in spans_of(first, last) {
            let (span, at) = (self.span_words(c, s), self.span(c, s));
            let (words, summary) = (&mut self.memory.words_mut()[span], &mut self.summary[at]);
            let is_stored = header.spans() >> s & 1 != 0;
            let gained = if from == 0 && to == SPAN_BITS - 1 {
                let old = if is_stored && !is_whole { words::count_ones(words) } else { 0 };
                words.fill(u64::MAX);
                SPAN_BITS - old
            } else {
                if !is_stored {
                    words.fill(0);
                    *summary = 0;
                }
                write_bits(words, from, to, true)
            };
            *summary |= mask(from / 64, to / 64);
            header.set_spans(header.spans() | 1 << s);
            header.set_count(header.count() + gained);
        }
        if is_whole {
            header.set_count(size);
        }
        *self.memory.header_mut(c) = header.0;
    }

    /// Clears the bits `first..=last` of chunk `c`.
    pub(in crate::hbitmap) fn reset_range(&mut self, c: usize, first: u64, last: u64) {
        if first == 0 && last + 1 == self.size_of(c) {
            *self.memory.header_mut(c) = Header::EMPTY.0;
            return;
        }
        if self.header(c).is_full() {
            self.make_words(c);
        }
        let mut header = self.header(c);
        if header.has_array() {
            for bit in header.array().filter(|bit| (first..=last).contains(bit)) {
                header.array_remove(bit);
            }
            *self.memory.header_mut(c) = header.0;
            return;
        }
        for (s, from, to) in spans_of(first, last).filter(|&(s, ..)| header.spans() >> s & 1 != 0) {
            let at = self.span(c, s);
            let span = self.span_words(c, s);
            let words = &mut self.memory.words_mut()[span];
            let lost = write_bits(words, from, to, false);
            // The words at the ends may keep bits; those between have none.
            let (low, high) = ((from / 64) as usize, (to / 64) as usize);
            let left = u64::from(words[low] != 0) << low | u64::from(words[high] != 0) << high;
            self.summary[at] = self.summary[at] & !mask(from / 64, to / 64) | left;
            self.change_count(c, -(lost as i64));
            self.close_if_empty(c, s);
        }
    }

    /// Makes chunks `first..=last`, all of [`CHUNK_BITS`] bits, full.
    pub(in crate::hbitmap) fn fill_chunks(&mut self, first: usize, last: usize) {
        self.memory.fill_headers(first, last, Header::FULL);
    }

    /// Makes chunks `first..=last` empty.
    pub(in crate::hbitmap) fn clear_chunks(&mut self, first: usize, last: usize) {
        self.memory.fill_headers(first, last, Header::EMPTY);
    }

    /// Gives chunk `c` words, with the same bits.
    pub(super) fn make_words(&mut self, c: usize) {
        let mut header = self.header(c);
        if header.is_full() {
            self.memory.words_mut()[c * CHUNK_WORDS..(c + 1) * CHUNK_WORDS].fill(u64::MAX);
            self.summary[c * CHUNK_SPANS..(c + 1) * CHUNK_SPANS].fill(ALL_WORDS);
            header.set_spans(ALL_SPANS);
            *self.memory.header_mut(c) = header.0;
        } else if header.has_array() {
            *self.memory.header_mut(c) = Header::EMPTY.0;
            for bit in header.array() {
                self.open_span(c, (bit / SPAN_BITS) as usize);
                self.set_stored(c * CHUNK_WORDS + (bit / 64) as usize, 1 << (bit % 64), 1);
            }
        }
    }

    /// Stores span `s` of chunk `c`, which is empty or stored as words. The caller sets a bit of
    /// it.
    #[inline(always)]
    pub(super) fn open_span(&mut self, c: usize, s: usize) {
        let mut header = self.header(c);
        if header.spans() >> s & 1 == 0 {
            header.set_spans(header.spans() | 1 << s);
            *self.memory.header_mut(c) = header.0;
            let (span, at) = (self.span_words(c, s), self.span(c, s));
            self.memory.words_mut()[span].fill(0);
            self.summary[at] = 0;
        }
    }

    /// Stops to store span `s` of chunk `c` if it has no set bit.
    #[inline(always)]
    pub(super) fn close_if_empty(&mut self, c: usize, s: usize) {
        if self.summary[self.span(c, s)] == 0 {
            let mut header = self.header(c);
            header.set_spans(header.spans() & !(1 << s));
            *self.memory.header_mut(c) = header.0;
        }
    }

    #[inline(always)]
    pub(super) fn change_count(&mut self, c: usize, by: i64) {
        let mut header = self.header(c);
        header.set_count(header.count().wrapping_add_signed(by));
        *self.memory.header_mut(c) = header.0;
    }
}

/// The spans that bits `first..=last` of a chunk lie in, each with the first and the last of these
/// bits, numbered within the span.
#[inline]
fn spans_of(first: u64, last: u64) -> impl Iterator<Item = (usize, u64, u64)> {
    (first / SPAN_BITS..=last / SPAN_BITS).map(move |s| {
        let from = first.max(s * SPAN_BITS) % SPAN_BITS;
        let to = last.min(s * SPAN_BITS + SPAN_BITS - 1) % SPAN_BITS;
        (s as usize, from, to)
    })
}

/// Sets or clears the bits `first..=last` of `words`; returns how many changed.
#[inline]
fn write_bits(words: &mut [u64], first: u64, last: u64, set: bool) -> u64 {
    let (low, high) = ((first / 64) as usize, (last / 64) as usize);
    let write = |word: &mut u64, bits: u64| {
        let old = *word;
        *word = if set { old | bits } else { old & !bits };
        u64::from((old ^ *word).count_ones())
    };
    if low == high {
        return write(&mut words[low], mask(first, last));
    }
    let ends = write(&mut words[low], mask(first, 63)) + write(&mut words[high], mask(0, last));
    let middle = &mut words[low + 1..high];
    let ones = words::count_ones(middle);
    middle.fill(if set { u64::MAX } else { 0 });
    ends + if set { middle.len() as u64 * 64 - ones } else { ones }
}
