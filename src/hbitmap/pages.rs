// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory for leaf words: zeroed, and in large pages where that pays.
//!
//! A random guest write touches one word of an array that is larger than the processor's caches and than what its address
//! translation covers in 4 KiB pages. In 2 MiB pages the translation at least is at hand, and filling the array takes one page
//! fault for each 2 MiB. They must be asked for, and the memory must be aligned to them, which the allocator does not promise:
//! hence a mapping of our own. Short arrays come from the allocator.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// The size of a large page in words.
pub(super) const LARGE: usize = (2 << 20) / 8;

/// An array of words that starts as zeroes.
#[derive(Debug)]
pub(super) struct Pages {
    words: NonNull<u64>,
    len: usize,
    mapped: bool,
}

// SAFETY: `Pages` owns its words as a `Box<[u64]>` does; only the way of freeing them differs.
unsafe impl Send for Pages {}
// SAFETY: as above: shared access is through `&[u64]` alone.
unsafe impl Sync for Pages {}

impl Pages {
    /// `len` zero words. `large` asks for large pages, which are used only for a whole one: `len` [`LARGE`].
    pub(super) fn zeroed(len: usize, large: bool) -> Self {
        #[cfg(target_os = "linux")]
        if len == LARGE {
            return Self::map(large);
        }
        let _ = large;
        let words: NonNull<[u64]> = NonNull::from(Box::leak(vec![0; len].into_boxed_slice()));
        let words = words.cast();
        Pages { words, len, mapped: false }
    }

    /// One large page's worth of address space, aligned, of which only what is touched takes memory.
    #[cfg(target_os = "linux")]
    fn map(large: bool) -> Self {
        const BYTES: usize = LARGE * 8;
        // SAFETY: a new private anonymous mapping at an address of the kernel's choice touches no existing memory.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                2 * BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            std::alloc::handle_alloc_error(std::alloc::Layout::new::<[u64; LARGE]>());
        }
        // The aligned half is kept, what lies before and behind it goes back.
        let before = start.addr().wrapping_neg() % BYTES;
        let words = start.wrapping_byte_add(before);
        // SAFETY: `before` is below `BYTES`, so the kept part and both ends lie within the mapping just made, which nobody else
        // knows of; the ends are whole pages because `start` and `BYTES` are multiples of the page size. The advice changes no
        // content. An end that could not be unmapped would stay as unused address space.
        unsafe {
            if before != 0 {
                libc::munmap(start, before);
            }
            libc::munmap(words.wrapping_byte_add(BYTES), BYTES - before);
            if large {
                libc::madvise(words, BYTES, libc::MADV_HUGEPAGE);
            }
        }
        match NonNull::new(words.cast()) {
            Some(words) => Pages { words, len: LARGE, mapped: true },
            None => std::alloc::handle_alloc_error(std::alloc::Layout::new::<[u64; LARGE]>()),
        }
    }
}

impl Deref for Pages {
    type Target = [u64];

    #[inline]
    fn deref(&self) -> &[u64] {
        // SAFETY: `words` points to `len` words that were zeroed (initialised) when they were made, are owned by `self`, aligned
        // (the allocator's for `u64`, or a page), and are freed by `drop` alone.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr(), self.len) }
    }
}

impl DerefMut for Pages {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u64] {
        // SAFETY: as in `deref`; `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.words.as_ptr(), self.len) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if self.mapped {
            // SAFETY: the mapping was made by `map` with this address and length, and no reference into it outlives `self`.
            #[cfg(target_os = "linux")]
            unsafe {
                libc::munmap(self.words.as_ptr().cast(), self.len * 8);
            }
        } else {
            // SAFETY: the words were leaked from a `Box<[u64]>` of this length in `zeroed`, and nobody else owns them.
            drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(self.words.as_ptr(), self.len)) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_zeroed_writable_and_aligned() {
        for (len, large) in [(0, false), (1, true), (1000, false), (LARGE - 1, true), (LARGE, false), (LARGE, true)] {
            let mut pages = Pages::zeroed(len, large);
            assert_eq!(pages.len(), len);
            assert!(pages.iter().all(|&word| word == 0));
            pages.fill(u64::MAX);
            assert!(pages.iter().all(|&word| word == u64::MAX));
            if cfg!(target_os = "linux") && len == LARGE {
                assert_eq!(pages.as_ptr().addr() % (LARGE * 8), 0);
            }
        }
    }
}
