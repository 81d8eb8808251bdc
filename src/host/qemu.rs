// SPDX-License-Identifier: GPL-2.0-or-later
//! The host is QEMU: everything is asked of C functions that are compiled in QEMU's tree, with
//! QEMU's headers.
//!
//! The C side is `qemu/glue` in this repository; the declarations here and there must agree.

use std::ffi::{CStr, c_char, c_int, c_ulong, c_void};
use std::marker::{PhantomData, PhantomPinned};
use std::ops::Deref;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicPtr;

use super::{DirtyInfo, Failure, Host};

/// Declares a C type of which only pointers are known here.
macro_rules! opaque {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Debug)]
        pub struct $name {
            _private: [u8; 0],
            _marker: PhantomData<(*mut u8, PhantomPinned)>,
        }
    };
}

opaque!(
    /// QEMU's block node.
    BlockDriverState
);
opaque!(
    /// QEMU's error object.
    Error
);
opaque!(
    /// QEMU's list of bitmap descriptions.
    BlockDirtyInfoList
);

/// The description of a bitmap as it is handed to C, which makes QAPI's object of it.
#[repr(C)]
struct QdbDirtyInfo {
    name: *const c_char,
    count: i64,
    granularity: u32,
    recording: bool,
    busy: bool,
    persistent: bool,
    inconsistent: bool,
}

static_assertions::const_assert_eq!(size_of::<QdbDirtyInfo>(), 24);

unsafe extern "C" {
    fn qdb_host_lock(bs: *mut BlockDriverState);
    fn qdb_host_unlock(bs: *mut BlockDriverState);
    fn qdb_host_read_lock();
    fn qdb_host_read_unlock();
    fn qdb_host_retire(object: *mut c_void, free: unsafe extern "C" fn(*mut c_void));
    fn qdb_host_length(bs: *mut BlockDriverState) -> i64;
    fn qdb_host_cluster_size(bs: *mut BlockDriverState) -> i64;
    fn qdb_host_error_set(
        errp: *mut *mut Error,
        os_errno: c_int,
        func: *const c_char,
        msg: *const c_char,
    );
    fn qdb_host_error_hint(errp: *mut *mut Error, hint: *const c_char);
    fn qdb_host_info_append(tail: *mut *mut *mut BlockDirtyInfoList, info: *const QdbDirtyInfo);
    fn qdb_host_assert_global_state(func: *const c_char);
    fn qdb_host_trace_set(hb: *const c_void, start: u64, count: u64, sbit: u64, ebit: u64);
    fn qdb_host_trace_reset(hb: *const c_void, start: u64, count: u64, sbit: u64, ebit: u64);
    fn qdb_host_trace_iter_skip_words(hb: *const c_void, hbi: *mut c_void, pos: u64, cur: c_ulong);
    static qdb_host_bitmaps_offset: usize;
    static qdb_host_trace_set_state: *const u16;
    static qdb_host_trace_reset_state: *const u16;
    static qdb_host_trace_iter_skip_words_state: *const u16;
}

/// A handle to a node of QEMU: its address. QEMU frees a node only after its bitmaps.
#[derive(Clone, Debug)]
pub struct NodeHandle(NonNull<BlockDriverState>);

// SAFETY: the handle is an address. What is done with it goes through QEMU's functions, which QEMU
// allows from the threads that call into the library.
unsafe impl Send for NodeHandle {}
// SAFETY: as for Send; a shared handle gives nothing that an owned one does not.
unsafe impl Sync for NodeHandle {}

impl Deref for NodeHandle {
    type Target = BlockDriverState;

    #[inline]
    fn deref(&self) -> &BlockDriverState {
        // SAFETY: a handle is kept by bitmaps of the node alone, and QEMU asserts that a node has
        // none left when it goes. The referenced type has no size, so nothing of QEMU's own
        // structure is claimed.
        unsafe { self.0.as_ref() }
    }
}

/// The address that C knows the node by.
#[inline]
fn address(node: &BlockDriverState) -> *mut BlockDriverState {
    ptr::from_ref(node).cast_mut()
}

/// Reads the state of a trace event.
#[inline(always)]
fn enabled(state: *const u16) -> bool {
    // SAFETY: the glue points it at the state word of a trace event, or at a constant 0; both live
    // for ever and are aligned. QEMU changes the word from its monitor while others read it, hence
    // a volatile read, as its own plain reads are.
    unsafe { state.read_volatile() != 0 }
}

/// An RCU read-side critical section of this thread.
#[derive(Debug)]
pub struct ReadSection(PhantomData<*mut ()>);

impl Drop for ReadSection {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: read_section entered it, in this thread: a section can't be sent to another one.
        unsafe { qdb_host_read_unlock() }
    }
}

/// The QEMU host.
#[derive(Clone, Copy, Debug)]
pub struct Qemu;

impl Host for Qemu {
    type Node = BlockDriverState;
    type NodeHandle = NodeHandle;
    type ReadSection = ReadSection;
    type Error = Error;
    type DirtyInfoList = BlockDirtyInfoList;

