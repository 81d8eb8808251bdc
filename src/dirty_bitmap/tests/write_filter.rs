// SPDX-License-Identifier: GPL-2.0-or-later
//! A guest's writes to a node with many bitmaps of different granularity, beside a model that has
//! no filter.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{LONG, asserts, ends_within, panic_of};
use crate::dirty_bitmap::write_filter::{MADE, is_recorded};
use crate::dirty_bitmap::{
    Backup, BdrvDirtyBitmap, has_named, has_readonly, lock_node, set_dirty, truncate,
};
use crate::host::{BlockDriverState, NodeHandle};

/// Bytes of a node, at most: small, so that writes meet.
const LENGTH: u64 = 1 << 18;
const SECTOR: u64 = 512;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A bitmap, and which of its units are dirty.
struct Pair {
    bitmap: Arc<BdrvDirtyBitmap>,
    enabled: bool,
    dirty: BTreeSet<u64>,
}

impl Pair {
    fn units(&self, offset: u64, bytes: u64) -> impl Iterator<Item = u64> {
        let unit = u64::from(self.bitmap.granularity());
        offset / unit..(offset + bytes).div_ceil(unit)
    }

    fn check(&self) {
        self.bitmap.check_invariants();
        let unit = u64::from(self.bitmap.granularity());
        assert_eq!(self.bitmap.dirty_count(), self.dirty.len() as u64 * unit);
        let locked = self.bitmap.lock();
        assert!(self.dirty.iter().all(|at| self.bitmap.get(&locked, at * unit)));
    }
}

struct Machine {
    node: NodeHandle,
    length: u64,
    pairs: Vec<Pair>,
    random: Random,
}

impl Machine {
    fn new(seed: u64) -> Self {
        let node = BlockDriverState::new(LENGTH as i64, 0, None);
        Self { node, length: LENGTH, pairs: Vec::new(), random: Random(seed) }
    }

    fn create(&mut self) {
        let granularity = (SECTOR as u32) << self.random.below(8);
        let bitmap = BdrvDirtyBitmap::create(&self.node, granularity, None).unwrap();
        self.pairs.push(Pair { bitmap, enabled: true, dirty: BTreeSet::new() });
    }

    /// Mostly the same few blocks again, some of them the last ones, and of any length.
    fn write(&mut self) {
        let offset = match self.random.below(4) {
            0 => self.random.below(self.length),
            1 => (self.length - 1 - self.random.below(16) * SECTOR) / SECTOR * SECTOR,
            _ => self.random.below(16) * 4096 % self.length,
        };
        let longest = if self.random.below(16) == 0 { self.length } else { 8192 };
        let bytes = self.random.below(longest.min(self.length - offset)) + 1;
        set_dirty(&self.node, offset, bytes);
        for pair in self.pairs.iter_mut().filter(|pair| pair.enabled) {
            let units: Vec<_> = pair.units(offset, bytes).collect();
            pair.dirty.extend(units);
        }
    }

    /// Changes one of the bitmaps.
    fn change(&mut self) {
        let choice = self.random.below(self.pairs.len() as u64) as usize;
        let other = self.random.below(self.pairs.len() as u64) as usize;
        let added = self.pairs[other].dirty.clone();
        let other = Arc::clone(&self.pairs[other].bitmap);
        let (a, b) = (self.random.below(self.length), self.random.below(self.length));
        let pair = &mut self.pairs[choice];
        let bitmap = Arc::clone(&pair.bitmap);
        let unit = u64::from(bitmap.granularity());
        let (start, end) =
            (a.min(b) / unit * unit, (a.max(b) / unit * unit + unit).min(self.length));
        match self.random.below(9) {
            0 => {
                bitmap.reset(&mut bitmap.lock(), start, end - start);
                pair.dirty.retain(|at| !(start..end).contains(&(at * unit)));
            }
            1 => {
                bitmap.clear(&mut bitmap.lock());
                pair.dirty.clear();
            }
            2 => {
                let old = bitmap.clear_and_keep(&mut bitmap.lock());
                let restored = self.random.below(2) == 0;
                if restored {
                    self.write();
                    bitmap.restore(&mut bitmap.lock(), old);
                } else {
                    self.pairs[choice].dirty.clear();
                }
                // What was written in between is in no content that is left.
                if restored && self.pairs[choice].enabled {
                    self.pairs[choice].dirty = dirty_units(&bitmap);
                }
            }
            3 => {
                bitmap.enable(&bitmap.lock());
                pair.enabled = true;
            }
            4 => {
                bitmap.disable(&bitmap.lock());
                pair.enabled = false;
            }
            5 => {
                let align = bitmap.serialization_align();
                let (start, mut end) =
                    (start / align * align, end.next_multiple_of(align).min(self.length));
                if end == self.length {
                    // The last part of a bitmap may end anywhere in the last unit.
                    let last = (end - 1) / unit * unit;
                    end = last + 1 + self.random.below(end - last);
                }
                bitmap.deserialize_zeroes(&mut bitmap.lock(), start, end - start);
                pair.dirty.retain(|at| !(start..end).contains(&(at * unit)));
            }
            6 => {
                bitmap.create_successor().unwrap();
                self.write();
                let reclaimed = self.random.below(2) == 0;
                let pair = &mut self.pairs[choice];
                if reclaimed {
                    bitmap.reclaim(&mut bitmap.lock()).unwrap();
                } else {
                    pair.bitmap = bitmap.abdicate().unwrap();
                    let found = dirty_units(&pair.bitmap);
                    // The write is in the successor, and nothing else.
                    assert!(found.is_subset(&pair.dirty) && (pair.enabled || found.is_empty()));
                    pair.dirty = found;
                }
            }
            7 if other.granularity() == bitmap.granularity() => {
                bitmap.merge(&other, Backup::None).unwrap();
                pair.dirty.extend(added);
            }
            _ => {
                let length = LENGTH / 2 + self.random.below(LENGTH / 2 / SECTOR) * SECTOR;
                truncate(&mut lock_node(&self.node), length as i64);
                self.node.set_length(length as i64);
                self.length = length;
                for pair in &mut self.pairs {
                    let unit = u64::from(pair.bitmap.granularity());
                    pair.dirty.retain(|at| at * unit < length);
                }
            }
        }
    }

