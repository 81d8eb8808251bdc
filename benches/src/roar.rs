// SPDX-License-Identifier: GPL-2.0-or-later
//! The third reference: `roaring`, what a Rust programmer would pick. Its keys are 32 bits, which
//! is enough for 2^32 granules.

use roaring::RoaringBitmap;

use crate::bits::{Bits, Maker};

/// Makes `Roar`s.
#[derive(Clone, Copy)]
pub struct Roaring;

/// A `RoaringBitmap` that counts in granules.
#[derive(Clone)]
pub struct Roar {
    bitmap: RoaringBitmap,
    granularity: u32,
}

impl Maker for Roaring {
    type Bitmap = Roar;
    fn make(self, size: u64, granularity: u32) -> Roar {
        assert!(size >> granularity <= 1 << 32);
        Roar { bitmap: RoaringBitmap::new(), granularity }
    }
}

impl Roar {
    #[inline]
    fn granules(&self, offset: u64, bytes: u64) -> (u32, u32) {
        ((offset >> self.granularity) as u32, ((offset + bytes - 1) >> self.granularity) as u32)
    }
}

impl Bits for Roar {
    #[inline]
    fn set(&mut self, offset: u64, bytes: u64) {
        let (first, last) = self.granules(offset, bytes);
        if first == last {
            self.bitmap.insert(first);
        } else {
            self.bitmap.insert_range(first..=last);
        }
    }
    #[inline]
    fn reset(&mut self, offset: u64, bytes: u64) {
        let (first, last) = self.granules(offset, bytes);
        if first == last {
            self.bitmap.remove(first);
        } else {
            self.bitmap.remove_range(first..=last);
        }
    }
    #[inline]
    fn get(&self, offset: u64) -> bool {
        self.bitmap.contains((offset >> self.granularity) as u32)
    }
    fn sum(&self) -> u64 {
        let mut sum = 0u64;
        for granule in &self.bitmap {
            sum = sum.wrapping_add(u64::from(granule) << self.granularity);
        }
        sum
    }
    fn merge(&mut self, other: &Roar) {
        self.bitmap |= &other.bitmap;
    }
    fn load(&mut self, serialised: &[u8]) {
        if serialised.iter().all(|&byte| byte == 0xff) {
            // One insertion, which gives `roaring` its best form of a full bitmap.
            self.bitmap = RoaringBitmap::new();
            self.bitmap.insert_range(0..=(serialised.len() as u64 * 8 - 1) as u32);
        } else {
            self.bitmap = RoaringBitmap::from_lsb0_bytes(0, serialised);
        }
    }
    fn store(&self, buffer: &mut [u8]) -> usize {
        self.bitmap.serialize_into(buffer).expect("the buffer is large enough");
        self.bitmap.serialized_size()
    }
    fn count(&self) -> u64 {
        self.bitmap.len() << self.granularity
    }
}
