// SPDX-License-Identifier: GPL-2.0-or-later
//! QEMU's dirty bitmaps in Rust: which parts of a virtual disk changed since the last backup.
//!
//! Two C files of QEMU are replaced, behind the same C ABI: `util/hbitmap.c` and `block/dirty-bitmap.c`.
//!
//! # Who calls whom
//!
//! ```text
//!   C program ──> ffi ──> dirty_bitmap ──> hbitmap
//!   Rust program ────────────┘  │
//!                               └──> host (the embedder: a program of its own, or QEMU)
//! ```
//!
//! * [`hbitmap`] is the engine: a bitmap of items with a granularity. It knows nothing of block nodes, locks or C.
//! * [`dirty_bitmap`] is the state machine: named bitmaps on a block node, which may be busy, read-only, inconsistent, persistent or
//!   disabled, have successors, and are merged.
//! * [`host`] is what is asked of the program around the library. Feature `standalone` (the default) answers it here; feature `qemu`
//!   asks C functions that are compiled in QEMU's tree.
//! * `ffi` holds the C functions. They only translate, and carry their C names with feature `capi` alone, so that a Rust program
//!   that uses this crate does not export them.
//!
//! # Checks
//!
//! Every `assert` of the two C files is a check in release builds too. With feature `capi` a failed one prints the function and the
//! condition on stderr and aborts; without it, it panics.

#![deny(unsafe_op_in_unsafe_fn)]

#[cfg(all(feature = "standalone", feature = "qemu"))]
compile_error!("the features `standalone` and `qemu` name the embedder: choose exactly one");
#[cfg(not(any(feature = "standalone", feature = "qemu")))]
compile_error!("choose an embedder: feature `standalone` (the default) or `qemu`");
#[cfg(all(feature = "capi", not(panic = "abort")))]
compile_error!("feature `capi` exports C functions: build with panic = \"abort\"");
#[cfg(not(target_pointer_width = "64"))]
compile_error!("32-bit hosts are not supported (QEMU dropped them too)");

mod assertion;
pub mod dirty_bitmap;
#[doc(hidden)]
pub mod ffi;
pub mod hbitmap;
pub mod host;
