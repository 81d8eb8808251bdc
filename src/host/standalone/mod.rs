// SPDX-License-Identifier: GPL-2.0-or-later
//! The host for programs other than QEMU: nodes, locks and errors of the library's own.

mod error;
mod info;
mod node;

use std::ffi::CStr;
use std::sync::LazyLock;
use std::sync::atomic::AtomicPtr;

use crossbeam_epoch as epoch;
use parking_lot::lock_api::RawMutex as _;

use super::{DirtyInfo, Failure, Host};
use crate::assertion::fail;

pub use error::Error;
pub(crate) use error::{free_error, report_message};
pub use info::BlockDirtyInfoList;
pub(crate) use info::free_info_list;
pub use node::{BlockDriverState, NodeHandle, QdbDriver};

/// The stand-alone host.
#[derive(Clone, Copy, Debug)]
pub struct Standalone;

/// A collector of the library's own. What is retired is dropped with a node's lock held; that of
/// the crate would drop what other parts of the program left there too, which may take that lock.
static COLLECTOR: LazyLock<epoch::Collector> = LazyLock::new(epoch::Collector::new);

thread_local! {
    static HANDLE: epoch::LocalHandle = COLLECTOR.register();
}

#[inline]
fn pin() -> epoch::Guard {
    // A thread that ends may drop a bitmap after its handle.
    HANDLE.try_with(epoch::LocalHandle::pin).unwrap_or_else(|_| COLLECTOR.register().pin())
}

/// An object that waits for its end.
struct Retired<T>(*mut T);

// SAFETY: the object is Send, and this has it for itself but for readers, who are gone when it is
// used.
unsafe impl<T: Send> Send for Retired<T> {}

impl<T> Retired<T> {
    fn free(self) {
        // SAFETY: the pointer came from Box::into_raw and was given up, as `retire` asks.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

impl Host for Standalone {
    type Node = BlockDriverState;
    type NodeHandle = NodeHandle;
    type ReadSection = epoch::Guard;
    type Error = Error;
    type DirtyInfoList = BlockDirtyInfoList;

    const SIZE_MISMATCH_ABORTS: bool = false;

    const WRITES_HAVE_BARRIERS: bool = false;

    fn handle(node: &BlockDriverState) -> NodeHandle {
        node.handle()
    }

    #[inline]
    fn lock(node: &BlockDriverState) {
        node.mutex().lock();
    }

    #[inline]
    unsafe fn unlock(node: &BlockDriverState) {
        // Unlocking an unlocked mutex would be undefined behaviour, and a C caller can do it by
        // mistake.
        if !node.mutex().is_locked() {
            fail(format_args!("bdrv_dirty_bitmap_unlock: the node's bitmaps are not locked"));
        }
        // SAFETY: the caller promises that this thread holds the lock.
        unsafe { node.mutex().unlock() }
    }

    #[inline]
    fn head(node: &BlockDriverState) -> &AtomicPtr<()> {
        node.head()
    }

    #[inline]
    fn read_section() -> epoch::Guard {
        pin()
    }

    unsafe fn retire<T: Send + 'static>(object: *mut T) {
        if object.is_null() {
            return;
        }
        let object = Retired(object);
        pin().defer(move || object.free());
        // Retiring is rare, so nothing else would move the epoch on: twice, unless somebody reads,
        // and the object is dropped.
        for _ in 0..3 {
            pin().flush();
        }
    }

    fn length(node: &BlockDriverState) -> i64 {
        node.length()
    }

    fn cluster_size(node: &BlockDriverState) -> i64 {
        node.cluster_size()
    }

    fn assert_global_state(_function: &'static CStr) {}

    unsafe fn report(errp: *mut *mut Error, failure: &Failure) {
        // SAFETY: the caller's promise about `errp` is the one that is asked for.
        unsafe { error::report(errp, failure) }
    }

    unsafe fn append_info(tail: &mut *mut *mut BlockDirtyInfoList, info: &DirtyInfo) {
        // SAFETY: the caller's promise about `tail` is the one that is asked for.
        unsafe { info::append(tail, info) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    struct Object(Arc<AtomicBool>);

    impl Drop for Object {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn retire_one() -> Arc<AtomicBool> {
        let gone = Arc::new(AtomicBool::new(false));
        // SAFETY: nobody else has the object.
        unsafe {
            Standalone::retire(Box::into_raw(Box::new(Object(Arc::clone(&gone)))));
        }
        gone
    }

    #[test]
    fn what_is_retired_goes_after_the_last_reader_and_soon() {
        let section = Standalone::read_section();
        let gone = retire_one();
        std::thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(retire_one))));
        assert!(!gone.load(Ordering::Relaxed));
        drop(section);
        // Other tests may be reading.
        for _ in 0..1000 {
            if gone.load(Ordering::Relaxed) {
                return;
            }
            retire_one();
            std::thread::yield_now();
        }
        panic!("it is still there");
    }
}
