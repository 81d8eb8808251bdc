// SPDX-License-Identifier: GPL-2.0-or-later
//! What a program that is not QEMU records its guests' writes in: this library's Rust API,
//! vm-memory's `AtomicBitmap`, and QEMU's C. All with one bitmap of 64 KiB granularity.

use std::num::NonZeroUsize;
use std::ops::Range;

use qemu_dirty_bitmap::DirtyBitmap;
use vm_memory::bitmap::AtomicBitmap;

use crate::api::Api;
use crate::node::Node;

const GRANULARITY: u64 = 1 << 16;

/// A bitmap that several threads record writes in, and that a backup reads.
pub trait Recorder: Sync {
    /// A guest's write.
    fn write(&self, offset: u64, bytes: u64);
    /// Forgets everything.
    fn clear(&self);
    /// Replaces the content by a serialised one.
    fn load(&mut self, serialised: &[u8]);
    /// Calls `copy` for each dirty area, in order, and forgets them. Writes may go on meanwhile.
    fn harvest(&mut self, copy: impl FnMut(Range<u64>));
    /// Dirty bytes.
    fn count(&self) -> u64;
}

/// QEMU's C, or this library, through the C ABI.
pub struct ThroughC {
    node: Node,
    length: u64,
}

impl ThroughC {
    /// For a disk of `length` bytes.
    pub fn new(api: &'static Api, length: u64) -> Self {
        Self { node: Node::new(api, length, 1), length }
    }
}

impl Recorder for ThroughC {
    #[inline]
    fn write(&self, offset: u64, bytes: u64) {
        self.node.guest_write(offset, bytes);
    }
    fn clear(&self) {
        self.node.clear(0);
    }
    fn load(&mut self, serialised: &[u8]) {
        self.node.load(0, serialised, self.length);
    }
    fn harvest(&mut self, copy: impl FnMut(Range<u64>)) {
        self.node.backup(0, self.length, copy);
    }
    fn count(&self) -> u64 {
        self.node.count(0)
    }
}

/// This library's Rust API, compiled into this program.
pub struct RustApi {
    node: qemu_dirty_bitmap::Node,
    bitmap: DirtyBitmap,
}

impl RustApi {
    /// For a disk of `length` bytes.
    pub fn new(length: u64) -> Self {
        let node = qemu_dirty_bitmap::Node::new(length).expect("a length that is not too large");
        let bitmap = node.create_bitmap("backup", GRANULARITY).expect("the only bitmap");
        Self { node, bitmap }
    }
}

impl Recorder for RustApi {
    #[inline]
    fn write(&self, offset: u64, bytes: u64) {
        self.node.record_write(offset..offset + bytes).expect("within the disk");
    }
    fn clear(&self) {
        self.bitmap.clear().expect("no backup runs");
    }
    fn load(&mut self, serialised: &[u8]) {
        self.bitmap.deserialize(0..self.bitmap.size(), serialised).expect("the whole bitmap");
    }
    fn harvest(&mut self, copy: impl FnMut(Range<u64>)) {
        let frozen = self.bitmap.freeze().expect("no backup runs");
        frozen.bitmap().areas(0..self.node.length()).for_each(copy);
        self.bitmap = frozen.abdicate();
    }
    fn count(&self) -> u64 {
        self.bitmap.count()
    }
}

/// A bit is an atomic operation, and there is no lock.
pub struct Atomic(AtomicBitmap);

impl Atomic {
    /// For a disk of `length` bytes.
    pub fn new(length: u64) -> Self {
        let page = NonZeroUsize::new(GRANULARITY as usize).expect("not zero");
        Self(AtomicBitmap::new(length as usize, page))
    }
}

impl Recorder for Atomic {
    #[inline]
    fn write(&self, offset: u64, bytes: u64) {
        self.0.set_addr_range(offset as usize, bytes as usize);
    }
    fn clear(&self) {
        self.0.reset();
    }
    fn load(&mut self, serialised: &[u8]) {
        self.0.reset();
        let bits =
            (0..serialised.len() * 8).filter(|bit| serialised[bit / 8] >> (bit % 8) & 1 == 1);
        bits.for_each(|bit| self.0.set_bit(bit));
    }
    /// As virtual machine monitors make ranges of it for a migration. Runs go on from word to word.
    fn harvest(&mut self, mut copy: impl FnMut(Range<u64>)) {
        let mut area = 0..0;
        for (word, base) in self.0.get_and_reset().into_iter().zip((0u64..).step_by(64)) {
            let mut bit = 0;
            while bit < 64 && word >> bit != 0 {
                bit += (word >> bit).trailing_zeros();
                let start = (base + u64::from(bit)) * GRANULARITY;
                let run = (word >> bit).trailing_ones();
                if area.end != start {
                    if !area.is_empty() {
                        copy(area);
                    }
                    area = start..start;
                }
                area.end = start + u64::from(run) * GRANULARITY;
                bit += run;
            }
        }
        if !area.is_empty() {
            copy(area);
        }
    }
    fn count(&self) -> u64 {
        let words = self.0.clone().get_and_reset();
        words.iter().map(|word| u64::from(word.count_ones())).sum::<u64>() * GRANULARITY
    }
}
