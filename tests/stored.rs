// SPDX-License-Identifier: GPL-2.0-or-later
//! Bitmaps in files and streams: what comes back, what is refused, and how much memory it takes.

use std::io::{self, Cursor, Read, Write};

use proptest::prelude::*;
use qemu_dirty_bitmap::{Error, HBitmap, LoadError, Node, SaveError, mark_in_use};
use sha2::{Digest, Sha256};

/// Bytes of a header without the name, and of the checksum at the end.
const HEADER: usize = 64;
const HASH: usize = 32;

fn stored(bitmap: &HBitmap) -> Vec<u8> {
    let mut bytes = Vec::new();
    bitmap.write_to(&mut bytes).unwrap();
    bytes
}

fn load(bytes: &[u8]) -> Result<HBitmap, LoadError> {
    HBitmap::read_from(&mut &bytes[..])
}

/// Stores a bitmap, loads it, and returns the bytes.
#[track_caller]
fn round_trip(bitmap: &HBitmap) -> Vec<u8> {
    let bytes = stored(bitmap);
    assert_eq!(load(&bytes).unwrap(), *bitmap);
    bytes
}

/// A bitmap with some dirty ranges.
fn bitmap(size: u64, granularity: u64, ranges: &[(u64, u64)]) -> HBitmap {
    let mut bitmap = HBitmap::new(size, granularity).unwrap();
    for &(start, end) in ranges {
        bitmap.set(start..end).unwrap();
    }
    bitmap
}

/// The file that is changed byte by byte, and committed: a run, a few words as they are, a tail.
fn small() -> Vec<u8> {
    let node = Node::new(100_000_000).unwrap();
    let bitmap = node.create_bitmap("sample", 4096).unwrap();
    bitmap.set(0..3_000_000).unwrap();
    (0..40).for_each(|i| bitmap.set(40_000_000 + i * 9000..40_000_000 + i * 9000 + 1).unwrap());
    bitmap.set(99_999_999..100_000_000).unwrap();
    let mut bytes = Vec::new();
    bitmap.write_to(&mut bytes).unwrap();
    bytes
}

/// The checksums made right for bytes that were changed.
fn seal(bytes: &mut [u8]) {
    let header = Sha256::digest(&bytes[..32]);
    bytes[32..64].copy_from_slice(&header);
    let end = bytes.len() - HASH;
    let hash = Sha256::digest(&bytes[..end]);
    bytes[end..].copy_from_slice(&hash);
}

#[test]
fn sizes_and_granularities_come_back() {
    let granularities = (0..64).map(|log2| 1_u64 << log2);
    for granularity in granularities {
        for bits in [0, 1, 2, 31, 32, 63, 64, 65, 127, 128, 511, 4097, 32767, 32768, 32769, 100_000]
        {
            for short in [0, 1, granularity / 2] {
                let Some(size) =
                    granularity.checked_mul(bits).map(|size| size.saturating_sub(short))
                else {
                    continue;
                };
                let Ok(mut bitmap) = HBitmap::new(size, granularity) else { continue };
                round_trip(&bitmap);
                if size == 0 {
                    continue;
                }
                bitmap.set(size - 1..size).unwrap();
                round_trip(&bitmap);
                bitmap.set(0..1).unwrap();
                bitmap.set(size / 2..size / 2 + 1).unwrap();
                round_trip(&bitmap);
                bitmap.set(0..size).unwrap();
                // All dirty is one marker, also where the last word is cut.
                assert_eq!(round_trip(&bitmap).len(), HEADER + 4 + 8 + HASH);
            }
        }
    }
}

/// As large as a bitmap can be, and dirty bit by bit: the search for the end of the run reaches to
/// where numbers end.
#[test]
fn the_largest_items_are_all_dirty() {
    for log2 in 48..64 {
        let mut bitmap = HBitmap::new(i64::MAX as u64, 1 << log2).unwrap();
        for bit in 0..bitmap.bits() {
            bitmap.set(bit << log2..(bit << log2) + 1).unwrap();
            assert_eq!(bitmap.next_clean(bit << log2..u64::MAX), bitmap.next_clean(bit << log2..));
        }
        assert_eq!(bitmap.next_clean(0..u64::MAX), None, "{log2}");
        // A writer that goes on for ever meets the end of this.
        let mut buffer = [0; 200];
        let mut rest = &mut buffer[..];
        bitmap.write_to(&mut rest).unwrap();
        let length = 200 - rest.len();
        assert_eq!(length, HEADER + 4 + 8 + HASH);
        assert_eq!(load(&buffer[..length]).unwrap(), bitmap);
    }
}

