// SPDX-License-Identifier: GPL-2.0-or-later
//! What the fuzz targets and the differential test share: one vocabulary of operations, run on
//! three implementations.
//!
//! ```text
//!   bytes ──(arbitrary)──> Op ──(model)──> Call ──┬─> CLibrary, this library's C functions
//!                                                 ├─> CLibrary, QEMU's C (a shared object)
//!                                                 └─> Model, a sorted set of runs
//! ```
//!
//! * [`op`] is what a fuzzer invents: operations whose numbers are drawn so that they meet at the
//!   ends of words, chunks and bitmaps.
//! * [`density`] brings a chunk to a number of bits in all ways in which that can come about.
//! * [`call`] is a C call with all its arguments. The model turns operations into calls, because it
//!   knows what lives and how large it is.
//! * [`library`] is the trait that implementations have; [`c_library`] calls C functions through
//!   the table of [`api`].
//! * [`model`] says what a call has to return, or that it aborts, or that QEMU's C is undefined for
//!   it (the model names the entry of `docs/differences.md`).
//! * [`session`] runs a sequence on all of them and compares after each call. [`child`] runs calls
//!   that abort in a child process.
//! * [`stored`] loads files that nobody vouches for, in Rust and in C.

#![deny(unsafe_op_in_unsafe_fn)]

pub mod api;
pub mod c_library;
pub mod call;
pub mod child;
pub mod density;
pub mod driver;
pub mod hostile;
pub mod library;
pub mod model;
pub mod op;
pub mod oracle;
pub mod position;
pub mod random;
pub mod runs;
pub mod session;
pub mod stored;
