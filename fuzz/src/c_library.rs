// SPDX-License-Identifier: GPL-2.0-or-later
//! Calls made through the C functions of an implementation.

use std::ffi::{CStr, CString, c_char};
use std::ptr::{null, null_mut};

use qemu_dirty_bitmap::internals::dirty_bitmap::BdrvDirtyBitmap;
use qemu_dirty_bitmap::internals::hbitmap::HBitmap;
use qemu_dirty_bitmap::internals::host::BlockDirtyInfoList;

use crate::api::{Api, HBitmapIter, Handle};
use crate::call::{
    BITMAPS, Call, Change, HBS, ITERS, Info, Lock, NODES, Outcome, Property, Report, Slot, Target,
};
use crate::driver;
use crate::library::{Library, Origin};

/// The objects of one session in one implementation.
pub struct CLibrary {
    api: &'static Api,
    origin: Origin,
    hbs: [Handle; HBS],
    nodes: [Handle; NODES],
    bitmaps: [Handle; BITMAPS],
    node_of: [Slot; BITMAPS],
    successors: [Option<Slot>; BITMAPS],
    iters: [HBitmapIter; ITERS],
    dirty_iters: [Handle; ITERS],
    /// What was deserialised without a finish: other calls on it are undefined in QEMU (entry 9).
    unfinished: Vec<Target>,
}

// Every unsafe block of this file calls C functions, or reads what they returned, under these
// rules:
// * a handle comes out of the tables above, where it is put when the object is made and removed
//   when it is released, and the model makes no call for an empty slot;
// * buffers have the length that the model computes as `…_serialization_size` does; strings are
//   CStrings; out-parameters are locals;
// * one thread makes all calls of a session.
impl CLibrary {
    /// A session's objects: nodes, but no bitmap.
    #[must_use]
    pub fn new(api: &'static Api, origin: Origin) -> Self {
        let names = [c"node0", c"node1"];
        Self {
            api,
            origin,
            hbs: [null_mut(); HBS],
            // SAFETY: by the rules above.
            nodes: std::array::from_fn(|node| unsafe {
                (api.qdb_node_new)(0, [0, 8192][node], names[node].as_ptr())
            }),
            bitmaps: [null_mut(); BITMAPS],
            node_of: [0; BITMAPS],
            successors: [None; BITMAPS],
            iters: [[0; 10]; ITERS],
            dirty_iters: [null_mut(); ITERS],
            unfinished: Vec::new(),
        }
    }

    /// Checks what must hold inside this library's HBitmap or dirty bitmap, where its code is
    /// compiled into this program.
    ///
    /// # Panics
    /// If it does not hold, or the library is not ours.
    pub fn check_invariants(&self, target: Target) {
        assert_eq!(self.origin, Origin::Ours);
        if !self.api.compiled_in {
            return;
        }
        // SAFETY: by the rules above, and this library's HBitmap * and BdrvDirtyBitmap * are
        // pointers to these types.
        unsafe {
            match target {
                Target::Hb(slot) => (*self.hbs[slot].cast::<HBitmap>()).check_invariants(),
                Target::Bm(slot) => {
                    (*self.bitmaps[slot].cast::<BdrvDirtyBitmap>()).check_invariants()
                }
            }
        }
    }

    /// Frees the nodes, which have no bitmaps any more.
    pub fn free_nodes(self) {
        for node in self.nodes {
            // SAFETY: by the rules above.
            unsafe { (self.api.qdb_node_free)(node) };
        }
    }

    fn lock(&self, bitmap: Slot) {
        // SAFETY: by the rules above.
        unsafe { (self.api.bdrv_dirty_bitmap_lock)(self.bitmaps[bitmap]) }
    }

    fn unlock(&self, bitmap: Slot) {
        // SAFETY: by the rules above.
        unsafe { (self.api.bdrv_dirty_bitmap_unlock)(self.bitmaps[bitmap]) }
    }

