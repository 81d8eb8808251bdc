// SPDX-License-Identifier: GPL-2.0-or-later
//! Each kernel against its definition, bit by bit: as dispatched, and as portable code.

use super::*;
use crate::hbitmap::geometry::{CHUNK_WORDS, SPAN_WORDS};
use proptest::prelude::*;

/// Words of which many are zero or all ones.
fn some_words() -> impl Strategy<Value = Vec<u64>> {
    let word = prop_oneof![Just(0), Just(u64::MAX), any::<u64>(), (0..64u32).prop_map(|i| 1 << i)];
    prop::collection::vec(word, 1..CHUNK_WORDS + 1)
}

fn bit(words: &[u64], i: usize) -> bool {
    words[i / 64] >> (i % 64) & 1 != 0
}

proptest! {
    #[test]
    fn counts_are_those_of_the_bits(words in some_words()) {
        let ones = (0..words.len() * 64).filter(|&i| bit(&words, i)).count() as u64;
        prop_assert_eq!(count_ones(&words), ones);
        prop_assert_eq!(portable::count_ones(&words), ones);
        for summary in [summarize(&words), portable::summarize(&words)] {
            prop_assert_eq!(summary.ones, ones);
            for (span, mask) in words.chunks(SPAN_WORDS).zip(summary.words) {
                prop_assert_eq!(nonzero(span), mask);
                for i in 0..64 {
                    let nonzero = span.get(i).is_some_and(|&word| word != 0);
                    prop_assert_eq!(mask >> i & 1 != 0, nonzero);
                }
            }
        }
    }

    #[test]
    fn the_first_clear_word_is_found(ones in 0..CHUNK_WORDS, rest in some_words()) {
        let mut words = vec![u64::MAX; ones];
        words.extend(rest);
        let first = words.iter().position(|&word| word != u64::MAX);
        prop_assert_eq!(first_clear(&words), first);
    }

    #[test]
    fn union_gains_what_it_sets(dst in some_words(), src in some_words()) {
        let len = dst.len().min(src.len());
        let union: Vec<u64> = dst.iter().zip(&src).map(|(a, b)| a | b).collect();
        let gained = portable::count_ones(&union) - portable::count_ones(&dst[..len]);
        for or in [or_into, portable::or_into] {
            let mut out = dst[..len].to_vec();
            prop_assert_eq!(or(&mut out, &src[..len]), gained);
            prop_assert_eq!(&out, &union);
        }
    }

    #[test]
    fn bytes_are_little_endian(words in some_words()) {
        let mut bytes = vec![0; words.len() * 8];
        to_little_endian(&mut bytes, &words);
        for (i, byte) in bytes.iter().enumerate() {
            prop_assert_eq!(u64::from(*byte), words[i / 8] >> (i % 8 * 8) & 0xff);
        }
        let mut back = vec![1; words.len()];
        from_little_endian(&mut back, &bytes);
        prop_assert_eq!(back, words);
    }

    #[test]
    fn expansion_repeats_each_bit(bits: u64, shift in 1..6u32) {
        for expand in [expand, rescale::expand] {
            let mut out = vec![7; 1 << shift];
            expand(&mut out, bits, shift);
            for i in 0..64 << shift {
                prop_assert_eq!(bit(&out, i), bits >> (i >> shift) & 1 != 0);
            }
        }
    }

    #[test]
    fn compression_is_any_of_each_run(src in some_words(), shift in 1..16u32) {
        let runs = (src.len() * 64).div_ceil(1 << shift);
        for compress in [compress, rescale::compress] {
            let mut out = vec![7; runs.div_ceil(64)];
            compress(&mut out, &src, shift);
            for run in 0..out.len() * 64 {
                let first = run << shift;
                let any = (first..(run + 1) << shift).any(|i| i < src.len() * 64 && bit(&src, i));
                prop_assert_eq!(bit(&out, run), any);
            }
        }
    }
}
