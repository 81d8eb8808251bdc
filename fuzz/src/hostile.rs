// SPDX-License-Identifier: GPL-2.0-or-later
//! Deserialisation of hostile bytes.

use std::ptr::{null, null_mut};

use qemu_dirty_bitmap::internals::hbitmap::HBitmap;

use crate::api::{Api, HBitmapIter, Handle};
use crate::position::Shape;
use crate::runs::Runs;

/// The most bits of a small bitmap, which most are, and of a large one.
const MOST: [u64; 2] = [1 << 12, 1 << 17];
/// Bits of bitmaps that are too large to be written out; only a part of these is loaded.
const FAR: [u64; 8] = [
    10 << 30,
    (10 << 30) - 1,
    (1 << 33) + 12345,
    (1 << 32) + 5,
    (1 << 30) - 1,
    3 << 24,
    (1 << 24) + 3,
    (1 << 21) + 64,
];
/// Bits up to which a bitmap from [`FAR`] is written out as a whole.
const WHOLE: u64 = 1 << 26;
/// Bits up to which the engine's invariants are checked.
const CHECKED: u64 = 1 << 30;

/// Bits as a plain array of bytes, the lowest first.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Plain(Vec<u8>);

impl Plain {
    fn clean(words: u64) -> Self {
        Self(vec![0; words as usize * 8])
    }

    fn set(&mut self, bit: u64) {
        self.0[bit as usize / 8] |= 1 << (bit % 8);
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|byte| u64::from(byte.count_ones())).sum()
    }
}

/// A bitmap that was loaded, and what must be in it.
struct Loaded {
    size: u64,
    granularity: u32,
    expected: Plain,
}

/// Loads bytes into a bitmap in two parts, as they are, and checks all that can be seen of it. The
/// first six bytes choose its size, its granularity and where the parts meet.
///
/// # Panics
/// If a bit past the end is set, or one before it is not what the bytes say.
pub fn run(api: &Api, input: &[u8]) {
    let Some((&[a, b, c, granularity, cut_low, cut_high], data)) = input.split_first_chunk() else {
        return;
    };
    if c >= 0xf4 {
        in_far_hbitmap(
            api,
            [a, b, granularity],
            u16::from_le_bytes([cut_low, cut_high]).into(),
            data,
        );
        return;
    }
    let bits = u64::from(u32::from_le_bytes([a, b, c, 0])) % MOST[usize::from(c >= 0xe0)];
    let granularity = u32::from(granularity % 23);
    // A size that ends within its last bit.
    let size = (bits << granularity).saturating_sub(u64::from(a) % (1 << granularity));
    let bits = (size + (1 << granularity) - 1) >> granularity;
    let words = bits.div_ceil(64);
    let cut = u64::from(u16::from_le_bytes([cut_low, cut_high])) % words.max(1);

    // As long as the bitmap: what is missing is as the last byte.
    let filler = data.last().copied().unwrap_or(0xff);
    let mut bytes = data.to_vec();
    bytes.resize(words as usize * 8, filler);
    let mut expected = Plain(bytes.clone());
    for bit in bits..words * 64 {
        expected.0[bit as usize / 8] &= !(1 << (bit % 8));
    }
    let parts = [(0, cut), (cut, words)];
    let loaded = Loaded { size, granularity, expected };
    in_hbitmap(api, &loaded, &parts, &bytes);
    if granularity >= 9 {
        in_dirty_bitmap(api, &loaded, &parts, &bytes);
    }
}

/// A part's first item and its length: the last part ends at the size.
fn items(part: (u64, u64), size: u64, granularity: u32) -> (u64, u64) {
    let (start, end) = (part.0 << (granularity + 6), part.1 << (granularity + 6));
    (start, end.min(size) - start.min(size))
}

fn in_hbitmap(api: &Api, loaded: &Loaded, parts: &[(u64, u64)], bytes: &[u8]) {
    let &Loaded { size, granularity, .. } = loaded;
    // SAFETY: the calls are those of a C program that follows the header: one bitmap, alive until
    // it is freed, and buffers as long as the parts are.
    unsafe {
        let hb = (api.hbitmap_alloc)(size, granularity as i32);
        for (&part, last) in parts.iter().zip([false, true]) {
            let (start, count) = items(part, size, granularity);
            let mut buffer: Box<[u8]> = bytes[part.0 as usize * 8..part.1 as usize * 8].into();
            assert_eq!((api.hbitmap_serialization_size)(hb, start, count), buffer.len() as u64);
            (api.hbitmap_deserialize_part)(hb, buffer.as_mut_ptr(), start, count, last);
        }
        (*hb.cast::<HBitmap>()).check_invariants();
        check(api, hb, loaded);
        (api.hbitmap_free)(hb);
    }
}

