// SPDX-License-Identifier: GPL-2.0-or-later
//! Chunks with few bits set: the places of those bits, in order.
//!
//! Each chunk of a bitmap has an entry of eight 16-bit lanes, which starts as zero pages that nobody has touched:
//!
//! ```text
//!   lane 0         how many bits are set, plus SPARSE; 0: the chunk is not sparse
//!   lanes 1..=7    their places in the chunk, ascending, if they are at most seven; unused lanes are NOWHERE
//!   lanes 1..=2    else the number of the list that has them
//! ```
//!
//! So a disk with scattered writes costs 16 bytes for each 32768 bits, its merge or iteration reads memory in order, and nothing
//! is allocated until a chunk has eight bits. A list has room for 32 places or a power of two times that, and is filled up with
//! NOWHERE, so that a place is looked for in blocks of 32 without a branch on what they hold: the words that a random write
//! would touch in a dense bitmap are cache misses, these mostly are not. A chunk with more than [`LIMIT`] bits becomes dense.

/// The most bits that a sparse chunk has.
pub(super) const LIMIT: usize = 64;
/// The most places that an entry has room for.
const INLINE: usize = 7;
/// Lists are looked through in blocks of so many places.
const BLOCK: usize = 32;
/// Marks lane 0 of a sparse chunk, so that it is no place in a chunk.
const SPARSE: u16 = 1 << 15;
/// No place in a chunk.
const NOWHERE: u16 = u16::MAX;

type Entry = [u16; 8];

/// The sparse chunks of a bitmap.
#[derive(Debug)]
pub(super) struct Sparse {
    entries: Vec<Entry>,
    /// Lists; those that no chunk uses are empty.
    lists: Vec<Box<[u16]>>,
    /// The numbers of empty lists.
    unused: Vec<u32>,
}

/// How many bits an entry has.
#[inline]
fn len(entry: &Entry) -> usize {
    usize::from(entry[0] & !SPARSE)
}

/// Lane 0 for `len` bits.
fn lane_0(len: usize) -> u16 {
    if len == 0 {
        0
    } else {
        len as u16 | SPARSE
    }
}

/// The list that an entry of more than [`INLINE`] bits names.
#[inline]
fn list_number(entry: &Entry) -> usize {
    usize::from(entry[1]) | usize::from(entry[2]) << 16
}

/// The room of a list for `len` places.
fn room(len: usize) -> usize {
    len.next_power_of_two().max(BLOCK)
}

impl Sparse {
    pub(super) fn new(chunks: usize) -> Self {
        Sparse { entries: vec![[0; 8]; chunks], lists: Vec::new(), unused: Vec::new() }
    }

    /// The places of the bits of chunk `c`, ascending; none if it is not sparse.
    #[inline]
    pub(super) fn places(&self, c: usize) -> &[u16] {
        let entry = &self.entries[c];
        let len = len(entry);
        if len <= INLINE {
            &entry[1..=len]
        } else {
            &self.lists[list_number(entry)][..len]
        }
    }

    /// Whether chunk `c` has its places in the entry, and `place` among them. This is what a guest's write to a block that is
    /// dirty already asks of a sparse bitmap.
    #[inline]
    pub(super) fn entry_contains(&self, c: usize, place: u16) -> bool {
        let entry = &self.entries[c];
        // All lanes at once: lane 0 is no place, nor are unused ones.
        let found = entry.iter().fold(0, |found, &lane| found | u16::from(lane == place));
        // An entry of zeroes has no places, and one with a list has none here.
        found != 0 && (1..=INLINE as u16).contains(&(entry[0] ^ SPARSE))
    }

    /// Whether chunk `c` is sparse and its bit at `place` is set.
    pub(super) fn contains(&self, c: usize, place: u16) -> bool {
        let entry = &self.entries[c];
        if len(entry) <= INLINE {
            return self.entry_contains(c, place);
        }
        let block = |block: &[u16]| block.iter().fold(0, |found, &other| found | u16::from(other == place));
        let blocks = self.lists[list_number(entry)].chunks_exact(BLOCK);
        blocks.fold(0, |found, places| found | block(places)) != 0
    }

    /// How many bits chunk `c` has; 0 if it is not sparse.
    #[inline]
    pub(super) fn len(&self, c: usize) -> usize {
        len(&self.entries[c])
    }

