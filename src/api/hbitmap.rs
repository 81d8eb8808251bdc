// SPDX-License-Identifier: GPL-2.0-or-later
//! A bitmap by itself.

use std::ops::{Range, RangeBounds};

use super::{Areas, Error, Extent, Iter, range};
use crate::hbitmap as engine;

/// A set of *items* (for disks: bytes) from `0..size`, kept with one bit for each `granularity` of
/// them.
///
/// An item is dirty or clean together with the others of its bit: marking one dirty makes all of
/// them dirty. Memory is asked for when the bitmap is made, and touched only where dirty and clean
/// bits are mixed: a bitmap that is clean, or all dirty, costs nearly nothing at any size.
///
/// Ranges are of items, in any of Rust's forms: one without an end goes to the end of the bitmap.
/// Searches take ranges that reach past the end; all other calls refuse them.
///
/// It is no lock: one thread changes it, or several read it.
///
/// ```
/// use qemu_dirty_bitmap::HBitmap;
///
/// // 1 TiB, one bit for each 64 KiB.
/// let mut bitmap = HBitmap::new(1 << 40, 65536)?;
/// bitmap.set(100_000..100_001)?;
/// assert_eq!(bitmap.count(), 65536);
/// assert_eq!(bitmap.areas(..).collect::<Vec<_>>(), [65536..131_072]);
/// # Ok::<(), qemu_dirty_bitmap::Error>(())
/// ```
#[derive(Clone)]
#[repr(transparent)]
pub struct HBitmap(pub(super) engine::HBitmap);

impl HBitmap {
    /// A clean bitmap of `size` items (at most `i64::MAX`) with one bit for each `granularity` of
    /// them (a power of two, from 1 to 2^63). QEMU: `hbitmap_alloc`.
    ///
    /// # Errors
    /// [`Error::Granularity`]; [`Error::TooLarge`], for more than [`MAX_BITS`](crate::MAX_BITS)
    /// bits as well. Memory for all bits is asked for here, as in QEMU: some 260 GiB of addresses
    /// for the most bits, of which Linux grants no more than the machine has memory.
    ///
    /// ```
    /// use qemu_dirty_bitmap::{Error, HBitmap};
    ///
    /// assert!(HBitmap::new(1 << 40, 65536).is_ok());
    /// let error = HBitmap::new(1 << 51, 512).unwrap_err();
    /// assert_eq!(error, Error::TooLarge { size: 1 << 51, granularity: 512 });
    /// assert!(matches!(HBitmap::new(1000, 3), Err(Error::Granularity { granularity: 3, .. })));
    /// ```
    pub fn new(size: u64, granularity: u64) -> Result<Self, Error> {
        let log2 = range::granularity_log2(granularity, 1, 1 << 63)?;
        range::size(size, granularity)?;
        Ok(Self(engine::HBitmap::new(size, log2)))
    }

    /// The engine's bitmap as one of this API's.
    pub(super) fn from_ref(bitmap: &engine::HBitmap) -> &Self {
        // SAFETY: HBitmap is `repr(transparent)` over the engine's bitmap, so the two have the same
        // layout, and it promises nothing about its content that the engine's does not. The result
        // borrows what the argument borrows.
        unsafe { &*std::ptr::from_ref(bitmap).cast::<Self>() }
    }

