// SPDX-License-Identifier: GPL-2.0-or-later
//! What can be refused.

use std::ops::Range;

/// Why a call was refused. Nothing has changed then, in any bitmap, unless the call says otherwise.
///
/// Where QEMU has words for it, the text is QEMU's.
///
/// ```
/// use qemu_dirty_bitmap::{Error, Node};
///
/// let node = Node::new(1 << 30)?;
/// node.create_bitmap("backup", 65536)?;
/// let error = node.create_bitmap("backup", 65536).unwrap_err();
/// assert_eq!(error, Error::NameTaken { name: "backup".to_string() });
/// assert_eq!(error.to_string(), "Bitmap already exists: backup");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A range does not lie within the bitmap or the node, or ends before it starts; or a range
    /// that must not be empty is.
    #[error("{}..{} is not a range within 0..{size}", range.start, range.end)]
    OutOfRange {
        /// The range, in items.
        range: Range<u64>,
        /// The items that there are.
        size: u64,
    },
    /// A range does not start at a multiple of what it has to, or ends neither at one nor at the
    /// end of the bitmap.
    #[error("{}..{} is not aligned to {align}", range.start, range.end)]
    Unaligned {
        /// The range, in items.
        range: Range<u64>,
        /// Items.
        align: u64,
    },
    /// A granularity, or a cluster size, is not a power of two within what is allowed.
    #[error("granularity {granularity} is not a power of two from {min} to {max}")]
    Granularity {
        /// The granularity, in items.
        granularity: u64,
        /// The smallest that is allowed.
        min: u64,
        /// The largest that is allowed.
        max: u64,
    },
    /// The bitmap would have more than [`MAX_BITS`](crate::MAX_BITS) bits, or more than `i64::MAX`
    /// items.
    #[error("size {size} at granularity {granularity} is more than a bitmap can have")]
    TooLarge {
        /// Items.
        size: u64,
        /// Items for each bit.
        granularity: u64,
    },
    /// Bitmaps of different sizes can't be merged.
    #[error(
        "Bitmaps are of different sizes (destination size is {dest}, source size is {src}) and \
         can't be merged"
    )]
    SizeMismatch {
        /// Items of the bitmap that would have been changed.
        dest: u64,
        /// Items of the other one.
        src: u64,
    },
    /// A content is not of the size of the bitmap that it is for.
    #[error("a content of {actual} items is not one of a bitmap of {expected}")]
    ContentSize {
        /// Items of the bitmap.
        expected: u64,
        /// Items of the content.
        actual: u64,
    },
    /// The granularity is so large that the alignment of serialised parts would not be a number.
    #[error("a bitmap of granularity {granularity} can't be serialised")]
    NotSerializable {
        /// Items for each bit.
        granularity: u64,
    },
    /// A buffer is not as long as the serialised part.
    #[error("the serialised part has {expected} bytes, the buffer {actual}")]
    BufferLength {
        /// The bytes that the part has.
        expected: usize,
        /// The bytes that the buffer has.
        actual: usize,
    },
    /// Another bitmap of the node has this name.
    #[error("Bitmap already exists: {name}")]
    NameTaken {
        /// The name.
        name: String,
    },
    /// A name has more than 1023 bytes.
    #[error("Bitmap name too long: {name}")]
    NameTooLong {
        /// The name.
        name: String,
    },
    /// A name has a NUL in it.
    #[error("Bitmap name has a NUL in it: {name:?}")]
    NameHasNul {
        /// The name.
        name: String,
    },
    /// An operation uses the bitmap.
    #[error("Bitmap '{name}' is currently in use by another operation and cannot be used")]
    Busy {
        /// The bitmap's name, or `(null)`.
        name: String,
    },
    /// The bitmap is read-only.
    #[error("Bitmap '{name}' is readonly and cannot be modified")]
    ReadOnly {
        /// The bitmap's name, or `(null)`.
        name: String,
    },
    /// The bitmap was stored improperly: it can only be released.
    #[error("Bitmap '{name}' is inconsistent and cannot be used")]
    Inconsistent {
        /// The bitmap's name, or `(null)`.
        name: String,
    },
    /// Only a persistent bitmap can have been stored improperly.
    #[error("Bitmap '{name}' is not persistent")]
    NotPersistent {
        /// The bitmap's name, or `(null)`.
        name: String,
    },
    /// The bitmap was released: it belongs to no node any more.
    #[error("the bitmap was released")]
    Released,
}

impl From<Error> for std::io::Error {
    /// An error of the kind that comes nearest, with this one inside.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::HBitmap;
    /// fn all_dirty(disk: &std::fs::File) -> std::io::Result<HBitmap> {
    ///     let mut bitmap = HBitmap::new(disk.metadata()?.len(), 65536)?;
    ///     bitmap.set(..)?;
    ///     Ok(bitmap)
    /// }
    /// ```
    fn from(error: Error) -> Self {
        use std::io::ErrorKind;
        let kind = match error {
            Error::NameTaken { .. } => ErrorKind::AlreadyExists,
            Error::Busy { .. } => ErrorKind::ResourceBusy,
            Error::ReadOnly { .. } => ErrorKind::PermissionDenied,
            Error::Inconsistent { .. } => ErrorKind::InvalidData,
            Error::NotSerializable { .. } => ErrorKind::Unsupported,
            Error::Released => ErrorKind::NotFound,
            _ => ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}
