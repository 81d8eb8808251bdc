// SPDX-License-Identifier: GPL-2.0-or-later
//! The SHA-256 of what goes by.

use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

use super::LoadError;

/// A file or a stream, and the hash of what was written to it or read from it.
pub(super) struct Hashed<'a, T: ?Sized> {
    inner: &'a mut T,
    hash: Sha256,
}

impl<'a, T: ?Sized> Hashed<'a, T> {
    pub(super) fn new(inner: &'a mut T) -> Self {
        Self { inner, hash: Sha256::new() }
    }
}

impl Hashed<'_, dyn Write + '_> {
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.inner.write_all(bytes)
    }

    /// Writes the hash of all before it.
    pub(super) fn write_hash(self) -> io::Result<()> {
        self.inner.write_all(&self.hash.finalize())?;
        self.inner.flush()
    }
}

impl Hashed<'_, dyn Read + '_> {
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> Result<(), LoadError> {
        self.inner.read_exact(bytes)?;
        self.hash.update(bytes);
        Ok(())
    }

    /// Reads the hash of all before it, and nothing after it.
    pub(super) fn check_hash(self) -> Result<(), LoadError> {
        let mut stored = [0; 32];
        self.inner.read_exact(&mut stored)?;
        if self.hash.finalize()[..] != stored {
            return Err(LoadError::Damaged { what: "its checksum is wrong" });
        }
        Ok(())
    }
}
