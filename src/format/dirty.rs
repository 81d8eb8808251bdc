// SPDX-License-Identifier: GPL-2.0-or-later
//! Bitmaps of a node.

use std::ffi::CString;
use std::io::{self, Read, Write};
use std::sync::Arc;

use super::hashed::Hashed;
use super::header::Header;
use super::{GeometryError, LoadError, geometry, read_content, write_content};
use crate::dirty_bitmap::create::length;
use crate::dirty_bitmap::{BdrvDirtyBitmap, find, lock_node};
use crate::hbitmap::HBitmap;
use crate::host::BlockDriverState;
use crate::host::Failure;

/// Writes a bitmap. Takes the node's lock for each block, and not while it writes. `check` refuses
/// a bitmap in a state in which it can't be stored, at the beginning and for each block.
pub(crate) fn save<E: From<io::Error>>(
    bitmap: &BdrvDirtyBitmap,
    out: &mut dyn Write,
    check: impl Fn(&BdrvDirtyBitmap) -> Result<(), E>,
) -> Result<(), E> {
    let (header, bits) = {
        let locked = bitmap.lock();
        check(bitmap)?;
        let content = bitmap.content(&locked);
        let header = Header {
            name: bitmap.name().map(|name| CString::from(&*name)),
            enabled: bitmap.enabled(),
            persistent: bitmap.persistent(),
            ..Header::of(content.size(), content.granularity())
        };
        (header, content.bits())
    };
    write_content(&header, bits, out, |encoder, block| {
        let locked = bitmap.lock();
        check(bitmap)?;
        // A backup that ended meanwhile: what was written to the disk is in its successor.
        if !bitmap.is_attached() {
            return Err(io::Error::other("the bitmap was released meanwhile").into());
        }
        let content = bitmap.content(&locked);
        if (content.size(), content.granularity()) != (header.size, header.granularity_log2) {
            return Err(io::Error::other("the bitmap was resized meanwhile").into());
        }
        encoder.next_block(content, block);
        Ok(())
    })
}

/// Why a bitmap was not loaded.
pub(crate) enum NotLoaded {
    /// For what was read.
    Stored(LoadError),
    /// The length of the node can't be read.
    NoLength(Failure),
    /// Another bitmap of the node has the name.
    NameTaken(CString),
}

impl From<LoadError> for NotLoaded {
    fn from(error: LoadError) -> Self {
        Self::Stored(error)
    }
}

impl From<GeometryError> for NotLoaded {
    fn from(error: GeometryError) -> Self {
        Self::Stored(error.into())
    }
}

impl From<Failure> for NotLoaded {
    fn from(failure: Failure) -> Self {
        Self::NoLength(failure)
    }
}

/// A bitmap that was read and belongs to no node yet.
pub(crate) struct Loaded {
    header: Header,
    content: HBitmap,
}

impl Loaded {
    /// Reads a bitmap for a node. What the node can't have is refused before its content is read.
    /// Takes the node's lock, but not while it reads.
    pub(crate) fn read(node: &BlockDriverState, input: &mut dyn Read) -> Result<Self, NotLoaded> {
        let mut input = Hashed::new(input);
        let header = Header::read(&mut input)?;
        geometry::check(header.size, 1 << header.granularity_log2, geometry::DIRTY_BITMAP)?;
        check_node(node, &header)?;
        let content = read_content(&header, input)?;
        Ok(Self { header, content })
    }

    /// Attaches the bitmap. The node may have changed meanwhile.
    pub(crate) fn attach(self, node: &BlockDriverState) -> Result<Arc<BdrvDirtyBitmap>, NotLoaded> {
        let Self { header, content } = self;
        check_node(node, &header)?;
        let Header { name, enabled, persistent, .. } = header;
        Ok(BdrvDirtyBitmap::create_with(node, name.as_deref(), content, enabled, persistent))
    }
}

/// Refuses a bitmap that `node` can't have.
fn check_node(node: &BlockDriverState, header: &Header) -> Result<(), NotLoaded> {
    // Not negative.
    let length = length(node)? as u64;
    if header.size != length {
        return Err(LoadError::Length { stored: header.size, length }.into());
    }
    if let Some(name) = &header.name {
        if find(lock_node(node).list(), name).is_some() {
            return Err(NotLoaded::NameTaken(name.clone()));
        }
    }
    Ok(())
}
