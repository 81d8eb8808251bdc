// SPDX-License-Identifier: GPL-2.0-or-later
//! What the scenes do, with the library's C functions.

use std::ffi::CStr;
use std::ptr;

use crate::dirty_bitmap::BdrvDirtyBitmap;
use crate::ffi::dirty_bitmap as c;
use crate::ffi::{hbitmap, node};
use crate::hbitmap::HBitmap;
use crate::host::BlockDriverState;

/// Bytes for each bit.
pub const UNIT: i64 = 512;
/// Bytes of a node.
pub const SIZE: i64 = 4 * UNIT;

/// A block node, for all threads.
#[derive(Clone, Copy)]
pub struct Node(*mut BlockDriverState);

/// A bitmap, for all threads.
#[derive(Clone, Copy, PartialEq)]
pub struct Bitmap(*mut BdrvDirtyBitmap);

// SAFETY: C programs hand these pointers from thread to thread; what that may lead to is what is
// checked here.
unsafe impl Send for Node {}
// SAFETY: as above.
unsafe impl Send for Bitmap {}

// In all of these: nodes and bitmaps live as long as a scene uses them, which is what it checks;
// there are no other pointers.
impl Node {
    pub fn new() -> Self {
        // SAFETY: no name.
        let node = Self(unsafe { node::qdb_node_new(SIZE, 0, ptr::null()) });
        // Makes the head of its list; see modelled_std.
        assert!(!node.has_named());
        node
    }

    /// Several, in the order of their addresses: each play must do the same as the one before, and
    /// which lock is taken first depends on the addresses.
    pub fn several<const N: usize>() -> [Self; N] {
        let mut nodes = std::array::from_fn(|_| Self::new());
        nodes.sort_by_key(|node| node.0.addr());
        nodes
    }

    /// Aborts if there are bitmaps.
    pub fn free(self) {
        // SAFETY: see above.
        unsafe { node::qdb_node_free(self.0) }
    }

    pub fn bitmap(self, name: &CStr) -> Bitmap {
        // SAFETY: see above.
        let bitmap = unsafe {
            c::bdrv_create_dirty_bitmap(self.0, UNIT as u32, name.as_ptr(), ptr::null_mut())
        };
        assert!(!bitmap.is_null());
        Bitmap(bitmap)
    }

    /// A bitmap of the same node that has one bit for two units.
    pub fn coarse_bitmap(self, name: &CStr) -> Bitmap {
        // SAFETY: see above.
        let bitmap = unsafe {
            c::bdrv_create_dirty_bitmap(self.0, 2 * UNIT as u32, name.as_ptr(), ptr::null_mut())
        };
        assert!(!bitmap.is_null());
        Bitmap(bitmap)
    }

    /// Gives all bitmaps another size.
    pub fn truncate(self, units: i64) {
        // SAFETY: see above.
        unsafe { c::bdrv_dirty_bitmap_truncate(self.0, units * UNIT) }
    }

    /// A guest's write of one unit.
    pub fn write(self, unit: i64) {
        // SAFETY: see above.
        unsafe { c::bdrv_set_dirty(self.0, unit * UNIT, UNIT) }
    }

    /// Walks the list without the lock, as a holder of QEMU's big lock may; how many bitmaps are
    /// there.
    pub fn walk_list(self) -> usize {
        let mut seen = 0;
        // SAFETY: see above; a scene that does this releases nothing meanwhile.
        unsafe {
            let mut bitmap = c::bdrv_dirty_bitmap_first(self.0);
            while !bitmap.is_null() {
                seen += 1;
                assert!(Bitmap(bitmap).name().is_some());
                Bitmap(bitmap).read_flags();
                bitmap = c::bdrv_dirty_bitmap_next(bitmap);
            }
        }
        seen
    }

    pub fn has_named(self) -> bool {
        // SAFETY: see above.
        unsafe { c::bdrv_has_named_bitmaps(self.0) }
    }

