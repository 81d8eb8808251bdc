// SPDX-License-Identifier: GPL-2.0-or-later
//! Whole chunks and runs of words: union, bytes in and out, a new size.

use super::{Chunks, Header, resize_list};
use crate::hbitmap::geometry::{ARRAY_LEN, CHUNK_BITS, mask, ones_of};
use crate::hbitmap::geometry::{CHUNK_SPANS, CHUNK_WORDS, SPAN_SHIFT, SPAN_WORDS};
use crate::hbitmap::words;

impl Chunks {
    /// Ors chunk `c` of `src`, which has as many bits, into chunk `c`.
    #[inline]
    pub(in crate::hbitmap) fn or_chunk(&mut self, c: usize, src: &Chunks) {
        let (own, other) = (self.header(c), src.header(c));
        if own.is_full() || other.is_full() {
            *self.memory.header_mut(c) = Header::FULL.0;
            return;
        }
        if other.spans() == 0 {
            let mut union = own;
            if own.spans() == 0 && other.array().all(|bit| union.array_insert(bit).is_some()) {
                *self.memory.header_mut(c) = union.0;
                return;
            }
            for bit in other.array() {
                self.set_in_word(c * CHUNK_WORDS + (bit / 64) as usize, 1 << (bit % 64));
            }
            return;
        }
        self.make_words(c);
        for s in 0..CHUNK_SPANS {
            if let Some((words, summary)) = src.stored_span(c, s) {
                self.or_span(c, s, words, summary);
            }
        }
    }

    /// Ors `src`, of which `summary` names the words that are not zero, into span `s` of chunk `c`,
    /// which is empty or stored as words.
    #[inline]
    fn or_span(&mut self, c: usize, s: usize, src: &[u64], summary: u64) {
        let (span, at) = (self.span_words(c, s), self.span(c, s));
        let mut header = self.header(c);
        let mut gained = 0;
        if header.spans() >> s & 1 == 0 {
            header.set_spans(header.spans() | 1 << s);
            self.memory.words_mut()[span].copy_from_slice(src);
            self.summary[at] = summary;
            gained = words::count_ones(src);
        } else {
            let dst = &mut self.memory.words_mut()[span];
            self.summary[at] |= summary;
            if summary.count_ones() < 12 {
                // Few words have bits: the others are not even loaded.
                for i in ones_of(summary) {
                    gained += u64::from((src[i] & !dst[i]).count_ones());
                    dst[i] |= src[i];
                }
            } else {
                gained = words::or_into(dst, src);
            }
        }
        header.set_count(header.count() + gained);
        *self.memory.header_mut(c) = header.0;
    }

    /// Ors `src`, which is not all zero, into the words from `w` on. They lie in one span; no bit
    /// is past the end.
    pub(in crate::hbitmap) fn or_words(&mut self, w: usize, src: &[u64]) {
        let c = w / CHUNK_WORDS;
        if !self.header(c).is_full() {
            self.make_words(c);
            self.open_span(c, w % CHUNK_WORDS / SPAN_WORDS);
            let own = &mut self.memory.words_mut()[w..w + src.len()];
            let gained = words::or_into(own, src);
            self.summary[w >> SPAN_SHIFT] |= words::nonzero(src) << (w % SPAN_WORDS);
            self.change_count(c, gained as i64);
        }
    }

    /// Overwrites the words from `w` on with `src`. They lie in one chunk; no bit is past the end.
    pub(in crate::hbitmap) fn write_words(&mut self, w: usize, src: &[u64]) {
        let c = w / CHUNK_WORDS;
        self.make_words(c);
        for (s, at, words) in spans_of_words(w, src) {
            let summary = words::nonzero(words) << (at % SPAN_WORDS);
            if summary == 0 && self.header(c).spans() >> s & 1 == 0 {
                continue;
            }
            self.open_span(c, s);
            let own = &mut self.memory.words_mut()[at..at + words.len()];
            let (lost, gained) = (words::count_ones(own), words::count_ones(words));
            own.copy_from_slice(words);
            let first = (at % SPAN_WORDS) as u64;
            let replaced = mask(first, first + words.len() as u64 - 1);
            let kept = self.summary[at >> SPAN_SHIFT] & !replaced;
            self.summary[at >> SPAN_SHIFT] = kept | summary;
            self.change_count(c, gained as i64 - lost as i64);
            self.close_if_empty(c, s);
        }
    }

