// SPDX-License-Identifier: GPL-2.0-or-later
//! Write traces, generated after what three kinds of guest do to a disk with a file system on it.
//!
//! The file system has block groups of 128 MiB, each with its inode table and bitmaps at its start,
//! and a journal in the middle, of 1 GiB if the disk is not small, that is written round and round.

use crate::random::Random;

/// Bytes of the disk.
pub const DISK: u64 = 1 << 40;
const GROUP: u64 = 128 << 20;
const JOURNAL_BYTES: u64 = 1 << 30;
const BLOCK: u64 = 4 << 10;

/// A write of some bytes at an offset.
pub type Write = (u64, u64);

/// A kind of guest.
#[derive(Clone, Copy, Debug)]
pub enum Workload {
    /// A mail spool or a package manager: many files of 1 KiB to 256 KiB.
    SmallFiles,
    /// A database: 8 KiB pages, most of them in a hot part, and a log.
    Database,
    /// Copying large files.
    Copy,
}

impl Workload {
    /// All of them.
    pub const ALL: [Workload; 3] = [Workload::SmallFiles, Workload::Database, Workload::Copy];

    /// The name in a row's id.
    pub fn id(self) -> &'static str {
        match self {
            Workload::SmallFiles => "files",
            Workload::Database => "database",
            Workload::Copy => "copy",
        }
    }

    /// The writes to a disk of 1 TiB, the same at each call, all inside the disk.
    pub fn writes(self) -> Vec<Write> {
        let mut disk = FileSystem::new(DISK);
        match self {
            Workload::SmallFiles => return small_files(DISK),
            Workload::Database => (0..250_000).for_each(|n| disk.transaction(n)),
            Workload::Copy => (0..200).for_each(|file| disk.large_file(file)),
        }
        disk.writes
    }
}

/// What [`Workload::SmallFiles`] writes to a disk of another size: as much, spread over all of it.
pub fn small_files(disk: u64) -> Vec<Write> {
    let mut disk = FileSystem::new(disk);
    (0..150_000).for_each(|_| disk.small_file());
    disk.writes
}

struct FileSystem {
    bytes: u64,
    random: Random,
    journal: u64,
    writes: Vec<Write>,
}

impl FileSystem {
    fn new(bytes: u64) -> FileSystem {
        FileSystem { bytes, random: Random::new(11), journal: 0, writes: Vec::new() }
    }

    fn commit(&mut self, blocks: u64) {
        let at = self.journal % (JOURNAL_BYTES.min(self.bytes / 4) - 64 * BLOCK);
        self.writes.push((self.bytes / 2 + at, blocks * BLOCK));
        self.journal += blocks * BLOCK;
    }

    /// The inode's block and the group's bitmaps.
    fn metadata(&mut self, group: u64) {
        let inode = self.random.below(512);
        self.writes.push((group * GROUP + (2 + inode) * BLOCK, BLOCK));
        self.writes.push((group * GROUP, 2 * BLOCK));
    }

    /// A group that new files go to: directories spread over the disk, files stay near their
    /// directory.
    fn group(&mut self) -> u64 {
        const DIRECTORIES: u64 = 400;
        let groups = self.bytes / GROUP;
        let directory = self.random.below(DIRECTORIES);
        (directory * (groups / DIRECTORIES).max(1) + self.random.below(3)) % groups
    }

    fn small_file(&mut self) {
        let group = self.group();
        let blocks = 1 + (1 << self.random.below(7)) - 1;
        let at = 1024 + self.random.below(GROUP / BLOCK - 1024 - blocks);
        self.writes.push((group * GROUP + at * BLOCK, blocks * BLOCK));
        self.metadata(group);
        if self.random.below(8) == 0 {
            self.commit(8);
        }
    }

    fn transaction(&mut self, number: u64) {
        const TABLES: u64 = 200 << 30;
        // Nine of ten pages from a twentieth of the tables.
        let part = if self.random.below(10) == 0 { TABLES } else { TABLES / 20 };
        let page = self.random.below(part >> 13) << 13;
        self.writes.push(((64 << 30) + page, 8 << 10));
        let log = (number * (8 << 10)) % (16 << 30);
        self.writes.push(((300 << 30) + log, 8 << 10));
        if number.is_multiple_of(50) {
            self.commit(2);
        }
    }

    fn large_file(&mut self, number: u64) {
        const FILE: u64 = 1 << 30;
        let start = (10 << 30) + number * (FILE + GROUP);
        for at in (0..FILE).step_by(1 << 20) {
            self.writes.push((start + at, 1 << 20));
            if at.is_multiple_of(32 << 20) {
                self.metadata(start / GROUP);
                self.commit(4);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_lie_inside_the_disk() {
        for workload in Workload::ALL {
            let writes = workload.writes();
            assert!(writes.len() > 100_000, "{workload:?}: {}", writes.len());
            assert!(
                writes.iter().all(|&(at, bytes)| bytes > 0 && at + bytes <= DISK),
                "{workload:?}"
            );
            assert_eq!(writes, workload.writes());
        }
        for (_, disk) in crate::disks::SIZES {
            assert!(small_files(disk).iter().all(|&(at, bytes)| at + bytes <= disk), "{disk}");
        }
    }
}
