// SPDX-License-Identifier: GPL-2.0-or-later
//! A mark in objects that must not be used once they are freed.

/// Says whether the memory that it is in still holds what it did. The models' allocator overwrites
/// memory that is freed, and keeps it for a while, so that a use after that is noticed.
#[derive(Debug)]
pub struct Alive(u64);

const MARK: u64 = 0x616c_6976_6521_2121;

impl Alive {
    /// The mark of an object that lives.
    #[allow(clippy::new_without_default)] // A constant: const fn new.
    #[must_use]
    pub const fn new() -> Self {
        Self(MARK)
    }

    /// Ends the process if the object was freed.
    pub fn check(&self) {
        // Not optimised away: as far as the compiler knows, the mark never changes.
        // SAFETY: the field is readable memory, perhaps of a freed object, which the allocator
        // keeps.
        if unsafe { (&raw const self.0).read_volatile() } != MARK {
            eprintln!("an object was used after it was freed");
            ::std::process::abort();
        }
    }
}
