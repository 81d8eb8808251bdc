// SPDX-License-Identifier: GPL-2.0-or-later
//! Chunks with few bits set: the places of those bits, in order.
//!
//! ```text
//!   lanes 0..=7    the places in the chunk, ascending, if they are at most eight, and then none
//!   lanes 4..=5    else the number of the list that has them, in halves of 15 bits, so that they are no places either
//! ```
//!
//! So a disk with scattered writes costs 17 bytes for each 32768 bits, its merge or iteration reads memory in order, and nothing
//! is allocated until a chunk has nine bits. A list has room for 32 places or for 64, and is filled up with no places, so that one
//! is looked for in blocks of 32 without a branch on what they hold: the words that a random write would touch in a dense bitmap
//! are cache misses, these mostly are not. All lists of one room lie in one array. A chunk with more than [`LIMIT`] bits becomes
//! dense.

use super::form::Form;
use crate::hbitmap::place::Place;
use crate::hbitmap::queue::Queue;
use crate::hbitmap::words::any_lane_is;

/// The most bits that a sparse chunk has.
pub(in crate::hbitmap) const LIMIT: usize = 64;
/// The most places that an entry has room for.
const INLINE: usize = 8;
/// Lists are looked through in blocks of so many places.
const BLOCK: usize = 32;

/// What a sparse chunk's form does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub(super) struct Entry([Place; INLINE]);

impl Entry {
    /// Of a chunk that is not sparse.
    const EMPTY: Entry = Entry([Place::NONE; INLINE]);

    /// Whether the chunk is sparse and has its places here.
    #[inline(always)]
    pub(super) fn has_places(&self) -> bool {
        self.0[0] != Place::NONE
    }

    /// Whether it has `place` here.
    #[inline(always)]
    pub(super) fn has(&self, place: Place) -> bool {
        any_lane_is(self.0.map(Place::raw), place.raw())
    }

    /// The first from `from` on of the places, which are here.
    #[inline(always)]
    pub(super) fn place_from(&self, from: Place) -> Option<Place> {
        from.or_next(&self.0)
    }

    /// The places, if they are here; else an empty queue.
    #[inline(always)]
    pub(super) fn queue(&self) -> Queue {
        Queue::of_eight(self.0)
    }

    /// The number of the list of a chunk with more than [`INLINE`] bits.
    #[inline]
    fn list(&self) -> usize {
        usize::from(self.0[4].raw()) | usize::from(self.0[5].raw()) << 15
    }

    fn with_list(number: usize) -> Entry {
        let half = |bits: usize| Place::from_raw((bits % (1 << 15)) as u16);
        let mut entry = Entry::EMPTY;
        entry.0[4..=5].copy_from_slice(&[half(number), half(number >> 15)]);
        entry
    }

    fn with_places(places: &[Place]) -> Entry {
        let mut entry = Entry::EMPTY;
        entry.0[..places.len()].copy_from_slice(places);
        entry
    }
}

/// The room of the list of a chunk with `len` bits; 0 if it needs none.
#[inline]
fn room(len: usize) -> usize {
    match len {
        0..=INLINE => 0,
        _ if len <= BLOCK => BLOCK,
        _ => LIMIT,
    }
}

/// Lists with room for `N` places each.
#[derive(Debug)]
struct Slab<const N: usize> {
    lists: Vec<[Place; N]>,
    /// The numbers of those that no chunk has.
    unused: Vec<u32>,
}

impl<const N: usize> Slab<N> {
    fn new() -> Self {
        Slab { lists: Vec::new(), unused: Vec::new() }
    }

    /// Makes list `number`, or one that is unused if that is `None`, have `places`; returns which.
    fn assign(&mut self, number: Option<usize>, places: &[Place]) -> usize {
        let number = number.or_else(|| Some(self.unused.pop()? as usize));
        // Each of at most 2^26 chunks has at most one list.
        let number = number.unwrap_or_else(|| {
            self.lists.push([Place::NONE; N]);
            self.lists.len() - 1
        });
        let list = &mut self.lists[number];
        list[..places.len()].copy_from_slice(places);
        list[places.len()..].fill(Place::NONE);
        number
    }

