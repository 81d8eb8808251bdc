// SPDX-License-Identifier: GPL-2.0-or-later
//! The calls that change a bitmap: which there are, what they do to it, and what the model
//! says.

use super::HBitmap;
use super::shape::{Content, Shape, atoms};

/// A call that changes a bitmap. Atoms and words are the first and the last one.
#[derive(Clone, Copy, Debug)]
pub(super) enum Call {
    Set(usize, usize),
    Reset(usize, usize),
    ResetAll,
    /// To so many atoms.
    Truncate(usize),
    /// Of those words the bits of these atoms, and past the end of the bitmap all bits.
    Part(usize, usize, u32),
    Zeroes(usize, usize),
    Ones(usize, usize),
    Clone,
    /// With a partner, in place.
    Merge(usize),
    /// With a partner, to a new bitmap.
    Union(usize),
    /// Of a partner and the next one.
    AssignUnion(usize),
}

/// What a bitmap is merged with: bitmaps of the same size, each with the atoms that it has set.
pub(super) struct Partners(pub Vec<(HBitmap, u32)>);

impl Partners {
    /// Bitmaps of each kind of store, as far as calls of single atoms and of all atoms make
    /// them.
    pub fn new(shape: &Shape, count: usize) -> Self {
        if count == 0 {
            return Partners(vec![(HBitmap::new(0, shape.granularity), 0)]);
        }
        let end = count - 1;
        let is_short = |atom: &usize| shape.bounds[atom + 1] - shape.bounds[*atom] == 1;
        let single: Vec<usize> = (0..count).filter(is_short).collect();
        let set = |atoms: &mut dyn Iterator<Item = usize>| {
            atoms.map(|atom| Call::Set(atom, atom)).collect()
        };
        let one_by_one: Vec<Call> = set(&mut (0..count).rev());
        let lists: [Vec<Call>; 8] = [
            vec![],
            vec![Call::Set(0, end)],
            one_by_one.clone(),
            one_by_one
                .iter()
                .copied()
                .chain((0..count).map(|atom| Call::Reset(atom, atom)))
                .collect(),
            one_by_one.iter().copied().chain([Call::Reset(0, 0), Call::Reset(end, end)]).collect(),
            set(&mut single.iter().copied().step_by(2)),
            set(&mut single.iter().copied().skip(1).step_by(2)),
            set(&mut (0..count).step_by(2)),
        ];
        let nobody = Partners(vec![]);
        let bitmap = |calls: &Vec<Call>| {
            let mut hb = HBitmap::new(shape.size(count), shape.granularity);
            let mut content = Content { atoms: count, set: 0 };
            for &call in calls {
                call.make(&mut hb, shape, count, &nobody);
                content = call.result(content, shape, &nobody).0;
            }
            (hb, content.set)
        };
        Partners(lists.iter().map(bitmap).collect())
    }

    fn next(&self, partner: usize) -> usize {
        (partner + 1) % self.0.len()
    }
}

/// The start and the length of a serialised part, in items.
pub(super) fn part(shape: &Shape, count: usize, first: usize, last: usize) -> (u64, u64) {
    let item = |word: usize| (word as u64 * 64) << shape.granularity;
    (item(first), item(last + 1).min(shape.size(count)) - item(first))
}

/// The atoms that lie in words `first..=last`.
fn atoms_in(shape: &Shape, count: usize, first: usize, last: usize) -> u32 {
    let inside = |atom: &usize| {
        let (from, to) = (shape.bounds[*atom] / 64, (shape.bounds[atom + 1] - 1) / 64);
        let (first, last) = (first as u64, last as u64);
        assert!(to < first || last < from || (first <= from && to <= last), "a part cuts an atom");
        first <= from && to <= last
    };
    (0..count).filter(inside).fold(0, |set, atom| set | 1 << atom)
}

/// Whether words `first..=last` are whole atoms.
fn is_whole(shape: &Shape, count: usize, first: usize, last: usize) -> bool {
    let is_bound = |bit: u64| bit >= shape.bits(count) || shape.bounds[..=count].contains(&bit);
    is_bound(first as u64 * 64) && is_bound((last as u64 + 1) * 64)
}

