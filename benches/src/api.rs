// SPDX-License-Identifier: GPL-2.0-or-later
//! The C functions that the benchmarks call, loaded from a shared object. Both implementations have
//! all of them.

use std::env;
use std::error::Error;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

/// An opaque `HBitmap *`, `BlockDriverState *`, `BdrvDirtyBitmap *` or `Error *`.
pub type Handle = *mut c_void;
/// Room for an `HBitmapIter` (80 bytes, aligned to 8).
pub type Iter = [u64; 10];

macro_rules! api {
    ($($name:ident: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// One implementation's functions.
        #[allow(missing_docs)] // the names are QEMU's, documented in its headers
        pub struct Api {
            $(pub $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
            /// What `qdb_version` says: "qemu" for QEMU's own code.
            pub version: String,
            _library: Library,
        }

        impl Api {
            /// Loads a shared object, for as long as the process lives.
            ///
            /// # Errors
            /// The loader's message, if the file cannot be loaded or a function is missing.
            pub fn load(path: &Path) -> Result<&'static Api, libloading::Error> {
                // SAFETY: both shared objects are built from this tree and run no code when they
                // are loaded.
                let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL)? };
                // SAFETY: the signatures below are those of QEMU's headers, which both libraries
                // follow. hbitmap_merge returns a bool in one of them, which a caller may ignore.
                let api = unsafe {
                    let version: unsafe extern "C" fn() -> *const c_char =
                        *library.get(b"qdb_version\0")?;
                    Api {
                        $($name: *library.get(concat!(stringify!($name), "\0").as_bytes())?,)*
                        version: CStr::from_ptr(version()).to_string_lossy().into_owned(),
                        _library: library,
                    }
                };
                Ok(Box::leak(Box::new(api)))
            }
        }
    };
}

api! {
    hbitmap_alloc: fn(u64, c_int) -> Handle;
    hbitmap_free: fn(Handle);
    hbitmap_truncate: fn(Handle, u64);
    hbitmap_set: fn(Handle, u64, u64);
    hbitmap_reset: fn(Handle, u64, u64);
    hbitmap_reset_all: fn(Handle);
    hbitmap_get: fn(Handle, u64) -> bool;
    hbitmap_count: fn(Handle) -> u64;
    hbitmap_empty: fn(Handle) -> bool;
    hbitmap_status: fn(Handle, i64, i64, *mut i64) -> bool;
    hbitmap_sha256: fn(Handle, *mut Handle) -> *mut c_char;
    hbitmap_merge: fn(Handle, Handle, Handle);
    hbitmap_next_dirty: fn(Handle, i64, i64) -> i64;
    hbitmap_next_zero: fn(Handle, i64, i64) -> i64;
    hbitmap_next_dirty_area: fn(Handle, i64, i64, i64, *mut i64, *mut i64) -> bool;
    hbitmap_iter_init: fn(*mut Iter, Handle, u64);
    hbitmap_iter_next: fn(*mut Iter) -> i64;
    hbitmap_serialize_part: fn(Handle, *mut u8, u64, u64);
    hbitmap_deserialize_part: fn(Handle, *const u8, u64, u64, bool);
    hbitmap_deserialize_zeroes: fn(Handle, u64, u64, bool);
    hbitmap_deserialize_ones: fn(Handle, u64, u64, bool);
    hbitmap_deserialize_finish: fn(Handle);
    qdb_node_new: fn(i64, i64, *const c_char) -> Handle;
    qdb_node_free: fn(Handle);
    bdrv_create_dirty_bitmap: fn(Handle, u32, *const c_char, *mut Handle) -> Handle;
    bdrv_release_dirty_bitmap: fn(Handle);
    bdrv_disable_dirty_bitmap: fn(Handle);
    bdrv_has_readonly_bitmaps: fn(Handle) -> bool;
    bdrv_set_dirty: fn(Handle, i64, i64);
    bdrv_set_dirty_bitmap: fn(Handle, i64, i64);
    bdrv_clear_dirty_bitmap: fn(Handle, *mut Handle);
    bdrv_merge_dirty_bitmap: fn(Handle, Handle, *mut Handle, *mut Handle) -> bool;
    bdrv_dirty_bitmap_create_successor: fn(Handle, *mut Handle) -> c_int;
    bdrv_dirty_bitmap_abdicate: fn(Handle, *mut Handle) -> Handle;
    bdrv_dirty_bitmap_next_dirty_area: fn(Handle, i64, i64, i64, *mut i64, *mut i64) -> bool;
    bdrv_dirty_bitmap_lock: fn(Handle);
    bdrv_dirty_bitmap_unlock: fn(Handle);
    bdrv_dirty_bitmap_truncate: fn(Handle, i64);
    bdrv_dirty_bitmap_deserialize_part: fn(Handle, *const u8, u64, u64, bool);
    bdrv_get_dirty_count: fn(Handle) -> i64;
}

/// One of the three implementations.
#[derive(Clone, Copy)]
pub enum Engine {
    /// QEMU's C.
    Qemu(&'static Api),
    /// This library.
    Ours(&'static Api),
    /// The `roaring` crate.
    Roaring,
    /// vm-memory's `AtomicBitmap`.
    AtomicBitmap,
}

impl Engine {
    /// The name in results.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Qemu(_) => "qemu",
            Engine::Ours(_) => "ours",
            Engine::Roaring => "roaring",
            Engine::AtomicBitmap => "AtomicBitmap",
        }
    }

    /// The C functions, if it has them.
    pub fn api(self) -> Option<&'static Api> {
        match self {
            Engine::Qemu(api) | Engine::Ours(api) => Some(api),
            Engine::Roaring | Engine::AtomicBitmap => None,
        }
    }
}

/// The implementations to compare, QEMU's C first: `QDB_ORACLE` (which must be there),
/// `QDB_LIBRARY` (if it is set), `roaring`, `AtomicBitmap`.
///
/// # Errors
/// If a file cannot be loaded, or if the two are not what they should be: two different libraries,
/// and one of them QEMU's.
pub fn engines() -> Result<Vec<Engine>, Box<dyn Error>> {
    let path = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let qemu = Api::load(&path("QDB_ORACLE").ok_or("QDB_ORACLE is not set: see oracle/build")?)?;
    if qemu.version != "qemu" {
        return Err(format!("QDB_ORACLE says that it is {}, not qemu", qemu.version).into());
    }
    let mut engines = vec![Engine::Qemu(qemu)];
    if let Some(path) = path("QDB_LIBRARY") {
        let ours = Api::load(&path)?;
        if ours.version == "qemu" || std::ptr::fn_addr_eq(ours.hbitmap_set, qemu.hbitmap_set) {
            return Err("QDB_LIBRARY and QDB_ORACLE are the same".into());
        }
        engines.push(Engine::Ours(ours));
    }
    engines.extend([Engine::Roaring, Engine::AtomicBitmap]);
    Ok(engines)
}
