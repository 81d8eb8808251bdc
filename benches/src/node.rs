// SPDX-License-Identifier: GPL-2.0-or-later
//! A block node with dirty bitmaps, through the C ABI.

use std::ffi::CString;
use std::ops::Range;
use std::ptr;

use crate::api::{Api, Handle};

/// A node and its bitmaps, shared between threads.
pub struct Node {
    api: &'static Api,
    node: Handle,
    bitmaps: Vec<Handle>,
}

// SAFETY: the methods below only call functions that QEMU lets any thread call: those that take the
// node's lock themselves.
unsafe impl Send for Node {}
// SAFETY: as above.
unsafe impl Sync for Node {}

impl Node {
    /// A node of `length` bytes with so many enabled bitmaps of 64 KiB granularity.
    pub fn new(api: &'static Api, length: u64, bitmaps: usize) -> Node {
        Node::with(api, length, bitmaps, |_| 1 << 16)
    }

    /// The same with granularities of 4 KiB to 64 KiB; a single bitmap has 64 KiB.
    pub fn mixed(api: &'static Api, length: u64, bitmaps: usize) -> Node {
        Node::with(api, length, bitmaps, |number| (1 << 16) >> (number % 5))
    }

    fn with(
        api: &'static Api,
        length: u64,
        bitmaps: usize,
        granularity: impl Fn(usize) -> u32,
    ) -> Node {
        // SAFETY: a length and no name are valid arguments.
        let node = unsafe { (api.qdb_node_new)(length as i64, 0, ptr::null()) };
        let bitmaps = (0..bitmaps)
            .map(|number| {
                let name = CString::new(format!("bitmap{number}")).expect("no zero byte");
                // SAFETY: an own node, a C string that lives over the call, and no wish for an
                // error.
                let bitmap = unsafe {
                    (api.bdrv_create_dirty_bitmap)(
                        node,
                        granularity(number),
                        name.as_ptr(),
                        ptr::null_mut(),
                    )
                };
                assert!(!bitmap.is_null());
                bitmap
            })
            .collect();
        Node { api, node, bitmaps }
    }

    /// A guest's write.
    #[inline]
    pub fn write(&self, offset: u64, bytes: u64) {
        // SAFETY: an own node; takes the lock itself.
        unsafe { (self.api.bdrv_set_dirty)(self.node, offset as i64, bytes as i64) }
    }

    /// The same, after the question that QEMU asks before each.
    #[inline]
    pub fn guest_write(&self, offset: u64, bytes: u64) {
        // SAFETY: an own node, whose list does not change.
        assert!(!unsafe { (self.api.bdrv_has_readonly_bitmaps)(self.node) });
        self.write(offset, bytes);
    }

    /// Stops a bitmap from recording writes.
    pub fn disable(&self, bitmap: usize) {
        // SAFETY: an own bitmap; takes the lock itself.
        unsafe { (self.api.bdrv_disable_dirty_bitmap)(self.bitmaps[bitmap]) }
    }

    /// Marks a range of one bitmap.
    pub fn set(&self, bitmap: usize, offset: u64, bytes: u64) {
        // SAFETY: an own bitmap; takes the lock itself.
        unsafe {
            (self.api.bdrv_set_dirty_bitmap)(self.bitmaps[bitmap], offset as i64, bytes as i64)
        }
    }

    /// Unmarks everything in one bitmap.
    pub fn clear(&self, bitmap: usize) {
        // SAFETY: an own bitmap; takes the lock itself; no wish for a backup.
        unsafe { (self.api.bdrv_clear_dirty_bitmap)(self.bitmaps[bitmap], ptr::null_mut()) }
    }

    /// Adds one bitmap to another.
    pub fn merge(&self, into: usize, from: usize) {
        // SAFETY: own bitmaps of one node; takes the lock itself; no wish for a backup or an error.
        let merged = unsafe {
            (self.api.bdrv_merge_dirty_bitmap)(
                self.bitmaps[into],
                self.bitmaps[from],
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        assert!(merged);
    }

    /// Changes the length of all bitmaps.
    pub fn truncate(&self, length: u64) {
        // SAFETY: an own node without iterators or busy bitmaps; takes the lock itself.
        unsafe { (self.api.bdrv_dirty_bitmap_truncate)(self.node, length as i64) }
    }

    /// Loads the whole content of a bitmap. No other thread may use the node: QEMU's C takes no
    /// lock here.
    pub fn load(&mut self, bitmap: usize, serialised: &[u8], length: u64) {
        // SAFETY: an own bitmap, exclusively borrowed, and eight bytes for each 64 granules of the
        // length.
        unsafe {
            (self.api.bdrv_dirty_bitmap_deserialize_part)(
                self.bitmaps[bitmap],
                serialised.as_ptr(),
                0,
                length,
                true,
            );
        }
    }

    /// Calls `copy` for each dirty area of a bitmap while a successor records, and lets that take
    /// its place, as a backup does.
    pub fn backup(&mut self, bitmap: usize, length: u64, mut copy: impl FnMut(Range<u64>)) {
        let (api, handle) = (self.api, self.bitmaps[bitmap]);
        // SAFETY: an own bitmap that no backup uses.
        let made = unsafe { (api.bdrv_dirty_bitmap_create_successor)(handle, ptr::null_mut()) };
        assert_eq!(made, 0);
        let (mut start, mut bytes) = (0, 0);
        // SAFETY: an own bitmap; start and bytes live over the call.
        while unsafe {
            (api.bdrv_dirty_bitmap_lock)(handle);
            let found = (api.bdrv_dirty_bitmap_next_dirty_area)(
                handle,
                start + bytes,
                length as i64,
                i64::MAX,
                &mut start,
                &mut bytes,
            );
            (api.bdrv_dirty_bitmap_unlock)(handle);
            found
        } {
            copy(start as u64..(start + bytes) as u64);
        }
        // SAFETY: it has a successor, which is the own bitmap from here on.
        self.bitmaps[bitmap] = unsafe { (api.bdrv_dirty_bitmap_abdicate)(handle, ptr::null_mut()) };
    }

    /// Marked bytes of a bitmap.
    pub fn count(&self, bitmap: usize) -> u64 {
        // SAFETY: an own bitmap; no other thread writes when this is asked.
        unsafe { (self.api.bdrv_get_dirty_count)(self.bitmaps[bitmap]) as u64 }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // SAFETY: own bitmaps and an own node; nobody else has them any more.
        unsafe {
            self.bitmaps.iter().for_each(|&bitmap| (self.api.bdrv_release_dirty_bitmap)(bitmap));
            (self.api.qdb_node_free)(self.node);
        }
    }
}