    fn locked<R>(
        &self,
        bitmap: Slot,
        lock: Lock,
        inside: impl FnOnce() -> R,
        around: impl FnOnce() -> R,
    ) -> R {
        match lock {
            Lock::Inside => inside(),
            Lock::Around => self.hold(bitmap, around),
        }
    }

    fn hold<R>(&self, bitmap: Slot, call: impl FnOnce() -> R) -> R {
        self.lock(bitmap);
        let result = call();
        self.unlock(bitmap);
        result
    }

    fn slot_of(&self, bitmap: Handle) -> Option<Slot> {
        if bitmap.is_null() {
            return None;
        }
        let slot = self.bitmaps.iter().position(|&known| known == bitmap);
        Some(slot.expect("a function returned a bitmap that nobody made"))
    }

    /// Runs a call with an `Error *` for it, if one is asked for.
    fn reported(&self, errp: bool, call: impl FnOnce(*mut Handle) -> i64) -> Outcome {
        let mut error: Handle = null_mut();
        let result = call(if errp { &raw mut error } else { null_mut() });
        Outcome::Reported(result, self.take(error))
    }

    fn take(&self, error: Handle) -> Report {
        if error.is_null() {
            return None;
        }
        // SAFETY: by the rules above: an error object that a function left in a local.
        unsafe {
            let message =
                string((self.api.qdb_error_message)(error)).expect("errors have a message");
            let hint = string((self.api.qdb_error_hint)(error));
            (self.api.qdb_error_free)(error);
            Some((message, hint))
        }
    }

    fn finish_all(&mut self) {
        for target in std::mem::take(&mut self.unfinished) {
            self.finish(target);
        }
    }

    fn finish(&self, target: Target) {
        let api = self.api;
        // SAFETY: by the rules above.
        unsafe {
            match target {
                Target::Hb(slot) => (api.hbitmap_deserialize_finish)(self.hbs[slot]),
                Target::Bm(slot) => (api.bdrv_dirty_bitmap_deserialize_finish)(self.bitmaps[slot]),
            }
        }
    }

    fn deserialize(
        &mut self,
        target: Target,
        start: u64,
        count: u64,
        bytes: &[u8],
        tail: Option<u64>,
        finish: bool,
    ) {
        let mut buffer: Box<[u8]> = bytes.into();
        if let (Origin::Qemu, Some(tail), Some(last)) =
            (self.origin, tail, buffer.len().checked_sub(8))
        {
            // Entry 8: QEMU would keep the bits past the end.
            for (byte, valid) in buffer[last..].iter_mut().zip(tail.to_le_bytes()) {
                *byte &= valid;
            }
        }
        let (api, buffer) = (self.api, buffer.as_mut_ptr());
        // SAFETY: by the rules above.
        unsafe {
            match target {
                Target::Hb(slot) => {
                    (api.hbitmap_deserialize_part)(self.hbs[slot], buffer, start, count, finish)
                }
                Target::Bm(slot) => {
                    (api.bdrv_dirty_bitmap_deserialize_part)(
                        self.bitmaps[slot],
                        buffer,
                        start,
                        count,
                        finish,
                    );
                }
            }
        }
        self.note_deserialized(target, count, finish);
    }

    fn note_deserialized(&mut self, target: Target, count: u64, finish: bool) {
        self.unfinished.retain(|&other| other != target || !(finish && count != 0));
        if self.origin == Origin::Qemu
            && count != 0
            && !finish
            && !self.unfinished.contains(&target)
        {
            self.unfinished.push(target);
        }
    }

    fn query(&self, node: Slot) -> Vec<Info> {
        let mut infos = Vec::new();
        // SAFETY: by the rules above: a list in QAPI's layout, ended by NULL.
        unsafe {
            let list = (self.api.bdrv_query_dirty_bitmaps)(self.nodes[node]);
            let mut entry = list.cast::<BlockDirtyInfoList>();
            while !entry.is_null() {
                let value = &*(*entry).value;
                infos.push(Info {
                    name: string(value.name),
                    count: value.count,
                    granularity: value.granularity,
                    recording: value.recording,
                    busy: value.busy,
                    persistent: value.persistent,
                    has_inconsistent: value.has_inconsistent,
                    inconsistent: value.inconsistent,
                });
                entry = (*entry).next;
            }
            (self.api.qdb_dirty_info_list_free)(list);
        }
        infos
    }

