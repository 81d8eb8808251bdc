// SPDX-License-Identifier: GPL-2.0-or-later
//! C calls with all their arguments, and what they return, in a form that can be compared between
//! implementations: objects are slots in the caller's tables.

/// An index in the table of HBitmaps, nodes, dirty bitmaps or iterators.
pub type Slot = usize;

/// Slots for HBitmaps.
pub const HBS: usize = 4;
/// Nodes.
pub const NODES: usize = 2;
/// Slots for dirty bitmaps.
pub const BITMAPS: usize = 6;
/// Slots for iterators of each kind.
pub const ITERS: usize = 3;

/// An HBitmap, or the content of a dirty bitmap: the functions for both are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// An HBitmap: `hbitmap_…`.
    Hb(Slot),
    /// A dirty bitmap: `bdrv_dirty_bitmap_…`.
    Bm(Slot),
}

/// How a function that has a `…_locked` variant is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// The plain function, which takes the lock.
    Inside,
    /// `bdrv_dirty_bitmap_lock`, the `…_locked` function, `bdrv_dirty_bitmap_unlock`.
    Around,
}

/// Something to read of a dirty bitmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, arbitrary::Arbitrary)]
#[allow(missing_docs)]
pub enum Property {
    Size,
    Name,
    HasSuccessor,
    Enabled,
    Readonly,
    Persistence,
    Inconsistent,
}

/// Something to change about a dirty bitmap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, arbitrary::Arbitrary)]
#[allow(missing_docs)]
pub enum Change {
    Busy(bool),
    Enable,
    EnableLocked,
    Disable,
    Readonly(bool),
    Persistence(bool),
    SkipStore(bool),
    SetInconsistent,
}

/// A C call. Numbers are the arguments as C has them; signed ones are stored as the `u64` of the
/// same bits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Call {
    // HBitmaps and contents
    Set {
        target: Target,
        start: u64,
        count: u64,
        lock: Lock,
    },
    Reset {
        target: Target,
        start: u64,
        count: u64,
        lock: Lock,
    },
    /// So many sets of one item, or resets of `unit` items (one bit, or the gap between two),
    /// `step` items apart: a chunk goes from few bits to many and back.
    Comb {
        target: Target,
        start: u64,
        step: u64,
        times: u64,
        unit: u64,
        dirty: bool,
    },
    Get {
        target: Target,
        item: u64,
        lock: Lock,
    },
    Count {
        target: Target,
    },
    Granularity {
        target: Target,
    },
    Sha256 {
        target: Target,
    },
    NextDirty {
        target: Target,
        start: i64,
        count: i64,
    },
    NextZero {
        target: Target,
        start: i64,
        count: i64,
    },
    NextDirtyArea {
        target: Target,
        start: i64,
        end: i64,
        max: i64,
    },
    Status {
        target: Target,
        start: i64,
        count: i64,
    },
    SerializationAlign {
        target: Target,
    },
    SerializationSize {
        target: Target,
        start: u64,
        count: u64,
    },
    SerializePart {
        target: Target,
        start: u64,
        count: u64,
        length: usize,
    },
    /// `tail`: the valid bits of the last word, if the part has the bitmap's last word.
    DeserializePart {
        target: Target,
        start: u64,
        count: u64,
        bytes: Vec<u8>,
        tail: Option<u64>,
        finish: bool,
    },
    DeserializeZeroes {
        target: Target,
        start: u64,
        count: u64,
        finish: bool,
    },
    /// `length`: the bytes that the part would take. `tail` as in `DeserializePart`.
    DeserializeOnes {
        target: Target,
        start: u64,
        count: u64,
        length: usize,
        tail: Option<u64>,
        finish: bool,
    },
    DeserializeFinish {
        target: Target,
    },

    // HBitmaps alone
    Alloc {
        slot: Slot,
        size: u64,
        granularity: i32,
    },
    Free {
        slot: Slot,
    },
    Truncate {
        slot: Slot,
        size: u64,
    },
    MergeHb {
        a: Slot,
        b: Slot,
        result: Slot,
    },
    Empty {
        slot: Slot,
    },
    ResetAll {
        slot: Slot,
    },
    IsSerializable {
        slot: Slot,
    },
    IterInit {
        iter: Slot,
        slot: Slot,
        first: u64,
    },
    IterNext {
        iter: Slot,
    },

    // nodes
    SetLength {
        node: Slot,
        length: i64,
    },
    SetDriver {
        node: Slot,
        driver: u8,
    },
    SupportsPersistent {
        node: Slot,
    },
    CanStore {
        node: Slot,
        name: Vec<u8>,
        granularity: u32,
        coroutine: bool,
        errp: bool,
    },
    RemovePersistent {
        node: Slot,
        name: Vec<u8>,
        coroutine: bool,
        errp: bool,
    },
    DefaultGranularity {
        node: Slot,
    },
    Write {
        node: Slot,
        offset: i64,
        bytes: i64,
    },
    TruncateAll {
        node: Slot,
        bytes: i64,
    },
    ReleaseNamed {
        node: Slot,
    },
    HasReadonly {
        node: Slot,
    },
    HasNamed {
        node: Slot,
    },
    Query {
        node: Slot,
    },
    Find {
        node: Slot,
        name: Vec<u8>,
    },
    First {
        node: Slot,
    },
    Next {
        bitmap: Slot,
    },

    // dirty bitmaps
    Create {
        slot: Slot,
        node: Slot,
        granularity: u32,
        name: Option<Vec<u8>>,
        errp: bool,
    },
    Release {
        bitmap: Slot,
    },
    Property {
        bitmap: Slot,
        property: Property,
    },
    Change {
        bitmap: Slot,
        change: Change,
    },
    Check {
        bitmap: Slot,
        flags: u32,
        errp: bool,
    },
    CreateSuccessor {
        bitmap: Slot,
        slot: Slot,
        errp: bool,
    },
    EnableSuccessor {
        bitmap: Slot,
    },
    Abdicate {
        bitmap: Slot,
        errp: bool,
    },
    Reclaim {
        bitmap: Slot,
        lock: Lock,
        errp: bool,
    },
    Clear {
        bitmap: Slot,
        out: Option<Slot>,
    },
    Restore {
        bitmap: Slot,
        backup: Slot,
    },
    Coverage {
        bitmap: Slot,
        chunk: i32,
    },
    Merge {
        dest: Slot,
        src: Slot,
        backup: Option<Slot>,
        errp: bool,
    },
    MergeInternal {
        dest: Slot,
        src: Slot,
        backup: Option<Slot>,
        lock: bool,
    },
    DirtyIterNew {
        iter: Slot,
        bitmap: Slot,
    },
    DirtyIterFree {
        iter: Slot,
    },
    DirtyIterNext {
        iter: Slot,
    },
    DirtyIterSeek {
        iter: Slot,
        offset: i64,
    },
}