impl Call {
    /// All calls on a bitmap of so many atoms.
    pub fn all(shape: &Shape, count: usize, partners: &Partners) -> Vec<Call> {
        let mut calls = vec![Call::ResetAll, Call::Clone];
        calls.extend(shape.sizes.iter().map(|&size| Call::Truncate(size)));
        for first in 0..count {
            calls.extend((first..count).map(|last| Call::Set(first, last)));
            calls.extend((first..count).map(|last| Call::Reset(first, last)));
        }
        let words = shape.bits(count).div_ceil(64) as usize;
        let ranges = (0..words).flat_map(|first| (first..words).map(move |last| (first, last)));
        for (first, last) in ranges.filter(|&(first, last)| is_whole(shape, count, first, last)) {
            calls.extend([Call::Zeroes(first, last), Call::Ones(first, last)]);
            calls.extend(patterns(shape, count).map(|pattern| Call::Part(first, last, pattern)));
        }
        let partners = 0..partners.0.len();
        calls.extend(partners.clone().map(Call::Merge));
        calls.extend(partners.clone().map(Call::Union));
        calls.extend(partners.map(Call::AssignUnion));
        calls
    }

    /// Makes the call on a bitmap of so many atoms. Returns what it returns.
    pub fn make(
        self,
        hb: &mut HBitmap,
        shape: &Shape,
        count: usize,
        partners: &Partners,
    ) -> Option<bool> {
        let partner = |i: usize| &partners.0[i].0;
        match self {
            Call::Set(first, last) => {
                return Some(hb.set(shape.item(first), shape.items(first, last, count)));
            }
            Call::Reset(first, last) => {
                return Some(hb.reset(shape.item(first), shape.items(first, last, count)));
            }
            Call::ResetAll => hb.reset_all(),
            Call::Truncate(size) => hb.truncate(shape.size(size)),
            Call::Part(first, last, pattern) => {
                let (start, items) = part(shape, count, first, last);
                let mut words = shape.words(Content { atoms: count, set: pattern });
                let end = shape.bits(count);
                if end % 64 != 0 {
                    words[(end / 64) as usize] |= u64::MAX << (end % 64);
                }
                let bytes: Vec<u8> =
                    words[first..=last].iter().flat_map(|word| word.to_le_bytes()).collect();
                hb.deserialize_part(&bytes, start, items);
                hb.deserialize_finish();
            }
            Call::Zeroes(first, last) => {
                let (start, items) = part(shape, count, first, last);
                hb.deserialize_zeroes(start, items);
                hb.deserialize_finish();
            }
            Call::Ones(first, last) => {
                let (start, items) = part(shape, count, first, last);
                hb.deserialize_ones(start, items);
                hb.deserialize_finish();
            }
            Call::Clone => super::replace(hb, hb.clone()),
            Call::Merge(i) => hb.merge_from(partner(i)),
            Call::Union(i) => {
                let union = HBitmap::union(hb, partner(i), shape.granularity);
                super::replace(hb, union);
            }
            Call::AssignUnion(i) => hb.assign_union(partner(i), partner(partners.next(i))),
        }
        None
    }

    /// What the model says: the content afterwards, and what is returned.
    pub fn result(
        self,
        old: Content,
        shape: &Shape,
        partners: &Partners,
    ) -> (Content, Option<bool>) {
        let of = |i: usize| partners.0[i].1;
        let within = |first, last| atoms_in(shape, old.atoms, first, last);
        let set = match self {
            Call::Set(first, last) => old.set | atoms(first, last),
            Call::Reset(first, last) => old.set & !atoms(first, last),
            Call::ResetAll => 0,
            Call::Truncate(0) => 0,
            Call::Truncate(size) => old.set & atoms(0, size - 1),
            Call::Part(first, last, pattern) => {
                old.set & !within(first, last) | pattern & within(first, last)
            }
            Call::Zeroes(first, last) => old.set & !within(first, last),
            Call::Ones(first, last) => old.set | within(first, last),
            Call::Clone => old.set,
            Call::Merge(i) | Call::Union(i) => old.set | of(i),
            Call::AssignUnion(i) => of(i) | of(partners.next(i)),
        };
        let count = if let Call::Truncate(size) = self { size } else { old.atoms };
        let returned = matches!(self, Call::Set(..) | Call::Reset(..)).then_some(set != old.set);
        (Content { atoms: count, set }, returned)
    }
}

/// Atoms that bytes set: none, all, every other one, the single bits, one single bit, all but
/// one.
fn patterns(shape: &Shape, count: usize) -> impl Iterator<Item = u32> {
    let all = if count == 0 { 0 } else { atoms(0, count - 1) };
    let is_single = |atom: &usize| shape.bounds[atom + 1] - shape.bounds[*atom] == 1;
    let single = (0..count).filter(is_single).fold(0, |set, atom| set | 1 << atom);
    let every_other = 0x5555_5555 & all;
    let lone = single & !(single << 2 | single << 1);
    [0, all, every_other, all & !every_other, single, lone, all & !single, all & !lone].into_iter()
}
