// SPDX-License-Identifier: GPL-2.0-or-later
//! The mark of a stored bitmap whose disk is being changed.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::LoadError;
use super::header::{FIXED_LEN, with_mark};

/// Marks the bitmap that begins at `offset` of a file, and brings that to the disk.
pub(crate) fn mark_in_use(file: &File, offset: u64) -> Result<(), LoadError> {
    let mut header = [0; FIXED_LEN];
    file.read_exact_at(&mut header, offset)?;
    file.write_all_at(&with_mark(&header)?, offset)?;
    Ok(file.sync_data()?)
}
