// SPDX-License-Identifier: GPL-2.0-or-later
//! Chunks with few bits set: the places of those bits, in order.
//!
//! ```text
//!   lanes 0..=7    the places in the chunk, ascending, if they are at most eight, and then none
//!   lanes 4..=5    else the number of the list that has them, in halves of 15 bits, so that they are no places either
//!                  (also of a coarse chunk's groups)
//! ```
//!
//! So a disk with scattered writes costs 17 bytes for each 32768 bits, its merge or iteration reads memory in order, and nothing
//! is allocated until a chunk has nine bits. A list has room for 32 places or for 64, and is filled up with no places, so that one
//! is looked for in blocks of 32 without a branch on what they hold: the words that a random write would touch in a dense bitmap
//! are cache misses, these mostly are not. Nor is there one when a place is put in or taken out. All lists of one room lie in one
//! array. A chunk with more than [`LIMIT`] bits becomes dense.

use super::coarse::{Groups, GROUP_WORDS};
use super::form::Form;
use super::slab::Slab;
use crate::hbitmap::place::Place;
use crate::hbitmap::queue::Queue;
use crate::hbitmap::words::{any_is, any_lane_is, unite_disjoint};

/// The most bits that a sparse chunk has.
pub(in crate::hbitmap) const LIMIT: usize = 64;
/// The most places that an entry has room for.
const INLINE: usize = 8;
/// Lists are looked through in blocks of so many places.
const BLOCK: usize = 32;

/// What the form of a sparse or coarse chunk does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(16))]
pub(super) struct Entry([Place; INLINE]);

impl Entry {
    /// Of a chunk that is neither.
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

