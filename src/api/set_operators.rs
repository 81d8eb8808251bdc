// SPDX-License-Identifier: GPL-2.0-or-later
//! What Rust's collections have: `|=`, `extend`, `collect`.
//!
//! They have no way to refuse, so they panic where the method that returns an [`Error`] would.
//!
//! [`Error`]: super::Error

use std::ops::{BitOrAssign, Range};

use super::HBitmap;

impl BitOrAssign<&HBitmap> for HBitmap {
    /// [`HBitmap::merge`].
    ///
    /// # Panics
    /// If the sizes differ.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::HBitmap;
    /// let (mut a, mut b) = (HBitmap::new(100, 1)?, HBitmap::new(100, 1)?);
    /// a.set(0..4)?;
    /// b.set(2..8)?;
    /// a |= &b;
    /// assert_eq!(a.areas(..).collect::<Vec<_>>(), [0..8]);
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    fn bitor_assign(&mut self, other: &HBitmap) {
        match self.merge(other) {
            Ok(()) => (),
            Err(error) => panic!("{error}"),
        }
    }
}

impl Extend<Range<u64>> for HBitmap {
    /// [`HBitmap::set`] for each range.
    ///
    /// # Panics
    /// If a range does not lie within the bitmap; those before it are set.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::HBitmap;
    /// let mut bitmap = HBitmap::new(100, 8)?;
    /// bitmap.extend([0..1, 20..30]);
    /// let mut copy = HBitmap::new(100, 8)?;
    /// copy.extend(bitmap.areas(..));
    /// assert_eq!(copy, bitmap);
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    fn extend<I: IntoIterator<Item = Range<u64>>>(&mut self, ranges: I) {
        for range in ranges {
            if let Err(error) = self.set(range) {
                panic!("{error}");
            }
        }
    }
}

impl Extend<u64> for HBitmap {
    /// [`HBitmap::set`] for each item.
    ///
    /// # Panics
    /// If an item is past the end; those before it are set.
    fn extend<I: IntoIterator<Item = u64>>(&mut self, items: I) {
        self.extend(items.into_iter().map(|item| item..item.saturating_add(1)));
    }
}

impl FromIterator<Range<u64>> for HBitmap {
    /// The smallest bitmap of granularity 1 in which all ranges lie. With a size or a granularity
    /// of its own, a bitmap is made by [`HBitmap::new`] and then extended.
    ///
    /// # Panics
    /// If a range ends before it starts, or past [`MAX_BITS`](crate::MAX_BITS).
    ///
    /// ```
    /// # use qemu_dirty_bitmap::HBitmap;
    /// let bitmap: HBitmap = [3..5, 0..1].into_iter().collect();
    /// assert_eq!((bitmap.size(), bitmap.granularity(), bitmap.count()), (5, 1, 3));
    /// ```
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        let ranges: Vec<_> = ranges.into_iter().collect();
        let size = ranges.iter().map(|range| range.end).max().unwrap_or(0);
        match Self::new(size, 1) {
            Ok(mut bitmap) => {
                bitmap.extend(ranges);
                bitmap
            }
            Err(error) => panic!("{error}"),
        }
    }
}

impl FromIterator<u64> for HBitmap {
    /// The smallest bitmap of granularity 1 that has all the items.
    ///
    /// # Panics
    /// If an item is not below [`MAX_BITS`](crate::MAX_BITS).
    fn from_iter<I: IntoIterator<Item = u64>>(items: I) -> Self {
        items.into_iter().map(|item| item..item.saturating_add(1)).collect()
    }
}
