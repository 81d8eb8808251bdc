// SPDX-License-Identifier: GPL-2.0-or-later
//! Chunks with few bits set: the places of those bits, in order.
//!
//! ```text
//!   form           how many bits are set, plus SPARSE
//!   lanes 0..=6    their places in the chunk, ascending, if they are at most seven; unused lanes are NOWHERE
//!   lanes 0..=1    else the number of the list that has them, in halves of 15 bits plus SPARSE, so that they are no places
//! ```
//!
//! So a disk with scattered writes costs 16 bytes for each 32768 bits, its merge or iteration reads memory in order, and nothing
//! is allocated until a chunk has eight bits. A list has room for 32 places or a power of two times that, and is filled up with
//! NOWHERE, so that a place is looked for in blocks of 32 without a branch on what they hold: the words that a random write
//! would touch in a dense bitmap are cache misses, these mostly are not. A chunk with more than [`LIMIT`] bits becomes dense.

use super::{Entry, CLEAN, NO_MEMORY, SPARSE};
use crate::hbitmap::words::any_lane_is;

/// The most bits that a sparse chunk has.
pub(in crate::hbitmap) const LIMIT: usize = 64;
/// The most places that an entry has room for.
const INLINE: usize = 7;
/// Lists are looked through in blocks of so many places.
const BLOCK: usize = 32;
/// No place in a chunk.
const NOWHERE: u16 = u16::MAX;

impl Entry {
    /// How many bits a sparse chunk has; 0 if it is not sparse.
    #[inline]
    pub(super) fn len(&self) -> usize {
        if self.form & SPARSE != 0 {
            usize::from(self.form - SPARSE)
        } else {
            0
        }
    }

    /// Whether it has its places here, and `place` among them.
    #[inline(always)]
    pub(super) fn has(&self, place: u16) -> bool {
        let [a, b, c, d, e, f, g] = self.lanes;
        // The form of a sparse chunk is no place, nor are unused lanes and the number of a list. The lanes of other chunks are 0.
        any_lane_is([self.form, a, b, c, d, e, f, g], place) && self.form & SPARSE != 0
    }

    /// The number of the list of a chunk with more than [`INLINE`] bits.
    #[inline]
    fn list(&self) -> usize {
        usize::from(self.lanes[0] - SPARSE) | usize::from(self.lanes[1] - SPARSE) << 15
    }

    fn with_list(len: usize, number: usize) -> Entry {
        let half = |bits: usize| bits as u16 % SPARSE + SPARSE;
        Entry {
            form: len as u16 + SPARSE,
            lanes: [half(number), half(number >> 15), NOWHERE, NOWHERE, NOWHERE, NOWHERE, NOWHERE],
        }
    }

    fn with_places(places: &[u16]) -> Entry {
        if places.is_empty() {
            return CLEAN;
        }
        let mut lanes = [NOWHERE; INLINE];
        lanes[..places.len()].copy_from_slice(places);
        Entry { form: places.len() as u16 + SPARSE, lanes }
    }
}

/// The lists of places of a bitmap's sparse chunks.
#[derive(Debug)]
pub(super) struct Lists {
    /// Those that no chunk uses are empty.
    lists: Vec<Box<[u16]>>,
    /// The numbers of empty lists.
    unused: Vec<u32>,
}

/// The room of a list for `len` places.
fn room(len: usize) -> usize {
    len.next_power_of_two().max(BLOCK)
}

impl Lists {
    pub(super) fn new() -> Self {
        Lists { lists: Vec::new(), unused: Vec::new() }
    }

    /// The places of the bits of a chunk, ascending; none if it is not sparse.
    #[inline]
    pub(super) fn places<'a>(&'a self, entry: &'a Entry) -> &'a [u16] {
        let len = entry.len();
        if len <= INLINE {
            &entry.lanes[..len]
        } else {
            &self.lists[entry.list()][..len]
        }
    }

    /// Whether a chunk is sparse and its bit at `place` is set.
    pub(super) fn has(&self, entry: &Entry, place: u16) -> bool {
        if entry.len() <= INLINE {
            return entry.has(place);
        }
        let block = |block: &[u16]| block.iter().fold(0, |found, &other| found | u16::from(other == place));
        let blocks = self.lists[entry.list()].chunks_exact(BLOCK);
        blocks.fold(0, |found, places| found | block(places)) != 0
    }

