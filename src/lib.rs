// SPDX-License-Identifier: GPL-2.0-or-later
//! Dirty bitmaps: which parts of a virtual disk changed since the last backup.
//!
//! This is QEMU's changed-block tracking (its `util/hbitmap.c` and `block/dirty-bitmap.c`) as a
//! Rust library, with the same behaviour, the same stored bytes, and a C ABI that lets it take the
//! place of the two files. From Rust it looks like this:
//!
//! * [`HBitmap`] is a bitmap by itself: ranges of a large space, dirty or clean, with a
//!   granularity. It can be searched, iterated over, merged, serialised and hashed. Its memory is
//!   allocated when it is made; where it is all clean or all dirty, it touches 16 bytes for each
//!   32,768 bits.
//! * [`Node`] is a disk, and [`DirtyBitmap`] a bitmap that records the writes to it: with a name,
//!   states, and a way to take a backup while writes go on ([`DirtyBitmap::freeze`]).
//!
//! ```
//! use qemu_dirty_bitmap::Node;
//!
//! let disk = Node::new(64 << 30)?; // bytes
//! let bitmap = disk.create_bitmap("backup", 65536)?;
//!
//! // The program tells of each write; any thread may.
//! disk.record_write(4096..8192)?;
//! disk.record_write(1 << 30..(1 << 30) + 1)?;
//!
//! // An incremental backup: the areas stand still while writes go on.
//! let frozen = bitmap.freeze()?;
//! let areas: Vec<_> = frozen.bitmap().areas(0..disk.length()).collect();
//! assert_eq!(areas, [0..65536, 1 << 30..(1 << 30) + 65536]);
//! // ... copy them, and then:
//! let bitmap = frozen.abdicate();
//!
//! // What was written meanwhile is the next backup's. To keep that over a restart, store it:
//! let mut file = Vec::new();
//! bitmap.write_to(&mut file)?;
//! let restarted = Node::new(64 << 30)?.read_bitmap(&mut &file[..])?;
//! assert_eq!(restarted.info(), bitmap.info());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/incremental_backup.rs` is a whole program: full and incremental backups of an image
//! file, with a bitmap that is kept beside it. `examples/block_backend.rs` has the request loop of a
//! block backend: several queues, and incremental backups beside their writes.
//!
//! # Errors and panics
//!
//! What QEMU aborts on is an [`Error`] here, or the types do not allow it. No argument makes a
//! method of this API panic; memory that can't be had ends the program, as in all of Rust's
//! standard collections.
//!
//! # Features
//!
//! Exactly one of `standalone` and `qemu` must be on.
//!
//! | feature | default | what it does |
//! | --- | --- | --- |
//! | `standalone` | yes | The library is whole by itself: nodes, locks and errors are its own. [`Node`] and [`DirtyBitmap`] need it. |
//! | `qemu` | no | The embedder is QEMU: nodes, locks and errors are asked of C code that is compiled in QEMU's tree. Of this API, [`HBitmap`] is left. Only for the object that QEMU is linked with. |
//! | `capi` | no | The C functions carry their C names (`hbitmap_*`, `bdrv_*`, `qdb_*`), and a violated assertion aborts instead of panicking. It needs `panic = "abort"`. Only for the C library and for QEMU: a Rust program that turns it on exports those names. |
//!
//! # Minimum Rust version
//!
//! 1.85. Hosts have 64 bits; little- and big-endian ones store the same bytes.
//!
//! # What is below
//!
//! ```text
//!   C program ────> ffi ─────> dirty_bitmap ──> hbitmap
//!   Rust program ─> this API ──────┘  │            (the engine)
//!                                     └──> host    (the embedder: a program of its own, or QEMU)
//! ```
//!
//! The modules of that picture are public for this project's own tests and fuzzers, hidden here,
//! and no part of the API: they may change in any version.

#![deny(unsafe_op_in_unsafe_fn)]

#[cfg(all(feature = "standalone", feature = "qemu"))]
compile_error!("the features `standalone` and `qemu` name the embedder: choose exactly one");
#[cfg(not(any(feature = "standalone", feature = "qemu")))]
compile_error!("choose an embedder: feature `standalone` (the default) or `qemu`");
#[cfg(all(feature = "capi", not(panic = "abort")))]
compile_error!("feature `capi` exports C functions: build with panic = \"abort\"");
#[cfg(not(target_pointer_width = "64"))]
compile_error!("32-bit hosts are not supported (QEMU dropped them too)");

mod api;
mod assertion;
#[doc(hidden)]
pub mod dirty_bitmap;
#[doc(hidden)]
pub mod ffi;
mod format;
#[doc(hidden)]
pub mod hbitmap;
#[doc(hidden)]
pub mod host;

pub use api::*;

/// The example in README.md is a test.
#[cfg(all(doctest, feature = "standalone"))]
#[doc = include_str!("../README.md")]
struct Readme;