/// # Safety
/// `hb` is an HBitmap of `api`'s.
unsafe fn check(api: &Api, hb: Handle, loaded: &Loaded) {
    let &Loaded { size, granularity, ref expected } = loaded;
    let words = expected.0.len() as u64 / 8;
    // SAFETY: as the caller promises; out-parameters are locals, and the buffer is as long as the
    // bitmap when it is serialised.
    unsafe {
        assert_eq!((api.hbitmap_count)(hb), expected.count() << granularity);
        assert_eq!((api.hbitmap_empty)(hb), expected.count() == 0);

        let mut given_back = vec![0xa5; expected.0.len()].into_boxed_slice();
        (api.hbitmap_serialize_part)(hb, given_back.as_mut_ptr(), 0, size);
        assert_eq!(&*given_back, &*expected.0);

        let mut areas = Plain::clean(words);
        let (mut start, mut count) = (0, 0);
        let mut from = 0;
        while (api.hbitmap_next_dirty_area)(
            hb,
            from,
            i64::MAX,
            i64::MAX,
            &raw mut start,
            &raw mut count,
        ) {
            assert!(
                count > 0 && (start + count) as u64 <= size,
                "an area past the end: {start} {count}"
            );
            from = start + count;
            (start as u64 >> granularity..(from as u64).div_ceil(1 << granularity))
                .for_each(|bit| areas.set(bit));
        }
        assert_eq!(areas, *expected);

        let mut items = Plain::clean(words);
        let mut iter: HBitmapIter = [0; 10];
        let mut next = -1;
        if size != 0 {
            (api.hbitmap_iter_init)(&raw mut iter, hb, 0);
            next = (api.hbitmap_iter_next)(&raw mut iter);
        }
        while next >= 0 {
            assert!((next as u64) < size, "an item past the end: {next}");
            items.set(next as u64 >> granularity);
            next = (api.hbitmap_iter_next)(&raw mut iter);
        }
        assert_eq!(items, *expected);
    }
}

/// One part of a bitmap of up to ten times 2^30 bits, which is clean but for it, or dirty but for
/// it; `choice`: its size, where the part is, its granularity.
fn in_far_hbitmap(api: &Api, choice: [u8; 3], position: u64, data: &[u8]) {
    let granularity = u32::from(choice[2] % 23);
    let size =
        (u128::from(FAR[usize::from(choice[0] % 8)]) << granularity).min(i64::MAX as u128) as u64;
    let shape = Shape { size, granularity };
    let (bits, words) = (shape.bits(), shape.bits().div_ceil(64));
    let mut bytes = data.to_vec();
    bytes.resize(data.len().next_multiple_of(8).max(8), 0xff);
    let length = bytes.len() as u64 / 8;
    let first = match choice[1] % 4 {
        0 => words - length,
        1 => position,
        2 => ((u128::from(words) * u128::from(position)) >> 16) as u64,
        // Across the end of a chunk.
        _ => (position + 1) * 512 - length.min(512) / 2,
    };
    let part = first.min(words - length)..first.min(words - length) + length;
    let dirty_before = choice[1] >= 0x80;

    let mut expected = Runs::default();
    if dirty_before {
        expected.insert(0..bits);
    }
    expected.remove(part.start * 64..part.end * 64);
    for bit in (0..length * 64).filter(|&bit| bytes[bit as usize / 8] >> (bit % 8) & 1 != 0) {
        let bit = part.start * 64 + bit;
        if bit < bits {
            expected.insert(bit..bit + 1);
        }
    }
    let (start, count) = items((part.start, part.end), size, granularity);
    // SAFETY: as in in_hbitmap.
    unsafe {
        let hb = (api.hbitmap_alloc)(size, granularity as i32);
        if dirty_before {
            (api.hbitmap_set)(hb, 0, size);
        }
        (api.hbitmap_deserialize_part)(hb, bytes.as_mut_ptr(), start, count, true);
        check_far(api, hb, shape, &expected, &part);

        let mut given_back = vec![0xa5; bytes.len()];
        (api.hbitmap_serialize_part)(hb, given_back.as_mut_ptr(), start, count);
        if part.end * 64 > bits {
            let last = bytes.len() - 8;
            let valid = (u64::MAX >> (part.end * 64 - bits)).to_le_bytes();
            bytes[last..].iter_mut().zip(valid).for_each(|(byte, valid)| *byte &= valid);
        }
        assert_eq!(given_back, bytes);
        if bits <= WHOLE {
            copy_whole(api, hb, shape, &expected, &part);
        }

        (api.hbitmap_deserialize_ones)(hb, start, count, true);
        expected.insert(part.start * 64..(part.end * 64).min(bits));
        check_far(api, hb, shape, &expected, &part);
        (api.hbitmap_deserialize_zeroes)(hb, start, count, true);
        expected.remove(part.start * 64..part.end * 64);
        check_far(api, hb, shape, &expected, &part);
        (api.hbitmap_free)(hb);
    }
}

