// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory for an array of words that may be large, of which only what is touched counts, and of which parts can be given back.
//!
//! A random guest write touches one word of an array that is larger than the processor's caches and than what its address
//! translation covers in 4 KiB pages. In 2 MiB pages the translation at least is at hand, and filling the array takes one page
//! fault for each 2 MiB. They must be asked for, and the memory must be aligned to them, which the allocator does not promise:
//! hence a mapping of our own. Short arrays come from the allocator.

use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;

/// The size of a large page in words.
pub(super) const LARGE: usize = (2 << 20) / 8;

/// Words in the smallest page that memory is given back by. Where pages are larger the system refuses, or gives back nothing.
#[cfg(target_os = "linux")]
const PAGE: usize = 4096 / 8;

/// The words `range` of a mapping of `len` words, with the rest of the mapping behind them if they are the last: a mapping has whole
/// large pages, and what is behind its last word is nobody's.
#[cfg(target_os = "linux")]
fn with_rest(range: Range<usize>, len: usize) -> Range<usize> {
    let end = if range.end == len { len.next_multiple_of(LARGE) } else { range.end };
    range.start..end
}

/// Whether `len` words are a mapping, and not the allocator's.
fn is_mapped(len: usize) -> bool {
    cfg!(target_os = "linux") && len >= LARGE
}

/// An array of words that starts as zeroes.
#[derive(Debug)]
pub(super) struct Pages {
    words: NonNull<u64>,
    len: usize,
}

// SAFETY: `Pages` owns its words as a `Box<[u64]>` does; only the way of freeing them differs.
unsafe impl Send for Pages {}
// SAFETY: as above: shared access is through `&[u64]` alone.
unsafe impl Sync for Pages {}

impl Pages {
    /// `len` zero words.
    pub(super) fn zeroed(len: usize) -> Self {
        #[cfg(target_os = "linux")]
        if is_mapped(len) {
            return Self::map(len);
        }
        let words: NonNull<[u64]> = NonNull::from(Box::leak(vec![0; len].into_boxed_slice()));
        Pages { words: words.cast(), len }
    }

    /// Address space for `len` words, aligned to large pages, of which only what is touched takes memory. It does not count as
    /// committed memory (where the system does not insist on that).
    #[cfg(target_os = "linux")]
    fn map(len: usize) -> Self {
        const ALIGN: usize = LARGE * 8;
        let bytes = len.next_multiple_of(LARGE) * 8;
        // SAFETY: a new private anonymous mapping at an address of the kernel's choice touches no existing memory.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes + ALIGN,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        let layout = std::alloc::Layout::array::<u64>(len).unwrap_or(std::alloc::Layout::new::<u64>());
        if start == libc::MAP_FAILED {
            std::alloc::handle_alloc_error(layout);
        }
        // The aligned part is kept, what lies before and behind it goes back.
        let before = start.addr().wrapping_neg() % ALIGN;
        let words = start.wrapping_byte_add(before);
        // SAFETY: `before` is below `ALIGN`, so the kept part and both ends lie within the mapping just made, which nobody else
        // knows of; the ends are whole pages because `start`, `bytes` and `ALIGN` are multiples of the page size. An end that could
        // not be unmapped would stay as unused address space.
        unsafe {
            if before != 0 {
                libc::munmap(start, before);
            }
            libc::munmap(words.wrapping_byte_add(bytes), ALIGN - before);
        }
        match NonNull::new(words.cast()) {
            Some(words) => Pages { words, len },
            None => std::alloc::handle_alloc_error(layout),
        }
    }

    /// Makes the words `range` zero, and gives their memory back as far as it is whole pages and that can be done.
    pub(super) fn release(&mut self, range: Range<usize>) {
        #[cfg(target_os = "linux")]
        if is_mapped(self.len) {
            let whole = with_rest(range.clone(), self.len);
            if whole.start % PAGE == 0 && whole.end % PAGE == 0 {
                let words: *mut u64 = self[range.clone()].as_mut_ptr();
                // SAFETY: the words `whole` start at those of `range` and lie within this private mapping (see `with_rest`), which
                // `self` owns, and nobody has a reference to them. What is given back is zero when it is read next.
                if unsafe { libc::madvise(words.cast(), whole.len() * 8, libc::MADV_DONTNEED) } == 0 {
                    return;
                }
            }
        }
        self[range].fill(0);
    }

