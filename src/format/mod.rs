// SPDX-License-Identifier: GPL-2.0-or-later
//! Bitmaps in files and streams. `docs/format.md` describes the bytes.
//!
//! `header` what a bitmap is called and how large it is · `encode` and `decode` its content, block
//! by block · `hashed` the checksum at the end · `geometry` numbers that nobody vouches for ·
//! `in_use` the mark of a bitmap that is being changed · `dirty` bitmaps of a node.
//!
//! Memory is a block each way, whatever the size of the bitmap. What is read is believed only when
//! its checksum has been compared: a bitmap is given out then, or not at all.

mod decode;
pub(crate) mod dirty;
mod encode;
mod error;
pub(crate) mod geometry;
mod hashed;
mod header;
mod in_use;

use std::io::{self, Read, Write};

use crate::hbitmap::HBitmap;
use decode::Decoder;
use encode::Encoder;
use hashed::Hashed;
use header::Header;

pub use error::LoadError;
pub use geometry::GeometryError;
pub(crate) use in_use::mark_in_use;

/// The most bytes of a block, without the four that say how many.
const MAX_BLOCK: usize = 65536;

/// Bytes of a word.
const WORD: usize = 8;

/// Writes a bitmap that has no name.
pub(crate) fn write(bitmap: &HBitmap, out: &mut dyn Write) -> io::Result<()> {
    let header = Header::of(bitmap.size(), bitmap.granularity());
    write_content(&header, bitmap.bits(), out, |encoder, block| {
        encoder.next_block(bitmap, block);
        Ok(())
    })
}

/// Writes a header, the blocks that `next_block` makes, and the checksum.
fn write_content<E: From<io::Error>>(
    header: &Header,
    bits: u64,
    out: &mut dyn Write,
    mut next_block: impl FnMut(&mut Encoder, &mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let mut out = Hashed::new(out);
    out.write(&header.to_bytes())?;
    let mut encoder = Encoder::new(bits);
    let mut block = Vec::new();
    while !encoder.is_done() {
        next_block(&mut encoder, &mut block)?;
        out.write(&block)?;
    }
    Ok(out.write_hash()?)
}

/// Reads a bitmap; whether it has a name does not matter.
pub(crate) fn read(input: &mut dyn Read) -> Result<HBitmap, LoadError> {
    let mut input = Hashed::new(input);
    let header = Header::read(&mut input)?;
    read_content(&header, input)
}

/// Reads what follows a header.
fn read_content(
    header: &Header,
    mut input: Hashed<'_, dyn Read + '_>,
) -> Result<HBitmap, LoadError> {
    geometry::check_memory(header.size, header.granularity_log2)?;
    let mut decoder = Decoder::new(header.size, header.granularity_log2);
    let mut block = Vec::new();
    while !decoder.is_done() {
        let mut length = [0; 4];
        input.read(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length == 0 || length > MAX_BLOCK || length % WORD != 0 {
            return Err(LoadError::Damaged { what: "a block has a length that none can have" });
        }
        block.resize(length, 0);
        input.read(&mut block)?;
        decoder.block(&block)?;
    }
    input.check_hash()?;
    Ok(decoder.finish())
}
