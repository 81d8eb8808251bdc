// SPDX-License-Identifier: GPL-2.0-or-later
//! The serialised form and the hash of a bitmap are the same on every host, whatever its byte
//! order.
//!
//! `portable.txt` has a bitmap a line, and what QEMU's C gives for it on `x86_64`; that the
//! library gives the same there, `fuzz/` shows for bitmaps of all kinds.

use qemu_dirty_bitmap::HBitmap;
use sha2::{Digest, Sha256};

/// Numbers that look random: the constants are Knuth's (MMIX).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 20
    }
}

/// A line of portable.txt.
struct Case {
    size: u64,
    granularity: u32,
    seed: u64,
    sets: u64,
    longest: u64,
    serialised: &'static str,
    hash: &'static str,
}

fn cases() -> Vec<Case> {
    let lines = include_str!("portable.txt").lines().filter(|line| !line.starts_with('#'));
    let parse = |line: &'static str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |index: usize| words[index].parse::<u64>().expect("a number");
        assert_eq!(words.len(), 7, "{line}");
        Case {
            size: number(0),
            granularity: u32::try_from(number(1)).expect("a granularity"),
            seed: number(2),
            sets: number(3),
            longest: number(4),
            serialised: words[5],
            hash: words[6],
        }
    };
    lines.map(parse).collect()
}

/// The bitmap of a line: every fourth change is a reset, the others set.
fn build(case: &Case) -> HBitmap {
    let mut bitmap =
        HBitmap::new(case.size, 1 << case.granularity).expect("a size and a granularity");
    let mut numbers = Numbers(case.seed);
    for change in 0..case.sets {
        let start = numbers.next() % case.size;
        let count = (numbers.next() % case.longest + 1).min(case.size - start);
        if change % 4 == 3 {
            // A reset ends and begins between bits.
            let unit = 1 << case.granularity;
            let (first, end) =
                (start / unit * unit, (start + count).next_multiple_of(unit).min(case.size));
            bitmap.reset(first..end).expect("within the bitmap");
        } else {
            bitmap.set(start..start + count).expect("within the bitmap");
        }
    }
    bitmap
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn serialised(bitmap: &HBitmap) -> Vec<u8> {
    bitmap.serialize(0..bitmap.size()).expect("all of it")
}

#[test]
fn serialised_bytes_are_those_of_qemu() {
    let cases = cases();
    assert!(cases.len() >= 8);
    for case in cases {
        let bytes = serialised(&build(&case));
        assert_eq!(
            hexadecimal(&Sha256::digest(bytes)),
            case.serialised,
            "size {} seed {}",
            case.size,
            case.seed
        );
    }
}

#[test]
fn hashes_are_those_of_qemu() {
    for case in cases() {
        assert_eq!(build(&case).sha256(), case.hash, "size {} seed {}", case.size, case.seed);
    }
}

#[test]
fn serialised_bytes_come_back() {
    for case in cases() {
        let bitmap = build(&case);
        let mut copy =
            HBitmap::new(case.size, 1 << case.granularity).expect("a size and a granularity");
        copy.deserialize(0..case.size, &serialised(&bitmap)).expect("all of it");
        assert_eq!(copy.sha256(), case.hash);
        assert_eq!(copy.count(), bitmap.count());
    }
}

/// The order of the bytes, readable: item 0 is the lowest bit of the first byte.
#[test]
fn the_lowest_item_comes_first() {
    let mut bitmap = HBitmap::new(128, 1).expect("a size and a granularity");
    for range in [0..1, 10..12, 127..128] {
        bitmap.set(range).expect("within the bitmap");
    }
    let mut expected = [0; 16];
    expected[0] = 0x01;
    expected[1] = 0x0c;
    expected[15] = 0x80;
    assert_eq!(serialised(&bitmap), expected);
}
