// SPDX-License-Identifier: GPL-2.0-or-later
//! A set of numbers as sorted runs: so plain that it can be trusted, and indifferent to how large
//! the numbers are.

use std::collections::BTreeMap;
use std::ops::Range;

/// A set of numbers. Its runs do not touch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// Start of a run and its end, which is not in it.
    runs: BTreeMap<u64, u64>,
}

impl Runs {
    /// How many numbers are in the set.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.runs.iter().map(|(start, end)| end - start).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// All runs, in order.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.runs.iter().map(|(&start, &end)| start..end)
    }

    /// The run that has `number`, or else the first one after it.
    fn at_or_behind(&self, number: u64) -> Option<Range<u64>> {
        if let Some((&start, &end)) = self.runs.range(..=number).next_back() {
            if end > number {
                return Some(start..end);
            }
        }
        self.runs.range(number..).next().map(|(&start, &end)| start..end)
    }

    /// Whether `number` is in the set.
    #[must_use]
    pub fn contains(&self, number: u64) -> bool {
        self.at_or_behind(number).is_some_and(|run| run.start <= number)
    }

    /// The first member from `from` on.
    #[must_use]
    pub fn next_member(&self, from: u64) -> Option<u64> {
        self.at_or_behind(from).map(|run| run.start.max(from))
    }

    /// The first number from `from` on that is not a member.
    #[must_use]
    pub fn next_gap(&self, from: u64) -> u64 {
        match self.at_or_behind(from) {
            Some(run) if run.start <= from => run.end,
            _ => from,
        }
    }

    /// Adds a range.
    pub fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let Range { mut start, mut end } = range;
        // Everything that overlaps or touches becomes part of the new run.
        while let Some((&from, &to)) = self.runs.range(..=end).next_back() {
            if to < start {
                break;
            }
            self.runs.remove(&from);
            start = start.min(from);
            end = end.max(to);
        }
        self.runs.insert(start, end);
    }

    /// Takes a range out.
    pub fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        while let Some((&from, &to)) = self.runs.range(..range.end).next_back() {
            if to <= range.start {
                break;
            }
            self.runs.remove(&from);
            if to > range.end {
                self.runs.insert(range.end, to);
            }
            if from < range.start {
                self.runs.insert(from, range.start);
            }
        }
    }

    /// Takes everything out that is not in `other`.
    pub fn intersect(&mut self, other: &Runs) {
        let mut from = 0;
        for run in other.iter() {
            self.remove(from..run.start);
            from = run.end;
        }
        self.remove(from..u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn like_a_set_of_numbers() {
        let mut runs = Runs::default();
        let mut set = BTreeSet::new();
        for step in crate::random::bytes(1, 9000).chunks(3) {
            let (start, length) = (u64::from(step[1] % 64), u64::from(step[2] % 20));
            let range = start..start + length;
            if step[0] % 2 == 0 {
                runs.insert(range.clone());
                set.extend(range);
            } else {
                runs.remove(range.clone());
                set.retain(|number| !range.contains(number));
            }
            assert_eq!(
                runs.iter().flatten().collect::<Vec<_>>(),
                set.iter().copied().collect::<Vec<_>>()
            );
            assert_eq!(runs.count(), set.len() as u64);
            for number in 0..90 {
                assert_eq!(runs.contains(number), set.contains(&number));
                assert_eq!(runs.next_member(number), set.range(number..).next().copied());
                assert_eq!(
                    Some(runs.next_gap(number)),
                    (number..).find(|number| !set.contains(number))
                );
            }
        }
    }

    #[test]
    fn intersection() {
        let (mut a, mut b) = (Runs::default(), Runs::default());
        a.insert(0..10);
        a.insert(20..30);
        b.insert(5..25);
        a.intersect(&b);
        assert_eq!(a.iter().collect::<Vec<_>>(), [5..10, 20..25]);
    }
}