    /// Makes chunk `c`, whatever it was, have its bits at `places`: ascending, at most [`LIMIT`].
    pub(super) fn assign(&mut self, c: usize, places: &[u16]) {
        let had_list = self.len(c) > INLINE;
        if places.len() <= INLINE {
            if had_list {
                self.free_list(c);
            }
            let mut entry = if places.is_empty() { [0; 8] } else { [NOWHERE; 8] };
            entry[0] = lane_0(places.len());
            entry[1..=places.len()].copy_from_slice(places);
            self.entries[c] = entry;
            return;
        }
        let number = if had_list { list_number(&self.entries[c]) } else { self.new_list() };
        let list = &mut self.lists[number];
        if list.len() != room(places.len()) {
            *list = vec![NOWHERE; room(places.len())].into_boxed_slice();
        }
        list[..places.len()].copy_from_slice(places);
        list[places.len()..].fill(NOWHERE);
        self.entries[c] = [lane_0(places.len()), number as u16, (number >> 16) as u16, 0, 0, 0, 0, 0];
    }

    /// Adds the bit at `place` to chunk `c`, which has less than [`LIMIT`]. Returns whether it was clear.
    pub(super) fn insert(&mut self, c: usize, place: u16) -> bool {
        let places = self.places(c);
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
            let entry = &mut self.entries[c];
            entry.copy_within(1 + at..1 + len, 2 + at);
            entry[1 + at] = place;
            entry[0] += 1;
        } else if len > INLINE && len < room(len) {
            let number = list_number(&self.entries[c]);
            let list = &mut self.lists[number];
            list.copy_within(at..len, at + 1);
            list[at] = place;
            self.entries[c][0] += 1;
        } else {
            let mut grown = [0; LIMIT];
            grown[..at].copy_from_slice(&places[..at]);
            grown[at] = place;
            grown[at + 1..=len].copy_from_slice(&places[at..]);
            self.assign(c, &grown[..=len]);
        }
        true
    }

    /// Keeps those bits of chunk `c` whose places `keep` approves of. Returns how many went.
    pub(super) fn retain(&mut self, c: usize, keep: impl Fn(u16) -> bool) -> usize {
        let mut kept = [0; LIMIT];
        let mut len = 0;
        let places = self.places(c);
        for &place in places {
            if keep(place) {
                kept[len] = place;
                len += 1;
            }
        }
        let lost = places.len() - len;
        if lost != 0 {
            self.assign(c, &kept[..len]);
        }
        lost
    }

    /// Makes chunk `c` not sparse. An entry that was not is only read, so that its page stays untouched.
    pub(super) fn clear(&mut self, c: usize) {
        match self.len(c) {
            0 => {}
            len => {
                if len > INLINE {
                    self.free_list(c);
                }
                self.entries[c] = [0; 8];
            }
        }
    }

    /// Moves chunk `c` to `to`, where it is not sparse yet.
    pub(super) fn move_to(&mut self, to: &mut Sparse, c: usize) {
        if self.len(c) != 0 {
            to.assign(c, self.places(c));
            self.clear(c);
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

    fn free_list(&mut self, c: usize) {
        let number = list_number(&self.entries[c]);
        self.lists[number] = Box::default();
        self.unused.push(number as u32);
        if self.unused.len() == self.lists.len() {
            self.lists = Vec::new();
            self.unused = Vec::new();
        }
    }

    /// The number of entries.
    pub(super) fn chunks(&self) -> usize {
        self.entries.len()
    }

    /// Panics unless the lists that are in use are just those that entries of `used` chunks name, and are in order.
    pub(super) fn check_invariants(&self, used: impl Iterator<Item = usize>) {
        let mut named = vec![false; self.lists.len()];
        for c in used {
            let places = self.places(c);
            assert!(places.len() <= LIMIT, "chunk {c} is not sparse");
            assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "the places of chunk {c} do not ascend");
            let behind = if places.len() > INLINE {
                let number = list_number(&self.entries[c]);
                assert!(!named[number], "list {number} has two chunks");
                named[number] = true;
                assert_eq!(self.lists[number].len(), room(places.len()), "the room of list {number}");
                &self.lists[number][places.len()..]
            } else {
                &self.entries[c][1 + places.len()..]
            };
            let filling = if places.is_empty() { 0 } else { NOWHERE };
            assert!(behind.iter().all(|&lane| lane == filling), "chunk {c} has something behind its places");
        }
        for (number, list) in self.lists.iter().enumerate() {
            assert_eq!(!list.is_empty(), named[number], "list {number} is lost, or missing");
            assert_eq!(list.is_empty(), self.unused.contains(&(number as u32)), "list {number} is not accounted for");
        }
    }
}
