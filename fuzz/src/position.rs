// SPDX-License-Identifier: GPL-2.0-or-later
//! Numbers that a fuzzer draws, turned into items of a bitmap so that they meet at boundaries: at
//! the ends of words, of chunks and of the bitmap, and near each other.

use arbitrary::Arbitrary;

/// How large things may get.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bits of a bitmap.
    pub max_bits: u64,
    /// Bits of all but a few bitmaps: larger ones take time.
    pub usual_bits: u64,
    /// Bits up to which the whole content is looked at.
    pub readable_bits: u64,
    /// Bytes of a serialised part.
    pub max_part: u64,
}

impl Limits {
    /// For comparisons with QEMU's C, which needs memory for every bit.
    pub const WITH_QEMU: Limits = Limits {
        max_bits: 33 << 20,
        usual_bits: 5 << 20,
        readable_bits: 33 << 20,
        max_part: 1 << 13,
    };
    /// For this library alone: more bits than a word stands for in the level over 2^33 of them.
    pub const ALONE: Limits = Limits {
        max_bits: 10 << 30,
        usual_bits: 1 << 28,
        readable_bits: 1 << 22,
        max_part: 1 << 13,
    };
}

/// Bits of a chunk of this library.
pub const CHUNK: u64 = 32768;

/// What a position is relative to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Items.
    pub size: u64,
    /// log2 of the items of a bit.
    pub granularity: u32,
}

impl Shape {
    /// Bits that the items need.
    #[must_use]
    pub fn bits(&self) -> u64 {
        bits_for(self.size, self.granularity)
    }

    fn unit(&self) -> u64 {
        1 << self.granularity
    }
}

/// Bits for `size` items.
#[must_use]
pub fn bits_for(size: u64, granularity: u32) -> u64 {
    ((u128::from(size) + (1 << granularity) - 1) >> granularity) as u64
}

/// An item, or a number of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub struct Position {
    kind: u8,
    value: u16,
}

impl Position {
    /// A position that means a number near the start.
    #[must_use]
    pub const fn small(value: u16) -> Self {
        Self { kind: 0, value }
    }

    /// The item.
    #[must_use]
    pub fn item(self, shape: Shape) -> u64 {
        let value = u64::from(self.value);
        let (bits, unit) = (shape.bits(), shape.unit());
        let near = |item: u64| item.wrapping_add(value % 5).wrapping_sub(2);
        match self.kind % 16 {
            // In the first words.
            0..=2 => (value % 200).min(bits.saturating_sub(1)).wrapping_mul(unit),
            // A bit anywhere.
            3..=5 => {
                let bit = ((u128::from(value) * u128::from(bits)) >> 16) as u64;
                bit.wrapping_mul(unit)
            }
            // Around a word's end, a chunk's end, and the ends of 64 and of 512 chunks.
            6 => near((value / 5 * 64).wrapping_mul(unit)),
            7 | 8 => (value / 64 % (bits / CHUNK + 2) * CHUNK)
                .wrapping_add(value % 64)
                .wrapping_sub(32)
                .wrapping_mul(unit),
            9 => near((value / 5 % 3 * (64 << (value / 16 % 2 * 3)) * CHUNK).wrapping_mul(unit)),
            // Around the end.
            10 | 11 => (bits.wrapping_sub(value % 130)).wrapping_mul(unit),
            12 => near(shape.size),
            // Items that lie within a bit.
            13 => value,
            14 => value.wrapping_mul(unit / 7 + 1),
            // Where arithmetic ends.
            _ => {
                let edges = [
                    0,
                    1,
                    shape.size,
                    bits.wrapping_mul(unit),
                    1 << 31,
                    1 << 32,
                    1 << 62,
                    1 << 63,
                    0u64.wrapping_sub(unit),
                ];
                near(edges[(value / 5) as usize % edges.len()])
            }
        }
    }
}

impl Position {
    /// The start of a row of bits, how many items they are apart, and how many there are of at most
    /// 2047. All are within the bitmap; if they are to be reset, the last is a whole bit.
    #[must_use]
    pub fn comb(self, shape: Shape, step: u8, times: u16, dirty: bool) -> (u64, u64, u64) {
        const STEPS: [u64; 16] =
            [1, 1, 2, 3, 7, 30, 63, 64, 65, 100, 511, 513, 900, 4097, 5000, CHUNK + 1];
        let step = STEPS[usize::from(step) % STEPS.len()];
        let whole = if dirty { shape.bits() } else { shape.size >> shape.granularity };
        if whole == 0 {
            return (0, shape.unit(), 0);
        }
        let first = (self.item(shape) >> shape.granularity) % whole;
        let times = (u64::from(times) % 2048).min((whole - 1 - first) / step + 1);
        // One bit alone may be so coarse that there is no step.
        (first << shape.granularity, step.checked_mul(shape.unit()).unwrap_or(0), times)
    }
}