    fn property(&self, bitmap: Slot, property: Property) -> Outcome {
        let (api, bitmap) = (self.api, self.bitmaps[bitmap]);
        // SAFETY: by the rules above.
        unsafe {
            match property {
                Property::Size => Outcome::I64((api.bdrv_dirty_bitmap_size)(bitmap)),
                Property::Name => Outcome::Bytes(string((api.bdrv_dirty_bitmap_name)(bitmap))),
                Property::HasSuccessor => {
                    Outcome::Bool((api.bdrv_dirty_bitmap_has_successor)(bitmap))
                }
                Property::Enabled => Outcome::Bool((api.bdrv_dirty_bitmap_enabled)(bitmap)),
                Property::Readonly => Outcome::Bool((api.bdrv_dirty_bitmap_readonly)(bitmap)),
                Property::Persistence => {
                    Outcome::Bool((api.bdrv_dirty_bitmap_get_persistence)(bitmap))
                }
                Property::Inconsistent => {
                    Outcome::Bool((api.bdrv_dirty_bitmap_inconsistent)(bitmap))
                }
            }
        }
    }

    fn change(&self, slot: Slot, change: Change) {
        let (api, bitmap) = (self.api, self.bitmaps[slot]);
        // SAFETY: by the rules above.
        unsafe {
            match change {
                Change::Busy(busy) => (api.bdrv_dirty_bitmap_set_busy)(bitmap, busy),
                Change::Enable => (api.bdrv_enable_dirty_bitmap)(bitmap),
                Change::EnableLocked => {
                    self.hold(slot, || (api.bdrv_enable_dirty_bitmap_locked)(bitmap))
                }
                Change::Disable => (api.bdrv_disable_dirty_bitmap)(bitmap),
                Change::Readonly(value) => (api.bdrv_dirty_bitmap_set_readonly)(bitmap, value),
                Change::Persistence(value) => {
                    (api.bdrv_dirty_bitmap_set_persistence)(bitmap, value)
                }
                Change::SkipStore(value) => (api.bdrv_dirty_bitmap_skip_store)(bitmap, value),
                Change::SetInconsistent => (api.bdrv_dirty_bitmap_set_inconsistent)(bitmap),
            }
        }
    }

    /// Passes a backup pointer to a call, and keeps the backup.
    fn with_backup(
        &mut self,
        backup: Option<Slot>,
        call: impl FnOnce(&Self, *mut Handle) -> i64,
    ) -> i64 {
        let mut old: Handle = null_mut();
        let result = call(self, if backup.is_some() { &raw mut old } else { null_mut() });
        if let Some(slot) = backup.filter(|_| !old.is_null()) {
            self.hbs[slot] = old;
        }
        result
    }

    /// What a merge returns: QEMU's internal ones return nothing.
    fn merged(&self, result: u8) -> i64 {
        match self.origin {
            Origin::Ours => i64::from(result),
            Origin::Qemu => 1,
        }
    }

    fn tooth(&self, target: Target, item: u64, unit: u64, dirty: bool) {
        let api = self.api;
        // SAFETY: by the rules above.
        unsafe {
            match (target, dirty) {
                (Target::Hb(slot), true) => (api.hbitmap_set)(self.hbs[slot], item, 1),
                (Target::Hb(slot), false) => (api.hbitmap_reset)(self.hbs[slot], item, unit),
                (Target::Bm(slot), true) => {
                    (api.bdrv_set_dirty_bitmap)(self.bitmaps[slot], item as i64, 1)
                }
                (Target::Bm(slot), false) => {
                    (api.bdrv_reset_dirty_bitmap)(self.bitmaps[slot], item as i64, unit as i64)
                }
            }
        }
    }

