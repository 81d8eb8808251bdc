// SPDX-License-Identifier: GPL-2.0-or-later
//! Writing a large buffer past the caches.
//!
//! An ordinary store reads the cache line first and evicts another. For a buffer that is larger than the caches both are for
//! nothing: storing past them halves the traffic. For a small buffer, which its reader finds in the cache, it would be a loss.

use super::ahead::ask_for_page_behind;
use super::to_little_endian;

#[cfg(target_arch = "x86_64")]
use super::Isa;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m128i, __m256i, _mm256_loadu_si256, _mm256_stream_si256, _mm_loadu_si128, _mm_sfence, _mm_stream_si128,
};

/// Writes words to buffers, past the caches where the processor can. What was written may be read once the `Stream` is dropped.
pub(crate) struct Stream(());

impl Stream {
    /// For writing a buffer of `len` bytes; `None` if that is better written through the caches.
    pub(crate) fn for_buffer(len: usize) -> Option<Self> {
        const WORTH_IT: usize = 4 << 20;
        (cfg!(target_arch = "x86_64") && len >= WORTH_IT).then_some(Stream(()))
    }

    /// Writes `words` to `bytes`, which is eight times as long, as little-endian words. `bytes` must not be accessed again before
    /// the `Stream` is dropped.
    pub(crate) fn write(&mut self, bytes: &mut [u8], words: &[u64]) {
        ask_for_page_behind(bytes);
        #[cfg(target_arch = "x86_64")]
        if bytes.as_ptr().addr() % 16 == 0 && words.len() % 2 == 0 && bytes.len() >= words.len() * 8 {
            return self.write_aligned(Isa::best(), bytes, words);
        }
        to_little_endian(bytes, words);
    }

    /// The same for an even number of words and at least eight times as many bytes, which start at a multiple of 16.
    #[cfg(target_arch = "x86_64")]
    fn write_aligned(&mut self, isa: Isa, bytes: &mut [u8], words: &[u64]) {
        assert!(bytes.as_ptr().addr() % 16 == 0 && bytes.len() >= words.len() * 8);
        // SAFETY: alignment and length were just asserted. An `Isa` that is not portable was detected, and each such one has AVX. The
        // fence is made when `self` is dropped; until then the caller, who has `bytes` to itself, makes no other access.
        unsafe {
            match isa {
                Isa::Portable => stream_pairs(bytes, words),
                _ => stream_fours(bytes, words),
            }
        }
    }
}

/// Writes words to `bytes` in pairs.
///
/// # Safety
/// `bytes` is at least eight times as long and starts at a multiple of 16. A fence comes before any other access to it.
#[cfg(target_arch = "x86_64")]
unsafe fn stream_pairs(bytes: &mut [u8], words: &[u64]) {
    let out: *mut __m128i = bytes.as_mut_ptr().cast();
    for (i, pair) in words.chunks_exact(2).enumerate() {
        // SAFETY: SSE2 is part of x86-64. The load reads the 16 bytes of `pair`. The store writes 16 bytes at `16 * i`, which lie within
        // `bytes` and are aligned, and other accesses wait for the fence: the caller promises all three.
        unsafe { _mm_stream_si128(out.add(i), _mm_loadu_si128(pair.as_ptr().cast())) };
    }
}

/// The same by four words at a time, which a processor writes faster.
///
/// # Safety
/// As for [`stream_pairs`], and the processor has AVX.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
unsafe fn stream_fours(bytes: &mut [u8], words: &[u64]) {
    // Up to a multiple of 32 in pairs.
    let (head, words) = words.split_at(if bytes.as_ptr().addr() % 32 == 0 { 0 } else { words.len().min(2) });
    // SAFETY: the caller's promises are those that this asks for.
    unsafe { stream_pairs(bytes, head) };
    let bytes = &mut bytes[head.len() * 8..];
    let (fours, tail) = words.split_at(words.len() / 4 * 4);
    let out: *mut __m256i = bytes.as_mut_ptr().cast();
    for (i, four) in fours.chunks_exact(4).enumerate() {
        // SAFETY: the caller promises AVX, the room, and the fence. The load reads the 32 bytes of `four`. The store writes 32 bytes at
        // `32 * i`, which lie within `bytes` (`fours` is at most an eighth of it) and are aligned: `bytes` now starts at a multiple of
        // 32, or `fours` is empty.
        unsafe { _mm256_stream_si256(out.add(i), _mm256_loadu_si256(four.as_ptr().cast())) };
    }
    // SAFETY: as above; 32 bytes for each of `fours` further on is a multiple of 16 as well.
    unsafe { stream_pairs(&mut bytes[fours.len() * 8..], tail) };
}

impl Drop for Stream {
    fn drop(&mut self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE is part of x86-64; a fence touches no memory.
        unsafe {
            _mm_sfence();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes `words` at `offset` behind a multiple of 32, and looks at what is there then and around it.
    fn check(offset: usize, words: &[u64], write: impl FnOnce(&mut Stream, &mut [u8], &[u64])) {
        let expected: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut buffer = vec![0xee; expected.len() + 96];
        let before = buffer.as_ptr().align_offset(32) + offset;
        let behind = before + expected.len();
        let mut stream = Stream(());
        write(&mut stream, &mut buffer[before..behind], words);
        drop(stream);
        assert!(buffer[before..behind] == expected, "{} words at {offset}", words.len());
        assert!(buffer[..before].iter().chain(&buffer[behind..]).all(|&byte| byte == 0xee));
    }

    #[test]
    fn writes_what_it_is_given_at_any_alignment() {
        assert!(Stream::for_buffer(65536).is_none());
        let words: Vec<u64> = (0..512).map(|i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        for (offset, len) in (0..33).flat_map(|offset| [0, 1, 2, 4, 6, 8, 510, 511, 512].map(|len| (offset, len))) {
            check(offset, &words[..len], |stream, bytes, words| stream.write(bytes, words));
            #[cfg(target_arch = "x86_64")]
            if offset % 16 == 0 && len % 2 == 0 {
                for isa in Isa::available() {
                    check(offset, &words[..len], |stream, bytes, words| stream.write_aligned(isa, bytes, words));
                }
            }
        }
    }
}
