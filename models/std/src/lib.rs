// SPDX-License-Identifier: GPL-2.0-or-later
//! What the library's sources know as `std` in a model: the real one, but for the atomics and
//! `UnsafeCell`, which are loom's.
//!
//! `Arc` and `Weak` stay std's. Their counts are right by std's word; what is checked is what is
//! done between two counts.

pub use ::std::*;

mod alive;
pub use alive::Alive;

/// `std::cell`, with another `UnsafeCell`.
pub mod cell {
    pub use super::unsafe_cell::UnsafeCell;
    pub use ::std::cell::*;
}

/// `std::sync`, with other atomics.
pub mod sync {
    pub use ::std::sync::*;

    pub use super::atomic;
}

#[doc(hidden)]
pub use ::loom as for_macros;

/// As std's, for a constant, with loom's threads.
#[macro_export]
macro_rules! thread_local {
    ($(#[$attribute:meta])* static $name:ident: $ty:ty = const $value:block;) => {
        $crate::for_macros::thread_local! {
            $(#[$attribute])*
            static $name: $ty = $value;
        }
    };
}

pub mod atomic;
mod unsafe_cell;
