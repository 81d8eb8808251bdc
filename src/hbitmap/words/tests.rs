// SPDX-License-Identifier: GPL-2.0-or-later
//! Every kernel on every instruction set of this machine, against bit-by-bit definitions.

use super::*;
use proptest::prelude::*;

/// Arrays of up to 512 words in which zero words, full words and mixed words all occur.
fn arrays() -> impl Strategy<Value = Vec<u64>> {
    let word =
        prop_oneof![3 => Just(0), 3 => Just(u64::MAX), 2 => any::<u64>(), 1 => (0..64u32).prop_map(|bit| 1 << bit)];
    prop_oneof![
        prop::collection::vec(word, 0..=512),
        (0..=512usize).prop_map(|n| vec![u64::MAX; n]),
        Just(vec![u64::MAX; 512])
    ]
}

fn bit(words: &[u64], i: usize) -> bool {
    words.get(i / 64).is_some_and(|word| word >> (i % 64) & 1 != 0)
}

proptest! {
    #[test]
    fn counts_and_summaries(words in arrays()) {
        let ones = (0..words.len() * 64).filter(|&i| bit(&words, i)).count() as u64;
        for isa in Isa::available() {
            prop_assert_eq!(count_ones::on(isa, &words), ones);
            prop_assert_eq!(all_ones::on(isa, &words), ones == words.len() as u64 * 64);
            let summary = summarize::on(isa, &words);
            prop_assert_eq!(summary.ones, ones);
            for i in 0..512 {
                prop_assert_eq!(bit(&summary.words, i), words.get(i).is_some_and(|&word| word != 0));
            }
        }
    }

    #[test]
    fn summaries_of_bytes(words in prop::collection::vec(arrays(), 1..=8)) {
        let mut words = words.concat();
        words.truncate(words.len().min(512) / 64 * 64);
        for offset in [0, 3, 8] {
            let mut bytes = vec![0; offset + words.len() * 8];
            portable::to_little_endian(&mut bytes[offset..], &words);
            for isa in Isa::available() {
                prop_assert_eq!(summarize_bytes::on(isa, &bytes[offset..]), portable::summarize(&words));
            }
        }
    }

    #[test]
    fn or_gains_what_was_missing(pairs in prop::collection::vec((any::<u64>(), any::<u64>()), 0..=512)) {
        let (src, dst): (Vec<u64>, Vec<u64>) = pairs.into_iter().unzip();
        for isa in Isa::available() {
            let mut got = dst.clone();
            let gained = or_into::on(isa, &mut got, &src);
            let before: u64 = dst.iter().map(|word| u64::from(word.count_ones())).sum();
            let after: u64 = got.iter().map(|word| u64::from(word.count_ones())).sum();
            prop_assert_eq!(gained, after - before);
            prop_assert!(got.iter().zip(dst.iter().zip(&src)).all(|(&g, (&d, &s))| g == d | s));
        }
    }

    #[test]
    fn bytes_are_little_endian(words in arrays()) {
        let expected: Vec<u8> = words.iter().flat_map(|word| (0..8).map(move |i| (word >> (8 * i)) as u8)).collect();
        for isa in Isa::available() {
            let mut bytes = vec![0xaa; words.len() * 8];
            to_little_endian::on(isa, &mut bytes, &words);
            prop_assert_eq!(&bytes, &expected);
            let mut back = vec![0x5555; words.len()];
            from_little_endian::on(isa, &mut back, &bytes);
            prop_assert_eq!(&back, &words);
        }
    }

    #[test]
    fn replacing_tells_old_and_new(words in arrays(), seed in any::<u64>()) {
        let old: Vec<u64> = (0..words.len() as u64).map(|i| seed.wrapping_mul(2 * i + 1)).collect();
        let mut bytes = vec![0; words.len() * 8];
        to_little_endian(&mut bytes, &words);
        for isa in Isa::available() {
            let mut own = old.clone();
            let (summary, lost) = replace::on(isa, &mut own, &bytes);
            prop_assert_eq!(&own, &words);
            prop_assert_eq!(summary, portable::summarize(&words));
            prop_assert_eq!(lost, portable::count_ones(&old));
        }
    }

    #[test]
    fn rescaling_is_what_it_says(words in arrays(), shift in 1u32..=14) {
        for isa in Isa::available() {
            let source = &words[..words.len().min((512usize >> shift).max(1))];
            let mut wide = vec![0x5aa5; (source.len() << shift).min(512)];
            expand::on(isa, &mut wide, source, shift);
            for i in 0..wide.len() * 64 {
                prop_assert_eq!(bit(&wide, i), bit(source, i >> shift), "expand {} bit {}", shift, i);
            }
            let mut narrow = vec![0x5aa5; (words.len() * 64).div_ceil(1 << shift).div_ceil(64)];
            compress::on(isa, &mut narrow, &words, shift);
            for i in 0..narrow.len() * 64 {
                let any = (i << shift..(i + 1) << shift).any(|j| bit(&words, j));
                prop_assert_eq!(bit(&narrow, i), any, "compress {} bit {}", shift, i);
            }
        }
    }
}

#[test]
fn masks() {
    assert_eq!(mask(0, 63), u64::MAX);
    assert_eq!(mask(64, 64), 1);
    assert_eq!(mask(3, 5), 0b11_1000);
    assert_eq!(mask(63, 127), 1 << 63);
}
