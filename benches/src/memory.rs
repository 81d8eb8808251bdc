// SPDX-License-Identifier: GPL-2.0-or-later
//! Memory, measured in a process of its own for each case and implementation: resident bytes as the
//! kernel counts them, so that what an allocator keeps counts as well. Pages of files do not: the
//! kernel maps more of a program's code than it runs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::api::Api;
use crate::bits::{Bits, Hb, Maker};
use crate::disks::{BITS, DISK, GRANULARITY, SIZES};
use crate::pattern::{Density, bytes};
use crate::random::Random;
use crate::trace::{self, Workload};

const TIB: u64 = 1 << 40;

/// A case: some bitmaps, filled.
pub struct MemoryCase {
    /// Stable.
    pub id: &'static str,
    /// For a reader.
    pub what: &'static str,
    /// Bytes that this library may hold at most, where that is a goal.
    pub target: Option<u64>,
    prepare: fn(&'static Api) -> Fill,
}

/// Makes the bitmaps and fills them. What that needs is made before and lives as long, so that it
/// is not counted.
type Fill = Box<dyn FnMut() -> Vec<Hb>>;

/// A content of the bitmaps by size.
pub struct Content {
    /// Stable.
    pub id: &'static str,
    /// For a reader.
    pub what: &'static str,
    prepare: fn(&'static Api, u64) -> Fill,
}

/// What a bitmap of a disk of one size holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SizeResult {
    /// As in `Content`.
    pub content: String,
    /// Bytes of the disk.
    pub disk: u64,
    /// QEMU's C.
    pub qemu: u64,
    /// This library.
    pub ours: u64,
}

/// Resident bytes more than before.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Usage {
    /// The most while the bitmaps were made and filled.
    pub peak: u64,
    /// Once they were filled.
    pub held: u64,
    /// The most up to the end of clearing them.
    pub clear_peak: u64,
    /// Once they were cleared.
    pub cleared: u64,
}

/// A case's result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MemoryResult {
    /// As in `MemoryCase`.
    pub id: String,
    /// As in `MemoryCase`.
    pub what: String,
    /// As in `MemoryCase`.
    pub target: Option<u64>,
    /// QEMU's C.
    pub qemu: Usage,
    /// This library.
    pub ours: Usage,
}

fn random_writes(bitmap: &mut Hb, size: u64, writes: u64) {
    let mut random = Random::new(3);
    (0..writes).for_each(|_| bitmap.set(random.below(size >> 16) << 16, 1 << 12));
}

/// All cases.
pub fn cases() -> Vec<MemoryCase> {
    let case = |id, what, target, prepare| MemoryCase { id, what, target, prepare };
    vec![
        case("full-256t", "256 TiB, all set", Some(8 << 20), |api| {
            Box::new(|| {
                let mut bitmap = api.make(256 * TIB, GRANULARITY);
                bitmap.set(0, 256 * TIB);
                vec![bitmap]
            })
        }),
        // The goal is 7.8 MiB, what C takes.
        case("sparse-1p", "1 PiB, 1,000 sets", Some(78 * (1 << 20) / 10), |api| {
            Box::new(|| {
                let mut bitmap = api.make(1024 * TIB, GRANULARITY);
                random_writes(&mut bitmap, 1024 * TIB, 1000);
                vec![bitmap]
            })
        }),
        case("random-16t", "16 TiB, 40 % set at random", None, |api| {
            let content = bytes(BITS, Density::Percent40, 1);
            Box::new(move || {
                let mut bitmap = api.make(DISK, GRANULARITY);
                bitmap.load(&content);
                vec![bitmap]
            })
        }),
        case("writes-1t", "1 TiB, 100,000 random writes", None, |api| {
            Box::new(|| {
                let mut bitmap = api.make(TIB, GRANULARITY);
                random_writes(&mut bitmap, TIB, 100_000);
                vec![bitmap]
            })
        }),
        case("files-1t", "1 TiB, a guest that writes many files", None, |api| {
            let writes = Workload::SmallFiles.writes();
            Box::new(move || {
                let mut bitmap = api.make(trace::DISK, GRANULARITY);
                writes.iter().for_each(|&(at, bytes)| bitmap.set(at, bytes));
                vec![bitmap]
            })
        }),
        case("small-empty", "1,000 bitmaps of 1 GiB, empty", None, |api| {
            Box::new(|| (0..1000).map(|_| api.make(1 << 30, GRANULARITY)).collect())
        }),
        case("small-used", "1,000 bitmaps of 1 GiB, 1,000 writes in each", None, |api| {
            Box::new(|| {
                (0..1000)
                    .map(|_| {
                        let mut bitmap = api.make(1 << 30, GRANULARITY);
                        random_writes(&mut bitmap, 1 << 30, 1000);
                        bitmap
                    })
                    .collect()
            })
        }),
    ]
}