#[test]
fn runs_cost_nothing() {
    let pib = 1 << 50;
    assert_eq!(round_trip(&bitmap(0, 65536, &[])).len(), HEADER + HASH);
    for ranges in [&[][..], &[(0, pib)], &[(1 << 30, pib - 1)], &[(pib - 1, pib)]] {
        assert!(round_trip(&bitmap(pib, 65536, ranges)).len() <= HEADER + 4 + 5 * 8 + HASH);
    }
}

#[test]
fn single_bits_take_two_words() {
    let mut bitmap = HBitmap::new(1 << 44, 65536).unwrap();
    for i in 0..10_000 {
        bitmap.set((i * 26_843) << 16..((i * 26_843) << 16) + 1).unwrap();
    }
    let length = round_trip(&bitmap).len();
    assert!(length < 10_000 * 16 + 500, "{length}");
}

/// Clean and dirty words by turns are the worst that runs can be.
#[test]
fn nothing_is_larger_than_its_bits_by_more_than_a_1000th() {
    let worst: [fn(u64) -> bool; 4] = [
        |bit| bit / 64 % 2 != 0,
        |bit| bit / 128 % 2 != 0,
        |bit| bit % 2 != 0,
        |bit| bit / 64 % 2 != 0 && bit % 3 == 0,
    ];
    for pattern in worst {
        let mut bitmap = HBitmap::new(1 << 20, 1).unwrap();
        for bit in (0..1 << 20).filter(|&bit| pattern(bit)) {
            bitmap.set(bit..bit + 1).unwrap();
        }
        let length = round_trip(&bitmap).len();
        assert!(length <= (1 << 17) + (1 << 7) + HEADER + HASH, "{length}");
    }
}

proptest! {
    #[test]
    fn any_content_comes_back(
        bits in 0_u64..300_000,
        log2 in 0_u32..20,
        cut in 0_u64..1 << 20,
        density in prop::sample::select(vec![1_u64, 10, 100, 1000, 40_000]),
        seed: u64,
    ) {
        let size = (bits << log2).saturating_sub(cut % (1 << log2));
        let mut bitmap = HBitmap::new(size, 1 << log2).unwrap();
        let mut random = seed;
        let mut at = 0;
        loop {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let start = at + (((random >> 33) % (2 * density)) << log2);
            let end = start + (((random >> 13) % 200) << log2) / density + 1;
            if end > size {
                break;
            }
            bitmap.set(start..end).unwrap();
            at = end;
        }
        round_trip(&bitmap);
    }
}

#[test]
fn a_named_bitmap_comes_back_with_its_flags() {
    let long = "n".repeat(1023);
    for name in [None, Some(""), Some("backup"), Some("\u{1f4be} %s\n"), Some(&*long)] {
        for (enabled, persistent) in [(true, false), (true, true), (false, false), (false, true)] {
            let node = Node::new((10 << 20) + 7).unwrap();
            let bitmap = match name {
                Some(name) => node.create_bitmap(name, 4096).unwrap(),
                None => node.create_anonymous_bitmap(4096).unwrap(),
            };
            bitmap.set(9999..1_000_000).unwrap();
            bitmap.set_persistent(persistent).unwrap();
            if !enabled {
                bitmap.disable().unwrap();
            }
            let mut bytes = Vec::new();
            bitmap.write_to(&mut bytes).unwrap();

            let node = Node::new((10 << 20) + 7).unwrap();
            let loaded = node.read_bitmap(&mut &bytes[..]).unwrap();
            assert_eq!(loaded.info(), bitmap.info());
            assert_eq!(loaded.snapshot(), bitmap.snapshot());
            assert_eq!((loaded.is_enabled(), loaded.is_persistent()), (enabled, persistent));
            assert!(node.bitmaps().iter().eq([&loaded]));
            node.record_write(5 << 20..(5 << 20) + 1).unwrap();
            assert_eq!(loaded.get(5 << 20).unwrap(), enabled);
            // Without a node, the content is left.
            assert_eq!(load(&bytes).unwrap(), bitmap.snapshot());
        }
    }
}

