// SPDX-License-Identifier: GPL-2.0-or-later
//! Sizes and granularities that nobody vouches for: from a file, or from a user.

use std::ops::RangeInclusive;

use crate::hbitmap::MAX_BITS;

/// log2 of the granularities of an `HBitmap`.
pub(crate) const HBITMAP: RangeInclusive<u32> = 0..=63;
/// log2 of the granularities of a dirty bitmap: at least a sector, and C has them in 32 bits.
pub(crate) const DIRTY_BITMAP: RangeInclusive<u32> = 9..=31;

/// Why no bitmap can have a size and a granularity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// The granularity is not a power of two within what is allowed.
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
    /// There is not enough memory for the bitmap now.
    #[error("a bitmap of size {size} at granularity {granularity} needs {bytes} bytes of memory")]
    NoMemory {
        /// Items.
        size: u64,
        /// Items for each bit.
        granularity: u64,
        /// Bytes.
        bytes: u64,
    },
}

/// Whether a granularity is a power of two from `min` to `max`.
pub(crate) fn is_granularity(granularity: u64, min: u64, max: u64) -> bool {
    granularity.is_power_of_two() && (min..=max).contains(&granularity)
}

/// Whether a bitmap can have this many items. `granularity` is a power of two.
pub(crate) fn is_size(size: u64, granularity: u64) -> bool {
    size <= i64::MAX as u64 && size.div_ceil(granularity) <= MAX_BITS
}

/// Checks that a bitmap can have this size and this granularity, of which log2 is in `allowed`.
pub(crate) fn check(
    size: u64,
    granularity: u64,
    allowed: RangeInclusive<u32>,
) -> Result<(), GeometryError> {
    let (min, max) = (1 << allowed.start(), 1 << allowed.end());
    if !is_granularity(granularity, min, max) {
        return Err(GeometryError::Granularity { granularity, min, max });
    }
    if !is_size(size, granularity) {
        return Err(GeometryError::TooLarge { size, granularity });
    }
    Ok(())
}

/// Checks that there is memory for a bitmap, by asking for as much: the bitmap itself would end the
/// process. Nothing is kept, so another thread may be faster.
pub(crate) fn check_memory(size: u64, granularity_log2: u32) -> Result<(), GeometryError> {
    let granularity = 1 << granularity_log2;
    // The words, a 32nd for headers and summary, and then the levels.
    let words = size.div_ceil(granularity).div_ceil(64) * 8;
    let bytes = words + words / 16 + 4096;
    let mut memory = Vec::<u8>::new();
    memory.try_reserve_exact(bytes as usize).map_err(|_| GeometryError::NoMemory {
        size,
        granularity,
        bytes,
    })?;
    // Or the compiler sees that nobody uses it, and does not ask.
    std::hint::black_box(&mut memory);
    Ok(())
}