/// All contents of the series by size.
pub fn contents() -> [Content; 3] {
    [
        Content {
            id: "all",
            what: "All blocks are dirty",
            prepare: |api, disk| {
                Box::new(move || {
                    let mut bitmap = api.make(disk, GRANULARITY);
                    bitmap.set(0, disk);
                    vec![bitmap]
                })
            },
        },
        Content {
            id: "random",
            what: "1 % of the blocks, at random",
            prepare: |api, disk| {
                // One part again and again: a serialised bitmap of the largest disk has 2 GiB.
                let part = disk.min(TIB);
                let content = bytes(part >> GRANULARITY, Density::Percent1, 1);
                Box::new(move || {
                    let mut bitmap = api.make(disk, GRANULARITY);
                    (0..disk).step_by(part as usize).for_each(|at| {
                        bitmap.load_part(&content, at, part);
                    });
                    bitmap.finish();
                    vec![bitmap]
                })
            },
        },
        Content {
            id: "files",
            what: "A guest that writes 150,000 files",
            prepare: |api, disk| {
                let writes = trace::small_files(disk);
                Box::new(move || {
                    let mut bitmap = api.make(disk, GRANULARITY);
                    writes.iter().for_each(|&(at, bytes)| bitmap.set(at, bytes));
                    vec![bitmap]
                })
            },
        },
    ]
}

/// Measures in this process, which should have done nothing else.
///
/// # Errors
/// If /proc cannot be read, or there is no such case.
pub fn measure(id: &str, api: &'static Api) -> io::Result<Usage> {
    let mut fill = fill_of(id, api).ok_or_else(|| io::Error::other(format!("no case {id}")))?;
    // The code itself is loaded before anything is counted.
    let mut small = api.make(1 << 30, GRANULARITY);
    random_writes(&mut small, 1 << 30, 1000);
    small.set(0, 1 << 30);
    small.clear();
    drop(small);
    // SAFETY: gives free memory back to the kernel; valid at any time.
    unsafe { libc::malloc_trim(0) };
    reset_peak()?;
    let before = resident()?;
    let mut bitmaps = fill();
    let peak = peak()?.saturating_sub(before);
    let held = resident()?.saturating_sub(before);
    reset_peak()?;
    bitmaps.iter_mut().for_each(Hb::clear);
    let clear_peak = self::peak()?.saturating_sub(before);
    let cleared = resident()?.saturating_sub(before);
    Ok(Usage { peak: peak.max(held), held, clear_peak: clear_peak.max(cleared), cleared })
}

/// A case by its id, a content by `ID@BYTES`.
fn fill_of(id: &str, api: &'static Api) -> Option<Fill> {
    if let Some((id, disk)) = id.split_once('@') {
        let content = contents().into_iter().find(|content| content.id == id)?;
        return Some((content.prepare)(api, disk.parse().ok()?));
    }
    let case = cases().into_iter().find(|case| case.id == id)?;
    Some((case.prepare)(api))
}

/// The two implementations, each measured in child processes that run a program's `memory-child`
/// command.
pub struct Children {
    /// That program.
    pub program: PathBuf,
    /// QEMU's C.
    pub oracle: PathBuf,
    /// This library.
    pub library: PathBuf,
}

impl Children {
    /// What C and this library use in a case.
    fn usage(&self, id: &str) -> io::Result<[Usage; 2]> {
        let of = |path: &Path| -> io::Result<Usage> {
            let output =
                Command::new(&self.program).arg("memory-child").arg(path).arg(id).output()?;
            if !output.status.success() {
                return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
            }
            Ok(serde_json::from_slice(&output.stdout)?)
        };
        Ok([of(&self.oracle)?, of(&self.library)?])
    }

    /// Measures all cases.
    ///
    /// # Errors
    /// If a child fails.
    pub fn cases(&self) -> io::Result<Vec<MemoryResult>> {
        let result = |case: MemoryCase| {
            let [qemu, ours] = self.usage(case.id)?;
            let (id, what) = (case.id.into(), case.what.into());
            Ok(MemoryResult { id, what, target: case.target, qemu, ours })
        };
        cases().into_iter().map(result).collect()
    }

    /// Measures all contents at all sizes.
    ///
    /// # Errors
    /// If a child fails.
    pub fn sizes(&self) -> io::Result<Vec<SizeResult>> {
        let mut results = Vec::new();
        for content in contents() {
            for (_, disk) in SIZES {
                let [qemu, ours] = self.usage(&format!("{}@{disk}", content.id))?.map(|u| u.held);
                results.push(SizeResult { content: content.id.into(), disk, qemu, ours });
            }
        }
        Ok(results)
    }
}

/// A field in kilobytes of one of /proc/self's files, in bytes.
fn field(file: &str, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/self/{file}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes
        .map(|number| number << 10)
        .ok_or_else(|| io::Error::other(format!("no {name} in {file}")))
}

/// Exact, from the page tables.
fn resident() -> io::Result<u64> {
    field("smaps_rollup", "Anonymous:")
}

fn peak() -> io::Result<u64> {
    let file = field("smaps_rollup", "Rss:")? - resident()?;
    Ok(field("status", "VmHWM:")?.saturating_sub(file))
}

fn reset_peak() -> io::Result<()> {
    fs::write("/proc/self/clear_refs", "5")
}