    fn on_content(&mut self, call: &Call) -> Option<Outcome> {
        let api = self.api;
        let hb = |slot: Slot| self.hbs[slot];
        let bm = |slot: Slot| self.bitmaps[slot];
        // SAFETY: by the rules above.
        Some(unsafe {
            match *call {
                Call::Set { target: Target::Hb(slot), start, count, .. } => {
                    (api.hbitmap_set)(hb(slot), start, count);
                    Outcome::Nothing
                }
                Call::Set { target: Target::Bm(slot), start, count, lock } => {
                    let (offset, bytes) = (start as i64, count as i64);
                    self.locked(
                        slot,
                        lock,
                        || (api.bdrv_set_dirty_bitmap)(bm(slot), offset, bytes),
                        || (api.bdrv_set_dirty_bitmap_locked)(bm(slot), offset, bytes),
                    );
                    Outcome::Nothing
                }
                Call::Reset { target: Target::Hb(slot), start, count, .. } => {
                    (api.hbitmap_reset)(hb(slot), start, count);
                    Outcome::Nothing
                }
                Call::Reset { target: Target::Bm(slot), start, count, lock } => {
                    let (offset, bytes) = (start as i64, count as i64);
                    self.locked(
                        slot,
                        lock,
                        || (api.bdrv_reset_dirty_bitmap)(bm(slot), offset, bytes),
                        || (api.bdrv_reset_dirty_bitmap_locked)(bm(slot), offset, bytes),
                    );
                    Outcome::Nothing
                }
                Call::Comb { target, start, step, times, unit, dirty } => {
                    (0..times)
                        .for_each(|tooth| self.tooth(target, start + tooth * step, unit, dirty));
                    Outcome::Nothing
                }
                Call::Get { target: Target::Hb(slot), item, .. } => {
                    Outcome::Bool((api.hbitmap_get)(hb(slot), item))
                }
                Call::Get { target: Target::Bm(slot), item, lock } => Outcome::Bool(self.locked(
                    slot,
                    lock,
                    || (api.bdrv_dirty_bitmap_get)(bm(slot), item as i64),
                    || (api.bdrv_dirty_bitmap_get_locked)(bm(slot), item as i64),
                )),
                Call::Count { target } => Outcome::U64(match target {
                    Target::Hb(slot) => (api.hbitmap_count)(hb(slot)),
                    Target::Bm(slot) => (api.bdrv_get_dirty_count)(bm(slot)) as u64,
                }),
                Call::Granularity { target } => Outcome::U64(match target {
                    Target::Hb(slot) => (api.hbitmap_granularity)(hb(slot)) as u64,
                    Target::Bm(slot) => u64::from((api.bdrv_dirty_bitmap_granularity)(bm(slot))),
                }),
                Call::Sha256 { target } => {
                    let digits = match target {
                        Target::Hb(slot) => (api.hbitmap_sha256)(hb(slot), null_mut()),
                        Target::Bm(slot) => (api.bdrv_dirty_bitmap_sha256)(bm(slot), null_mut()),
                    };
                    let copy = string(digits);
                    libc::free(digits.cast());
                    Outcome::Bytes(copy)
                }
                Call::NextDirty { target, start, count } => Outcome::I64(match target {
                    Target::Hb(slot) => (api.hbitmap_next_dirty)(hb(slot), start, count),
                    Target::Bm(slot) => self
                        .hold(slot, || (api.bdrv_dirty_bitmap_next_dirty)(bm(slot), start, count)),
                }),
                Call::NextZero { target, start, count } => Outcome::I64(match target {
                    Target::Hb(slot) => (api.hbitmap_next_zero)(hb(slot), start, count),
                    Target::Bm(slot) => self
                        .hold(slot, || (api.bdrv_dirty_bitmap_next_zero)(bm(slot), start, count)),
                }),
                Call::NextDirtyArea { target, start, end, max } => {
                    let (mut from, mut length) = (-7, -7);
                    let (from_out, length_out) = (&raw mut from, &raw mut length);
                    let found = match target {
                        Target::Hb(slot) => (api.hbitmap_next_dirty_area)(
                            hb(slot),
                            start,
                            end,
                            max,
                            from_out,
                            length_out,
                        ),
                        Target::Bm(slot) => self.hold(slot, || {
                            (api.bdrv_dirty_bitmap_next_dirty_area)(
                                bm(slot),
                                start,
                                end,
                                max,
                                from_out,
                                length_out,
                            )
                        }),
                    };
                    assert!(
                        found || (from, length) == (-7, -7),
                        "an area that was not found was written"
                    );
                    Outcome::Area(found.then_some((from, length)))
                }
                Call::Status { target, start, count } => {
                    let mut same = -7;
                    let same_out = &raw mut same;
                    let dirty = match target {
                        Target::Hb(slot) => (api.hbitmap_status)(hb(slot), start, count, same_out),
                        Target::Bm(slot) => self.hold(slot, || {
                            (api.bdrv_dirty_bitmap_status)(bm(slot), start, count, same_out)
                        }),
                    };
                    Outcome::Status(dirty, same)
                }
                Call::SerializationAlign { target } => Outcome::U64(match target {
                    Target::Hb(slot) => (api.hbitmap_serialization_align)(hb(slot)),
                    Target::Bm(slot) => (api.bdrv_dirty_bitmap_serialization_align)(bm(slot)),
                }),
                Call::SerializationSize { target, start, count } => Outcome::U64(match target {
                    Target::Hb(slot) => (api.hbitmap_serialization_size)(hb(slot), start, count),
                    Target::Bm(slot) => {
                        (api.bdrv_dirty_bitmap_serialization_size)(bm(slot), start, count)
                    }
                }),
                Call::SerializePart { target, start, count, length } => {
                    let mut buffer = vec![0xa5; length].into_boxed_slice();
                    let out = buffer.as_mut_ptr();
                    match target {
                        Target::Hb(slot) => {
                            (api.hbitmap_serialize_part)(hb(slot), out, start, count)
                        }
                        Target::Bm(slot) => {
                            (api.bdrv_dirty_bitmap_serialize_part)(bm(slot), out, start, count)
                        }
                    }
                    Outcome::Bytes(Some(buffer.into_vec()))
                }
                Call::DeserializePart { target, start, count, ref bytes, tail, finish } => {
                    self.deserialize(target, start, count, bytes, tail, finish);
                    Outcome::Nothing
                }
                Call::DeserializeZeroes { target, start, count, finish } => {
                    match target {
                        Target::Hb(slot) => {
                            (api.hbitmap_deserialize_zeroes)(hb(slot), start, count, finish)
                        }
                        Target::Bm(slot) => {
                            (api.bdrv_dirty_bitmap_deserialize_zeroes)(
                                bm(slot),
                                start,
                                count,
                                finish,
                            );
                        }
                    }
                    self.note_deserialized(target, count, finish);
                    Outcome::Nothing
                }
                Call::DeserializeOnes { target, start, count, length, tail, finish } => {
                    if self.origin == Origin::Qemu && tail.is_some_and(|tail| tail != u64::MAX) {
                        // Entry 8 again.
                        self.deserialize(target, start, count, &vec![0xff; length], tail, finish);
                        return Some(Outcome::Nothing);
                    }
                    match target {
                        Target::Hb(slot) => {
                            (api.hbitmap_deserialize_ones)(hb(slot), start, count, finish)
                        }
                        Target::Bm(slot) => {
                            (api.bdrv_dirty_bitmap_deserialize_ones)(bm(slot), start, count, finish)
                        }
                    }
                    self.note_deserialized(target, count, finish);
                    Outcome::Nothing
                }
                Call::DeserializeFinish { target } => {
                    self.finish(target);
                    self.unfinished.retain(|&other| other != target);
                    Outcome::Nothing
                }
                _ => return None,
            }
        })
    }

