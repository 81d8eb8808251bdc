// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory that is freed is overwritten, and not used again for a while, so that who uses it still
//! is found out.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;

/// The allocator of the models.
struct Quarantine;

#[global_allocator]
static ALLOCATOR: Quarantine = Quarantine;

/// Blocks that wait: many more than a scene frees.
const BLOCKS: usize = 4096;

struct Waiting {
    blocks: [(*mut u8, Layout); BLOCKS],
    next: usize,
}

/// Where blocks wait until they are freed. The threads of a model take turns on one thread of the
/// machine, and a process has one model.
static mut WAITING: Waiting =
    Waiting { blocks: [(ptr::null_mut(), Layout::new::<u8>()); BLOCKS], next: 0 };

// SAFETY: blocks come from the system's allocator and go back to it with the layout that they had,
// later than the caller wants.
unsafe impl GlobalAlloc for Quarantine {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is the caller's to free, so it can be overwritten. Nothing else refers
        // to WAITING meanwhile: nothing in here allocates, and there is one thread.
        unsafe {
            block.write_bytes(0xdd, layout.size());
            let list = &raw mut WAITING;
            let waiting = &mut *list;
            let slot = &mut waiting.blocks[waiting.next % BLOCKS];
            let (old, old_layout) = ptr::replace(slot, (block, layout));
            waiting.next = waiting.next.wrapping_add(1);
            if !old.is_null() {
                System.dealloc(old, old_layout);
            }
        }
    }
}
