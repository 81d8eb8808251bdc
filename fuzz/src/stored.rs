// SPDX-License-Identifier: GPL-2.0-or-later
//! Stored bitmaps that nobody vouches for: what is loaded is what a plain reading of
//! docs/format.md gives, in Rust and in C, and what that refuses is refused.

use std::ffi::CString;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::ptr::{null, null_mut};

use qemu_dirty_bitmap::internals::ffi::{dirty_bitmap, error, node, save};
use qemu_dirty_bitmap::{HBitmap, LoadError, Node};
use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"\x89QDB\r\n\x1a\n";
/// The most bits of a bitmap in which checksums are right: its bits are compared one by one.
const MOST_BITS: u64 = 1 << 16;

/// A stored bitmap, read without care for speed or memory.
#[derive(Debug)]
struct Plain {
    flags: u32,
    size: u64,
    log2: u32,
    name: Vec<u8>,
    words: Vec<u64>,
    /// Where the content ends.
    end: usize,
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(count)?;
    *rest = after;
    Some(taken)
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

impl Plain {
    /// Reads all but the checksums.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let fixed = take(&mut rest, 64)?;
        if &fixed[..8] != MAGIC || number(&fixed[8..12]) != 1 {
            return None;
        }
        let flags = number(&fixed[12..16]) as u32;
        let (size, log2) = (number(&fixed[16..24]), number(&fixed[24..28]) as u32);
        let name_len = number(&fixed[28..32]) as usize;
        let name = take(&mut rest, name_len.min(1024))?.to_vec();
        let is_named = flags & 2 != 0;
        if flags & !0xe != 0 || name_len > 1023 || name.contains(&0) || !is_named && name_len != 0 {
            return None;
        }
        if log2 > 63 || size > i64::MAX as u64 || size.div_ceil(1 << log2) > MOST_BITS {
            return None;
        }
        let bits = size.div_ceil(1 << log2);
        let count = bits.div_ceil(64) as usize;
        let mut words = Vec::new();
        while words.len() < count {
            let length = number(take(&mut rest, 4)?) as usize;
            if length == 0 || length > 65536 || length % 8 != 0 {
                return None;
            }
            let mut block = take(&mut rest, length)?;
            while !block.is_empty() {
                let marker = number(take(&mut block, 8)?);
                let (run, literals) = (marker % (1 << 48) / 2, marker >> 48);
                if run + literals == 0 || run + literals > (count - words.len()) as u64 {
                    return None;
                }
                let ones = if marker % 2 == 1 { u64::MAX } else { 0 };
                words.resize(words.len() + run as usize, ones);
                if words.len() == count && bits % 64 != 0 && run != 0 {
                    words[count - 1] &= (1 << (bits % 64)) - 1;
                }
                for _ in 0..literals {
                    words.push(number(take(&mut block, 8)?));
                }
            }
        }
        let last = words.last().copied().unwrap_or(0);
        if bits % 64 != 0 && last >> (bits % 64) != 0 {
            return None;
        }
        Some(Self { flags, size, log2, name, words, end: bytes.len() - rest.len() })
    }

    /// Whether the checksums are right as well.
    fn is_sealed(&self, bytes: &[u8]) -> bool {
        let hash = |end: usize| Sha256::digest(&bytes[..end]).to_vec();
        bytes[32..64] == hash(32) && bytes.get(self.end..self.end + 32) == Some(&hash(self.end)[..])
    }

    fn is_dirty(&self, bit: u64) -> bool {
        self.words[bit as usize / 64] >> (bit % 64) & 1 != 0
    }

    fn check(&self, bitmap: &HBitmap) {
        assert_eq!((bitmap.size(), bitmap.granularity()), (self.size, 1 << self.log2));
        for bit in 0..bitmap.bits() {
            assert_eq!(bitmap.get(bit << self.log2), Ok(self.is_dirty(bit)), "bit {bit}");
        }
        let dirty: u64 = self.words.iter().map(|word| u64::from(word.count_ones())).sum();
        assert_eq!(bitmap.count(), dirty << self.log2);
    }
}

/// Makes a file of an input: as it is, or with the checksums, which no fuzzer guesses, made right.
fn file(input: &[u8]) -> Option<Vec<u8>> {
    let (&mode, rest) = input.split_first()?;
    if mode % 4 == 0 {
        return Some(rest.to_vec());
    }
    let (header, rest) = rest.split_at_checked(20)?;
    let mut bytes = [&MAGIC[..], &1_u32.to_le_bytes(), header].concat();
    let log2 = (number(&bytes[24..28]) % 64) as u32;
    bytes[24..28].copy_from_slice(&log2.to_le_bytes());
    let size = number(&bytes[16..24]).min(MOST_BITS.checked_shl(log2).unwrap_or(u64::MAX));
    // The shift may lose bits: then any size has few.
    let size = if log2 > 46 { number(&bytes[16..24]) } else { size };
    bytes[16..24].copy_from_slice(&size.to_le_bytes());
    bytes.extend(Sha256::digest(&bytes));
    bytes.extend(rest);
    if let Some(plain) = Plain::parse(&bytes) {
        let hash = Sha256::digest(&bytes[..plain.end]);
        bytes.splice(plain.end..plain.end, hash);
    }
    Some(bytes)
}

