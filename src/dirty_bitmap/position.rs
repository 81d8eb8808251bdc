// SPDX-License-Identifier: GPL-2.0-or-later
//! Where an iterator stands in a content that may change, or be replaced, between two steps.

use crate::hbitmap::{Cursor, HBitmap};

/// A [`Cursor`] that also outlives its content. Where another one is put in its place that has
/// another granularity, it goes on with the unit of the byte after what it returned last: none that
/// is dirty in both is missed, and one that it was in the middle of comes again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// The byte where to go on in a content that nobody has looked at.
    from: u64,
    /// The cursor, and the granularity of the content that it is in.
    cursor: Option<(Cursor, u32)>,
}

impl Position {
    /// At an offset in bytes. Iterators are made without the lock, so nothing is read yet.
    pub(crate) fn at(offset: u64) -> Self {
        Self { from: offset, cursor: None }
    }

    /// At an offset in bytes of `content`.
    ///
    /// # Panics
    /// If `offset` lies in no bit of it.
    pub(super) fn in_content(content: &HBitmap, offset: u64) -> Self {
        let cursor = Cursor::new(content, offset);
        Self { from: offset, cursor: Some((cursor, content.granularity())) }
    }

    /// The offset of the next dirty unit of `content`, to which `advance` moves the cursor. `None`
    /// at the end, where it may be asked again.
    #[inline]
    pub(crate) fn next(
        &mut self,
        content: &HBitmap,
        advance: impl FnOnce(&HBitmap, &mut Cursor) -> Option<u64>,
    ) -> Option<u64> {
        let granularity = content.granularity();
        if self.cursor.is_none_or(|(_, of)| of != granularity) {
            if self.from >= content.size() {
                return None;
            }
            self.cursor = Some((Cursor::new(content, self.from), granularity));
        }
        let (cursor, _) = self.cursor.as_mut()?;
        let offset = advance(content, cursor)?;
        self.from = offset.saturating_add(1 << granularity);
        Some(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 64 << 20;

    fn content(granularity: u32, dirty: &[u64]) -> HBitmap {
        let mut content = HBitmap::new(SIZE, granularity);
        dirty.iter().for_each(|&offset| assert!(content.set(offset, 1)));
        content
    }

    fn rest(position: &mut Position, content: &HBitmap) -> Vec<u64> {
        std::iter::from_fn(|| position.next(content, |content, cursor| cursor.next(content)))
            .collect()
    }

    /// Walks `first` to its first offset, and then `second`.
    fn walk(start: Position, first: &HBitmap, second: &HBitmap) -> (u64, Vec<u64>) {
        let mut position = start;
        let offset = position.next(first, |content, cursor| cursor.next(content)).unwrap();
        (offset, rest(&mut position, second))
    }

    #[test]
    fn nothing_is_missed_after_a_content_of_another_granularity() {
        const MIB: u64 = 1 << 20;
        let dirty = [MIB, 32 * MIB, SIZE - 1];
        let (fine, coarse) = (content(12, &dirty), content(20, &dirty));
        let last = (SIZE - 4096, SIZE - MIB);
        assert_eq!(walk(Position::at(0), &coarse, &fine), (MIB, vec![32 * MIB, last.0]));
        // It was in the middle of a unit of the other one.
        assert_eq!(walk(Position::at(0), &fine, &coarse), (MIB, vec![MIB, 32 * MIB, last.1]));
        let found = walk(Position::in_content(&fine, MIB + 1), &fine, &coarse);
        assert_eq!(found, (MIB, vec![MIB, 32 * MIB, last.1]));
        assert_eq!(walk(Position::at(33 * MIB), &coarse, &fine), (last.1, vec![]));
    }

    #[test]
    fn what_lies_before_does_not_come_from_another_content() {
        let (coarse, fine) = (content(20, &[16 << 20]), content(12, &[1 << 19, 33 << 20]));
        assert_eq!(walk(Position::at(0), &coarse, &fine), (16 << 20, vec![33 << 20]));
    }

    #[test]
    fn the_end_is_no_last_word() {
        let mut content = content(12, &[]);
        let mut position = Position::at(0);
        assert_eq!(rest(&mut position, &content), []);
        content.set(500 << 12, 1);
        assert_eq!(rest(&mut position, &content), [500 << 12]);
        assert_eq!(rest(&mut Position::at(SIZE), &content), []);
        // The rest of a unit.
        let mut small = HBitmap::new(1000, 9);
        small.set(999, 1);
        assert_eq!(rest(&mut Position::in_content(&small, 1023), &small), [512]);
    }
}