    fn check(&self) {
        self.pairs.iter().for_each(Pair::check);
    }
}

fn dirty_units(bitmap: &BdrvDirtyBitmap) -> BTreeSet<u64> {
    let locked = bitmap.lock();
    let unit = u64::from(bitmap.granularity());
    (0..(bitmap.size() as u64).div_ceil(unit)).filter(|at| bitmap.get(&locked, at * unit)).collect()
}

fn release(bitmap: &BdrvDirtyBitmap) {
    drop(bitmap.release(&mut bitmap.lock()));
}

impl Drop for Machine {
    fn drop(&mut self) {
        for pair in &self.pairs {
            release(&pair.bitmap);
        }
    }
}

#[test]
fn writes_to_many_bitmaps_are_those_of_the_model() {
    for seed in 1..=12 {
        let mut machine = Machine::new(seed * 0x9e37_79b9);
        for step in 0..400 {
            if machine.pairs.is_empty() || machine.pairs.len() < 20 && machine.random.below(16) == 0
            {
                machine.create();
            }
            match machine.random.below(12) {
                0 => machine.change(),
                1 if machine.random.below(8) == 0 => {
                    let choice = machine.random.below(machine.pairs.len() as u64) as usize;
                    release(&machine.pairs.swap_remove(choice).bitmap);
                }
                _ => machine.write(),
            }
            if step % 8 == 0 {
                machine.check();
            }
        }
        machine.check();
    }
}

/// Writes twice, so that the filter has it.
fn write_often(node: &BlockDriverState, offset: u64) {
    (0..3).for_each(|_| set_dirty(node, offset, 1));
}

#[test]
fn a_write_that_is_in_the_filter_still_dies_of_a_readonly_bitmap() {
    let mut machine = Machine::new(1);
    (0..3).for_each(|_| machine.create());
    write_often(&machine.node, 0);
    let bitmap = &machine.pairs[1].bitmap;
    bitmap.set_readonly(&bitmap.lock(), true);
    assert!(has_readonly(&machine.node));
    asserts("bdrv_set_dirty", "!bdrv_dirty_bitmap_readonly(bitmap)", || {
        set_dirty(&machine.node, 0, 1)
    });
    bitmap.disable(&bitmap.lock());
    write_often(&machine.node, 0);
    assert!(has_readonly(&machine.node));
    bitmap.set_readonly(&bitmap.lock(), false);
    assert!(!has_readonly(&machine.node));
}

#[test]
fn a_write_past_the_end_dies_whatever_is_in_the_filter() {
    let mut machine = Machine::new(1);
    (0..2).for_each(|_| machine.create());
    write_often(&machine.node, LENGTH - 1);
    panic_of(|| set_dirty(&machine.node, LENGTH - 1, 2));
    panic_of(|| set_dirty(&machine.node, u64::MAX, 1));
    write_often(&machine.node, LENGTH - 1);
}

/// Of the node's first blocks of 512 bytes, those that the filter has.
fn recorded(node: &BlockDriverState) -> Vec<u64> {
    (0..32).filter(|block| is_recorded(node, block * SECTOR, SECTOR)).collect()
}

fn of_granularity(node: &BlockDriverState, granularity: u64) -> Arc<BdrvDirtyBitmap> {
    BdrvDirtyBitmap::create(node, granularity as u32, None).unwrap()
}