    fn on_hbitmap(&mut self, call: &Call) -> Option<Outcome> {
        let api = self.api;
        // SAFETY: by the rules above.
        Some(unsafe {
            match *call {
                Call::Alloc { slot, size, granularity } => {
                    self.hbs[slot] = (api.hbitmap_alloc)(size, granularity);
                    Outcome::Bool(!self.hbs[slot].is_null())
                }
                Call::Free { slot } => {
                    (api.hbitmap_free)(self.hbs[slot]);
                    self.hbs[slot] = null_mut();
                    Outcome::Nothing
                }
                Call::Truncate { slot, size } => {
                    (api.hbitmap_truncate)(self.hbs[slot], size);
                    Outcome::Nothing
                }
                Call::MergeHb { a, b, result } => {
                    let merged = (api.hbitmap_merge)(self.hbs[a], self.hbs[b], self.hbs[result]);
                    Outcome::I64(self.merged(merged))
                }
                Call::Empty { slot } => Outcome::Bool((api.hbitmap_empty)(self.hbs[slot])),
                Call::ResetAll { slot } => {
                    (api.hbitmap_reset_all)(self.hbs[slot]);
                    Outcome::Nothing
                }
                Call::IsSerializable { slot } => {
                    Outcome::Bool((api.hbitmap_is_serializable)(self.hbs[slot]))
                }
                Call::IterInit { iter, slot, first } => {
                    (api.hbitmap_iter_init)(&raw mut self.iters[iter], self.hbs[slot], first);
                    Outcome::Nothing
                }
                Call::IterNext { iter } => {
                    Outcome::I64((api.hbitmap_iter_next)(&raw mut self.iters[iter]))
                }
                _ => return None,
            }
        })
    }

