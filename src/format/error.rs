// SPDX-License-Identifier: GPL-2.0-or-later
//! Why a stored bitmap is refused.

use std::io;

use super::GeometryError;

/// Why a stored bitmap was not loaded. There is no bitmap then, and nothing has changed but how far
/// the file or the stream was read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The system refused to read or to write.
    #[error(transparent)]
    Io(io::Error),
    /// The file or the stream ends within the bitmap.
    #[error("the stored bitmap is cut off")]
    Truncated,
    /// What is read does not begin as a stored bitmap does.
    #[error("there is no stored bitmap")]
    NotABitmap,
    /// The format has a version that this library does not know.
    #[error("the stored bitmap has version {version}, only version 1 is known")]
    Version {
        /// The version.
        version: u32,
    },
    /// A checksum is wrong, or something is said that can't be.
    #[error("the stored bitmap is damaged: {what}")]
    Damaged {
        /// What is wrong.
        what: &'static str,
    },
    /// The bitmap is marked as in use: whoever changes the disk did not store it again. So it may
    /// lack writes, and is of no use.
    #[error("the stored bitmap is marked as in use: it was not stored again, and may lack writes")]
    InUse,
    /// The bitmap has a size or a granularity that it can't have here, or needs too much memory.
    #[error("the stored bitmap is refused: {0}")]
    Geometry(#[from] GeometryError),
    /// The bitmap is for a disk of another length.
    #[error("the stored bitmap is for a disk of {stored} bytes, this one has {length}")]
    Length {
        /// The bytes that the bitmap covers.
        stored: u64,
        /// The bytes that the node has.
        length: u64,
    },
    /// Another bitmap of the node has the name.
    #[error("Bitmap already exists: {name}")]
    NameTaken {
        /// The name.
        name: String,
    },
}

impl From<io::Error> for LoadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Io(error),
        }
    }
}