    const SIZE_MISMATCH_ABORTS: bool = true;

    // block/io.c increments `write_gen` before it looks whether the node has bitmaps.
    const WRITES_HAVE_BARRIERS: bool = true;

    fn handle(node: &BlockDriverState) -> NodeHandle {
        NodeHandle(NonNull::from(node))
    }

    #[inline]
    fn lock(node: &BlockDriverState) {
        // SAFETY: a reference to a node is one of QEMU's own, alive.
        unsafe { qdb_host_lock(address(node)) }
    }

    #[inline]
    unsafe fn unlock(node: &BlockDriverState) {
        // SAFETY: the node is alive, and the caller promises that this thread holds the lock.
        unsafe { qdb_host_unlock(address(node)) }
    }

    #[inline]
    fn head(node: &BlockDriverState) -> &AtomicPtr<()> {
        // SAFETY: the glue's constant is where in QEMU's node an aligned pointer is, and the node
        // lives as long as the reference. Outside of this library QEMU only compares that pointer
        // with NULL.
        unsafe { AtomicPtr::from_ptr(address(node).byte_add(qdb_host_bitmaps_offset).cast()) }
    }

    #[inline]
    fn read_section() -> ReadSection {
        // SAFETY: callers of the library are threads that QEMU has registered with its RCU: those
        // that run its AioContexts.
        unsafe {
            qdb_host_read_lock();
        }
        ReadSection(PhantomData)
    }

    unsafe fn retire<T: Send + 'static>(object: *mut T) {
        /// # Safety
        /// `object` came from `Box::<T>::into_raw`, and is given up.
        unsafe extern "C" fn free<T>(object: *mut c_void) {
            // SAFETY: as the caller promises.
            drop(unsafe { Box::from_raw(object.cast::<T>()) });
        }
        if !object.is_null() {
            // SAFETY: RCU calls the function once, with the object that it is for; any thread may
            // drop it.
            unsafe { qdb_host_retire(object.cast(), free::<T>) }
        }
    }

    fn length(node: &BlockDriverState) -> i64 {
        // SAFETY: the node is alive.
        unsafe { qdb_host_length(address(node)) }
    }

    fn cluster_size(node: &BlockDriverState) -> i64 {
        // SAFETY: the node is alive.
        unsafe { qdb_host_cluster_size(address(node)) }
    }

    fn assert_global_state(function: &'static CStr) {
        // SAFETY: the name is a C string that lives for ever.
        unsafe { qdb_host_assert_global_state(function.as_ptr()) }
    }

    unsafe fn report(errp: *mut *mut Error, failure: &Failure) {
        // SAFETY: `errp` is as the caller promises; the strings are C strings, and the function's
        // name, which QEMU keeps, is static.
        unsafe {
            qdb_host_error_set(
                errp,
                failure.os_errno(),
                failure.function().as_ptr(),
                failure.message().as_ptr(),
            );
            if let Some(hint) = failure.hint() {
                qdb_host_error_hint(errp, hint.as_ptr());
            }
        }
    }

    unsafe fn append_info(tail: &mut *mut *mut BlockDirtyInfoList, info: &DirtyInfo) {
        let info = QdbDirtyInfo {
            name: info.name.as_deref().map_or(ptr::null(), CStr::as_ptr),
            count: info.count,
            granularity: info.granularity,
            recording: info.recording,
            busy: info.busy,
            persistent: info.persistent,
            inconsistent: info.inconsistent,
        };
        // SAFETY: `tail` is as the caller promises; C copies what `info` points to before it
        // returns.
        unsafe { qdb_host_info_append(tail, &raw const info) }
    }

    #[inline(always)]
    fn traces_set() -> bool {
        // SAFETY: a constant that the glue defines.
        enabled(unsafe { qdb_host_trace_set_state })
    }

    #[inline(always)]
    fn traces_reset() -> bool {
        // SAFETY: a constant that the glue defines.
        enabled(unsafe { qdb_host_trace_reset_state })
    }

    #[inline(always)]
    fn traces_iter_skip_words() -> bool {
        // SAFETY: a constant that the glue defines.
        enabled(unsafe { qdb_host_trace_iter_skip_words_state })
    }

    #[cold]
    fn trace_set(bitmap: *const (), start: u64, count: u64, first: u64, last: u64) {
        // SAFETY: the bitmap's address is printed, not followed.
        unsafe { qdb_host_trace_set(bitmap.cast(), start, count, first, last) }
    }

    #[cold]
    fn trace_reset(bitmap: *const (), start: u64, count: u64, first: u64, last: u64) {
        // SAFETY: the bitmap's address is printed, not followed.
        unsafe { qdb_host_trace_reset(bitmap.cast(), start, count, first, last) }
    }

    #[cold]
    fn trace_iter_skip_words(bitmap: *const (), iterator: *const (), position: u64, bits: u64) {
        // SAFETY: both addresses are printed, not followed.
        unsafe {
            qdb_host_trace_iter_skip_words(
                bitmap.cast(),
                iterator.cast_mut().cast(),
                position,
                bits as c_ulong,
            )
        }
    }
}
