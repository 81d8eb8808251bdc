// SPDX-License-Identifier: GPL-2.0-or-later
//! Writing a large buffer past the caches.
//!
//! An ordinary store reads the cache line first and evicts another. For a buffer that is larger than the caches both are for
//! nothing: storing past them halves the traffic. For a small buffer, which its reader finds in the cache, it would be a loss.

use super::to_little_endian;

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
        #[cfg(target_arch = "x86_64")]
        if bytes.as_ptr().addr() % 16 == 0 && words.len() % 2 == 0 {
            use std::arch::x86_64::{__m128i, _mm_set_epi64x, _mm_stream_si128};
            let len = words.len().min(bytes.len() / 8);
            let out: *mut __m128i = bytes.as_mut_ptr().cast();
            for (i, pair) in words[..len].chunks_exact(2).enumerate() {
                // SAFETY: SSE2 is part of x86-64. The store writes 16 bytes at `16 * i`, which lie within `bytes` (`len` words are at
                // most an eighth of its bytes) and are aligned, because `bytes` is. The fence that must come before any other
                // access is made when `self` is dropped; until then the caller, who has `bytes` to itself, makes none.
                unsafe { _mm_stream_si128(out.add(i), _mm_set_epi64x(pair[1] as i64, pair[0] as i64)) };
            }
            return;
        }
        to_little_endian(bytes, words);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE is part of x86-64; a fence touches no memory.
        unsafe {
            std::arch::x86_64::_mm_sfence();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_is_given_at_any_alignment() {
        assert!(Stream::for_buffer(65536).is_none());
        let words: Vec<u64> = (0..512).map(|i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();
        let expected: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        for offset in 0..17 {
            let mut buffer = vec![0xee; 4096 + 32];
            for len in [0, 1, 2, 511, 512] {
                let mut stream = Stream(());
                stream.write(&mut buffer[offset..offset + len * 8], &words[..len]);
                drop(stream);
                assert_eq!(buffer[offset..offset + len * 8], expected[..len * 8]);
                assert_eq!(buffer[offset + 4096], 0xee);
            }
        }
    }
}