    fn free(&mut self, number: usize) {
        self.unused.push(number as u32);
        if self.unused.len() == self.lists.len() {
            *self = Slab::new();
        }
    }

    /// Panics unless the lists in use are just those of `named`, and none has two chunks.
    fn check_invariants(&self, named: impl Iterator<Item = usize>) {
        let mut owners = vec![0; self.lists.len()];
        for number in named.chain(self.unused.iter().map(|&number| number as usize)) {
            owners[number] += 1;
        }
        assert!(owners.iter().all(|&owners| owners == 1), "a list is lost, or has two chunks");
    }
}

/// The lists of places of a bitmap's sparse chunks: out of the way, because few bitmaps have any, and those of small disks shall be small.
#[derive(Debug)]
pub(super) struct Lists(Option<Box<Slabs>>);

#[derive(Debug)]
struct Slabs {
    /// Of chunks with up to [`BLOCK`] bits.
    short: Slab<BLOCK>,
    /// Of those with more.
    long: Slab<LIMIT>,
}

impl Slabs {
    fn is_empty(&self) -> bool {
        self.short.lists.is_empty() && self.long.lists.is_empty()
    }
}

impl Lists {
    pub(super) fn new() -> Self {
        Lists(None)
    }

    /// There are some while a chunk has one.
    #[inline]
    fn slabs(&self) -> &Slabs {
        self.0.as_deref().expect("a chunk has a list")
    }

    /// The same, to change; none at first.
    fn slabs_mut(&mut self) -> &mut Slabs {
        self.0.get_or_insert_with(|| Box::new(Slabs { short: Slab::new(), long: Slab::new() }))
    }

    /// The list of a chunk with more than [`INLINE`] bits, with what fills it up.
    #[inline]
    fn list(&self, form: Form, entry: &Entry) -> &[Place] {
        if form.len() <= BLOCK {
            &self.slabs().short.lists[entry.list()]
        } else {
            &self.slabs().long.lists[entry.list()]
        }
    }

    /// The same, to change.
    #[inline]
    fn list_mut(&mut self, form: Form, entry: &Entry) -> &mut [Place] {
        if form.len() <= BLOCK {
            &mut self.slabs_mut().short.lists[entry.list()]
        } else {
            &mut self.slabs_mut().long.lists[entry.list()]
        }
    }

    /// The places of the bits of a chunk, ascending; none if it is not sparse.
    #[inline]
    pub(super) fn places<'a>(&'a self, form: Form, entry: &'a Entry) -> &'a [Place] {
        let len = form.len();
        if len <= INLINE {
            &entry.0[..len]
        } else {
            &self.list(form, entry)[..len]
        }
    }

    /// Whether a chunk is sparse and its bit at `place` is set.
    pub(super) fn has(&self, form: Form, entry: &Entry, place: Place) -> bool {
        if form.len() <= INLINE {
            return entry.has(place);
        }
        let block =
            |block: &[Place]| block.iter().fold(0, |found, other| found | u16::from(other.raw() == place.raw()));
        self.list(form, entry).chunks_exact(BLOCK).fold(0, |found, places| found | block(places)) != 0
    }

    /// Makes a chunk, which is not dense, have its bits at `places`: ascending, at most [`LIMIT`].
    pub(super) fn assign(&mut self, form: &mut Form, entry: &mut Entry, places: &[Place]) {
        // A list is kept if its room is the one that is needed.
        let (has, needs) = (room(form.len()), room(places.len()));
        let number = (has != 0 && has == needs).then(|| entry.list());
        if number.is_none() {
            self.free_list(*form, entry);
        }
        *form = Form::sparse(places.len());
        *entry = match needs {
            0 => Entry::with_places(places),
            BLOCK => Entry::with_list(self.slabs_mut().short.assign(number, places)),
            _ => Entry::with_list(self.slabs_mut().long.assign(number, places)),
        };
    }

