// SPDX-License-Identifier: GPL-2.0-or-later
//! Asking for memory before a loop comes to it.
//!
//! A processor sees that a loop goes along an array and reads ahead, but mostly to the end of a page only. Between two chunks there are
//! branches besides that it does not foresee, behind which it has to see it anew. Where the array is not in its caches, each chunk would
//! begin with a wait.

/// How far ahead, in bytes: a chunk, which is a page on most machines.
#[cfg(target_arch = "x86_64")]
const DISTANCE: usize = 4096;
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Asks for as much memory as `block` takes, a chunk behind it. That is a hint: nothing needs to be there.
#[inline(always)]
pub(crate) fn ask_behind<T>(block: &[T]) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..size_of_val(block)).step_by(LINE) {
        ask_for(block.as_ptr().wrapping_byte_add(DISTANCE + offset));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = block;
}

/// Asks for the first of the memory a chunk behind `bytes`, and so for where that page is. For a writer that needs no more of it: one
/// that stores past the caches.
#[inline(always)]
pub(crate) fn ask_for_page_behind(bytes: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    ask_for(bytes.as_ptr().wrapping_add(DISTANCE));
    #[cfg(not(target_arch = "x86_64"))]
    let _ = bytes;
}

#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn ask_for<T>(at: *const T) {
    use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
    // SAFETY: SSE is part of x86-64. A prefetch of whatever address does not fail, and changes nothing that a program can see.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
}
