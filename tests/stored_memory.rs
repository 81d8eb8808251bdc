// SPDX-License-Identifier: GPL-2.0-or-later
//! The memory that it takes to store and to load a bitmap of 1 PiB, beside that of the bitmap.
//! A program of its own, for its allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use qemu_dirty_bitmap::{HBitmap, LoadError};

/// What a bitmap of 1 PiB has itself is larger: its words, and its summary.
const OF_A_BITMAP: usize = 8 << 20;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// Counts the bytes of all allocations that are not of a large bitmap.
struct Counting;

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if layout.size() < OF_A_BITMAP {
            NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        }
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn count(size: usize) {
    if size < OF_A_BITMAP {
        let now = NOW.fetch_add(size, Ordering::Relaxed) + size;
        PEAK.fetch_max(now, Ordering::Relaxed);
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that a call has at once, beside those that were there before.
fn peak<R>(call: impl FnOnce() -> R) -> (R, usize) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = call();
    (result, PEAK.load(Ordering::Relaxed) - before)
}

/// Counts bytes, and remembers what they are.
struct Counted(u64, Vec<u8>);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        self.1.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_bitmap_of_1_pib() {
    const PIB: u64 = 1 << 50;
    // Runs, single bits over all of it, and half a million words that are stored as they are.
    let mut bitmap = HBitmap::new(PIB, 65536).unwrap();
    bitmap.set(1 << 40..1 << 45).unwrap();
    for i in 0..100_000 {
        let at = i * (PIB / 100_000);
        bitmap.set(at..at + 1).unwrap();
    }
    for i in 0..1 << 11 {
        let words = bitmap.serialization_align().unwrap();
        let start = (1 << 46) + i * 256 * words;
        bitmap.deserialize(start..start + 256 * words, &[0, 0, 0xff, 0xff].repeat(512)).unwrap();
    }

    // Room for what is stored, which is this test's own.
    let mut out = Counted(0, Vec::with_capacity(16 << 20));
    let (written, bytes) = peak(|| bitmap.write_to(&mut out));
    written.unwrap();
    assert!(out.0 > 4 << 20, "{}", out.0);
    assert!(bytes <= 256 << 10, "storing takes {bytes} bytes");

    let (loaded, bytes) = peak(|| HBitmap::read_from(&mut &out.1[..]));
    assert!(loaded.unwrap() == bitmap);
    // The levels of the bitmap are in it.
    assert!(bytes <= 1 << 20, "loading takes {bytes} bytes");

    // Somebody says 2^41 bits, and sends nothing else, or no end of zeroes.
    let mut hostile = Vec::new();
    HBitmap::new(1000, 1).unwrap().write_to(&mut hostile).unwrap();
    let header = |size: u64| {
        use sha2::{Digest, Sha256};
        let mut header = hostile[..32].to_vec();
        header[16..24].copy_from_slice(&size.to_le_bytes());
        header.extend(Sha256::digest(&header));
        header
    };
    for size in [PIB, 1 << 41, u64::MAX] {
        let header = header(size);
        let (refused, bytes) = peak(|| HBitmap::read_from(&mut (&header[..]).chain(io::repeat(0))));
        assert!(matches!(refused.unwrap_err(), LoadError::Geometry(_) | LoadError::Damaged { .. }));
        assert!(bytes <= 8 << 20, "{bytes} bytes for size {size}");
    }
}