#[test]
fn a_bitmap_without_a_name_gets_none() {
    let node = Node::new(1 << 20).unwrap();
    let bytes = stored(&bitmap(1 << 20, 512, &[(5, 6)]));
    let loaded = node.read_bitmap(&mut &bytes[..]).unwrap();
    assert_eq!((loaded.name(), loaded.count(), loaded.is_enabled()), (None, 512, true));
}

#[test]
fn a_node_refuses_what_it_cannot_have() {
    let node = Node::new(1 << 20).unwrap();
    let refused = |bytes: &[u8]| {
        let error = node.read_bitmap(&mut &bytes[..]).unwrap_err();
        assert!(node.bitmaps().len() <= 1);
        error
    };
    let longer = stored(&bitmap((1 << 20) + 1, 512, &[]));
    assert_eq!(
        refused(&longer).to_string(),
        "the stored bitmap is for a disk of 1048577 bytes, this one has 1048576"
    );
    for granularity in [1, 256, 1 << 32, 1 << 63] {
        let error = refused(&stored(&bitmap(1 << 20, granularity, &[])));
        assert_eq!(
            error.to_string(),
            format!(
                "the stored bitmap is refused: granularity {granularity} is not a power of two \
                 from 512 to 2147483648"
            )
        );
    }
    let mut bytes = Vec::new();
    node.create_bitmap("taken", 512).unwrap().write_to(&mut bytes).unwrap();
    assert!(matches!(refused(&bytes), LoadError::NameTaken { name } if name == "taken"));
}

#[test]
fn a_bitmap_in_a_wrong_state_is_not_stored() {
    let node = Node::new(1 << 20).unwrap();
    let bitmap = node.create_bitmap("b", 512).unwrap();
    let refused = || match bitmap.write_to(&mut io::sink()) {
        Err(SaveError::Bitmap(error)) => error,
        other => panic!("{other:?}"),
    };
    let name = || "b".to_string();
    let frozen = bitmap.freeze().unwrap();
    assert_eq!(refused(), Error::Busy { name: name() });
    drop(frozen);
    bitmap.set_readonly(true).unwrap();
    bitmap.write_to(&mut io::sink()).unwrap();
    bitmap.set_readonly(false).unwrap();
    bitmap.set_persistent(true).unwrap();
    bitmap.mark_inconsistent().unwrap();
    assert_eq!(refused(), Error::Inconsistent { name: name() });
    bitmap.release().unwrap();
    assert_eq!(refused(), Error::Released);
}

/// What is written to calls back, as another thread may come between.
struct Interrupted<F>(F, Vec<u8>);