/// Loads an input, and stores and loads what was loaded.
///
/// # Panics
/// If Rust, C and the plain reading differ.
pub fn run(input: &[u8]) {
    let Some(bytes) = file(input) else { return };
    let plain = Plain::parse(&bytes).filter(|plain| plain.is_sealed(&bytes));
    let mut rest = &bytes[..];
    let loaded = HBitmap::read_from(&mut rest);
    assert_eq!(loaded.is_ok(), plain.is_some(), "{loaded:?}, {plain:?}");
    if let (Ok(bitmap), Some(plain)) = (&loaded, &plain) {
        assert_eq!(rest.len(), bytes.len() - plain.end - 32, "how far it was read");
        plain.check(bitmap);
        let mut again = Vec::new();
        bitmap.write_to(&mut again).expect("a vector takes all");
        assert!(HBitmap::read_from(&mut &again[..]).expect("it was just stored") == *bitmap);
    }
    let size = plain.as_ref().map_or(1 << 20, |plain| plain.size);
    let node = Node::new(size).expect("a size that a bitmap can have");
    let on_node = node.read_bitmap(&mut &bytes[..]);
    let mut stored = Vec::new();
    match (&on_node, &plain) {
        (Ok(bitmap), Some(plain)) => {
            let name =
                (plain.flags & 2 != 0).then(|| String::from_utf8_lossy(&plain.name).into_owned());
            assert_eq!(bitmap.name(), name);
            assert_eq!(bitmap.is_enabled(), plain.flags & 4 == 0);
            assert_eq!(bitmap.is_persistent(), plain.flags & 8 != 0);
            plain.check(&bitmap.snapshot());
            bitmap.write_to(&mut stored).expect("a vector takes all");
        }
        (Err(LoadError::Geometry(_)), Some(plain)) => assert!(!(9..=31).contains(&plain.log2)),
        (Err(_), None) => assert!(node.bitmaps().is_empty()),
        _ => panic!("{on_node:?}, {plain:?}"),
    }
    in_c(&bytes, size, on_node.is_ok().then_some(&stored));
}

/// The same with C's functions; `expected` is what is stored again.
fn in_c(bytes: &[u8], size: u64, expected: Option<&Vec<u8>>) {
    let name = CString::from(c"stored");
    // SAFETY: the calls are those of a C program that follows the header: one node, its bitmap,
    // and a file that is open until the end.
    unsafe {
        let mut file = File::from_raw_fd(libc::memfd_create(name.as_ptr(), 0));
        file.write_all(bytes).expect("there is memory");
        file.seek(SeekFrom::Start(0)).expect("a file");
        let bs = node::qdb_node_new(size as i64, 0, null());
        let mut err = null_mut();
        let bitmap = save::qdb_bitmap_load(bs, file.as_raw_fd(), &raw mut err);
        assert_eq!((bitmap.is_null(), err.is_null()), (expected.is_none(), expected.is_some()));
        error::qdb_error_free(err);
        if let Some(expected) = expected {
            (*bitmap).check_invariants();
            file.set_len(0).expect("a file");
            file.seek(SeekFrom::Start(0)).expect("a file");
            assert!(save::qdb_bitmap_save(bitmap, file.as_raw_fd(), null_mut()));
            file.seek(SeekFrom::Start(0)).expect("a file");
            let mut stored = Vec::new();
            std::io::Read::read_to_end(&mut file, &mut stored).expect("there is memory");
            assert!(stored == *expected, "C and Rust store another");
            dirty_bitmap::bdrv_release_dirty_bitmap(bitmap);
        }
        node::qdb_node_free(bs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The committed inputs, so that a change of the format is noticed without a fuzzer, and most
    /// of them are loaded.
    #[test]
    fn the_corpus() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/load_file");
        let inputs: Vec<Vec<u8>> = std::fs::read_dir(folder)
            .expect("a corpus")
            .map(|entry| std::fs::read(entry.expect("an entry").path()).expect("a file"))
            .collect();
        inputs.iter().for_each(|input| run(input));
        let good = inputs
            .iter()
            .filter_map(|input| file(input))
            .filter(|bytes| Plain::parse(bytes).is_some_and(|plain| plain.is_sealed(bytes)));
        assert!(good.count() >= 5);
    }
}
