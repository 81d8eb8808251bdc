// SPDX-License-Identifier: GPL-2.0-or-later
//! The flags of a bitmap, and the check that refuses a bitmap in the wrong state.
//!
//! Flags are changed with the node's lock held and read with or without it.

use std::sync::atomic::{AtomicBool, Ordering};

use super::name::printed;
use super::{BdrvDirtyBitmap, Locked};
use crate::assertion::abi_assert;
use crate::host::Failure;

/// A flag: written under the node's lock, readable without.
#[derive(Debug)]
pub(super) struct Flag(AtomicBool);

impl Flag {
    pub(super) fn new(value: bool) -> Self {
        Self(AtomicBool::new(value))
    }

    #[inline]
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, _locked: &Locked<'_>, value: bool) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// A flag that counts for the whole node.
#[derive(Debug)]
pub(super) struct NodeFlag(Flag);

impl NodeFlag {
    pub(super) fn new(value: bool) -> Self {
        Self(Flag::new(value))
    }

    #[inline]
    pub(super) fn get(&self) -> bool {
        self.0.get()
    }

    pub(super) fn set(&self, locked: &Locked<'_>, value: bool) {
        self.0.set(locked, value);
        locked.note_states();
    }
}

/// The flags of one bitmap.
#[derive(Debug)]
pub(super) struct Flags {
    pub(super) busy: Flag,
    pub(super) disabled: NodeFlag,
    pub(super) readonly: NodeFlag,
    pub(super) persistent: Flag,
    pub(super) inconsistent: Flag,
    pub(super) skip_store: Flag,
}

impl Flags {
    /// The flags of a new bitmap: none but perhaps `disabled`.
    pub(super) fn new(disabled: bool) -> Self {
        Self {
            busy: Flag::new(false),
            disabled: NodeFlag::new(disabled),
            readonly: NodeFlag::new(false),
            persistent: Flag::new(false),
            inconsistent: Flag::new(false),
            skip_store: Flag::new(false),
        }
    }
}

// The documentation is that of the C header, which has no backticks.
#[allow(clippy::doc_markdown)]
/// States of a bitmap that bdrv_dirty_bitmap_check() can refuse; flags that can be combined.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types, clippy::upper_case_acronyms)]
pub enum BitmapCheckFlags {
    /// Refuse a bitmap that an operation uses.
    BDRV_BITMAP_BUSY = 1,
    /// Refuse a read-only bitmap.
    BDRV_BITMAP_RO = 2,
    /// Refuse an inconsistent bitmap.
    BDRV_BITMAP_INCONSISTENT = 4,
}

impl BitmapCheckFlags {
    /// Refuse a bitmap in any of the three states (C: `BDRV_BITMAP_DEFAULT`).
    pub const DEFAULT: u32 = Self::BDRV_BITMAP_BUSY as u32
        | Self::BDRV_BITMAP_RO as u32
        | Self::BDRV_BITMAP_INCONSISTENT as u32;
    /// Refuse a busy or an inconsistent bitmap (C: `BDRV_BITMAP_ALLOW_RO`).
    pub const ALLOW_RO: u32 = Self::BDRV_BITMAP_BUSY as u32 | Self::BDRV_BITMAP_INCONSISTENT as u32;

    /// Whether `flags` asks for this state to be refused.
    fn is_in(self, flags: u32) -> bool {
        flags & self as u32 != 0
    }
}

impl BdrvDirtyBitmap {
    /// Refuses the bitmap if it is in a state that `flags` names (C: `bdrv_dirty_bitmap_check`).
    /// States are looked at in the order busy, read-only, inconsistent; bits of `flags` that name
    /// no state mean nothing.
    ///
    /// # Errors
    /// The message says which state; for an inconsistent bitmap a hint says how to get rid of it.
    pub fn check(&self, flags: u32) -> Result<(), Failure> {
        let refuse = |text: &[u8]| {
            let name = self.name();
            Failure::new(c"bdrv_dirty_bitmap_check", &[b"Bitmap '", printed(name.as_deref()), text])
        };
        if BitmapCheckFlags::BDRV_BITMAP_BUSY.is_in(flags) && self.busy() {
            return Err(refuse(b"' is currently in use by another operation and cannot be used"));
        }
        if BitmapCheckFlags::BDRV_BITMAP_RO.is_in(flags) && self.readonly() {
            return Err(refuse(b"' is readonly and cannot be modified"));
        }
        if BitmapCheckFlags::BDRV_BITMAP_INCONSISTENT.is_in(flags) && self.inconsistent() {
            return Err(refuse(b"' is inconsistent and cannot be used")
                .with_hint(c"Try block-dirty-bitmap-remove to delete this bitmap from disk\n"));
        }
        Ok(())
    }

