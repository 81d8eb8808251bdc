// SPDX-License-Identifier: GPL-2.0-or-later
//! What a bitmap looks like from outside.

use crate::host::DirtyInfo;

/// The description of a bitmap: what QEMU shows as `BlockDirtyInfo`.
///
/// ```
/// use qemu_dirty_bitmap::Node;
///
/// let disk = Node::new(1 << 20)?;
/// let bitmap = disk.create_bitmap("backup", 4096)?;
/// disk.record_write(0..1)?;
/// let info = bitmap.info();
/// assert_eq!((info.name.as_deref(), info.count, info.recording), (Some("backup"), 4096, true));
/// assert_eq!(disk.query(), [info]);
/// # Ok::<(), qemu_dirty_bitmap::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BitmapInfo {
    /// The name, if any.
    pub name: Option<String>,
    /// Dirty bytes, in whole granularity units.
    pub count: u64,
    /// Bytes that one bit stands for.
    pub granularity: u64,
    /// Whether writes are recorded, in the bitmap or, while it is frozen, in its place.
    pub recording: bool,
    /// Whether an operation uses the bitmap.
    pub busy: bool,
    /// Whether the bitmap is one that outlives the program, also if the next store is to skip it.
    pub persistent: bool,
    /// Whether the bitmap was stored improperly.
    pub inconsistent: bool,
}

impl From<DirtyInfo> for BitmapInfo {
    fn from(info: DirtyInfo) -> Self {
        Self {
            name: info.name.map(|name| name.to_string_lossy().into_owned()),
            // The state machine's number is a C one; it is never negative.
            count: info.count as u64,
            granularity: info.granularity.into(),
            recording: info.recording,
            busy: info.busy,
            persistent: info.persistent,
            inconsistent: info.inconsistent,
        }
    }
}
