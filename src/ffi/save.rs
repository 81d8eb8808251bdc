// SPDX-License-Identifier: GPL-2.0-or-later
//! Bitmaps in files and streams, and numbers that nobody vouches for, for programs other than QEMU.

#![allow(clippy::missing_safety_doc)] // One set of rules for all of them: see the parent module.

use std::ffi::{CStr, c_int};
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd;
use std::ptr;

use super::error::or_report;
use super::object;
use crate::dirty_bitmap::{BdrvDirtyBitmap, BitmapCheckFlags};
use crate::format::dirty::{Loaded, NotLoaded, save};
use crate::format::geometry;
use crate::format::{LoadError, mark_in_use};
use crate::host::{BlockDriverState, Error, Failure};

/// Writes a bitmap to a file or a stream, in the format of docs/format.md: its name, size,
/// granularity, whether it is enabled and persistent, and what it recorded.
///
/// What was recorded before the call is in the file. Of what is recorded or cleared during the
/// call, any part may be; so a program stops to write to the disk first. The file is not synced,
/// and a call that fails leaves a part of a bitmap, which no load takes. So write to a new file,
/// sync it and rename it: then there is the old bitmap or the new one, whatever happens.
///
/// @param fd    Open for writing, at the offset where the bitmap is to begin; a pipe or a socket
///              will do. It blocks. Afterwards the offset is the end of the bitmap. Writing to a
///              pipe that nobody reads raises SIGPIPE, as write() does.
/// @param errp  As for bdrv_dirty_bitmap_check() of a busy or an inconsistent bitmap; "could not
///              save the bitmap: REASON", if the system refuses (and then errno is set as well),
///              or if the bitmap was resized or released meanwhile.
/// @return      Whether all was written.
///
/// Lock: taken here, for some 64 KiB of the file at a time, and not while it writes.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn qdb_bitmap_save(
    bitmap: *mut BdrvDirtyBitmap,
    fd: c_int,
    errp: *mut *mut Error,
) -> bool {
    // Alive during the call, whatever another thread does to the node.
    let bitmap = object!(bitmap, "qdb_bitmap_save").handle();
    let saved = open(fd).map_err(NotSaved::Io).and_then(|mut file| {
        save(&bitmap, &mut *file, |bitmap| {
            bitmap.check(BitmapCheckFlags::ALLOW_RO).map_err(NotSaved::Refused)
        })
    });
    let saved = saved.map_err(|error| match error {
        NotSaved::Refused(failure) => failure,
        NotSaved::Io(error) => failed(c"qdb_bitmap_save", b"could not save the bitmap", &error),
    });
    // SAFETY: `errp` is NULL or writable, by the rules for all C functions.
    unsafe { or_report(saved, errp) }.is_some()
}

/// Reads a bitmap that qdb_bitmap_save() wrote and attaches it to a node. Nothing may write to the
/// disk before it is there.
///
/// The bytes may come from anywhere: they are read as far as the bitmap goes, whose size must be
/// the node's length, and believed if the checksum at their end is right. No input ends the process
/// or takes more memory than a bitmap of that size and granularity.
///
/// @param fd    Open for reading, at the offset where the bitmap begins; a pipe or a socket will
///              do. It blocks. Nothing after the bitmap is read: of a file that is to hold nothing
///              else, check that read() finds its end.
/// @param errp  "could not load the bitmap: REASON", if the system refuses (and then errno is set
///              as well), or what is wrong with the bitmap: damaged, cut off, marked as in use (see
///              qdb_bitmap_mark_in_use()), for a disk of another length, too large; as for
///              bdrv_create_dirty_bitmap() a name that is taken.
/// @return      The bitmap; bdrv_release_dirty_bitmap() ends it. NULL on error, and then the node
///              has not changed.
///
/// Lock: taken here; the big lock is held.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn qdb_bitmap_load(
    bs: *mut BlockDriverState,
    fd: c_int,
    errp: *mut *mut Error,
) -> *mut BdrvDirtyBitmap {
    let node = object!(bs, "qdb_bitmap_load");
    let loaded = open(fd)
        .map_err(|error| NotLoaded::Stored(LoadError::Io(error)))
        .and_then(|mut file| Loaded::read(node, &mut *file))
        .and_then(|loaded| loaded.attach(node));
    let loaded = loaded.map_err(|error| match error {
        NotLoaded::NoLength(failure) => failure,
        NotLoaded::NameTaken(name) => {
            Failure::new(c"qdb_bitmap_load", &[b"Bitmap already exists: ", name.to_bytes()])
        }
        NotLoaded::Stored(error) => {
            refused(c"qdb_bitmap_load", b"could not load the bitmap", &error)
        }
    });
    // SAFETY: `errp` is NULL or writable, by the rules for all C functions. The node's list keeps
    // the bitmap alive.
    unsafe { or_report(loaded, errp) }
        .map_or(ptr::null_mut(), |bitmap| ptr::from_ref(&*bitmap).cast_mut())
}

