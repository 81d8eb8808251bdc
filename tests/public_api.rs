// SPDX-License-Identifier: GPL-2.0-or-later
//! The Rust API, through nothing but itself: `HBitmap` beside a `BTreeSet`, the states of
//! `DirtyBitmap`, threads.
// Areas are ranges, and lists of one area are just that.
#![allow(clippy::single_range_in_vec_init)]

mod public_api {
    mod hbitmap;
    mod live_iter;
    mod model;
    mod shape;
    mod states;
    mod threads;
}