    fn on_node(&mut self, call: &Call) -> Option<Outcome> {
        let api = self.api;
        // SAFETY: by the rules above. Drivers' tables are static, and their opaque pointer is the
        // table of functions.
        Some(unsafe {
            match *call {
                Call::SetLength { node, length } => {
                    (api.qdb_node_set_length)(self.nodes[node], length);
                    Outcome::I64((api.qdb_node_length)(self.nodes[node]))
                }
                Call::SetDriver { node, driver } => {
                    let opaque = std::ptr::from_ref(api).cast_mut().cast();
                    (api.qdb_node_set_driver)(self.nodes[node], driver::table(driver), opaque);
                    Outcome::Nothing
                }
                Call::SupportsPersistent { node } => {
                    Outcome::Bool((api.bdrv_supports_persistent_dirty_bitmap)(self.nodes[node]))
                }
                Call::CanStore { node, ref name, granularity, coroutine, errp } => {
                    let ask = if coroutine {
                        *api.bdrv_co_can_store_new_dirty_bitmap
                    } else {
                        *api.bdrv_can_store_new_dirty_bitmap
                    };
                    let name = c_string(name);
                    self.reported(errp, |errp| {
                        i64::from(ask(self.nodes[node], name.as_ptr(), granularity, errp))
                    })
                }
                Call::RemovePersistent { node, ref name, coroutine, errp } => {
                    let remove = if coroutine {
                        *api.bdrv_co_remove_persistent_dirty_bitmap
                    } else {
                        *api.bdrv_remove_persistent_dirty_bitmap
                    };
                    let name = c_string(name);
                    self.reported(errp, |errp| {
                        i64::from(remove(self.nodes[node], name.as_ptr(), errp))
                    })
                }
                Call::DefaultGranularity { node } => Outcome::U64(u64::from((api
                    .bdrv_get_default_bitmap_granularity)(
                    self.nodes[node]
                ))),
                Call::Write { node, offset, bytes } => {
                    (api.bdrv_set_dirty)(self.nodes[node], offset, bytes);
                    Outcome::Nothing
                }
                Call::TruncateAll { node, bytes } => {
                    (api.bdrv_dirty_bitmap_truncate)(self.nodes[node], bytes);
                    Outcome::Nothing
                }
                Call::ReleaseNamed { node } => {
                    let named: Vec<Slot> = (0..BITMAPS)
                        .filter(|&slot| {
                            let bitmap = self.bitmaps[slot];
                            !bitmap.is_null()
                                && self.node_of[slot] == node
                                && !(api.bdrv_dirty_bitmap_name)(bitmap).is_null()
                        })
                        .collect();
                    (api.bdrv_release_named_dirty_bitmaps)(self.nodes[node]);
                    for slot in named {
                        self.bitmaps[slot] = null_mut();
                    }
                    Outcome::Nothing
                }
                Call::HasReadonly { node } => {
                    Outcome::Bool((api.bdrv_has_readonly_bitmaps)(self.nodes[node]))
                }
                Call::HasNamed { node } => {
                    Outcome::Bool((api.bdrv_has_named_bitmaps)(self.nodes[node]))
                }
                Call::Query { node } => Outcome::Infos(self.query(node)),
                Call::Find { node, ref name } => {
                    let name = c_string(name);
                    Outcome::Object(
                        self.slot_of((api.bdrv_find_dirty_bitmap)(self.nodes[node], name.as_ptr())),
                    )
                }
                Call::First { node } => {
                    Outcome::Object(self.slot_of((api.bdrv_dirty_bitmap_first)(self.nodes[node])))
                }
                Call::Next { bitmap } => Outcome::Object(
                    self.slot_of((api.bdrv_dirty_bitmap_next)(self.bitmaps[bitmap])),
                ),
                _ => return None,
            }
        })
    }