/// A description from `bdrv_query_dirty_bitmaps`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Info {
    pub name: Option<Vec<u8>>,
    pub count: i64,
    pub granularity: u32,
    pub recording: bool,
    pub busy: bool,
    pub persistent: bool,
    pub has_inconsistent: bool,
    pub inconsistent: bool,
}

/// What a call that takes `errp` left there: message and hint.
pub type Report = Option<(Vec<u8>, Option<Vec<u8>>)>;

/// What a call gave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Outcome {
    Nothing,
    Bool(bool),
    U64(u64),
    I64(i64),
    Area(Option<(i64, i64)>),
    Status(bool, i64),
    Bytes(Option<Vec<u8>>),
    Object(Option<Slot>),
    Infos(Vec<Info>),
    /// A result and the error, if `errp` was given.
    Reported(i64, Report),
}

/// What a call must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All implementations return this.
    Returns(Outcome),
    /// An iterator's next item, which the model judges: implementations may differ while a bitmap
    /// changes.
    Iterates(IterKind),
    /// All implementations abort.
    Aborts,
    /// QEMU's C is undefined or wrong here (the entry of docs/differences.md); this library returns
    /// the outcome. The target's content is given to the oracle afterwards.
    OursReturns {
        /// What this library returns.
        outcome: Outcome,
        /// The entry in docs/differences.md.
        entry: u8,
        /// What to copy to the oracle.
        repair: Option<Slot>,
    },
    /// QEMU's C is undefined here; this library aborts.
    OursAborts(u8),
    /// QEMU's C aborts; this library returns the outcome.
    OracleAborts(Outcome, u8),
    /// Not a call that anybody may make, or too large for one of the implementations.
    Skip,
}

/// Which iterator a `Verdict::Iterates` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IterKind {
    /// An `HBitmapIter`.
    Hb(Slot),
    /// A `BdrvDirtyBitmapIter`.
    Dirty(Slot),
}