    /// How many bitmaps of the node have a name, by a query.
    pub fn named(self) -> usize {
        // SAFETY: see above. The list is malloc'ed, and freed once.
        unsafe {
            let list = c::bdrv_query_dirty_bitmaps(self.0);
            let mut named = 0;
            let mut entry = list;
            while let Some(info) = entry.as_ref() {
                named += usize::from(!(*info.value).name.is_null());
                assert_eq!((*info.value).count % UNIT, 0);
                entry = info.next;
            }
            node::qdb_dirty_info_list_free(list);
            named
        }
    }
}

/// What a bitmap recorded before.
pub struct Old(*mut HBitmap);

impl Old {
    pub fn has(&self, unit: i64) -> bool {
        // SAFETY: see above.
        unsafe { hbitmap::hbitmap_get(self.0, (unit * UNIT) as u64) }
    }

    pub fn free(self) {
        // SAFETY: see above.
        unsafe { hbitmap::hbitmap_free(self.0) }
    }
}

impl Bitmap {
    pub fn set(self, unit: i64) {
        // SAFETY: see above.
        unsafe { c::bdrv_set_dirty_bitmap(self.0, unit * UNIT, UNIT) }
    }

    pub fn has(self, unit: i64) -> bool {
        // SAFETY: see above.
        unsafe { c::bdrv_dirty_bitmap_get(self.0, unit * UNIT) }
    }

    /// Dirty units, without the lock.
    pub fn count(self) -> i64 {
        // SAFETY: see above.
        let bytes = unsafe { c::bdrv_get_dirty_count(self.0) };
        assert_eq!(bytes % UNIT, 0);
        bytes / UNIT
    }

    pub fn has_successor(self) -> bool {
        // SAFETY: see above.
        unsafe { c::bdrv_dirty_bitmap_has_successor(self.0) }
    }

    /// All else that may be read without the lock.
    pub fn read_flags(self) {
        // SAFETY: see above. The name is the library's.
        unsafe {
            assert_eq!(c::bdrv_dirty_bitmap_granularity(self.0), UNIT as u32);
            assert_eq!(c::bdrv_dirty_bitmap_size(self.0), SIZE);
            assert!(!c::bdrv_dirty_bitmap_readonly(self.0));
            assert!(!c::bdrv_dirty_bitmap_inconsistent(self.0));
            c::bdrv_dirty_bitmap_enabled(self.0);
            c::bdrv_dirty_bitmap_get_persistence(self.0);
        }
    }

