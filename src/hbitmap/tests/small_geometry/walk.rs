// SPDX-License-Identifier: GPL-2.0-or-later
//! The walk: from the empty bitmap, each call on each state, until no call leads to a new one.

use super::call::{Call, Partners};
use super::shape::{Content, Shape};
use super::{HBitmap, stores};
use std::collections::{HashMap, HashSet};

/// What tells one state from another.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    /// Whether the bitmap's memory has held ones before.
    used: bool,
    atoms: usize,
    set: u32,
    stores: Vec<u8>,
}

struct State {
    content: Content,
    /// How it was reached: from which state, by what call.
    way: Option<(usize, Call)>,
    used: bool,
}

/// All states of a shape, and how each is reached. Counts the calls that were looked at.
pub(super) struct Walk {
    pub shape: Shape,
    pub calls: u64,
    states: Vec<State>,
    known: HashSet<Key>,
    /// For each number of atoms that is a size.
    partners: HashMap<usize, Partners>,
    /// What is under way; a failure shows it.
    at: (usize, Option<Call>),
}

impl Walk {
    /// All states of a shape.
    pub fn new(shape: Shape) -> Self {
        let sizes = shape.sizes.clone();
        let partners = sizes.iter().map(|&size| (size, Partners::new(&shape, size))).collect();
        let (states, known) = (Vec::new(), HashSet::new());
        let mut walk = Walk { shape, calls: 0, states, known, partners, at: (0, None) };
        for used in [false, true] {
            let content = Content { atoms: walk.shape.bounds.len() - 1, set: 0 };
            let start = walk.start(used);
            walk.agree(&start, content);
            walk.note(&start, State { content, way: None, used });
        }
        walk.explore(&sizes);
        walk
    }

    /// Makes each call on each state, and on each that comes out.
    fn explore(&mut self, sizes: &[usize]) {
        let calls: HashMap<usize, Vec<Call>> =
            sizes.iter().map(|&size| (size, self.calls_on(size))).collect();
        let mut from = 0;
        while from < self.states.len() {
            let (content, used) = (self.states[from].content, self.states[from].used);
            let way = self.way(from);
            for &call in &calls[&content.atoms] {
                self.at = (from, Some(call));
                let mut hb = self.follow(used, &way);
                let partners = &self.partners[&content.atoms];
                let (after, expected) = call.result(content, &self.shape, partners);
                let returned = call.make(&mut hb, &self.shape, content.atoms, partners);
                assert_eq!(returned, expected, "what the call returned");
                self.agree(&hb, after);
                self.note(&hb, State { content: after, way: Some((from, call)), used });
            }
            from += 1;
        }
    }

    /// The number of states.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// The states whose bitmap has all atoms.
    pub fn largest(&self) -> Vec<usize> {
        let all = self.shape.bounds.len() - 1;
        (0..self.len()).filter(|&state| self.states[state].content.atoms == all).collect()
    }

    pub fn content(&self, state: usize) -> Content {
        self.states[state].content
    }

    /// All calls on a bitmap of so many atoms.
    pub fn calls_on(&self, atoms: usize) -> Vec<Call> {
        Call::all(&self.shape, atoms, &self.partners[&atoms])
    }

    pub fn partners(&self, atoms: usize) -> &Partners {
        &self.partners[&atoms]
    }

    /// Says what is under way, for a failure's message.
    pub fn now_at(&mut self, state: usize, call: Option<Call>) {
        self.at = (state, call);
    }

    /// A bitmap in a state.
    pub fn bitmap(&self, state: usize) -> HBitmap {
        self.maker(state).bitmap(self)
    }

    /// What makes bitmaps in a state.
    pub fn maker(&self, state: usize) -> Maker {
        Maker { used: self.states[state].used, way: self.way(state) }
    }

    /// A bitmap of all atoms, empty. One that is `used` has had all its bits set, one by one as
    /// far as atoms go: what a chunk keeps in memory and does not store is then ones where it
    /// was zeroes.
    fn start(&self, used: bool) -> HBitmap {
        let atoms = self.shape.bounds.len() - 1;
        let mut hb = HBitmap::new(self.shape.size(atoms), self.shape.granularity);
        if used {
            for atom in 0..atoms {
                hb.set(self.shape.item(atom), self.shape.items(atom, atom, atoms));
            }
            hb.reset_all();
        }
        hb
    }

    /// The calls that lead to a state, each with the number of atoms at that time.
    pub fn way(&self, state: usize) -> Vec<(usize, Call)> {
        let step = |&(from, call): &(usize, Call)| (self.states[from].content.atoms, call);
        let back =
            std::iter::successors(self.states[state].way, |&(from, _)| self.states[from].way);
        let mut way: Vec<_> = back.map(|back| step(&back)).collect();
        way.reverse();
        way
    }

    /// A bitmap to which these calls have been made.
    fn follow(&self, used: bool, way: &[(usize, Call)]) -> HBitmap {
        let mut hb = self.start(used);
        for &(atoms, call) in way {
            call.make(&mut hb, &self.shape, atoms, &self.partners[&atoms]);
        }
        hb
    }

    /// Checks that the bitmap has that content, in a well-formed way.
    pub fn agree(&mut self, hb: &HBitmap, content: Content) {
        self.calls += 1;
        let words = self.shape.words(content);
        super::agree(hb, self.shape.size(content.atoms), self.shape.bits(content.atoms), &words);
    }

    /// Adds the state of a bitmap, if it is new.
    fn note(&mut self, hb: &HBitmap, state: State) {
        let key = key(hb, state.content, state.used);
        if self.known.insert(key) {
            self.states.push(state);
        }
    }

    /// Checks that a bitmap, which has been merged with another, is in a state that the walk
    /// knows.
    pub fn recognise(&self, hb: &HBitmap, content: Content) {
        let known = [false, true].map(|used| self.known.contains(&key(hb, content, used)));
        assert_ne!(known, [false; 2], "no call of the walk led to this state: {:?}", stores(hb));
    }
}

/// The way to a state, for bitmap after bitmap.
pub(super) struct Maker {
    used: bool,
    way: Vec<(usize, Call)>,
}

impl Maker {
    pub fn bitmap(&self, walk: &Walk) -> HBitmap {
        walk.follow(self.used, &self.way)
    }
}

fn key(hb: &HBitmap, content: Content, used: bool) -> Key {
    Key { used, atoms: content.atoms, set: content.set, stores: stores(hb) }
}

impl Drop for Walk {
    /// Says how a failure came about.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let (state, call) = self.at;
            eprintln!("atoms {:?}, granularity {}", self.shape.bounds, self.shape.granularity);
            eprintln!("used before: {}", self.states[state].used);
            eprintln!("calls until then: {:?}, then {call:?}", self.way(state));
        }
    }
}