#[test]
fn the_filter_has_what_was_written_twice_and_is_dirty_in_all() {
    let node = BlockDriverState::new(LENGTH as i64, 0, None);
    let fine = of_granularity(&node, SECTOR);
    write_often(&node, 0);
    assert_eq!(recorded(&node), [], "with one bitmap there is no filter");
    let coarse = of_granularity(&node, 4 * SECTOR);
    set_dirty(&node, 0, 1);
    assert_eq!(recorded(&node), [], "the coarse one has just got it");
    set_dirty(&node, 0, 1);
    assert_eq!(recorded(&node), [0]);
    (0..2).for_each(|_| set_dirty(&node, 8 * SECTOR, 3 * SECTOR));
    assert_eq!(recorded(&node), [0, 8, 9, 10]);

    // What one of them no longer has.
    coarse.reset(&mut coarse.lock(), 8 * SECTOR, 4 * SECTOR);
    assert_eq!(recorded(&node), [0]);
    set_dirty(&node, 8 * SECTOR, 1);
    assert_eq!(recorded(&node), [0], "one of two has it anew");

    // A bitmap that records nothing does not count; one that is enabled does.
    coarse.disable(&coarse.lock());
    write_often(&node, 0);
    assert_eq!(recorded(&node), []);
    coarse.enable(&coarse.lock());
    assert_eq!(recorded(&node), []);
    write_often(&node, 0);
    assert_eq!(recorded(&node), [0]);

    // Nor is there a filter where a write is refused.
    fine.set_readonly(&fine.lock(), true);
    assert_eq!(recorded(&node), []);
    fine.set_readonly(&fine.lock(), false);
    write_often(&node, SECTOR);
    assert_eq!(recorded(&node), [1]);
    coarse.clear(&mut coarse.lock());
    assert_eq!(recorded(&node), []);
    release(&fine);
    release(&coarse);
}

/// QEMU takes the last part of a bitmap that ends anywhere in the last unit, and cleans all of it.
#[test]
fn the_filter_forgets_all_of_a_unit_that_a_part_ends_in() {
    let node = BlockDriverState::new(LENGTH as i64, 0, None);
    let coarse = of_granularity(&node, 16 * SECTOR);
    let fine = of_granularity(&node, SECTOR);
    let last = LENGTH - 16 * SECTOR;
    for bytes in [1, SECTOR, 16 * SECTOR - 1, 16 * SECTOR] {
        for load in [
            |bitmap: &BdrvDirtyBitmap, bytes| {
                bitmap.deserialize_zeroes(&mut bitmap.lock(), 0, bytes)
            },
            |bitmap: &BdrvDirtyBitmap, bytes| {
                bitmap.deserialize_part(&mut bitmap.lock(), &[0; 8], 0, bytes)
            },
        ] {
            write_often(&node, LENGTH - SECTOR);
            load(&coarse, last + bytes);
            coarse.check_invariants();
            assert_eq!(coarse.dirty_count(), 0);
            set_dirty(&node, LENGTH - SECTOR, SECTOR);
            assert_eq!(coarse.dirty_count(), 16 * SECTOR, "a write is lost after {bytes}");
        }
    }
    release(&coarse);
    release(&fine);
}

#[test]
fn a_readonly_bitmap_that_is_disabled_leaves_the_filter() {
    let node = BlockDriverState::new(LENGTH as i64, 0, None);
    let bitmaps = [(); 3].map(|()| of_granularity(&node, SECTOR));
    bitmaps[2].disable(&bitmaps[2].lock());
    bitmaps[2].set_readonly(&bitmaps[2].lock(), true);
    write_often(&node, 0);
    assert_eq!(recorded(&node), [0]);
    bitmaps.iter().for_each(|bitmap| release(bitmap));
}

#[test]
fn a_backup_of_the_only_bitmap_makes_no_filter() {
    let node = BlockDriverState::new(LENGTH as i64, 0, None);
    let bitmap = of_granularity(&node, SECTOR);
    let before = MADE.get();
    bitmap.create_successor().unwrap();
    bitmap.reclaim(&mut bitmap.lock()).unwrap();
    bitmap.create_successor().unwrap();
    let bitmap = bitmap.abdicate().unwrap();
    assert_eq!(MADE.get(), before);
    let second = of_granularity(&node, SECTOR);
    assert_ne!(MADE.get(), before, "two record");
    release(&bitmap);
    release(&second);
}

#[test]
fn a_node_of_no_bytes_has_no_filter() {
    let node = BlockDriverState::new(0, 0, None);
    let bitmaps = [(); 2].map(|()| of_granularity(&node, SECTOR));
    assert_eq!(recorded(&node), []);
    bitmaps.iter().for_each(|bitmap| release(bitmap));
}

#[test]
fn what_the_filter_has_and_a_node_without_bitmaps_need_no_lock() {
    let node = BlockDriverState::new(LENGTH as i64, 0, None);
    let writes = || {
        set_dirty(&node, 0, 1);
        assert!(!has_named(&node) && !has_readonly(&node));
    };
    assert!(ends_within(LONG, lock_node(&node), writes), "a node without bitmaps");
    let bitmaps = [(); 2].map(|()| of_granularity(&node, SECTOR));
    write_often(&node, 0);
    assert!(ends_within(LONG, lock_node(&node), || set_dirty(&node, 0, 1)), "what the filter has");
    bitmaps.iter().for_each(|bitmap| release(bitmap));
}