/// A buffer of megabytes, in one piece and in 64 KiB pieces, and a bitmap made of it.
///
/// # Safety
/// `hb` is an HBitmap of `api`'s.
unsafe fn copy_whole(
    api: &Api,
    hb: Handle,
    shape: Shape,
    expected: &Runs,
    part: &std::ops::Range<u64>,
) {
    let Shape { size, granularity } = shape;
    let mut bytes = vec![0xa5; shape.bits().div_ceil(64) as usize * 8];
    // SAFETY: as the caller promises; the buffers are as long as what is written to them.
    unsafe {
        (api.hbitmap_serialize_part)(hb, bytes.as_mut_ptr(), 0, size);
        for (number, piece) in (0..).zip(bytes.chunks(1 << 16)) {
            let first = number * (1 << 13);
            let (start, count) = items((first, first + piece.len() as u64 / 8), size, granularity);
            let mut alone = vec![0xa5; piece.len()];
            (api.hbitmap_serialize_part)(hb, alone.as_mut_ptr(), start, count);
            assert!(alone == piece, "the piece from word {first} on is not that of the whole");
        }
        let copy = (api.hbitmap_alloc)(size, granularity as i32);
        (api.hbitmap_deserialize_part)(copy, bytes.as_mut_ptr(), 0, size, true);
        check_far(api, copy, shape, expected, part);
        (api.hbitmap_free)(copy);
    }
}

/// # Safety
/// `hb` is an HBitmap of `api`'s.
unsafe fn check_far(
    api: &Api,
    hb: Handle,
    shape: Shape,
    expected: &Runs,
    part: &std::ops::Range<u64>,
) {
    let Shape { size, granularity } = shape;
    let end_of = |bit: u64| ((u128::from(bit) << granularity) as u64).min(size);
    // SAFETY: as the caller promises; out-parameters are locals.
    unsafe {
        if shape.bits() <= CHECKED {
            (*hb.cast::<HBitmap>()).check_invariants();
        }
        assert_eq!((api.hbitmap_count)(hb), expected.count() << granularity);
        let (mut start, mut count, mut from) = (0, 0, 0);
        for run in expected.iter() {
            assert!((api.hbitmap_next_dirty_area)(
                hb,
                from,
                i64::MAX,
                i64::MAX,
                &raw mut start,
                &raw mut count
            ));
            from = start + count;
            assert_eq!((start as u64, from as u64), (run.start << granularity, end_of(run.end)));
        }
        assert!(!(api.hbitmap_next_dirty_area)(
            hb,
            from,
            i64::MAX,
            i64::MAX,
            &raw mut start,
            &raw mut count
        ));

        // From the bit before the part to the second one after it, or the first.
        let mut iter: HBitmapIter = [0; 10];
        let mut bit = (part.start * 64).saturating_sub(1);
        (api.hbitmap_iter_init)(&raw mut iter, hb, bit << granularity);
        while bit <= part.end * 64 {
            let next = expected.next_member(bit);
            assert_eq!(
                (api.hbitmap_iter_next)(&raw mut iter),
                next.map_or(-1, |bit| (bit << granularity) as i64)
            );
            let Some(next) = next else { break };
            bit = next + 1;
        }
    }
}

fn in_dirty_bitmap(api: &Api, loaded: &Loaded, parts: &[(u64, u64)], bytes: &[u8]) {
    let &Loaded { size, granularity, .. } = loaded;
    // SAFETY: as in in_hbitmap: a node and its bitmap, released in the end.
    unsafe {
        let node = (api.qdb_node_new)(size as i64, 0, null());
        let bitmap = (api.bdrv_create_dirty_bitmap)(node, 1 << granularity, null(), null_mut());
        // Back to front, which is as good.
        for (&part, last) in parts.iter().rev().zip([false, true]) {
            let (start, count) = items(part, size, granularity);
            let mut buffer: Box<[u8]> = bytes[part.0 as usize * 8..part.1 as usize * 8].into();
            (api.bdrv_dirty_bitmap_deserialize_part)(
                bitmap,
                buffer.as_mut_ptr(),
                start,
                count,
                last,
            );
        }
        (api.bdrv_dirty_bitmap_deserialize_finish)(bitmap);
        assert_eq!(
            (api.bdrv_get_dirty_count)(bitmap) as u64,
            loaded.expected.count() << granularity
        );
        let mut content: Handle = null_mut();
        (api.bdrv_clear_dirty_bitmap)(bitmap, &raw mut content);
        (*content.cast::<HBitmap>()).check_invariants();
        check(api, content, loaded);
        (api.bdrv_restore_dirty_bitmap)(bitmap, content);
        (api.bdrv_release_dirty_bitmap)(bitmap);
        (api.qdb_node_free)(node);
    }
}