/// Marks a bitmap in a file as in use, and syncs that. Call it after qdb_bitmap_load(), before the
/// disk is written to; a new qdb_bitmap_save() at the end takes the mark away, with the old file.
///
/// A program that dies in between leaves a bitmap that lacks writes. It is marked, so
/// qdb_bitmap_load() refuses it, and a full backup is due. There is no way to take the mark away.
///
/// The mark is no lock. Of two programs that mark a bitmap at the same moment, both may succeed:
/// programs that may run at once need a lock of their own, from the load on.
///
/// @param fd      Open for reading and writing, not for appending (O_APPEND); not a pipe. Its
///                offset stays.
/// @param offset  Where the bitmap begins in the file.
/// @param errp    As for qdb_bitmap_load(): also of a bitmap that is marked already, by a program
///                that runs or died. What follows the header is not looked at.
/// @return        Whether the mark is on the disk.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn qdb_bitmap_mark_in_use(
    fd: c_int,
    offset: i64,
    errp: *mut *mut Error,
) -> bool {
    let marked = open(fd).map_err(LoadError::Io).and_then(|file| match u64::try_from(offset) {
        Ok(offset) => mark_in_use(&file, offset),
        Err(_) => Err(LoadError::Io(io::Error::from_raw_os_error(libc::EINVAL))),
    });
    let marked = marked.map_err(|error| {
        refused(c"qdb_bitmap_mark_in_use", b"could not mark the bitmap as in use", &error)
    });
    // SAFETY: `errp` is NULL or writable, by the rules for all C functions.
    unsafe { or_report(marked, errp) }.is_some()
}

/// Checks numbers that came from a file or a user, before qdb_node_new() and
/// bdrv_create_dirty_bitmap(), which aborts on bad ones.
///
/// @param size         Bytes of the disk.
/// @param granularity  Bytes that one bit stands for.
/// @param errp         "size N is negative", "granularity N is not a power of two from 512 to
///                     2147483648", "size N at granularity N is more than a bitmap can have", or "a
///                     bitmap of size N at granularity N needs N bytes of memory", which are not
///                     there now.
/// @return             Whether a node of this length can have a bitmap of this granularity.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn qdb_check_geometry(
    size: i64,
    granularity: u64,
    errp: *mut *mut Error,
) -> bool {
    let checked = match u64::try_from(size) {
        Ok(size) => geometry::check(size, granularity, geometry::DIRTY_BITMAP)
            .and_then(|()| geometry::check_memory(size, granularity.trailing_zeros()))
            .map_err(|error| error.to_string()),
        Err(_) => Err(format!("size {size} is negative")),
    };
    // SAFETY: `errp` is NULL or writable, by the rules for all C functions.
    unsafe { report_geometry(c"qdb_check_geometry", checked, errp) }
}

/// Checks numbers that came from a file or a user, before hbitmap_alloc(), which aborts on bad
/// ones.
///
/// @param size         Items.
/// @param granularity  log2 of the items that one bit stands for.
/// @param errp         "granularity N is not a number from 0 to 63", or as for
///                     qdb_check_geometry(), with the granularity in items.
/// @return             Whether there can be such a bitmap.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn qdb_check_hbitmap_geometry(
    size: u64,
    granularity: c_int,
    errp: *mut *mut Error,
) -> bool {
    let checked = match u32::try_from(granularity) {
        Ok(log2 @ 0..64) => geometry::check(size, 1 << log2, geometry::HBITMAP)
            .and_then(|()| geometry::check_memory(size, log2))
            .map_err(|error| error.to_string()),
        _ => Err(format!("granularity {granularity} is not a number from 0 to 63")),
    };
    // SAFETY: `errp` is NULL or writable, by the rules for all C functions.
    unsafe { report_geometry(c"qdb_check_hbitmap_geometry", checked, errp) }
}

/// Why a bitmap was not saved.
enum NotSaved {
    Refused(Failure),
    Io(io::Error),
}

impl From<io::Error> for NotSaved {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A file of the caller's, who keeps it.
fn open(fd: c_int) -> io::Result<ManuallyDrop<File>> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: the descriptor is not closed here. That the caller has it open during the call is a
    // rule of these functions; if not, the system says so, and no memory depends on it.
    Ok(ManuallyDrop::new(unsafe { File::from_raw_fd(fd) }))
}

/// A failure of the system, with its errno; of something else, with its text.
fn failed(function: &'static CStr, what: &[u8], error: &io::Error) -> Failure {
    match error.raw_os_error() {
        Some(errno) => Failure::new(function, &[what]).with_os_errno(errno),
        None => Failure::new(function, &[what, b": ", error.to_string().as_bytes()]),
    }
}

/// A failure of the system, or what is wrong with a stored bitmap.
fn refused(function: &'static CStr, what: &[u8], error: &LoadError) -> Failure {
    match error {
        LoadError::Io(error) => failed(function, what, error),
        error => Failure::new(function, &[error.to_string().as_bytes()]),
    }
}

/// # Safety
/// `errp` is NULL or points to a writable `Error *`.
unsafe fn report_geometry(
    function: &'static CStr,
    checked: Result<(), String>,
    errp: *mut *mut Error,
) -> bool {
    let checked = checked.map_err(|text| Failure::new(function, &[text.as_bytes()]));
    // SAFETY: as the caller promises.
    unsafe { or_report(checked, errp) }.is_some()
}
