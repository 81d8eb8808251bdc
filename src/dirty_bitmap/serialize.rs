// SPDX-License-Identifier: GPL-2.0-or-later
//! A bitmap as bytes, in parts: little-endian words of 64 bits on every machine. Offsets and
//! lengths are in bytes of the disk.

use super::write_filter::Change;
use super::{BdrvDirtyBitmap, Locked};
use crate::assertion::abi_assert;
use crate::hbitmap::HBitmap;

impl BdrvDirtyBitmap {
    /// The bytes that a serialised part needs (C: `bdrv_dirty_bitmap_serialization_size`).
    ///
    /// # Panics
    /// If the part is not aligned to [`serialization_align`](Self::serialization_align) or ends
    /// past the last bit.
    #[must_use]
    pub fn serialization_size(&self, locked: &Locked<'_>, offset: u64, bytes: u64) -> u64 {
        self.content(locked).serialization_size(offset, bytes)
    }

    /// The same as C computes it, also for a range that wraps: see
    /// [`HBitmap::serialization_size_as_in_c`].
    pub(crate) fn serialization_size_as_in_c(
        &self,
        locked: &Locked<'_>,
        offset: u64,
        bytes: u64,
    ) -> u64 {
        self.content(locked).serialization_size_as_in_c(offset, bytes)
    }

    /// What parts must start and end at: a multiple of this many bytes, or the end (C:
    /// `bdrv_dirty_bitmap_serialization_align`).
    #[must_use]
    pub fn serialization_align(&self) -> u64 {
        // 64 bits. Granularities stay below 2^32, so every bitmap of a node can be serialised.
        64 * u64::from(self.granularity())
    }

    /// The bytes of the disk that `chunk_size` bytes of serialised bitmap cover (C:
    /// `bdrv_dirty_bitmap_serialization_coverage`).
    ///
    /// # Panics
    /// If `chunk_size` is not a multiple of 8, is negative, or is so large that C's `int`
    /// arithmetic overflows.
    #[must_use]
    pub fn serialization_coverage(&self, chunk_size: i32) -> u64 {
        const FUNCTION: &str = "bdrv_dirty_bitmap_serialization_coverage";
        abi_assert!(
            (0..=i32::MAX >> 3).contains(&chunk_size),
            FUNCTION,
            "serialized_chunk_size >= 0 && serialized_chunk_size <= INT_MAX >> 3"
        );
        let limit = u64::from(self.granularity()) * (u64::from(chunk_size.unsigned_abs()) << 3);
        abi_assert!(
            limit % self.serialization_align() == 0,
            FUNCTION,
            "QEMU_IS_ALIGNED(limit, bdrv_dirty_bitmap_serialization_align(bitmap))"
        );
        limit
    }

    /// Writes a part to `buffer`, which is as long as
    /// [`serialization_size`](Self::serialization_size) says (C:
    /// `bdrv_dirty_bitmap_serialize_part`).
    ///
    /// # Panics
    /// As `serialization_size`.
    pub fn serialize_part(&self, locked: &Locked<'_>, buffer: &mut [u8], offset: u64, bytes: u64) {
        self.content(locked).serialize_part(buffer, offset, bytes);
    }

    /// Reads a part from `buffer`; set bits past the end of the bitmap are dropped (C:
    /// `bdrv_dirty_bitmap_deserialize_part`).
    ///
    /// # Panics
    /// As `serialization_size`.
    pub fn deserialize_part(
        &self,
        locked: &mut Locked<'_>,
        buffer: &[u8],
        offset: u64,
        bytes: u64,
    ) {
        self.change(&mut locked.content, Change::Cleans { offset, bytes }, |content| {
            content.deserialize_part(buffer, offset, bytes)
        });
    }

    /// Makes a part clean (C: `bdrv_dirty_bitmap_deserialize_zeroes`).
    ///
    /// # Panics
    /// As `serialization_size`.
    pub fn deserialize_zeroes(&self, locked: &mut Locked<'_>, offset: u64, bytes: u64) {
        self.change(&mut locked.content, Change::Cleans { offset, bytes }, |content| {
            content.deserialize_zeroes(offset, bytes)
        });
    }

    /// Makes a part dirty (C: `bdrv_dirty_bitmap_deserialize_ones`).
    ///
    /// # Panics
    /// As `serialization_size`.
    pub fn deserialize_ones(&self, locked: &mut Locked<'_>, offset: u64, bytes: u64) {
        self.change(&mut locked.content, Change::Adds, |content| {
            content.deserialize_ones(offset, bytes)
        });
    }

    /// Ends a series of parts (C: `bdrv_dirty_bitmap_deserialize_finish`).
    pub fn deserialize_finish(&self, locked: &mut Locked<'_>) {
        self.change(&mut locked.content, Change::Adds, HBitmap::deserialize_finish);
    }

    /// The SHA-256 of the serialised bitmap, in hexadecimal (C: `bdrv_dirty_bitmap_sha256`). Takes
    /// the node's lock to copy the content, not to hash it: that takes as long for zeroes as for
    /// anything else.
    #[must_use]
    pub fn sha256(&self) -> String {
        let copy = HBitmap::clone(self.content(&self.lock()));
        copy.sha256()
    }
}
