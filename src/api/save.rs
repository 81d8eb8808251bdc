// SPDX-License-Identifier: GPL-2.0-or-later
//! Bitmaps in files and streams.

use std::io::{self, Read, Write};

use super::HBitmap;
use crate::format;

pub use crate::format::{GeometryError, LoadError};

impl HBitmap {
    /// Writes the bitmap to a file or a stream, in the format of docs/format.md: its size, its
    /// granularity, and what is dirty. Memory is some 64 KiB, and `out` need not be buffered: it
    /// gets as much at once.
    ///
    /// A call that fails leaves a part of a bitmap, which [`read_from`](Self::read_from) does not
    /// take. To replace a file, write another one, sync it and rename it: then there is the old
    /// bitmap or the new one, whatever happens.
    ///
    /// # Errors
    /// Those of `out`.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::HBitmap;
    /// let mut bitmap = HBitmap::new(1 << 50, 65536)?; // 1 PiB
    /// bitmap.set(1 << 40..1 << 45)?;
    /// let mut bytes = Vec::new();
    /// bitmap.write_to(&mut bytes)?;
    /// assert_eq!(bytes.len(), 124);
    /// assert_eq!(HBitmap::read_from(&mut &bytes[..])?, bitmap);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_to(&self, mut out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        format::write(&self.0, &mut out)
    }

    /// Reads a bitmap that [`write_to`](Self::write_to) wrote; one of a disk
    /// (`DirtyBitmap::write_to`, or `qdb_bitmap_save` of a C program) as well, without its name.
    ///
    /// The bytes may come from anywhere: they are read as far as the bitmap goes, and believed if
    /// the checksum at their end is right. Nothing after the bitmap is read. `input` need not be
    /// buffered.
    ///
    /// # Errors
    /// Any [`LoadError`] that has nothing to do with a node. No input takes more memory than a
    /// bitmap of the size and the granularity that it says.
    pub fn read_from(mut input: &mut (impl Read + ?Sized)) -> Result<Self, LoadError> {
        format::read(&mut input).map(Self)
    }
}

pub use of_nodes::*;

mod of_nodes {
    use std::fs::File;
    use std::io::{self, Read, Write};

    use super::LoadError;
    use crate::api::{DirtyBitmap, Error, Node};
    use crate::dirty_bitmap::BitmapCheckFlags;
    use crate::format::dirty::{Loaded, NotLoaded, save};
    use crate::format::mark_in_use as mark;

