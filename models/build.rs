// SPDX-License-Identifier: GPL-2.0-or-later
//! Names the library's source files, which are compiled as they are: `QDB_MODEL_SOURCE` names
//! another `src` folder, in which tests/library/test_models.py has planted a fault.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-env-changed=QDB_MODEL_SOURCE");
    for cfg in ["qdb_c_names", "qdb_host, values(\"qemu\")", "qdb_internals", "qdb_tiny"] {
        println!("cargo:rustc-check-cfg=cfg({cfg})");
    }
    let own = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../src");
    let source = env::var_os("QDB_MODEL_SOURCE").map_or(own, PathBuf::from);
    let source = source.canonicalize().expect("the library's src folder");
    println!("cargo:rerun-if-changed={}", source.display());

    let mut modules = String::new();
    for (name, file) in [
        ("assertion", "assertion.rs"),
        ("dirty_bitmap", "dirty_bitmap/mod.rs"),
        ("ffi", "ffi/mod.rs"),
        ("format", "format/mod.rs"),
        ("hbitmap", "hbitmap/mod.rs"),
        ("host", "host/mod.rs"),
    ] {
        let file = source.join(file);
        // Not all of it is called: src/api, the interface for Rust programs, is not here.
        modules.push_str(&format!(
            "#[allow(dead_code)]\n#[path = {:?}]\npub mod {name};\n",
            file.display().to_string()
        ));
    }
    let output = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("library.rs");
    fs::write(output, modules).expect("OUT_DIR is writable");
}
