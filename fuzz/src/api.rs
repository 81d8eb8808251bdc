// SPDX-License-Identifier: GPL-2.0-or-later
//! The C functions of one implementation, as a table of addresses: this library's own (compiled
//! into this program) or those of a shared object. Both follow the signatures of QEMU's headers.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::transmute;
use std::ops::Deref;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use qemu_dirty_bitmap::internals::ffi;

/// An opaque `HBitmap *`, `BlockDriverState *`, `BdrvDirtyBitmap *`, `BdrvDirtyBitmapIter *`,
/// `BlockDirtyInfoList *` or `Error *`.
pub type Handle = *mut c_void;
/// An `HBitmapIter`: 80 bytes, aligned to 8.
pub type HBitmapIter = [u64; 10];

/// The address of a C function. It is called like the function itself, and counts that: a test asks
/// which ones a sequence reached.
pub struct Function<F> {
    address: F,
    calls: AtomicU64,
}

impl<F> Function<F> {
    fn new(address: F) -> Self {
        Self { address, calls: AtomicU64::new(0) }
    }
}

impl<F> Deref for Function<F> {
    type Target = F;

    fn deref(&self) -> &F {
        self.calls.fetch_add(1, Ordering::Relaxed);
        &self.address
    }
}

macro_rules! api {
    ($($group:ident { $($name:ident: fn($($argument:ty),*) $(-> $result:ty)?;)* })*) => {
        /// The functions of one implementation.
        #[allow(missing_docs)] // the names are C's, documented in include/qemu_dirty_bitmap.h
        pub struct Api {
            $($(pub $name: Function<unsafe extern "C" fn($($argument),*) $(-> $result)?>,)*)*
            /// Whether these are the functions that are compiled into this program, whose objects
            /// Rust code may look into.
            pub compiled_in: bool,
        }

        impl Api {
            /// This library's functions.
            #[must_use]
            pub fn ours() -> Self {
                // SAFETY: each address is that of a function of this very name, whose signature
                // (include/qemu_dirty_bitmap.h) differs from the one here only in what pointers
                // point to, and in `u8` for a `bool` that is returned.
                unsafe {
                    Self { $($($name: Function::new(
                        transmute::<*const (), unsafe extern "C" fn($($argument),*) $(-> $result)?>(
                            ffi::$group::$name as *const ())),)*)* compiled_in: true }
                }
            }

            /// The functions of a shared object, which stays loaded for good.
            ///
            /// # Errors
            /// The loader's message.
            pub fn load(path: &Path) -> Result<Self, String> {
                let library = open(path)?;
                // SAFETY: as in `ours`: the shared objects that this loads are built from this
                // tree, with these signatures.
                unsafe {
                    Ok(Self { $($($name: Function::new(
                        transmute::<Handle, unsafe extern "C" fn($($argument),*) $(-> $result)?>(
                            symbol(library, stringify!($name))?)),)*)* compiled_in: false })
                }
            }

            /// How often each function was called: name and number.
            #[must_use]
            pub fn calls(&self) -> Vec<(&'static str, u64)> {
                vec![$($((stringify!($name), self.$name.calls.load(Ordering::Relaxed)),)*)*]
            }
        }
    };
}

/// Loads a shared object whose names stay its own.
fn open(path: &Path) -> Result<Handle, String> {
    let name =
        CString::new(path.as_os_str().as_encoded_bytes()).map_err(|error| error.to_string())?;
    // SAFETY: the name is a C string; the shared objects run no code of their own when they are
    // loaded.
    let library = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if library.is_null() {
        return Err(loader_message());
    }
    Ok(library)
}

/// The address of a name.
fn symbol(library: Handle, name: &str) -> Result<Handle, String> {
    let name = CString::new(name).map_err(|error| error.to_string())?;
    // SAFETY: `library` came from dlopen and is never closed; the name is a C string.
    let address = unsafe { libc::dlsym(library, name.as_ptr()) };
    if address.is_null() {
        return Err(loader_message());
    }
    Ok(address)
}

fn loader_message() -> String {
    // SAFETY: gives NULL or a C string that stays until this thread's next call of the loader.
    let message = unsafe { libc::dlerror() };
    if message.is_null() {
        return "the loader gives no reason".into();
    }
    // SAFETY: as above, and it is not NULL.
    unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned()
}

