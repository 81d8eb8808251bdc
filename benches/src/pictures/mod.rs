// SPDX-License-Identifier: GPL-2.0-or-later
//! The pictures of `docs/`, drawn from saved results: SVG files that are readable on a light and on
//! a dark page, in a browser and in a terminal.

pub mod bars;
pub mod growth;
pub mod latency;
pub mod memory;
pub mod scale;
pub mod svg;