impl<F: FnMut(usize)> Write for Interrupted<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.extend(bytes);
        (self.0)(self.1.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The node's lock is free while a block is written: what was dirty before is in the file.
#[test]
fn writes_go_on_while_a_bitmap_is_stored() {
    let node = Node::new(1 << 40).unwrap();
    let bitmap = node.create_bitmap("b", 65536).unwrap();
    let before: Vec<u64> = (0..1 << 24).step_by(100).map(|bit| bit << 16).collect();
    before.iter().for_each(|&at| bitmap.set(at..at + 1).unwrap());
    let mut out = Interrupted(
        |length: usize| node.record_write(length as u64 * 9000..length as u64 * 9000 + 1).unwrap(),
        Vec::new(),
    );
    bitmap.write_to(&mut out).unwrap();
    let loaded = load(&out.1).unwrap();
    assert!(before.iter().all(|&at| loaded.get(at).unwrap()));
    assert!(loaded.iter().all(|at| bitmap.get(at).unwrap()));
}

#[test]
fn a_bitmap_that_changes_its_state_meanwhile_is_not_stored() {
    let dirty = |name: &str| {
        let node = Node::new(1 << 34).unwrap();
        let bitmap = node.create_bitmap(name, 512).unwrap();
        (0..1 << 20).for_each(|i| bitmap.set(i * 1024 * 16..i * 1024 * 16 + 1).unwrap());
        (node, bitmap)
    };
    let (node, bitmap) = dirty("resized");
    let mut out = Interrupted(|_| node.resize(1 << 33).unwrap(), Vec::new());
    match bitmap.write_to(&mut out) {
        Err(SaveError::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::Other),
        other => panic!("{other:?}"),
    }
    load(&out.1).unwrap_err();

    let (_node, bitmap) = dirty("released");
    let mut out = Interrupted(|_| bitmap.release().unwrap_or_default(), Vec::new());
    assert!(matches!(bitmap.write_to(&mut out), Err(SaveError::Bitmap(Error::Released))));
}

/// Gives and takes a byte at a time, and is interrupted before each.
struct Slow<T>(T, bool);

impl<T> Slow<T> {
    fn interrupt(&mut self) -> io::Result<()> {
        self.1 = !self.1;
        if self.1 { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}

impl<T: Read> Read for Slow<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.interrupt()?;
        let length = bytes.len().min(1);
        self.0.read(&mut bytes[..length])
    }
}

impl<T: Write> Write for Slow<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.interrupt()?;
        self.0.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn short_and_interrupted_reads_and_writes_are_continued() {
    let bitmap = load(&small()).unwrap();
    let mut out = Slow(Vec::new(), false);
    bitmap.write_to(&mut out).unwrap();
    assert_eq!(HBitmap::read_from(&mut Slow(&out.0[..], false)).unwrap(), bitmap);
}

#[test]
fn what_refuses_bytes_is_reported() {
    let bitmap = load(&small()).unwrap();
    for room in 0..stored(&bitmap).len() {
        let mut buffer = vec![0; room];
        let error = bitmap.write_to(&mut &mut buffer[..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
        load(&buffer).unwrap_err();
    }
}

/// Every host reads and writes the same bytes; c-tests/save-file.c reads and writes these as well.
#[test]
fn the_sample_is_what_is_read_and_written() {
    let sample = include_bytes!("stored.bitmap");
    assert_eq!(small(), sample);
    let node = Node::new(100_000_000).unwrap();
    let bitmap = node.read_bitmap(&mut &sample[..]).unwrap();
    let mut bytes = Vec::new();
    bitmap.write_to(&mut bytes).unwrap();
    assert_eq!(bytes, sample);
}

/// The bytes that docs/format.md explains.
#[test]
fn the_example_of_the_documentation() {
    let text = include_str!("../docs/format.md");
    let (_, text) = text.split_once("```hex\n").unwrap();
    let (text, _) = text.split_once("```").unwrap();
    let bytes: Vec<u8> = text
        .lines()
        .flat_map(|line| line.get(..49).unwrap_or(line).split_whitespace())
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect();
    let node = Node::new(100_000_000).unwrap();
    let bitmap = node.create_bitmap("b", 65536).unwrap();
    for bits in [0..70, 100..101, 1525..1526] {
        bitmap.set(bits.start << 16..(bits.end << 16).min(node.length())).unwrap();
    }
    let mut written = Vec::new();
    bitmap.write_to(&mut written).unwrap();
    assert_eq!(written, bytes);
    assert_eq!(load(&bytes).unwrap(), bitmap.snapshot());
}

/// Several bitmaps in a stream: nothing is read after the end of one.
#[test]
fn more_may_follow() {
    let bitmaps = [bitmap(0, 1, &[]), load(&small()).unwrap(), bitmap(1000, 1, &[(3, 77)])];
    let mut bytes = Vec::new();
    bitmaps.iter().for_each(|bitmap| bitmap.write_to(&mut bytes).unwrap());
    bytes.extend(b"and more");
    let mut input = Cursor::new(bytes);
    for bitmap in &bitmaps {
        assert_eq!(HBitmap::read_from(&mut input).unwrap(), *bitmap);
    }
    let mut rest = String::new();
    input.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "and more");
}

#[test]
fn a_changed_byte_is_noticed() {
    let good = small();
    let node = Node::new(100_000_000).unwrap();
    for at in 0..good.len() {
        for change in [1, 0x80, 0xff] {
            let mut bytes = good.clone();
            bytes[at] ^= change;
            let error = load(&bytes).unwrap_err();
            match at {
                0..8 => assert!(matches!(error, LoadError::NotABitmap)),
                8..12 => assert!(matches!(error, LoadError::Version { .. })),
                // A length of a block may say more than there is.
                _ => assert!(matches!(error, LoadError::Damaged { .. } | LoadError::Truncated)),
            }
            node.read_bitmap(&mut &bytes[..]).unwrap_err();
        }
    }
    assert!(node.bitmaps().is_empty());
    node.read_bitmap(&mut &good[..]).unwrap();
}

#[test]
fn a_beginning_is_no_bitmap() {
    let good = small();
    let node = Node::new(100_000_000).unwrap();
    for end in 0..good.len() {
        assert!(matches!(load(&good[..end]), Err(LoadError::Truncated)), "{end}");
        node.read_bitmap(&mut &good[..end]).unwrap_err();
    }
    assert!(node.bitmaps().is_empty());
}

#[test]
fn something_else_is_no_bitmap() {
    let text = b"a line\n";
    assert!(matches!(load(&text.repeat(2)), Err(LoadError::NotABitmap)));
    assert!(matches!(load(text), Err(LoadError::Truncated)));
    // Whoever sends it may wait for an answer.
    let mut input = Cursor::new(text.repeat(100));
    HBitmap::read_from(&mut input).unwrap_err();
    assert_eq!(input.position(), 8);
}

/// Files whose checksums are right and that say what can't be.
#[test]
fn lies_with_right_checksums_are_refused() {
    let damaged = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = small();
        change(&mut bytes);
        seal(&mut bytes);
        load(&bytes).unwrap_err().to_string()
    };
    let put = |at: usize, value: &[u8]| {
        let value = value.to_vec();
        damaged(&move |bytes| bytes[at..at + value.len()].copy_from_slice(&value))
    };
    let content = HEADER + "sample".len() + 4;
    assert_eq!(put(8, &[2]), "the stored bitmap has version 2, only version 1 is known");
    for (at, value, what) in [
        (12, &[0x12][..], "it has a flag that is not known"),
        (12, &[0], "its name has a length that none can have"),
        (24, &[64], "its granularity is one that none can have"),
        (28, &1024_u32.to_le_bytes(), "its name has a length that none can have"),
        (64, &[0], "its name has a NUL in it"),
        (content - 4, &[0; 4], "a block has a length that none can have"),
        (content - 4, &[9, 0], "a block has a length that none can have"),
        (content - 4, &[8, 0, 1, 0], "a block has a length that none can have"),
        (content, &[0; 8], "a marker stands for nothing"),
        (content, &[0xff; 8], "there is something past its end"),
        (content, &[0, 0, 0, 0, 0, 0, 0x70, 0], "a block ends too early"),
    ] {
        assert_eq!(put(at, value), format!("the stored bitmap is damaged: {what}"));
    }
    assert_eq!(
        put(16, &u64::MAX.to_le_bytes()),
        "the stored bitmap is refused: size 18446744073709551615 at granularity 4096 is more than \
         a bitmap can have"
    );
}

/// What is written to a file that was opened for appending goes to its end: there the mark would be
/// of no use.
#[test]
fn a_file_that_is_appended_to_is_not_marked() {
    let path = std::env::temp_dir().join(format!("qdb-append-{}", std::process::id()));
    std::fs::write(&path, small()).unwrap();
    let file = std::fs::OpenOptions::new().read(true).append(true).open(&path).unwrap();
    let error = mark_in_use(&file, 0).unwrap_err();
    let found = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(&error, LoadError::Io(error) if error.kind() == io::ErrorKind::InvalidInput));
    assert_eq!(found, small());
}