    /// Replaces all of chunk `c` by `src`: as many words, no bit past the end. Takes the least
    /// store.
    pub(in crate::hbitmap) fn assign(&mut self, c: usize, src: &[u64]) {
        let summary = words::summarize(src);
        let mut header = Header::EMPTY;
        if summary.ones == CHUNK_BITS {
            header = Header::FULL;
        } else if summary.ones <= ARRAY_LEN as u64 {
            for (s, &nonzero) in summary.words.iter().enumerate() {
                for i in ones_of(nonzero).map(|i| s * SPAN_WORDS + i) {
                    for bit in ones_of(src[i]) {
                        header.array_insert((i * 64 + bit) as u64);
                    }
                }
            }
        } else {
            for (s, words) in src.chunks(SPAN_WORDS).enumerate() {
                if summary.words[s] != 0 {
                    let (span, at) = (self.span_words(c, s), self.span(c, s));
                    self.memory.words_mut()[span].copy_from_slice(words);
                    self.summary[at] = summary.words[s];
                    header.set_spans(header.spans() | 1 << s);
                }
            }
            header.set_count(summary.ones);
        }
        *self.memory.header_mut(c) = header.0;
    }

    /// Writes the words of chunk `c` from its word `from` on to `bytes`, little-endian.
    pub(in crate::hbitmap) fn write_bytes(&self, c: usize, from: usize, bytes: &mut [u8]) {
        let header = self.header(c);
        if header.spans() == 0 {
            bytes.fill(if header.is_full() { u8::MAX } else { 0 });
            for bit in header.array() {
                let byte = ((bit / 8) as usize).checked_sub(from * 8);
                if let Some(byte) = byte.and_then(|byte| bytes.get_mut(byte)) {
                    *byte |= 1 << (bit % 8);
                }
            }
            return;
        }
        let words = &self.memory.words()[c * CHUNK_WORDS + from..][..bytes.len() / 8];
        words::to_little_endian(bytes, words);
        for s in (from / SPAN_WORDS..CHUNK_SPANS).filter(|s| header.spans() >> s & 1 == 0) {
            let first = (s * SPAN_WORDS).saturating_sub(from) * 8;
            let end = (((s + 1) * SPAN_WORDS - from) * 8).min(bytes.len());
            bytes[first.min(end)..end].fill(0);
        }
    }

    /// Makes it `bits` bits. The caller has cleared those that go, so a chunk that is short then is
    /// not stored as full; those that come are clear.
    pub(in crate::hbitmap) fn resize(&mut self, bits: u64) {
        self.bits = bits;
        let words = bits.div_ceil(64) as usize;
        if words == self.memory.len() {
            return;
        }
        self.memory.resize(words);
        resize_list(&mut self.summary, words.div_ceil(SPAN_WORDS));
    }
}

/// Cuts words that begin at word `w` of the bitmap at the bounds of spans: the span in its chunk,
/// the number of the first word in the bitmap, the words.
fn spans_of_words(w: usize, words: &[u64]) -> impl Iterator<Item = (usize, usize, &[u64])> {
    let (mut rest, mut at) = (words, w);
    std::iter::from_fn(move || {
        let len = (SPAN_WORDS - at % SPAN_WORDS).min(rest.len());
        let (words, after) = rest.split_at(len);
        let first = at;
        (rest, at) = (after, at + len);
        (len != 0).then_some((first / SPAN_WORDS % CHUNK_SPANS, first, words))
    })
}
