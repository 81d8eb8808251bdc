// SPDX-License-Identifier: GPL-2.0-or-later
//! A size, and the atoms that its bits are grouped into; the plain model of what is set in
//! them.

/// The bits of a bitmap, cut into atoms. The bits of an atom are all set or all clear.
pub(super) struct Shape {
    pub granularity: u32,
    /// The first bit of each atom, and after the last one where it ends.
    pub bounds: Vec<u64>,
    /// The sizes that a bitmap may have, in atoms; ascending, the last one is all of them.
    pub sizes: Vec<usize>,
    /// How many items the last bit lacks.
    pub missing: u64,
}

/// The model: how many atoms there are, and which of them are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub atoms: usize,
    pub set: u32,
}

/// Atoms `first..=last`.
pub(super) fn atoms(first: usize, last: usize) -> u32 {
    (u32::MAX >> (31 - last)) & (u32::MAX << first)
}

impl Shape {
    /// `bounds` and `sizes` as in the fields; the size in items is a multiple of the
    /// granularity.
    pub fn new(granularity: u32, bounds: &[u64], sizes: &[usize]) -> Self {
        assert!(bounds.is_sorted() && sizes.is_sorted() && bounds.len() <= 32);
        assert_eq!(sizes.last(), Some(&(bounds.len() - 1)));
        Shape { granularity, bounds: bounds.to_vec(), sizes: sizes.to_vec(), missing: 0 }
    }

    /// The number of bits of so many atoms.
    pub fn bits(&self, atoms: usize) -> u64 {
        self.bounds[atoms]
    }

    /// The number of items of so many atoms.
    pub fn size(&self, atoms: usize) -> u64 {
        (self.bits(atoms) << self.granularity).saturating_sub(self.missing)
    }

    /// The first item of an atom, or of what is after the last one.
    pub fn item(&self, atom: usize) -> u64 {
        self.bounds[atom] << self.granularity
    }

    /// How many items there are in atoms `first..=last` of `atoms`.
    pub fn items(&self, first: usize, last: usize, atoms: usize) -> u64 {
        self.item(last + 1).min(self.size(atoms)) - self.item(first)
    }

    /// The content as words of bits.
    pub fn words(&self, content: Content) -> Vec<u64> {
        let mut words = vec![0; self.bits(content.atoms).div_ceil(64) as usize];
        for atom in (0..content.atoms).filter(|atom| content.set >> atom & 1 != 0) {
            fill(&mut words, self.bounds[atom], self.bounds[atom + 1]);
        }
        words
    }

    /// Whether the bit of an item is set.
    pub fn get(&self, content: Content, item: u64) -> bool {
        let bit = item >> self.granularity;
        let atom = self.bounds.iter().rposition(|&first| first <= bit).expect("the first one is 0");
        content.set >> atom & 1 != 0
    }

    /// The first item of `start..end` whose bit is `dirty`.
    pub fn find(&self, content: Content, start: u64, end: u64, dirty: bool) -> Option<u64> {
        let end = end.min(self.size(content.atoms));
        let found = (0..content.atoms)
            .find(|&atom| (content.set >> atom & 1 != 0) == dirty && self.item(atom + 1) > start)?;
        let item = self.item(found).max(start);
        (item < end).then_some(item)
    }

    /// Items that stand for all: the first two and the last of each atom, and where granularity
    /// allows the first and the last of their bits; the first past the end.
    pub fn probes(&self, atoms: usize) -> Vec<u64> {
        let size = self.size(atoms);
        let mut probes = vec![0, size.saturating_sub(1), size];
        for atom in 0..atoms {
            let (first, last) = (self.item(atom), self.item(atom + 1) - 1);
            let unit = 1 << self.granularity;
            probes.extend([first, first + unit - 1, first + unit, last + 1 - unit, last]);
        }
        probes.retain(|&item| item <= size);
        probes.sort_unstable();
        probes.dedup();
        probes
    }
}

/// Sets bits `first..end`, not none.
pub(super) fn fill(words: &mut [u64], first: u64, end: u64) {
    let (low, high) = ((first / 64) as usize, ((end - 1) / 64) as usize);
    let (from, to) = (u64::MAX << (first % 64), u64::MAX >> (63 - (end - 1) % 64));
    if low == high {
        words[low] |= from & to;
        return;
    }
    words[low] |= from;
    words[low + 1..high].fill(u64::MAX);
    words[high] |= to;
}