/// To what a range is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub enum Snap {
    /// Not at all.
    No,
    /// To bits.
    Bits,
    /// To words, or the bitmap's end.
    Words,
}

/// A range of items: start and count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub struct Span {
    start: Position,
    count: Position,
    /// Three of four ranges are cut at the end, or nearly all would be refused.
    cut: u8,
    snap: Snap,
}

impl Span {
    /// Start and count, rounded as the span itself says.
    #[must_use]
    pub fn items(self, shape: Shape) -> (u64, u64) {
        self.rounded(shape, self.snap)
    }

    /// Start and count, rounded to bits but now and then.
    #[must_use]
    pub fn of_bits(self, shape: Shape) -> (u64, u64) {
        self.rounded(shape, if self.cut % 16 == 0 { self.snap } else { Snap::Bits })
    }

    /// Start and count, rounded to words but now and then.
    #[must_use]
    pub fn of_words(self, shape: Shape) -> (u64, u64) {
        self.rounded(shape, if self.cut % 16 == 0 { self.snap } else { Snap::Words })
    }

    fn rounded(self, shape: Shape, snap: Snap) -> (u64, u64) {
        let (mut start, mut count) = (self.start.item(shape), self.count.item(shape));
        let unit = match snap {
            Snap::No => 1,
            Snap::Bits => shape.unit(),
            Snap::Words => 1u64.checked_shl(shape.granularity + 6).unwrap_or(1),
        };
        start -= start % unit;
        count = count.checked_next_multiple_of(unit).unwrap_or(count);
        if self.cut % 8 != 0 {
            if start >= shape.size && shape.size != 0 {
                start %= shape.size;
                start -= start % unit;
            }
            count = count.min(shape.size.saturating_sub(start));
        }
        (start, count)
    }
}

/// A size in items, from a few, so that bitmaps of one size meet, and a granularity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Arbitrary)]
pub struct Extent {
    size: u8,
    granularity: u8,
    exact: u8,
}

/// Sizes of HBitmaps, in items.
const SIZES: &[u64] = &[
    0,
    1,
    63,
    64,
    65,
    200,
    4096,
    4097,
    CHUNK - 1,
    CHUNK,
    CHUNK + 1,
    100_000,
    3 * CHUNK + 70,
    64 * CHUNK,
    64 * CHUNK + 1,
    130 * CHUNK + 77,
    (1 << 24) - 1,
    (1 << 24) + 1,
    3 << 24,
    1 << 30,
    (1 << 35) - CHUNK,
    (1 << 33) + 12345,
    (10 << 30) - 1,
    10 << 30,
    i64::MAX as u64,
];
/// From here on [`Extent::exact`] allows a bitmap to be as large as the limits have it.
const HUGE: u8 = 0xf8;
const GRANULARITIES: &[u32] = &[0, 0, 0, 1, 2, 3, 6, 7, 9, 15, 16, 22, 40, 57, 58, 63];

impl Extent {
    fn most(self, limits: Limits) -> u64 {
        if self.exact >= HUGE { limits.max_bits } else { limits.usual_bits }
    }

    /// Size and granularity, the latter raised until there are not too many bits; now and then any
    /// numbers.
    #[must_use]
    pub fn resolve(self, limits: Limits) -> (u64, i32) {
        if self.exact == 0 {
            let wild = [0, i64::MAX as u64, 1 << 63, u64::MAX, 1 << 42];
            return (wild[self.size as usize % wild.len()], i32::from(self.granularity as i8));
        }
        let size = SIZES[self.size as usize % SIZES.len()];
        let mut granularity = GRANULARITIES[self.granularity as usize % GRANULARITIES.len()];
        while bits_for(size, granularity) > self.most(limits) {
            granularity += 1;
        }
        (size, granularity as i32)
    }

    /// A size for a bitmap that has a granularity. Not as large as a new one may be: zeroes are
    /// written to what it grows by.
    #[must_use]
    pub fn size_for(self, granularity: u32, limits: Limits) -> u64 {
        match self.exact {
            0 => self.resolve(limits).0,
            1..=60 => u64::from(self.size) << granularity.min(50),
            _ => SIZES[self.size as usize % SIZES.len()]
                .min(limits.usual_bits.saturating_mul(1 << granularity))
                .min(i64::MAX as u64),
        }
    }
}
