// SPDX-License-Identifier: GPL-2.0-or-later
//! Asks the compiler whether it knows AVX-512 (stable since Rust 1.89): the minimum Rust version is older.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(qdb_avx512)");
    if autocfg::new().probe_rustc_version(1, 89) {
        println!("cargo:rustc-cfg=qdb_avx512");
    }
}