    /// Makes a chunk, which is not dense, have its bits at `places`: ascending, at most [`LIMIT`].
    pub(super) fn assign(&mut self, entry: &mut Entry, places: &[u16]) {
        let had_list = entry.len() > INLINE;
        if places.len() <= INLINE {
            if had_list {
                self.free_list(entry.list());
            }
            *entry = Entry::with_places(places);
            return;
        }
        let number = if had_list { entry.list() } else { self.new_list() };
        let list = &mut self.lists[number];
        if list.len() != room(places.len()) {
            *list = vec![NOWHERE; room(places.len())].into_boxed_slice();
        }
        list[..places.len()].copy_from_slice(places);
        list[places.len()..].fill(NOWHERE);
        *entry = Entry::with_list(places.len(), number);
    }

    /// Adds the bit at `place` to a chunk that is not dense and has less than [`LIMIT`]. Returns whether it was clear.
    pub(super) fn insert(&mut self, entry: &mut Entry, place: u16) -> bool {
        let places = self.places(entry);
        let len = places.len();
        // Writes in order are the common case: look at the end first.
        let at = match places.last() {
            Some(&last) if last < place => len,
            _ => places.partition_point(|&other| other < place),
        };
        if places.get(at) == Some(&place) {
            return false;
        }
        if len != 0 && len < INLINE {
            entry.lanes.copy_within(at..len, 1 + at);
            entry.lanes[at] = place;
            entry.form += 1;
        } else if len > INLINE && len < room(len) {
            let list = &mut self.lists[entry.list()];
            list.copy_within(at..len, at + 1);
            list[at] = place;
            entry.form += 1;
        } else {
            let mut grown = [0; LIMIT];
            grown[..at].copy_from_slice(&places[..at]);
            grown[at] = place;
            grown[at + 1..=len].copy_from_slice(&places[at..]);
            self.assign(entry, &grown[..=len]);
        }
        true
    }

    /// Keeps those bits of a chunk that is not dense whose places `keep` approves of. Returns how many went.
    pub(super) fn retain(&mut self, entry: &mut Entry, keep: impl Fn(u16) -> bool) -> usize {
        let mut kept = [0; LIMIT];
        let mut len = 0;
        let places = self.places(entry);
        for &place in places {
            if keep(place) {
                kept[len] = place;
                len += 1;
            }
        }
        let lost = places.len() - len;
        if lost != 0 {
            self.assign(entry, &kept[..len]);
        }
        lost
    }

    /// Makes a chunk not sparse. An entry that was not is only read.
    pub(super) fn clear(&mut self, entry: &mut Entry) {
        match entry.len() {
            0 => {}
            len => {
                if len > INLINE {
                    self.free_list(entry.list());
                }
                *entry = CLEAN;
            }
        }
    }

    fn new_list(&mut self) -> usize {
        match self.unused.pop() {
            Some(number) => number as usize,
            None => {
                // Each of at most 2^26 chunks has at most one list.
                self.lists.push(Box::default());
                self.lists.len() - 1
            }
        }
    }

    fn free_list(&mut self, number: usize) {
        self.lists[number] = Box::default();
        self.unused.push(number as u32);
        if self.unused.len() == self.lists.len() {
            self.lists = Vec::new();
            self.unused = Vec::new();
        }
    }

    /// Panics unless the lists in use are just those that `entries` name, and places are in order.
    pub(super) fn check_invariants(&self, entries: &[Entry]) {
        let mut named = vec![false; self.lists.len()];
        for (c, entry) in entries.iter().enumerate().filter(|(_, entry)| entry.form & SPARSE != NO_MEMORY) {
            let places = self.places(entry);
            assert!((1..=LIMIT).contains(&places.len()), "chunk {c} is not sparse");
            assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "the places of chunk {c} do not ascend");
            let behind = if places.len() > INLINE {
                let number = entry.list();
                assert!(!named[number], "list {number} has two chunks");
                named[number] = true;
                assert_eq!(self.lists[number].len(), room(places.len()), "the room of list {number}");
                assert_eq!(*entry, Entry::with_list(places.len(), number), "chunk {c} has something beside its list");
                &self.lists[number][places.len()..]
            } else {
                &entry.lanes[places.len()..]
            };
            assert!(behind.iter().all(|&lane| lane == NOWHERE), "chunk {c} has something behind its places");
        }
        for (number, list) in self.lists.iter().enumerate() {
            assert_eq!(!list.is_empty(), named[number], "list {number} is lost, or missing");
            assert_eq!(list.is_empty(), self.unused.contains(&(number as u32)), "list {number} is not accounted for");
        }
    }
}