api! {
    hbitmap {
        hbitmap_alloc: fn(u64, c_int) -> Handle;
        hbitmap_free: fn(Handle);
        hbitmap_truncate: fn(Handle, u64);
        hbitmap_merge: fn(Handle, Handle, Handle) -> u8;
        hbitmap_empty: fn(Handle) -> bool;
        hbitmap_granularity: fn(Handle) -> c_int;
        hbitmap_count: fn(Handle) -> u64;
        hbitmap_set: fn(Handle, u64, u64);
        hbitmap_reset: fn(Handle, u64, u64);
        hbitmap_reset_all: fn(Handle);
        hbitmap_get: fn(Handle, u64) -> bool;
        hbitmap_is_serializable: fn(Handle) -> bool;
        hbitmap_serialization_align: fn(Handle) -> u64;
        hbitmap_serialization_size: fn(Handle, u64, u64) -> u64;
        hbitmap_serialize_part: fn(Handle, *mut u8, u64, u64);
        hbitmap_deserialize_part: fn(Handle, *mut u8, u64, u64, bool);
        hbitmap_deserialize_zeroes: fn(Handle, u64, u64, bool);
        hbitmap_deserialize_ones: fn(Handle, u64, u64, bool);
        hbitmap_deserialize_finish: fn(Handle);
        hbitmap_sha256: fn(Handle, *mut Handle) -> *mut c_char;
        hbitmap_iter_init: fn(*mut HBitmapIter, Handle, u64);
        hbitmap_iter_next: fn(*mut HBitmapIter) -> i64;
        hbitmap_next_dirty: fn(Handle, i64, i64) -> i64;
        hbitmap_next_zero: fn(Handle, i64, i64) -> i64;
        hbitmap_next_dirty_area: fn(Handle, i64, i64, i64, *mut i64, *mut i64) -> bool;
        hbitmap_status: fn(Handle, i64, i64, *mut i64) -> bool;
    }
    dirty_bitmap {
        bdrv_dirty_bitmap_lock: fn(Handle);
        bdrv_dirty_bitmap_unlock: fn(Handle);
        bdrv_find_dirty_bitmap: fn(Handle, *const c_char) -> Handle;
        bdrv_create_dirty_bitmap: fn(Handle, u32, *const c_char, *mut Handle) -> Handle;
        bdrv_dirty_bitmap_size: fn(Handle) -> i64;
        bdrv_dirty_bitmap_name: fn(Handle) -> *const c_char;
        bdrv_dirty_bitmap_has_successor: fn(Handle) -> bool;
        bdrv_dirty_bitmap_set_busy: fn(Handle, bool);
        bdrv_dirty_bitmap_enabled: fn(Handle) -> bool;
        bdrv_dirty_bitmap_check: fn(Handle, u32, *mut Handle) -> c_int;
        bdrv_dirty_bitmap_create_successor: fn(Handle, *mut Handle) -> c_int;
        bdrv_enable_dirty_bitmap_locked: fn(Handle);
        bdrv_dirty_bitmap_enable_successor: fn(Handle);
        bdrv_dirty_bitmap_abdicate: fn(Handle, *mut Handle) -> Handle;
        bdrv_reclaim_dirty_bitmap_locked: fn(Handle, *mut Handle) -> Handle;
        bdrv_reclaim_dirty_bitmap: fn(Handle, *mut Handle) -> Handle;
        bdrv_dirty_bitmap_truncate: fn(Handle, i64);
        bdrv_release_dirty_bitmap: fn(Handle);
        bdrv_release_named_dirty_bitmaps: fn(Handle);
        bdrv_disable_dirty_bitmap: fn(Handle);
        bdrv_enable_dirty_bitmap: fn(Handle);
        bdrv_query_dirty_bitmaps: fn(Handle) -> Handle;
        bdrv_dirty_bitmap_get_locked: fn(Handle, i64) -> bool;
        bdrv_dirty_bitmap_get: fn(Handle, i64) -> bool;
        bdrv_get_default_bitmap_granularity: fn(Handle) -> u32;
        bdrv_dirty_bitmap_granularity: fn(Handle) -> u32;
        bdrv_dirty_iter_new: fn(Handle) -> Handle;
        bdrv_dirty_iter_free: fn(Handle);
        bdrv_dirty_iter_next: fn(Handle) -> i64;
        bdrv_set_dirty_bitmap_locked: fn(Handle, i64, i64);
        bdrv_set_dirty_bitmap: fn(Handle, i64, i64);
        bdrv_reset_dirty_bitmap_locked: fn(Handle, i64, i64);
        bdrv_reset_dirty_bitmap: fn(Handle, i64, i64);
        bdrv_clear_dirty_bitmap: fn(Handle, *mut Handle);
        bdrv_restore_dirty_bitmap: fn(Handle, Handle);
        bdrv_dirty_bitmap_serialization_size: fn(Handle, u64, u64) -> u64;
        bdrv_dirty_bitmap_serialization_align: fn(Handle) -> u64;
        bdrv_dirty_bitmap_serialization_coverage: fn(c_int, Handle) -> u64;
        bdrv_dirty_bitmap_serialize_part: fn(Handle, *mut u8, u64, u64);
        bdrv_dirty_bitmap_deserialize_part: fn(Handle, *mut u8, u64, u64, bool);
        bdrv_dirty_bitmap_deserialize_zeroes: fn(Handle, u64, u64, bool);
        bdrv_dirty_bitmap_deserialize_ones: fn(Handle, u64, u64, bool);
        bdrv_dirty_bitmap_deserialize_finish: fn(Handle);
        bdrv_set_dirty: fn(Handle, i64, i64);
        bdrv_set_dirty_iter: fn(Handle, i64);
        bdrv_get_dirty_count: fn(Handle) -> i64;
        bdrv_dirty_bitmap_readonly: fn(Handle) -> bool;
        bdrv_dirty_bitmap_set_readonly: fn(Handle, bool);
        bdrv_has_readonly_bitmaps: fn(Handle) -> bool;
        bdrv_has_named_bitmaps: fn(Handle) -> bool;
        bdrv_dirty_bitmap_set_persistence: fn(Handle, bool);
        bdrv_dirty_bitmap_set_inconsistent: fn(Handle);
        bdrv_dirty_bitmap_skip_store: fn(Handle, bool);
        bdrv_dirty_bitmap_get_persistence: fn(Handle) -> bool;
        bdrv_dirty_bitmap_inconsistent: fn(Handle) -> bool;
        bdrv_dirty_bitmap_first: fn(Handle) -> Handle;
        bdrv_dirty_bitmap_next: fn(Handle) -> Handle;
        bdrv_dirty_bitmap_sha256: fn(Handle, *mut Handle) -> *mut c_char;
        bdrv_dirty_bitmap_next_dirty: fn(Handle, i64, i64) -> i64;
        bdrv_dirty_bitmap_next_zero: fn(Handle, i64, i64) -> i64;
        bdrv_dirty_bitmap_next_dirty_area: fn(Handle, i64, i64, i64, *mut i64, *mut i64) -> bool;
        bdrv_dirty_bitmap_status: fn(Handle, i64, i64, *mut i64) -> bool;
        bdrv_merge_dirty_bitmap: fn(Handle, Handle, *mut Handle, *mut Handle) -> u8;
        bdrv_dirty_bitmap_merge_internal: fn(Handle, Handle, *mut Handle, bool) -> u8;
    }
    driver {
        bdrv_supports_persistent_dirty_bitmap: fn(Handle) -> bool;
        bdrv_co_can_store_new_dirty_bitmap: fn(Handle, *const c_char, u32, *mut Handle) -> bool;
        bdrv_co_remove_persistent_dirty_bitmap: fn(Handle, *const c_char, *mut Handle) -> c_int;
        bdrv_can_store_new_dirty_bitmap: fn(Handle, *const c_char, u32, *mut Handle) -> bool;
        bdrv_remove_persistent_dirty_bitmap: fn(Handle, *const c_char, *mut Handle) -> c_int;
    }
    error {
        qdb_error_message: fn(Handle) -> *const c_char;
        qdb_error_hint: fn(Handle) -> *const c_char;
        qdb_error_free: fn(Handle);
        qdb_error_set: fn(*mut Handle, *const c_char);
    }
    node {
        qdb_node_new: fn(i64, i64, *const c_char) -> Handle;
        qdb_node_free: fn(Handle);
        qdb_node_set_length: fn(Handle, i64);
        qdb_node_length: fn(Handle) -> i64;
        qdb_node_set_driver: fn(Handle, *const c_void, *mut c_void);
        qdb_dirty_info_list_free: fn(Handle);
        qdb_version: fn() -> *const c_char;
    }
}

impl Api {
    /// What the implementation calls itself: "qemu" for QEMU's own code.
    #[must_use]
    pub fn version(&self) -> String {
        // SAFETY: takes nothing and gives a C string that stays.
        unsafe { CStr::from_ptr((self.qdb_version)()) }.to_string_lossy().into_owned()
    }
}
