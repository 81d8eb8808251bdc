// SPDX-License-Identifier: GPL-2.0-or-later
//! The Rust API: what a Rust program uses, without a C type in it.
//!
//! It adds no behaviour of its own. [`HBitmap`] is the engine (`crate::hbitmap`), [`Node`] and
//! [`DirtyBitmap`] are the state machine (`crate::dirty_bitmap`) on the stand-alone host; here
//! their assertions become [`Error`]s, or can't be violated because the types do not allow it.
//!
//! Two things are decided here that QEMU leaves to its monitor commands and to its big lock.
//! Whoever changes a bitmap through a handle is refused in the states in which the commands refuse
//! it. And each node has a lock (`control`) for the steps that QEMU's big lock keeps apart: making
//! and releasing bitmaps, freezing and resizing. It is taken before the node's lock.

mod dirty_bitmap;
mod error;
mod frozen;
mod hbitmap;
mod info;
mod iter;
mod live;
mod locked;
mod merge;
mod node;
mod owner;
mod range;
mod release;
mod set_operators;

pub use dirty_bitmap::DirtyBitmap;
pub use error::Error;
pub use frozen::Frozen;
pub use hbitmap::HBitmap;
pub use info::BitmapInfo;
pub use iter::{Areas, Iter};
pub use live::{LiveAreas, LiveIter};
pub use locked::LockedBitmap;
pub use node::Node;
pub use owner::Claim;
pub use range::Extent;

/// The most bits that a bitmap can have.
pub const MAX_BITS: u64 = crate::hbitmap::MAX_BITS;

static_assertions::assert_impl_all!(HBitmap: Send, Sync);
static_assertions::assert_impl_all!(Iter<'static>: Send, Sync);
static_assertions::assert_impl_all!(Areas<'static>: Send, Sync);
static_assertions::assert_impl_all!(Error: Send, Sync);
static_assertions::assert_impl_all!(Node: Send, Sync);
static_assertions::assert_impl_all!(DirtyBitmap: Send, Sync);
static_assertions::assert_impl_all!(BitmapInfo: Send, Sync);
static_assertions::assert_impl_all!(Frozen: Send, Sync);
static_assertions::assert_impl_all!(Claim: Send, Sync);
static_assertions::assert_impl_all!(LiveIter: Send, Sync);
static_assertions::assert_impl_all!(LiveAreas: Send, Sync);
// A lock is released by the thread that took it.
static_assertions::assert_not_impl_any!(LockedBitmap<'static>: Send, Sync);
