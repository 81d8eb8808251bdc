// SPDX-License-Identifier: GPL-2.0-or-later
//! What must not compile: the lock rule, the states, what is no part of the API.
//!
//! The `.stderr` files have the compiler's words, so that each fails for its own reason. They are
//! those of stable Rust: `TRYBUILD=overwrite cargo test --test compile_fail` writes them anew.
#![cfg(target_arch = "x86_64")] // Cargo runs in it, which an emulated machine does not have.

#[test]
fn what_must_not_compile() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
