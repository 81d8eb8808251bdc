// SPDX-License-Identifier: GPL-2.0-or-later
//! QEMU's own C, as a shared object: the one that `QDB_ORACLE` names, or one that is built now.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::api::Api;

/// This library's functions.
#[must_use]
pub fn ours() -> &'static Api {
    static OURS: OnceLock<Api> = OnceLock::new();
    OURS.get_or_init(Api::ours)
}

/// QEMU's functions.
///
/// # Panics
/// If they are not there and can't be built, or if what is there is not QEMU's: a comparison with
/// something else proves nothing.
#[must_use]
pub fn qemu() -> &'static Api {
    static QEMU: OnceLock<Api> = OnceLock::new();
    QEMU.get_or_init(|| {
        let path = env::var_os("QDB_ORACLE")
            .filter(|value| !value.is_empty())
            .map_or_else(build, PathBuf::from);
        let api = match Api::load(&path) {
            Ok(api) => api,
            Err(message) => panic!("QEMU's functions can't be loaded: {message}"),
        };
        assert_eq!(api.version(), "qemu", "{} is not QEMU's code", path.display());
        assert_ne!(ours().version(), "qemu");
        assert!(
            !std::ptr::fn_addr_eq(*api.hbitmap_set, *ours().hbitmap_set),
            "both are one library"
        );
        api
    })
}

/// Builds the shared object with `oracle/build`, from the source that `tools/qemu-build` finds or
/// fetches.
fn build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let source = run(Command::new(root.join("tools/qemu-build")).args(["--source", "10.0"]));
    // Next to this program, in cargo's folder for what it builds.
    let program = env::current_exe().expect("a program knows its own path");
    let out = program.with_file_name("qemu-oracle");
    run(Command::new(root.join("oracle/build")).arg(source.trim()).arg(&out));
    out.join("libqemu-dirty-bitmap-oracle.so")
}

fn run(command: &mut Command) -> String {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("QDB_ORACLE is not set, and {command:?} can't be run: {error}"),
    };
    assert!(
        output.status.success(),
        "QDB_ORACLE is not set, and {command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
