// SPDX-License-Identifier: GPL-2.0-or-later
//! Iterators over a bitmap that changes meanwhile: what is dirty all the time is returned.

use qemu_dirty_bitmap::Node;

const UNIT: u64 = 4096;
/// Bits that the library stores in one piece.
const CHUNK: u64 = 32768;
/// Bits of a chunk at which some way to store it may begin or end.
const DENSITIES: [u64; 13] = [1, 4, 5, 6, 7, 8, 9, 12, 32, 33, 64, 65, 300];

/// The bits of the second chunk, so many.
fn bits(density: u64) -> impl Iterator<Item = u64> {
    (0..density).map(move |bit| CHUNK + 5 + bit * (CHUNK / (density + 1)))
}

/// The source was full once, and has nothing that is not in the other bitmap.
#[test]
fn a_merge_that_adds_nothing_hides_nothing() {
    let disk = Node::new(4 * CHUNK * UNIT).unwrap();
    for density in DENSITIES {
        let bitmap = disk.create_bitmap("bitmap", UNIT).unwrap();
        let source = disk.create_bitmap("source", UNIT).unwrap();
        let dirty: Vec<u64> = [10, 100, 200].into_iter().chain(bits(density)).collect();
        dirty.iter().for_each(|bit| bitmap.set(bit * UNIT..bit * UNIT + 1).unwrap());
        source.set(CHUNK * UNIT..2 * CHUNK * UNIT).unwrap();
        let mut gap = CHUNK;
        for end in bits(density).chain([2 * CHUNK]) {
            source.reset(gap * UNIT..end * UNIT).unwrap();
            gap = end + 1;
        }
        assert_eq!(source.count(), density * UNIT);

        let mut iter = bitmap.iter();
        let mut returned: Vec<u64> = iter.by_ref().take(2).collect();
        bitmap.merge(&source).unwrap();
        returned.extend(iter);
        let returned: Vec<u64> = returned.into_iter().map(|offset| offset / UNIT).collect();
        assert_eq!(returned, dirty, "{density} bits");
        bitmap.release().unwrap();
        source.release().unwrap();
    }
}
