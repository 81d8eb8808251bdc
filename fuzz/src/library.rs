// SPDX-License-Identifier: GPL-2.0-or-later
//! What an implementation must be able to do to take part.

use crate::call::{Call, Outcome};

/// An implementation of HBitmaps and dirty bitmaps.
pub trait Library {
    /// Does a call that does not abort.
    fn run(&mut self, call: &Call) -> Outcome;
}
