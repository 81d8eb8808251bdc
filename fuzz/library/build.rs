// SPDX-License-Identifier: GPL-2.0-or-later
//! Makes the library's modules public.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-check-cfg=cfg(qdb_internals)");
    println!("cargo:rustc-cfg=qdb_internals");
}
