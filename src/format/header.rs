// SPDX-License-Identifier: GPL-2.0-or-later
//! The beginning of a stored bitmap.

use std::ffi::CString;
use std::io::Read;

use sha2::{Digest, Sha256};

use super::LoadError;
use super::geometry;
use super::hashed::Hashed;

/// Not text, and changed by what takes it for text.
const MAGIC: [u8; 8] = *b"\x89QDB\r\n\x1a\n";
const VERSION: u32 = 1;
/// Bytes of a header without the name.
pub(super) const FIXED_LEN: usize = 64;
/// Where the checksum of the fixed bytes is, in them.
const HASH_AT: usize = 32;
/// The longest name.
const MAX_NAME: u32 = 1023;

const IN_USE: u32 = 1 << 0;
const NAMED: u32 = 1 << 1;
const DISABLED: u32 = 1 << 2;
const PERSISTENT: u32 = 1 << 3;
const KNOWN: u32 = IN_USE | NAMED | DISABLED | PERSISTENT;

/// Everything of a bitmap but its content.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) size: u64,
    pub(super) granularity_log2: u32,
    pub(super) name: Option<CString>,
    pub(super) enabled: bool,
    pub(super) persistent: bool,
}

impl Header {
    /// That of a bitmap without a name.
    pub(super) fn of(size: u64, granularity_log2: u32) -> Self {
        Self { size, granularity_log2, name: None, enabled: true, persistent: false }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let name = self.name.as_ref().map_or(&[][..], |name| name.to_bytes());
        let mut flags = 0;
        for (flag, is_set) in
            [(NAMED, self.name.is_some()), (DISABLED, !self.enabled), (PERSISTENT, self.persistent)]
        {
            flags |= if is_set { flag } else { 0 };
        }
        let mut bytes = Vec::with_capacity(FIXED_LEN + name.len());
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(self.size.to_le_bytes());
        bytes.extend(self.granularity_log2.to_le_bytes());
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend(Sha256::digest(&bytes));
        bytes.extend(name);
        bytes
    }

    /// Reads a header of a bitmap that is not in use.
    pub(super) fn read(input: &mut Hashed<'_, dyn Read + '_>) -> Result<Self, LoadError> {
        let mut bytes = [0; FIXED_LEN];
        let (magic, rest) = bytes.split_at_mut(MAGIC.len());
        // Something else may be shorter, or a stream that sends no more.
        input.read(magic)?;
        if *magic != MAGIC {
            return Err(LoadError::NotABitmap);
        }
        input.read(rest)?;
        let fixed = Fixed::parse(&bytes)?;
        let Some(granularity) = 1_u64.checked_shl(fixed.granularity_log2) else {
            return Err(LoadError::Damaged { what: "its granularity is one that none can have" });
        };
        geometry::check(fixed.size, granularity, geometry::HBITMAP)?;
        let mut name = vec![0; fixed.name_len as usize];
        input.read(&mut name)?;
        let name = CString::new(name)
            .map_err(|_| LoadError::Damaged { what: "its name has a NUL in it" })?;
        Ok(Self {
            size: fixed.size,
            granularity_log2: fixed.granularity_log2,
            name: (fixed.flags & NAMED != 0).then_some(name),
            enabled: fixed.flags & DISABLED == 0,
            persistent: fixed.flags & PERSISTENT != 0,
        })
    }
}

/// The fixed bytes, of a bitmap that is not in use.
struct Fixed {
    flags: u32,
    size: u64,
    granularity_log2: u32,
    name_len: u32,
}

impl Fixed {
    fn parse(bytes: &[u8; FIXED_LEN]) -> Result<Self, LoadError> {
        let mut rest = &bytes[..];
        if next::<8>(&mut rest) != MAGIC {
            return Err(LoadError::NotABitmap);
        }
        // Another version may have its checksum elsewhere.
        match u32::from_le_bytes(next(&mut rest)) {
            VERSION => {}
            version => return Err(LoadError::Version { version }),
        }
        if Sha256::digest(&bytes[..HASH_AT])[..] != bytes[HASH_AT..] {
            return Err(LoadError::Damaged { what: "the checksum of its header is wrong" });
        }
        let fixed = Self {
            flags: u32::from_le_bytes(next(&mut rest)),
            size: u64::from_le_bytes(next(&mut rest)),
            granularity_log2: u32::from_le_bytes(next(&mut rest)),
            name_len: u32::from_le_bytes(next(&mut rest)),
        };
        if fixed.flags & !KNOWN != 0 {
            return Err(LoadError::Damaged { what: "it has a flag that is not known" });
        }
        if fixed.flags & IN_USE != 0 {
            return Err(LoadError::InUse);
        }
        if fixed.name_len > MAX_NAME || (fixed.flags & NAMED == 0 && fixed.name_len != 0) {
            return Err(LoadError::Damaged { what: "its name has a length that none can have" });
        }
        Ok(fixed)
    }
}

/// The fixed bytes with the mark that the bitmap is in use, from those without.
pub(super) fn with_mark(bytes: &[u8; FIXED_LEN]) -> Result<[u8; FIXED_LEN], LoadError> {
    let flags = Fixed::parse(bytes)?.flags | IN_USE;
    let mut marked = *bytes;
    marked[12..16].copy_from_slice(&flags.to_le_bytes());
    let hash = Sha256::digest(&marked[..HASH_AT]);
    marked[HASH_AT..].copy_from_slice(&hash);
    Ok(marked)
}

fn next<const N: usize>(rest: &mut &[u8]) -> [u8; N] {
    let (first, after) = rest.split_first_chunk().expect("the fixed bytes are long enough");
    *rest = after;
    *first
}
