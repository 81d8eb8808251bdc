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
//! file, with a bitmap that is kept beside it. `examples/block_backend.rs` has the request loop of
//! a block backend: several queues, and incremental backups beside their writes.
//!
//! # Errors and panics
//!
//! What QEMU aborts on is an [`Error`] here, or the types do not allow it. No argument makes a
//! method of this API panic; `|=`, `extend` and `collect`, which can't return an error, do. An
//! [`Error`] becomes a [`std::io::Error`] with `?`. Memory that can't be had ends the program, as
//! in all of Rust's standard collections.
//!
//! # What is compiled in
//!
//! The crate has no features. A Rust program gets this API and nothing else: no C function, no C
//! name. The C library and the object for QEMU are built by meson, which passes these to the
//! compiler:
//!
//! | `--cfg` | what it does |
//! | --- | --- |
//! | `qdb_c_names` | There are C functions, and they carry their C names (`hbitmap_*`, `bdrv_*`, `qdb_*`). A violated assertion of QEMU's aborts instead of panicking. |
//! | `qdb_host="qemu"` | The host is QEMU: nodes, locks and errors are asked of C code that is compiled in QEMU's tree. This API is not there. It needs `qdb_c_names`. |
//! | `qdb_internals` | The modules below are public, for this project's fuzzers. |
//!
//! # Minimum Rust version
//!
//! 1.85. Hosts have 64 bits; little- and big-endian ones store the same bytes.
//!
//! # What is below
//!
//! ```text
//!   C program ────> ffi ──────┬─> format ──> dirty_bitmap ──> host ──> hbitmap
//!   Rust program ─> this API ─┘   (files)    (states)         │        (the engine)
//!                                                             └ stand-alone, or QEMU
//! ```

// The C library has all callers, Rust's and C's: its build says what nobody calls.
#![cfg_attr(any(qdb_host = "qemu", not(qdb_c_names)), allow(dead_code, unused_imports))]

#[cfg(all(qdb_host = "qemu", not(qdb_c_names)))]
compile_error!("QEMU calls C functions: qdb_host=\"qemu\" needs qdb_c_names");
#[cfg(all(qdb_internals, qdb_c_names))]
compile_error!("qdb_internals is for Rust programs, qdb_c_names for C programs: choose one");
#[cfg(not(target_pointer_width = "64"))]
compile_error!("32-bit hosts are not supported (QEMU dropped them too)");

#[cfg(not(qdb_host = "qemu"))]
mod api;
mod assertion;
mod dirty_bitmap;
#[cfg(any(qdb_c_names, qdb_internals))]
mod ffi;
#[cfg(not(qdb_host = "qemu"))]
mod format;
mod hbitmap;
mod host;

/// What is public for the fuzzers alone.
#[cfg(qdb_internals)]
#[allow(missing_docs)]
pub mod internals {
    pub mod dirty_bitmap {
        pub use crate::dirty_bitmap::*;
    }
    pub mod ffi {
        pub use crate::ffi::*;
    }
    pub mod hbitmap {
        pub use crate::hbitmap::*;
    }
    pub mod host {
        pub use crate::host::*;
    }
}

#[cfg(not(qdb_host = "qemu"))]
pub use api::*;

/// The example in README.md is a test.
#[cfg(all(doctest, not(qdb_host = "qemu")))]
#[doc = include_str!("../README.md")]
struct Readme;