    /// Whether an operation uses the bitmap.
    #[must_use]
    pub fn busy(&self) -> bool {
        self.flags.busy.get()
    }

    /// Marks the bitmap as used by an operation, or no longer (C: `bdrv_dirty_bitmap_set_busy`).
    pub fn set_busy(&self, locked: &Locked<'_>, busy: bool) {
        self.flags.busy.set(locked, busy);
    }

    /// Whether writes to the node are recorded in this bitmap itself (C:
    /// `bdrv_dirty_bitmap_enabled`).
    #[inline]
    #[must_use]
    pub fn enabled(&self) -> bool {
        !self.flags.disabled.get()
    }

    /// Starts to record writes (C: `bdrv_enable_dirty_bitmap`).
    pub fn enable(&self, locked: &Locked<'_>) {
        self.flags.disabled.set(locked, false);
    }

    /// Stops to record writes (C: `bdrv_disable_dirty_bitmap`).
    pub fn disable(&self, locked: &Locked<'_>) {
        self.flags.disabled.set(locked, true);
    }

    /// Whether writes are recorded in this bitmap or in its successor. Without the node's lock they
    /// may be changing places.
    #[must_use]
    pub fn recording(&self) -> bool {
        self.enabled() || self.successor().is_some_and(|successor| successor.enabled())
    }

    /// Whether nothing may change the bitmap (C: `bdrv_dirty_bitmap_readonly`).
    #[inline]
    #[must_use]
    pub fn readonly(&self) -> bool {
        self.flags.readonly.get()
    }

    /// Forbids all change of the bitmap, or allows it (C: `bdrv_dirty_bitmap_set_readonly`).
    pub fn set_readonly(&self, locked: &Locked<'_>, readonly: bool) {
        self.flags.readonly.set(locked, readonly);
    }

    /// Whether the bitmap is to be stored in the image: persistent and not told to skip it (C:
    /// `bdrv_dirty_bitmap_get_persistence`).
    #[must_use]
    pub fn stored(&self) -> bool {
        self.persistent() && !self.flags.skip_store.get()
    }

    /// Whether the bitmap belongs in the image.
    #[must_use]
    pub fn persistent(&self) -> bool {
        self.flags.persistent.get()
    }

    /// Says whether the bitmap belongs in the image (C: `bdrv_dirty_bitmap_set_persistence`).
    pub fn set_persistent(&self, locked: &Locked<'_>, persistent: bool) {
        self.flags.persistent.set(locked, persistent);
    }

    /// Says whether the next store leaves the bitmap out (C: `bdrv_dirty_bitmap_skip_store`).
    pub fn set_skip_store(&self, locked: &Locked<'_>, skip: bool) {
        self.flags.skip_store.set(locked, skip);
    }

    /// Whether the bitmap was stored improperly (C: `bdrv_dirty_bitmap_inconsistent`).
    #[must_use]
    pub fn inconsistent(&self) -> bool {
        self.flags.inconsistent.get()
    }

    /// Marks the bitmap as stored improperly and stops recording (C:
    /// `bdrv_dirty_bitmap_set_inconsistent`).
    ///
    /// # Panics
    /// If the bitmap is not persistent.
    pub fn set_inconsistent(&self, locked: &Locked<'_>) {
        abi_assert!(
            self.persistent(),
            "bdrv_dirty_bitmap_set_inconsistent",
            "bitmap->persistent == true"
        );
        self.flags.inconsistent.set(locked, true);
        self.flags.disabled.set(locked, true);
    }
}
