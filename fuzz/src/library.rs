// SPDX-License-Identifier: GPL-2.0-or-later
//! What an implementation must be able to do to take part.

use crate::call::{Call, Outcome};

/// Whose functions they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This library's, which keeps a bitmap right after every call.
    Ours,
    /// QEMU's, which has to be kept from what it does not bear: see `docs/differences.md`.
    Qemu,
}

/// An implementation of HBitmaps and dirty bitmaps.
pub trait Library {
    /// Does a call that does not abort.
    fn run(&mut self, call: &Call) -> Outcome;
}