    fn on_dirty_bitmap(&mut self, call: &Call) -> Option<Outcome> {
        let api = self.api;
        // SAFETY: by the rules above.
        Some(unsafe {
            match *call {
                Call::Create { slot, node, granularity, ref name, errp } => {
                    let name = name.as_deref().map(c_string);
                    let name = name.as_ref().map_or(null(), |name| name.as_ptr());
                    let mut made: Handle = null_mut();
                    let outcome = self.reported(errp, |errp| {
                        made = (api.bdrv_create_dirty_bitmap)(
                            self.nodes[node],
                            granularity,
                            name,
                            errp,
                        );
                        i64::from(!made.is_null())
                    });
                    self.bitmaps[slot] = made;
                    self.node_of[slot] = node;
                    self.successors[slot] = None;
                    outcome
                }
                Call::Release { bitmap } => {
                    (api.bdrv_release_dirty_bitmap)(self.bitmaps[bitmap]);
                    self.bitmaps[bitmap] = null_mut();
                    Outcome::Nothing
                }
                Call::Property { bitmap, property } => self.property(bitmap, property),
                Call::Change { bitmap, change } => {
                    self.change(bitmap, change);
                    Outcome::Nothing
                }
                Call::Check { bitmap, flags, errp } => self.reported(errp, |errp| {
                    i64::from((api.bdrv_dirty_bitmap_check)(self.bitmaps[bitmap], flags, errp))
                }),
                Call::CreateSuccessor { bitmap, slot, errp } => {
                    let outcome = self.reported(errp, |errp| {
                        i64::from((api.bdrv_dirty_bitmap_create_successor)(
                            self.bitmaps[bitmap],
                            errp,
                        ))
                    });
                    if matches!(outcome, Outcome::Reported(0, _)) {
                        let node = self.node_of[bitmap];
                        self.bitmaps[slot] = (api.bdrv_dirty_bitmap_first)(self.nodes[node]);
                        self.node_of[slot] = node;
                        self.successors[slot] = None;
                        self.successors[bitmap] = Some(slot);
                    }
                    outcome
                }
                Call::EnableSuccessor { bitmap } => {
                    (api.bdrv_dirty_bitmap_enable_successor)(self.bitmaps[bitmap]);
                    Outcome::Nothing
                }
                Call::Abdicate { bitmap, errp } => {
                    let mut heir: Handle = null_mut();
                    let outcome = self.reported(errp, |errp| {
                        heir = (api.bdrv_dirty_bitmap_abdicate)(self.bitmaps[bitmap], errp);
                        self.slot_of(heir).map_or(-1, |slot| slot as i64)
                    });
                    if !heir.is_null() {
                        self.bitmaps[bitmap] = null_mut();
                    }
                    outcome
                }
                Call::Reclaim { bitmap, lock, errp } => {
                    let parent = self.bitmaps[bitmap];
                    let outcome = self.reported(errp, |errp| {
                        let same = self.locked(
                            bitmap,
                            lock,
                            || (api.bdrv_reclaim_dirty_bitmap)(parent, errp),
                            || (api.bdrv_reclaim_dirty_bitmap_locked)(parent, errp),
                        );
                        self.slot_of(same).map_or(-1, |slot| slot as i64)
                    });
                    if let Some(slot) = self.successors[bitmap].take() {
                        self.bitmaps[slot] = null_mut();
                    }
                    outcome
                }
                Call::Clear { bitmap, out } => {
                    self.with_backup(out, |this, out| {
                        (api.bdrv_clear_dirty_bitmap)(this.bitmaps[bitmap], out);
                        0
                    });
                    Outcome::Nothing
                }
                Call::Restore { bitmap, backup } => {
                    (api.bdrv_restore_dirty_bitmap)(self.bitmaps[bitmap], self.hbs[backup]);
                    self.hbs[backup] = null_mut();
                    Outcome::Nothing
                }
                Call::Coverage { bitmap, chunk } => Outcome::U64((api
                    .bdrv_dirty_bitmap_serialization_coverage)(
                    chunk, self.bitmaps[bitmap]
                )),
                Call::Merge { dest, src, backup, errp } => {
                    let mut error: Handle = null_mut();
                    let errp = if errp { &raw mut error } else { null_mut() };
                    let result = self.with_backup(backup, |this, old| {
                        i64::from((api.bdrv_merge_dirty_bitmap)(
                            this.bitmaps[dest],
                            this.bitmaps[src],
                            old,
                            errp,
                        ))
                    });
                    Outcome::Reported(result, self.take(error))
                }
                Call::MergeInternal { dest, src, backup, lock } => {
                    let both = self.node_of[dest] != self.node_of[src];
                    Outcome::I64(self.with_backup(backup, |this, old| {
                        let merge = || {
                            (api.bdrv_dirty_bitmap_merge_internal)(
                                this.bitmaps[dest],
                                this.bitmaps[src],
                                old,
                                lock,
                            )
                        };
                        this.merged(match (lock, both) {
                            (true, _) => merge(),
                            (false, true) => this.hold(dest, || this.hold(src, merge)),
                            (false, false) => this.hold(dest, merge),
                        })
                    }))
                }
                Call::DirtyIterNew { iter, bitmap } => {
                    self.dirty_iters[iter] = (api.bdrv_dirty_iter_new)(self.bitmaps[bitmap]);
                    Outcome::Nothing
                }
                Call::DirtyIterFree { iter } => {
                    (api.bdrv_dirty_iter_free)(self.dirty_iters[iter]);
                    self.dirty_iters[iter] = null_mut();
                    Outcome::Nothing
                }
                Call::DirtyIterNext { iter } => {
                    Outcome::I64((api.bdrv_dirty_iter_next)(self.dirty_iters[iter]))
                }
                Call::DirtyIterSeek { iter, offset } => {
                    (api.bdrv_set_dirty_iter)(self.dirty_iters[iter], offset);
                    Outcome::Nothing
                }
                _ => return None,
            }
        })
    }
}

impl Library for CLibrary {
    fn run(&mut self, call: &Call) -> Outcome {
        let deserializes = matches!(
            call,
            Call::DeserializePart { .. }
                | Call::DeserializeZeroes { .. }
                | Call::DeserializeOnes { .. }
                | Call::DeserializeFinish { .. }
        );
        if !deserializes {
            self.finish_all();
        }
        self.on_content(call)
            .or_else(|| self.on_hbitmap(call))
            .or_else(|| self.on_node(call))
            .or_else(|| self.on_dirty_bitmap(call))
            .expect("every call is on one of these")
    }
}

fn c_string(bytes: &[u8]) -> CString {
    CString::new(bytes).expect("names have no NUL")
}

/// # Safety
/// The pointer is NULL or a C string.
unsafe fn string(pointer: *const c_char) -> Option<Vec<u8>> {
    // SAFETY: as the caller promises.
    (!pointer.is_null()).then(|| unsafe { CStr::from_ptr(pointer) }.to_bytes().to_vec())
}
