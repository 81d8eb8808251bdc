// SPDX-License-Identifier: GPL-2.0-or-later
//! The disks that rows are about.

/// Bytes of the disk.
pub const DISK: u64 = 16 << 40;
/// 64 KiB.
pub const GRANULARITY: u32 = 16;
/// Bits of the bitmap.
pub const BITS: u64 = DISK >> GRANULARITY;
/// Bytes of the bitmap.
pub const BYTES: u64 = BITS / 8;

/// Disks of the series by size: the name in ids, and bytes.
pub const SIZES: [(&str, u64); 7] = [
    ("1g", 1 << 30),
    ("16g", 1 << 34),
    ("256g", 1 << 38),
    ("4t", 1 << 42),
    ("64t", 1 << 46),
    ("256t", 1 << 48),
    ("1p", 1 << 50),
];