    /// The number of items.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.size()
    }

    /// The number of items for each bit.
    #[must_use]
    pub fn granularity(&self) -> u64 {
        1 << self.0.granularity()
    }

    /// The number of bits: [`size`](Self::size) divided by [`granularity`](Self::granularity),
    /// rounded up.
    #[must_use]
    pub fn bits(&self) -> u64 {
        self.0.bits()
    }

    /// The number of dirty items, counted in whole bits: a last bit that is cut by the end counts
    /// for all its `granularity` items. In constant time. QEMU: `hbitmap_count`.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.count()
    }

    /// Whether no item is dirty. In constant time. QEMU: `hbitmap_empty`.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an item is dirty. QEMU: `hbitmap_get`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] if `item` is not below [`size`](Self::size).
    ///
    /// ```
    /// # use qemu_dirty_bitmap::HBitmap;
    /// let mut bitmap = HBitmap::new(100, 8)?;
    /// bitmap.set(9..10)?;
    /// assert!(!bitmap.get(7)? && bitmap.get(8)?);
    /// assert!(bitmap.get(15)? && !bitmap.get(16)?);
    /// assert!(bitmap.get(100).is_err());
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    pub fn get(&self, item: u64) -> Result<bool, Error> {
        if item >= self.size() {
            return Err(Error::OutOfRange {
                range: item..item.saturating_add(1),
                size: self.size(),
            });
        }
        Ok(self.0.get(item))
    }

    /// Whether an item is dirty; one past the end is not.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::HBitmap;
    /// let mut bitmap = HBitmap::new(100, 8)?;
    /// bitmap.set(9..=9)?;
    /// assert!(bitmap.contains(8) && !bitmap.contains(7) && !bitmap.contains(100));
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    #[must_use]
    pub fn contains(&self, item: u64) -> bool {
        item < self.size() && self.0.get(item)
    }

    /// Makes a range dirty, and with it the rest of the bits that it touches. Returns whether
    /// anything changed. QEMU: `hbitmap_set`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`].
    ///
    /// ```
    /// # use qemu_dirty_bitmap::HBitmap;
    /// let mut bitmap = HBitmap::new(100, 8)?;
    /// assert!(bitmap.set(7..9)?);
    /// assert!(!bitmap.set(0..16)?);
    /// assert!(!bitmap.set(50..50)?, "an empty range changes nothing");
    /// assert!(bitmap.set(50..101).is_err());
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    #[inline]
    pub fn set(&mut self, range: impl RangeBounds<u64>) -> Result<bool, Error> {
        let range = range::resolve(&range, self.size());
        let count = range::within(&range, self.size())?;
        Ok(self.0.set(range.start, count))
    }

    /// Makes a range clean. It has to consist of whole bits: clean is what can be left out of a
    /// backup, so nothing becomes clean by rounding. Returns whether anything changed. QEMU:
    /// `hbitmap_reset`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]; [`Error::Unaligned`] unless the range starts at a multiple of
    /// [`granularity`](Self::granularity) and ends at one or at the end of the bitmap.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::{Error, HBitmap};
    /// let mut bitmap = HBitmap::new(100, 8)?;
    /// bitmap.set(0..100)?;
    /// assert!(bitmap.reset(96..100)?);
    /// assert_eq!(bitmap.reset(4..8), Err(Error::Unaligned { range: 4..8, align: 8 }));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn reset(&mut self, range: impl RangeBounds<u64>) -> Result<bool, Error> {
        let range = range::resolve(&range, self.size());
        let count = range::aligned(&range, self.size(), self.granularity())?;
        Ok(self.0.reset(range.start, count))
    }

    /// Makes everything clean. Memory that was touched stays with the bitmap. QEMU:
    /// `hbitmap_reset_all`.
    pub fn clear(&mut self) {
        self.0.reset_all();
    }

    /// Gives the bitmap another size, in items. What is added is clean. QEMU: `hbitmap_truncate`.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    ///
    /// ```
    /// # use qemu_dirty_bitmap::HBitmap;
    /// let mut bitmap = HBitmap::new(100, 8)?;
    /// bitmap.set(0..100)?;
    /// bitmap.truncate(16)?;
    /// bitmap.truncate(1000)?;
    /// assert_eq!(bitmap.count(), 16);
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    pub fn truncate(&mut self, size: u64) -> Result<(), Error> {
        range::size(size, self.granularity())?;
        self.0.truncate(size);
        Ok(())
    }

    /// The first dirty item in a range, which may reach past the end. QEMU: `hbitmap_next_dirty`.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::HBitmap;
    /// let mut bitmap = HBitmap::new(100, 8)?;
    /// bitmap.set(20..21)?;
    /// assert_eq!(bitmap.next_dirty(0..u64::MAX), Some(16));
    /// assert_eq!(bitmap.next_dirty(18..u64::MAX), Some(18));
    /// assert_eq!(bitmap.next_dirty(24..u64::MAX), None);
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    #[must_use]
    pub fn next_dirty(&self, range: impl RangeBounds<u64>) -> Option<u64> {
        let range = range::resolve(&range, self.size());
        self.0.next_dirty(range.start, range::length(&range))
    }

    /// The first clean item in a range, which may reach past the end; what is past the end is
    /// neither dirty nor clean. QEMU: `hbitmap_next_zero`.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::HBitmap;
    /// let mut bitmap = HBitmap::new(100, 8)?;
    /// bitmap.set(20..100)?;
    /// assert_eq!(bitmap.next_clean(3..100), Some(3));
    /// assert_eq!(bitmap.next_clean(16..u64::MAX), None);
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    #[must_use]
    pub fn next_clean(&self, range: impl RangeBounds<u64>) -> Option<u64> {
        let range = range::resolve(&range, self.size());
        self.0.next_zero(range.start, range::length(&range))
    }

    /// The first dirty area in a range (which may reach past the end), cut to the range and to
    /// `max` items; `None` if `max` is 0. QEMU: `hbitmap_next_dirty_area`.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::HBitmap;
    /// let mut bitmap = HBitmap::new(100, 8)?;
    /// bitmap.set(20..50)?;
    /// assert_eq!(bitmap.next_area(0..100, u64::MAX), Some(16..56));
    /// assert_eq!(bitmap.next_area(30..40, 4), Some(30..34));
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    #[must_use]
    pub fn next_area(&self, range: impl RangeBounds<u64>, max: u64) -> Option<Range<u64>> {
        let range = range::resolve(&range, self.size());
        if max == 0 {
            return None;
        }
        self.0
            .next_dirty_area(range.start, range.end, max)
            .map(|(start, count)| start..start + count)
    }

    /// Whether the first item of a range is dirty, and how far into the range that goes on. QEMU:
    /// `hbitmap_status`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], for an empty range too.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::{Extent, HBitmap};
    /// let mut bitmap = HBitmap::new(100, 8)?;
    /// bitmap.set(20..50)?;
    /// assert_eq!(bitmap.status(0..100)?, Extent { range: 0..16, dirty: false });
    /// assert_eq!(bitmap.status(16..100)?, Extent { range: 16..56, dirty: true });
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    pub fn status(&self, range: impl RangeBounds<u64>) -> Result<Extent, Error> {
        let range = range::resolve(&range, self.size());
        match range::within(&range, self.size())? {
            0 => Err(Error::OutOfRange { range, size: self.size() }),
            count => {
                let (dirty, run) = self.0.status(range.start, count);
                Ok(Extent { range: range.start..range.start + run, dirty })
            }
        }
    }

    /// The dirty bits, ascending, each as its first item. QEMU: `hbitmap_iter_init`,
    /// `hbitmap_iter_next`.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::HBitmap;
    /// let mut bitmap = HBitmap::new(100, 8)?;
    /// bitmap.set(20..40)?;
    /// assert_eq!(bitmap.iter().collect::<Vec<_>>(), [16, 24, 32]);
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    pub fn iter(&self) -> Iter<'_> {
        self.iter_from(0)
    }

    /// The dirty bits from the one that `item` lies in on; none if `item` is past the end.
    pub fn iter_from(&self, item: u64) -> Iter<'_> {
        Iter::new(&self.0, item)
    }

    /// The dirty areas of a range, ascending: each as long as it can be, cut to the range, which
    /// may reach past the end.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::HBitmap;
    /// let mut bitmap = HBitmap::new(100, 8)?;
    /// bitmap.set(20..40)?;
    /// bitmap.set(97..98)?;
    /// assert_eq!(bitmap.areas(0..100).collect::<Vec<_>>(), [16..40, 96..100]);
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    pub fn areas(&self, range: impl RangeBounds<u64>) -> Areas<'_> {
        let range = range::resolve(&range, self.size());
        Areas::new(&self.0, range)
    }

    /// Makes dirty what is dirty in `other`, which may be of another granularity: a bit of the
    /// coarser one stands for all bits of the finer one that lie in it. QEMU: `hbitmap_merge` with
    /// `result` the same as `a`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`].
    ///
    /// ```
    /// # use qemu_dirty_bitmap::HBitmap;
    /// let mut coarse = HBitmap::new(100, 32)?;
    /// let mut fine = HBitmap::new(100, 4)?;
    /// fine.set(40..41)?;
    /// coarse.merge(&fine)?;
    /// assert_eq!(coarse.areas(0..100).collect::<Vec<_>>(), [32..64]);
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    pub fn merge(&mut self, other: &HBitmap) -> Result<(), Error> {
        if self.size() != other.size() {
            return Err(Error::SizeMismatch { dest: self.size(), src: other.size() });
        }
        self.0.merge_from(&other.0);
        Ok(())
    }

    /// A new bitmap, of the given granularity, of what is dirty in `a` or in `b`. QEMU:
    /// `hbitmap_merge`.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`], [`Error::Granularity`], [`Error::TooLarge`].
    ///
    /// ```
    /// # use qemu_dirty_bitmap::HBitmap;
    /// let (mut a, mut b) = (HBitmap::new(100, 4)?, HBitmap::new(100, 8)?);
    /// a.set(0..1)?;
    /// b.set(98..99)?;
    /// let union = HBitmap::union(&a, &b, 4)?;
    /// assert_eq!(union.areas(0..100).collect::<Vec<_>>(), [0..4, 96..100]);
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    pub fn union(a: &HBitmap, b: &HBitmap, granularity: u64) -> Result<HBitmap, Error> {
        let mut union = HBitmap::new(a.size(), granularity)?;
        if a.size() != b.size() {
            return Err(Error::SizeMismatch { dest: a.size(), src: b.size() });
        }
        union.0.assign_union(&a.0, &b.0);
        Ok(union)
    }

    /// Whether the bitmap can be serialised: its granularity is below 2^58. QEMU:
    /// `hbitmap_is_serializable`.
    #[must_use]
    pub fn is_serializable(&self) -> bool {
        self.0.is_serializable()
    }

    /// What serialised parts start and end at a multiple of, in items (the last one ends at the
    /// end): 64 bits. QEMU: `hbitmap_serialization_align`.
    ///
    /// # Errors
    /// [`Error::NotSerializable`].
    pub fn serialization_align(&self) -> Result<u64, Error> {
        range::serialization_align(&self.0)
    }

    /// The bytes that a part takes when it is serialised: 8 for each 64 bits that it touches. QEMU:
    /// `hbitmap_serialization_size`.
    ///
    /// # Errors
    /// As [`serialize`](Self::serialize).
    pub fn serialized_len(&self, range: impl RangeBounds<u64>) -> Result<usize, Error> {
        let range = range::resolve(&range, self.size());
        let count = range::part(&self.0, &range)?;
        Ok(self.0.serialization_size(range.start, count) as usize)
    }

    /// A part as bytes: one bit for each `granularity` items, the lowest bit of the first byte
    /// first, on every machine. This is what QEMU stores in images and sends in migration streams.
    /// QEMU: `hbitmap_serialize_part`.
    ///
    /// # Errors
    /// [`Error::OutOfRange`]; [`Error::Unaligned`] unless the range starts at a multiple of
    /// [`serialization_align`](Self::serialization_align) and ends at one or at the end;
    /// [`Error::NotSerializable`].
    ///
    /// ```
    /// # use qemu_dirty_bitmap::HBitmap;
    /// let mut bitmap = HBitmap::new(1000, 8)?;
    /// bitmap.set(16..40)?;
    /// let bytes = bitmap.serialize(0..1000)?;
    /// assert_eq!((bytes[0], bytes.len()), (0b11100, 16));
    ///
    /// let mut copy = HBitmap::new(1000, 8)?;
    /// copy.deserialize(0..1000, &bytes)?;
    /// assert_eq!(copy, bitmap);
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    pub fn serialize(&self, range: impl RangeBounds<u64>) -> Result<Vec<u8>, Error> {
        let range = range::resolve(&range, self.size());
        let mut bytes = vec![0; self.serialized_len(range.clone())?];
        self.serialize_into(range, &mut bytes)?;
        Ok(bytes)
    }

    /// Writes a part to a buffer of [`serialized_len`](Self::serialized_len) bytes.
    ///
    /// # Errors
    /// As [`serialize`](Self::serialize), and [`Error::BufferLength`].
    pub fn serialize_into(
        &self,
        range: impl RangeBounds<u64>,
        buffer: &mut [u8],
    ) -> Result<(), Error> {
        let range = range::resolve(&range, self.size());
        let count = range::buffer(&self.0, &range, buffer.len())?;
        self.0.serialize_part(buffer, range.start, count);
        Ok(())
    }

    /// Replaces a part by what [`serialize`](Self::serialize) made of one. The bytes may come from
    /// anywhere: bits past the end of the bitmap are dropped. Count and searches are right at once:
    /// there is no `finish`. QEMU: `hbitmap_deserialize_part`.
    ///
    /// # Errors
    /// As [`serialize_into`](Self::serialize_into).
    pub fn deserialize(&mut self, range: impl RangeBounds<u64>, bytes: &[u8]) -> Result<(), Error> {
        let range = range::resolve(&range, self.size());
        let count = range::buffer(&self.0, &range, bytes.len())?;
        self.0.deserialize_part(bytes, range.start, count);
        Ok(())
    }

    /// Makes a part clean, as bytes of zero would. QEMU: `hbitmap_deserialize_zeroes`.
    ///
    /// # Errors
    /// As [`serialize`](Self::serialize).
    pub fn deserialize_zeroes(&mut self, range: impl RangeBounds<u64>) -> Result<(), Error> {
        let range = range::resolve(&range, self.size());
        let count = range::part(&self.0, &range)?;
        self.0.deserialize_zeroes(range.start, count);
        Ok(())
    }

    /// Makes a part dirty, as bytes of 255 would. QEMU: `hbitmap_deserialize_ones`.
    ///
    /// # Errors
    /// As [`serialize`](Self::serialize).
    pub fn deserialize_ones(&mut self, range: impl RangeBounds<u64>) -> Result<(), Error> {
        let range = range::resolve(&range, self.size());
        let count = range::part(&self.0, &range)?;
        self.0.deserialize_ones(range.start, count);
        Ok(())
    }

    /// The SHA-256 of all the bits as [`serialize`](Self::serialize) writes them, as 64 lower-case
    /// hexadecimal digits. Size and granularity are not in it. QEMU: `hbitmap_sha256`.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::HBitmap;
    /// let bitmap = HBitmap::new(64, 1)?;
    /// let hash = "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc";
    /// assert_eq!(bitmap.sha256(), hash);
    /// # Ok::<(), qemu_dirty_bitmap::Error>(())
    /// ```
    #[must_use]
    pub fn sha256(&self) -> String {
        self.0.sha256()
    }
}

impl PartialEq for HBitmap {
    /// Whether size, granularity and dirty items are the same.
    fn eq(&self, other: &Self) -> bool {
        let numbers = |bitmap: &Self| (bitmap.size(), bitmap.granularity(), bitmap.count());
        numbers(self) == numbers(other)
            && self.areas(0..self.size()).eq(other.areas(0..other.size()))
    }
}

impl Eq for HBitmap {}

impl<'a> IntoIterator for &'a HBitmap {
    type Item = u64;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl std::fmt::Debug for HBitmap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HBitmap")
            .field("size", &self.size())
            .field("granularity", &self.granularity())
            .field("count", &self.count())
            .finish_non_exhaustive()
    }
}
