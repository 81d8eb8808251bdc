// SPDX-License-Identifier: GPL-2.0-or-later
//! The mark of a stored bitmap whose disk is being changed.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;

use super::LoadError;
use super::header::{FIXED_LEN, with_mark};

/// Marks the bitmap that begins at `offset` of a file, and brings that to the disk.
pub(crate) fn mark_in_use(file: &File, offset: u64) -> Result<(), LoadError> {
    let mut header = [0; FIXED_LEN];
    file.read_exact_at(&mut header, offset)?;
    let marked = with_mark(&header)?;
    // Linux writes to the end of such a file, whatever the offset: there is no mark then.
    if appends(file)? {
        return Err(io::Error::from_raw_os_error(libc::EINVAL).into());
    }
    file.write_all_at(&marked, offset)?;
    Ok(file.sync_data()?)
}

/// Whether a file was opened for appending.
fn appends(file: &File) -> io::Result<bool> {
    // SAFETY: the call reads the flags of a descriptor, and no memory.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) } {
        -1 => Err(io::Error::last_os_error()),
        flags => Ok(flags & libc::O_APPEND != 0),
    }
}