    /// Asks for a large page, or for none, when the words `range` (a large page's) are touched next. It is advice: content stays.
    pub(super) fn advise(&mut self, range: Range<usize>, large: bool) {
        #[cfg(target_os = "linux")]
        if is_mapped(self.len) && range.len() == LARGE {
            let advice = if large { libc::MADV_HUGEPAGE } else { libc::MADV_NOHUGEPAGE };
            let words: *mut u64 = self[range].as_mut_ptr();
            // SAFETY: the range lies within this mapping, which `self` owns, and the advice changes no content.
            unsafe { libc::madvise(words.cast(), LARGE * 8, advice) };
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (range, large);
    }

    /// Takes the memory of the words `range` at once, where that can be done: one system call instead of a page fault for each page.
    pub(super) fn populate(&mut self, range: Range<usize>) {
        #[cfg(target_os = "linux")]
        if is_mapped(self.len) && range.start % PAGE == 0 {
            let (words, bytes) = (self[range.clone()].as_mut_ptr(), range.len() * 8);
            // SAFETY: the range lies within this mapping, which `self` owns. Its content stays: pages that are there are left, others
            // come as zeroes, as they would when touched. A kernel that does not know this advice refuses it.
            unsafe { libc::madvise(words.cast(), bytes, libc::MADV_POPULATE_WRITE) };
        }
        #[cfg(not(target_os = "linux"))]
        let _ = range;
    }

    /// The same words in an array of another length. What is cut off is lost, and what is added may be anything. Words of a mapping are
    /// moved by moving their pages.
    pub(super) fn resized(self, len: usize) -> Self {
        let mut resized = Pages::zeroed(len);
        let shared = len.min(self.len);
        #[cfg(target_os = "linux")]
        if is_mapped(self.len) && is_mapped(len) {
            // Whole large pages, with what is behind the shared words.
            let bytes = shared.next_multiple_of(LARGE) * 8;
            let (from, to): (*mut u64, *mut u64) = (self.words.as_ptr(), resized.words.as_ptr());
            // SAFETY: both mappings are at least `bytes` long (each is a multiple of large pages that holds `shared` words) and owned
            // here; no reference into them exists. Those pages of the new mapping, which are untouched, are replaced by those of the
            // old one; the old range is no longer mapped, which `self` must not use again: it is forgotten below.
            let moved =
                unsafe { libc::mremap(from.cast(), bytes, bytes, libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED, to) };
            if moved != libc::MAP_FAILED {
                let rest = self.len.next_multiple_of(LARGE) * 8 - bytes;
                if rest != 0 {
                    // SAFETY: the rest of the old mapping, still owned, to which no reference exists.
                    unsafe { libc::munmap(from.wrapping_byte_add(bytes).cast(), rest) };
                }
                std::mem::forget(self);
                return resized;
            }
        }
        resized[..shared].copy_from_slice(&self[..shared]);
        resized
    }

    /// Word `i`, to read.
    ///
    /// # Safety
    /// `i` is below the length.
    #[inline(always)]
    pub(super) unsafe fn get_unchecked(&self, i: usize) -> u64 {
        // SAFETY: `words` points to `len` words, and `i` is below that, as the caller promises.
        unsafe { self.words.as_ptr().add(i).read() }
    }

    /// Word `i`, to change.
    ///
    /// # Safety
    /// `i` is below the length.
    #[inline(always)]
    pub(super) unsafe fn get_unchecked_mut(&mut self, i: usize) -> &mut u64 {
        // SAFETY: as above; `&mut self` makes the access exclusive.
        unsafe { &mut *self.words.as_ptr().add(i) }
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
        if is_mapped(self.len) {
            // SAFETY: the mapping was made by `map` with this address, and has whole large pages; no reference into it outlives `self`.
            #[cfg(target_os = "linux")]
            unsafe {
                libc::munmap(self.words.as_ptr().cast(), self.len.next_multiple_of(LARGE) * 8);
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

    const LENGTHS: [usize; 7] = [0, 1, 1000, LARGE - 1, LARGE, LARGE + 700, 2 * LARGE];

    #[test]
    fn are_zeroed_writable_and_aligned() {
        for len in LENGTHS {
            let mut pages = Pages::zeroed(len);
            assert_eq!(pages.len(), len);
            assert!(pages.iter().all(|&word| word == 0));
            pages.fill(u64::MAX);
            assert!(pages.iter().all(|&word| word == u64::MAX));
            if cfg!(target_os = "linux") && len >= LARGE {
                assert_eq!(pages.as_ptr().addr() % (LARGE * 8), 0);
            }
        }
    }

    #[test]
    fn are_zero_again_once_released() {
        for len in LENGTHS {
            for (start, end) in [(0, len), (512, len), (0, 512), (1, 513), (512, 1024), (LARGE, len)] {
                if start <= end && end <= len {
                    let mut pages = Pages::zeroed(len);
                    pages.advise(0..len.min(LARGE), true);
                    pages.populate(start..end);
                    assert!(pages.iter().all(|&word| word == 0));
                    pages.fill(7);
                    pages.release(start..end);
                    let expected = |i| if (start..end).contains(&i) { 0 } else { 7 };
                    assert!(pages.iter().enumerate().all(|(i, &word)| word == expected(i)), "{len}: {start}..{end}");
                }
            }
        }
    }

    /// Memory behind a mapping is somebody else's: a summary of two regions, of which the second was given back, lost its neighbour's.
    #[test]
    #[cfg(target_os = "linux")]
    fn nothing_behind_the_mapping_is_released() {
        for len in LENGTHS {
            for start in [0, 512, 4096, LARGE - 512, LARGE, LARGE + 512] {
                for end in [start + 512, len].into_iter().filter(|&end| start <= end && end <= len) {
                    let whole = with_rest(start..end, len);
                    assert!(whole.start == start && whole.end >= end);
                    assert!(whole.end <= len.next_multiple_of(LARGE), "{start}..{end} of {len}: {whole:?}");
                }
            }
        }
    }

    #[test]
    fn keep_their_words_when_resized() {
        for from in LENGTHS {
            for to in LENGTHS {
                let mut pages = Pages::zeroed(from);
                pages.iter_mut().zip(1..).for_each(|(word, i)| *word = i);
                let pages = pages.resized(to);
                assert_eq!(pages.len(), to);
                assert!(pages.iter().take(from).zip(1..).all(|(&word, i)| word == i), "{from} to {to}");
            }
        }
    }
}