    pub fn name(self) -> Option<&'static CStr> {
        // SAFETY: names live as long as a bitmap has them, and scenes look no longer.
        unsafe {
            let name = c::bdrv_dirty_bitmap_name(self.0);
            (!name.is_null()).then(|| CStr::from_ptr(name))
        }
    }

    /// All that may be asked of the content by a thread that does not hold the lock, while somebody
    /// changes unit 1 and nothing else: what is found.
    pub fn read_content(self) -> Vec<i64> {
        let (mut start, mut count) = (0, 0);
        // SAFETY: see above.
        unsafe {
            let found = c::bdrv_dirty_bitmap_next_dirty_area(
                self.0,
                0,
                SIZE,
                SIZE,
                &raw mut start,
                &raw mut count,
            );
            let next = c::bdrv_dirty_bitmap_next_dirty(self.0, 0, SIZE) / UNIT;
            let zero = c::bdrv_dirty_bitmap_next_zero(self.0, 0, SIZE) / UNIT;
            let dirty = c::bdrv_dirty_bitmap_status(self.0, UNIT, UNIT, &raw mut count);
            assert_eq!(count, UNIT);
            assert!(
                zero == 0 && found == (start == UNIT) && (next == 1 || next == -1 / UNIT),
                "{zero} {found} {start} {next}"
            );
            let get = c::bdrv_dirty_bitmap_get_locked(self.0, UNIT);
            [found, dirty, get].into_iter().map(i64::from).collect()
        }
    }

    /// The same, holding the lock: all answers agree.
    pub fn read_content_locked(self) {
        // SAFETY: see above.
        unsafe { c::bdrv_dirty_bitmap_lock(self.0) };
        let found = self.read_content();
        assert!(found.iter().all(|answer| *answer == found[0]));
        // SAFETY: see above.
        unsafe { c::bdrv_dirty_bitmap_unlock(self.0) };
    }

    pub fn enable(self) {
        // SAFETY: see above.
        unsafe { c::bdrv_enable_dirty_bitmap(self.0) }
    }

    pub fn disable(self) {
        // SAFETY: see above.
        unsafe { c::bdrv_disable_dirty_bitmap(self.0) }
    }

    /// Empties the bitmap, and keeps nothing.
    pub fn clear_in_place(self) {
        // SAFETY: see above.
        unsafe { c::bdrv_clear_dirty_bitmap(self.0, ptr::null_mut()) }
    }

    /// Loads zeroes into all of the bitmap.
    pub fn load_zeroes(self) {
        // SAFETY: see above.
        unsafe { c::bdrv_dirty_bitmap_deserialize_zeroes(self.0, 0, SIZE as u64, true) }
    }

    /// Loads a serialised bitmap in which nothing is set.
    pub fn load_nothing(self) {
        let mut nothing = [0u8; 8];
        // SAFETY: see above; there are at most 64 bits.
        unsafe {
            c::bdrv_dirty_bitmap_deserialize_part(
                self.0,
                nothing.as_mut_ptr(),
                0,
                SIZE as u64,
                true,
            )
        }
    }

    /// Cleans one unit.
    pub fn reset(self, unit: i64) {
        // SAFETY: see above.
        unsafe { c::bdrv_reset_dirty_bitmap(self.0, unit * UNIT, UNIT) }
    }

    /// Adds `src`; `false` if that is refused.
    pub fn merge(self, src: Self) -> bool {
        // SAFETY: see above.
        unsafe { c::bdrv_merge_dirty_bitmap(self.0, src.0, ptr::null_mut(), ptr::null_mut()) }
    }

    /// Adds `src`; what was there before.
    pub fn merge_and_keep(self, src: Self) -> Old {
        let mut old = ptr::null_mut();
        // SAFETY: see above.
        assert!(unsafe { c::bdrv_dirty_bitmap_merge_internal(self.0, src.0, &raw mut old, true) });
        Old(old)
    }

    /// Empties the bitmap; what was there before.
    pub fn clear(self) -> Old {
        let mut old = ptr::null_mut();
        // SAFETY: see above.
        unsafe { c::bdrv_clear_dirty_bitmap(self.0, &raw mut old) };
        Old(old)
    }

    pub fn restore(self, old: Old) {
        // SAFETY: see above.
        unsafe { c::bdrv_restore_dirty_bitmap(self.0, old.0) }
    }

    pub fn freeze(self) {
        // SAFETY: see above.
        assert_eq!(unsafe { c::bdrv_dirty_bitmap_create_successor(self.0, ptr::null_mut()) }, 0);
    }

    pub fn reclaim(self) {
        // SAFETY: see above.
        assert!(unsafe { c::bdrv_reclaim_dirty_bitmap(self.0, ptr::null_mut()) } == self.0);
    }

    /// The successor, which has replaced this one.
    pub fn abdicate(self) -> Self {
        // SAFETY: see above.
        let successor = unsafe { c::bdrv_dirty_bitmap_abdicate(self.0, ptr::null_mut()) };
        assert!(!successor.is_null());
        Self(successor)
    }

    /// The dirty units, walked with the lock held.
    pub fn walk(self) -> Vec<i64> {
        // SAFETY: see above; the lock is held where it has to be.
        unsafe {
            let iter = c::bdrv_dirty_iter_new(self.0);
            let mut found = Vec::new();
            c::bdrv_dirty_bitmap_lock(self.0);
            loop {
                let at = c::bdrv_dirty_iter_next(iter);
                if at < 0 {
                    break;
                }
                found.push(at / UNIT);
            }
            assert_eq!(self.count(), found.len() as i64);
            c::bdrv_dirty_bitmap_unlock(self.0);
            c::bdrv_dirty_iter_free(iter);
            found
        }
    }

    pub fn release(self) {
        // SAFETY: see above.
        unsafe { c::bdrv_release_dirty_bitmap(self.0) }
    }
}

/// Releases bitmaps and frees nodes, at the end of a scene.
pub fn end(nodes: &[Node], bitmaps: &[Bitmap]) {
    for bitmap in bitmaps {
        bitmap.release();
    }
    for node in nodes {
        node.free();
    }
}
