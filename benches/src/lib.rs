// SPDX-License-Identifier: GPL-2.0-or-later
//! Benchmarks that load this library and QEMU's own C (built by `oracle/build`) into one process,
//! through the same C ABI.
//!
//! `rows` says what is measured, one row of `docs/performance.md` each; `turns` measures rows
//! quickly, `benches/rows.rs` with criterion. `sweep` measures every operation at every density.
//! `memory` and `waits` measure what is not a duration of one call. `report` and `pictures` turn
//! saved results into the document.

pub mod allocator;
pub mod api;
pub mod bits;
pub mod caller;
pub mod case;
pub mod disks;
pub mod histogram;
pub mod limits;
pub mod memory;
pub mod node;
pub mod pattern;
pub mod pictures;
pub mod random;
pub mod recorder;
pub mod report;
pub mod results;
pub mod roar;
pub mod rows;
pub mod sweep;
pub mod trace;
pub mod turns;
pub mod units;
pub mod waits;