    /// Adds the bit at `place` to a chunk that is not dense and has less than [`LIMIT`]. Returns whether it was clear.
    pub(super) fn insert(&mut self, form: &mut Form, entry: &mut Entry, place: Place) -> bool {
        let places = self.places(*form, entry);
        let len = places.len();
        // Writes in order are the common case: look at the end first.
        let at = match places.last() {
            Some(&last) if last < place => len,
            _ => places.partition_point(|&other| other < place),
        };
        if places.get(at) == Some(&place) {
            return false;
        }
        if len == INLINE || len == BLOCK {
            // What has them has no room for another one.
            let mut grown = [Place::NONE; LIMIT];
            grown[..at].copy_from_slice(&places[..at]);
            grown[at] = place;
            grown[at + 1..=len].copy_from_slice(&places[at..]);
            self.assign(form, entry, &grown[..=len]);
            return true;
        }
        let places = if len < INLINE { &mut entry.0 } else { self.list_mut(*form, entry) };
        places.copy_within(at..len, at + 1);
        places[at] = place;
        *form = Form::sparse(len + 1);
        true
    }

    /// Keeps those bits of a chunk that is not dense whose places `keep` approves of. Returns how many went.
    pub(super) fn retain(&mut self, form: &mut Form, entry: &mut Entry, keep: impl Fn(Place) -> bool) -> usize {
        let mut kept = [Place::NONE; LIMIT];
        let mut len = 0;
        let places = self.places(*form, entry);
        for &place in places {
            if keep(place) {
                kept[len] = place;
                len += 1;
            }
        }
        let lost = places.len() - len;
        if lost != 0 {
            self.assign(form, entry, &kept[..len]);
        }
        lost
    }

    /// Makes a chunk not sparse. One that was not is only read.
    pub(super) fn clear(&mut self, form: &mut Form, entry: &mut Entry) {
        if form.len() != 0 {
            self.free_list(*form, entry);
            *form = Form::NO_MEMORY;
            *entry = Entry::EMPTY;
        }
    }

    /// Frees the list of a chunk, if it has one; its form and entry must change then.
    fn free_list(&mut self, form: Form, entry: &Entry) {
        let room = room(form.len());
        if room == 0 {
            return;
        }
        let slabs = self.slabs_mut();
        match room {
            BLOCK => slabs.short.free(entry.list()),
            _ => slabs.long.free(entry.list()),
        }
        if slabs.is_empty() {
            self.0 = None;
        }
    }

    /// Panics unless the lists in use are just those that `entries` name, and places are in order.
    pub(super) fn check_invariants(&self, forms: &[Form], entries: &[Entry]) {
        for (c, (&form, entry)) in forms.iter().zip(entries).enumerate() {
            let places = self.places(form, entry);
            assert!(places.len() <= LIMIT, "chunk {c} should be dense");
            assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "the places of chunk {c} do not ascend");
            assert!(places.iter().all(|&place| place != Place::NONE), "the places of chunk {c} are not all there");
            let behind = if places.len() > INLINE {
                assert_eq!(*entry, Entry::with_list(entry.list()), "chunk {c} has something beside its list");
                &self.list(form, entry)[places.len()..]
            } else {
                &entry.0[places.len()..]
            };
            assert!(behind.iter().all(|&place| place == Place::NONE), "chunk {c} has something behind its places");
        }
        let with = |room_of_list: usize| {
            let all = forms.iter().zip(entries);
            all.filter(move |(form, _)| room(form.len()) == room_of_list).map(|(_, entry)| entry.list())
        };
        let Some(slabs) = &self.0 else {
            assert_eq!(with(BLOCK).chain(with(LIMIT)).count(), 0, "there are no lists");
            return;
        };
        slabs.short.check_invariants(with(BLOCK));
        slabs.long.check_invariants(with(LIMIT));
        assert!(!slabs.is_empty(), "memory for no list");
    }
}
