// SPDX-License-Identifier: GPL-2.0-or-later
//! The names that sequences use: few, so that they collide, and some at the limits.

/// The longest name of a bitmap, in bytes.
pub(super) const MAX_NAME: usize = 1023;

/// A name for a new bitmap, or none.
pub(super) fn optional(name: u8) -> Option<Vec<u8>> {
    match name % 10 {
        0 | 1 => None,
        _ => Some(name_of(name)),
    }
}

/// A name.
pub(super) fn name_of(name: u8) -> Vec<u8> {
    match name % 10 {
        2 => Vec::new(),
        3 => vec![b'l'; MAX_NAME],
        4 => vec![b'l'; MAX_NAME + 1],
        5 => vec![0xff, b'%', b's', b'\n', 0x80],
        name => vec![b'a' + name % 3],
    }
}

/// How messages write a name.
pub(super) fn printed(name: Option<&[u8]>) -> &[u8] {
    name.unwrap_or(b"(null)")
}