    /// Whether it has all places that `other` has here.
    #[inline]
    fn has_all(&self, other: &Entry) -> bool {
        other.0.iter().fold(true, |all, &place| all & (self.has(place) | (place == Place::NONE)))
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

    /// The number of the list of a chunk with more than [`INLINE`] bits, or of the groups of a coarse one.
    #[inline]
    fn number(&self) -> usize {
        usize::from(self.0[4].raw()) | usize::from(self.0[5].raw()) << 15
    }

    fn with_number(number: usize) -> Entry {
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

/// A list of `places`, filled up.
fn list_of<const N: usize>(places: &[Place]) -> [Place; N] {
    let mut list = [Place::NONE; N];
    list[..places.len()].copy_from_slice(places);
    list
}

/// What sparse and coarse chunks have beyond their entries: out of the way, because few bitmaps have any, and those of small disks
/// shall be small.
#[derive(Debug)]
pub(super) struct Lists(Option<Box<Slabs>>);

#[derive(Debug)]
struct Slabs {
    /// The lists of chunks with up to [`BLOCK`] bits.
    short: Slab<[Place; BLOCK]>,
    /// Of those with more.
    long: Slab<[Place; LIMIT]>,
    /// The groups of coarse chunks.
    groups: Slab<[u64; GROUP_WORDS]>,
}

impl Slabs {
    fn is_empty(&self) -> bool {
        self.short.is_empty() && self.long.is_empty() && self.groups.is_empty()
    }
}

impl Lists {
    pub(super) fn new() -> Self {
        Lists(None)
    }

    /// There are some while a chunk has a list, or groups.
    #[inline]
    fn slabs(&self) -> &Slabs {
        match &self.0 {
            Some(slabs) => slabs,
            None => unreachable!("a chunk has what is not there"),
        }
    }

    /// The same, to change; empty ones at first.
    fn slabs_mut(&mut self) -> &mut Slabs {
        self.0.get_or_insert_with(|| Box::new(Slabs { short: Slab::new(), long: Slab::new(), groups: Slab::new() }))
    }

    /// The groups of a chunk, if it is coarse.
    #[inline]
    pub(super) fn groups(&self, form: Form, entry: &Entry) -> Option<Groups<'_>> {
        form.is_coarse().then(|| Groups(self.slabs().groups.get(entry.number())))
    }

    /// The same, to change.
    #[inline]
    pub(super) fn groups_mut(&mut self, form: Form, entry: &Entry) -> Option<&mut [u64; GROUP_WORDS]> {
        form.is_coarse().then(|| self.slabs_mut().groups.get_mut(entry.number()))
    }

    /// Makes a chunk, which is not dense, a coarse one.
    pub(super) fn assign_groups(&mut self, form: &mut Form, entry: &mut Entry, groups: [u64; GROUP_WORDS]) {
        self.free(*form, entry);
        *form = Form::COARSE;
        *entry = Entry::with_number(self.slabs_mut().groups.keep(groups));
    }

    /// The list of a chunk with more than [`INLINE`] bits, with what fills it up.
    #[inline]
    fn list(&self, form: Form, entry: &Entry) -> &[Place] {
        if form.len() <= BLOCK {
            self.slabs().short.get(entry.number())
        } else {
            self.slabs().long.get(entry.number())
        }
    }

    /// The same, to change.
    #[inline]
    fn list_mut(&mut self, form: Form, entry: &Entry) -> &mut [Place] {
        if form.len() <= BLOCK {
            self.slabs_mut().short.get_mut(entry.number())
        } else {
            self.slabs_mut().long.get_mut(entry.number())
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
        let block = |places: &[Place]| any_is(places.iter().map(|other| other.raw()), place.raw());
        self.list(form, entry).chunks_exact(BLOCK).fold(false, |found, places| found | block(places))
    }

    /// Makes a chunk, which is not dense, have its bits at `places`: ascending, at most [`LIMIT`].
    pub(super) fn assign(&mut self, form: &mut Form, entry: &mut Entry, places: &[Place]) {
        let (has, needs) = (room(form.len()), room(places.len()));
        if has != 0 && has == needs {
            // The list stays.
            let list = self.list_mut(*form, entry);
            list[..places.len()].copy_from_slice(places);
            list[places.len()..].fill(Place::NONE);
            *form = Form::sparse(places.len());
            return;
        }
        self.free(*form, entry);
        *form = Form::sparse(places.len());
        *entry = match needs {
            0 => Entry::with_places(places),
            BLOCK => Entry::with_number(self.slabs_mut().short.keep(list_of(places))),
            _ => Entry::with_number(self.slabs_mut().long.keep(list_of(places))),
        };
    }

    /// Adds the bit at `place` to a chunk that is not dense and has less than [`LIMIT`]. Returns whether it was clear.
    pub(super) fn insert(&mut self, form: &mut Form, entry: &mut Entry, place: Place) -> bool {
        let len = form.len();
        let is_new = match len {
            0..INLINE => place.insert_into(&mut entry.0),
            INLINE | BLOCK => return self.insert_beyond(form, entry, place),
            _ if len < BLOCK => place.insert_into(self.slabs_mut().short.get_mut(entry.number())),
            _ => place.insert_into(self.slabs_mut().long.get_mut(entry.number())),
        };
        if is_new {
            *form = Form::sparse(len + 1);
        }
        is_new
    }

    /// The same where what has the places has no room for another one.
    #[inline(never)]
    fn insert_beyond(&mut self, form: &mut Form, entry: &mut Entry, place: Place) -> bool {
        let places = self.places(*form, entry);
        let mut grown = list_of(places);
        let len = places.len() + 1;
        let is_new = place.insert_into::<LIMIT>(&mut grown);
        if is_new {
            self.assign(form, entry, &grown[..len]);
        }
        is_new
    }

    /// Takes the bit at `place` from a chunk that is not dense. Returns whether it was set.
    pub(super) fn remove(&mut self, form: &mut Form, entry: &mut Entry, place: Place) -> bool {
        let len = form.len();
        if len == INLINE + 1 || len == BLOCK + 1 {
            // Without it they have room in less.
            return self.retain(form, entry, |other| other != place) != 0;
        }
        let was_there = if len <= INLINE {
            place.remove_from(&mut entry.0)
        } else if len <= BLOCK {
            place.remove_from(self.slabs_mut().short.get_mut(entry.number()))
        } else {
            place.remove_from(self.slabs_mut().long.get_mut(entry.number()))
        };
        if was_there {
            *form = Form::sparse(len - 1);
        }
        was_there
    }

    /// Adds the bits of a chunk with form `other_form` and entry `other` to one that is zero or sparse, if both have what they have in their
    /// entries, the other one has something, and all or nothing of that is here already. Returns how many bits were clear; `None` if that is
    /// not so: then nothing changes.
    #[inline]
    pub(super) fn unite(
        &mut self,
        form: &mut Form,
        entry: &mut Entry,
        other_form: Form,
        other: &Entry,
    ) -> Option<usize> {
        if !other.has_places() || form.len() > INLINE {
            return None;
        }
        let Some(union) = unite_disjoint(entry.0.map(Place::raw), other.0.map(Place::raw)) else {
            return entry.has_all(other).then_some(0);
        };
        let union = union.map(Place::from_raw);
        let len = form.len() + other_form.len();
        if len <= INLINE {
            entry.0.copy_from_slice(&union[..INLINE]);
        } else {
            *entry = Entry::with_number(self.slabs_mut().short.keep(list_of(&union)));
        }
        *form = Form::sparse(len);
        Some(other_form.len())
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

    /// Makes a chunk neither sparse nor coarse. One that was not is only read.
    pub(super) fn clear(&mut self, form: &mut Form, entry: &mut Entry) {
        if form.len() != 0 || form.is_coarse() {
            self.free(*form, entry);
            *form = Form::NO_MEMORY;
            *entry = Entry::EMPTY;
        }
    }

    /// Frees what a chunk has here, if it has something; its form and entry must change then.
    fn free(&mut self, form: Form, entry: &Entry) {
        let room = room(form.len());
        if room == 0 && !form.is_coarse() {
            return;
        }
        let slabs = self.slabs_mut();
        match room {
            0 => slabs.groups.free(entry.number()),
            BLOCK => slabs.short.free(entry.number()),
            _ => slabs.long.free(entry.number()),
        }
        if slabs.is_empty() {
            self.0 = None;
        }
    }

    /// Panics unless the lists and groups in use are just those that `entries` name, and places are in order.
    pub(super) fn check_invariants(&self, forms: &[Form], entries: &[Entry]) {
        for (c, (&form, entry)) in forms.iter().zip(entries).enumerate() {
            let places = self.places(form, entry);
            assert!(places.len() <= LIMIT, "chunk {c} should be dense");
            assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "the places of chunk {c} do not ascend");
            assert!(places.iter().all(|&place| place != Place::NONE), "the places of chunk {c} are not all there");
            let behind = if places.len() > INLINE || form.is_coarse() {
                assert_eq!(*entry, Entry::with_number(entry.number()), "chunk {c} has something beside its list");
                if form.is_coarse() {
                    &[]
                } else {
                    &self.list(form, entry)[places.len()..]
                }
            } else {
                &entry.0[places.len()..]
            };
            assert!(behind.iter().all(|&place| place == Place::NONE), "chunk {c} has something behind its places");
        }
        let numbers = |has: fn(Form) -> bool| {
            forms.iter().zip(entries).filter(move |(&form, _)| has(form)).map(|(_, entry)| entry.number())
        };
        let short = numbers(|form| room(form.len()) == BLOCK);
        let long = numbers(|form| room(form.len()) == LIMIT);
        let groups = numbers(Form::is_coarse);
        let Some(slabs) = &self.0 else {
            assert_eq!(short.chain(long).chain(groups).count(), 0, "there are no lists");
            return;
        };
        assert!(!slabs.is_empty(), "memory for no list");
        slabs.short.check_invariants(short);
        slabs.long.check_invariants(long);
        slabs.groups.check_invariants(groups);
    }
}