    /// Why a dirty bitmap was not stored.
    #[derive(Debug, thiserror::Error)]
    #[non_exhaustive]
    pub enum SaveError {
        /// The bitmap is in a state in which it can't be stored.
        #[error(transparent)]
        Bitmap(#[from] Error),
        /// What it is written to refused.
        #[error(transparent)]
        Io(#[from] io::Error),
    }

    impl DirtyBitmap {
        /// Writes the bitmap to a file or a stream, in the format of docs/format.md: its name,
        /// size, granularity, whether it is enabled and persistent, and what it recorded.
        /// [`Node::read_bitmap`] makes a bitmap of it, `qdb_bitmap_load` does in a C program.
        ///
        /// What was recorded before the call is in the file. Of what is recorded or cleared during
        /// the call, any part may be: the node's lock is taken for each block of the file, and free
        /// while the block is written. For one moment's content, write a
        /// [`snapshot`](Self::snapshot).
        ///
        /// A call that fails leaves a part of a bitmap, which no load takes. To replace a file,
        /// write another one, sync it and rename it.
        ///
        /// # Errors
        /// [`Error::Busy`], [`Error::Inconsistent`], [`Error::Released`], also if the bitmap comes
        /// into such a state meanwhile; those of `out`; one of kind [`io::ErrorKind::Other`] if the
        /// bitmap is resized meanwhile.
        ///
        /// ```
        /// # use qemu_dirty_bitmap::Node;
        /// let disk = Node::new(1 << 40)?;
        /// let bitmap = disk.create_bitmap("backup", 65536)?;
        /// disk.record_write(0..512)?;
        /// let mut bytes = Vec::new();
        /// bitmap.write_to(&mut bytes)?;
        ///
        /// let restarted = Node::new(1 << 40)?;
        /// let bitmap = restarted.read_bitmap(&mut &bytes[..])?;
        /// assert_eq!((bitmap.name().as_deref(), bitmap.count()), (Some("backup"), 65536));
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        pub fn write_to(&self, mut out: &mut (impl Write + ?Sized)) -> Result<(), SaveError> {
            save(&self.state, &mut out, |_| Ok(self.check_states(BitmapCheckFlags::ALLOW_RO)?))
        }
    }

    impl Node {
        /// Reads a bitmap that [`DirtyBitmap::write_to`] wrote, or `qdb_bitmap_save` of a C
        /// program, and attaches it to the node, whose length it must have. Nothing may write to
        /// the disk before it is there.
        ///
        /// The bytes may come from anywhere: they are read as far as the bitmap goes, and believed
        /// if the checksum at their end is right. Nothing after the bitmap is read. `input` need
        /// not be buffered.
        ///
        /// # Errors
        /// [`LoadError`]. The node has not changed then. No input takes more memory than a bitmap
        /// of the node's length and the granularity that it says.
        pub fn read_bitmap(
            &self,
            mut input: &mut (impl Read + ?Sized),
        ) -> Result<DirtyBitmap, LoadError> {
            // Reading may take long: the node can be used meanwhile.
            let loaded = Loaded::read(self.state(), &mut input).map_err(reason)?;
            let _control = self.control();
            let bitmap = loaded.attach(self.state()).map_err(reason)?;
            Ok(DirtyBitmap::new(self.clone(), bitmap))
        }
    }

    /// Marks a bitmap in a file as in use, and syncs that: the bitmap that begins at `offset` of
    /// the file, which is open for reading and writing, not for appending. Call it after
    /// [`Node::read_bitmap`], before the disk is written to; a new [`DirtyBitmap::write_to`] at the
    /// end takes the mark away, with the old file.
    ///
    /// A program that dies in between leaves a bitmap that lacks writes. It is marked, so no load
    /// takes it, and a full backup is due. There is no way to take the mark away. A program that
    /// stores the bitmap before each write to the disk needs no mark.
    ///
    /// The mark is no lock. Of two programs that mark a bitmap at the same moment, both may
    /// succeed: programs that may run at once need a lock of their own, from the load on.
    ///
    /// # Errors
    /// [`LoadError`]; also of a bitmap that is marked already, by a program that runs or died, and
    /// of a file that is open for appending. What follows the header is not looked at.
    ///
    /// ```
    /// # use qemu_dirty_bitmap::{mark_in_use, LoadError, Node};
    /// # let path = std::env::temp_dir().join(format!("mark-in-use-{}", std::process::id()));
    /// let mut file = std::fs::File::create_new(&path)?;
    /// Node::new(1 << 30)?.create_bitmap("backup", 65536)?.write_to(&mut file)?;
    ///
    /// let file = std::fs::OpenOptions::new().read(true).write(true).open(&path)?;
    /// let disk = Node::new(1 << 30)?;
    /// let bitmap = disk.read_bitmap(&mut &file)?;
    /// mark_in_use(&file, 0)?;
    /// disk.record_write(0..512)?; // ... and the program dies.
    ///
    /// let restarted = Node::new(1 << 30)?;
    /// let error = restarted.read_bitmap(&mut std::fs::File::open(&path)?).unwrap_err();
    /// assert!(matches!(error, LoadError::InUse));
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn mark_in_use(file: &File, offset: u64) -> Result<(), LoadError> {
        mark(file, offset)
    }

    /// Why a bitmap was not loaded. Nodes of Rust programs have a length.
    fn reason(error: NotLoaded) -> LoadError {
        match error {
            NotLoaded::Stored(error) => error,
            NotLoaded::NameTaken(name) => {
                LoadError::NameTaken { name: name.to_string_lossy().into_owned() }
            }
            NotLoaded::NoLength(failure) => {
                LoadError::Io(io::Error::from_raw_os_error(failure.os_errno()))
            }
        }
    }
}
