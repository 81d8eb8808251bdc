// SPDX-License-Identifier: GPL-2.0-or-later
//! Saved results, and what says whether a row is good enough.

pub use crate::units::{duration, size, three_digits};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::api::Engine;
use crate::case::{Row, Table};
use crate::limits::Limits;

/// What was measured on.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name and the number of cores.
    pub cpu: String,
    /// The kernel's version.
    pub kernel: String,
    /// The compilers.
    pub rustc: String,
    /// The compiler of the C code.
    pub cc: String,
    /// The release that the C code is of.
    pub qemu: String,
    /// The day.
    pub date: String,
}

impl Machine {
    /// Asks the system; `QDB_QEMU_VERSION` names the release of the C code.
    pub fn ask() -> Machine {
        let first_line = |program: &str, argument: &str| {
            let output = Command::new(program).arg(argument).output().ok();
            let text = output
                .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
                .unwrap_or_default();
            text.lines().next().unwrap_or_default().to_string()
        };
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let field = |name| {
            cpuinfo.lines().find_map(|line: &str| line.strip_prefix(name)?.split(": ").nth(1))
        };
        // A hypervisor may give all processors of a maker one name.
        let [name, family, model] =
            ["model name", "cpu family", "model\t"].map(|name| field(name).unwrap_or("unknown"));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Machine {
            cpu: format!("{name} (family {family}, model {model}), {cores} cores"),
            kernel: first_line("uname", "-r"),
            rustc: first_line("rustc", "--version"),
            cc: first_line(&std::env::var("CC").unwrap_or_else(|_| "cc".into()), "--version"),
            qemu: std::env::var("QDB_QEMU_VERSION").unwrap_or_default(),
            date: first_line("date", "-I"),
        }
    }
}

/// A measured row: nanoseconds of one operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RowResult {
    /// As in `Row`.
    pub id: String,
    /// QEMU's C.
    pub qemu_ns: f64,
    /// This library.
    pub ours_ns: f64,
    /// The `roaring` crate, where it has the operation.
    pub roaring_ns: Option<f64>,
    /// vm-memory's `AtomicBitmap`, where it has the operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub atomic_ns: Option<f64>,
}

/// The file `rows.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rows {
    /// What it was measured on.
    pub machine: Machine,
    /// "criterion", or this package's own loop.
    pub method: String,
    /// What that can do at best.
    pub limits: Limits,
    /// By id.
    pub rows: BTreeMap<String, RowResult>,
}

/// How a row did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// At or above its target.
    Ok,
    /// Below its target.
    BelowTarget,
    /// Slower than QEMU's C.
    SlowerThanC,
    /// Slower than `roaring`.
    SlowerThanRoaring,
}

impl Verdict {
    /// A word for tables.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::BelowTarget => "below target",
            Verdict::SlowerThanC => "slower than C",
            Verdict::SlowerThanRoaring => "slower than roaring",
        }
    }
}

impl RowResult {
    /// How many times faster than C.
    pub fn ratio(&self) -> f64 {
        self.qemu_ns / self.ours_ns
    }

    /// Against a row's target. Rows outside the table of goals shall only not be slower, and 5 %
    /// are noise there, as they are against `roaring`, which does some operations at the speed of
    /// the memory.
    pub fn verdict(&self, row: &Row) -> Verdict {
        const NOISE: f64 = 0.95;
        let goal = row.table == Table::Goals;
        let tolerance = if goal { 1.0 } else { NOISE };
        // The goal of some rows is the floor, with the noise in it.
        let floor = if goal { row.target.min(1.0) } else { NOISE };
        if self.ratio() < floor {
            Verdict::SlowerThanC
        } else if self.ratio() < row.target * tolerance {
            Verdict::BelowTarget
        } else if self
            .roaring_ns
            .is_some_and(|roaring| goal && !row.roaring_differs && roaring < self.ours_ns * NOISE)
        {
            Verdict::SlowerThanRoaring
        } else {
            Verdict::Ok
        }
    }

    /// From times in the order of the engines; `None` unless both C and this library were measured.
    pub fn from_times(id: &str, engines: &[Engine], times: &[Option<f64>]) -> Option<RowResult> {
        let of = |name: &str| {
            engines.iter().position(|engine| engine.name() == name).and_then(|index| times[index])
        };
        Some(RowResult {
            id: id.into(),
            qemu_ns: of("qemu")?,
            ours_ns: of("ours")?,
            roaring_ns: of("roaring"),
            atomic_ns: of("AtomicBitmap"),
        })
    }
}

/// The geometric mean of ratios, 1 if there are none.
pub fn geometric_mean(ratios: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = ratios.fold((0.0, 0), |(sum, count), ratio| (sum + ratio.ln(), count + 1));
    if count == 0 { 1.0 } else { (sum / f64::from(count)).exp() }
}

/// Reads a file of results.
///
/// # Errors
/// If it is not there or not such a file.
pub fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// Writes a file of results.
///
/// # Errors
/// If it cannot be written.
pub fn write<T: Serialize>(path: &Path, results: &T) -> io::Result<()> {
    fs::write(path, serde_json::to_string_pretty(results)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::c_only;

    fn verdict(qemu_ns: f64, ours_ns: f64, roaring_ns: Option<f64>) -> Verdict {
        let row = Row::new("x", "x", 1, 5.0, c_only(|_| unreachable!("not run")));
        RowResult { id: "x".into(), qemu_ns, ours_ns, roaring_ns, atomic_ns: None }.verdict(&row)
    }

    #[test]
    fn verdicts() {
        assert_eq!(verdict(10.0, 2.0, Some(3.0)), Verdict::Ok);
        assert_eq!(verdict(10.0, 2.1, None), Verdict::BelowTarget);
        assert_eq!(verdict(10.0, 10.1, None), Verdict::SlowerThanC);
        assert_eq!(verdict(10.0, 2.0, Some(1.8)), Verdict::SlowerThanRoaring);
        let row = Row::new("x", "x", 1, 5.0, c_only(|_| unreachable!("not run"))).roaring_differs();
        let result = RowResult {
            id: "x".into(),
            qemu_ns: 10.0,
            ours_ns: 2.0,
            roaring_ns: Some(0.1),
            atomic_ns: None,
        };
        assert_eq!(result.verdict(&row), Verdict::Ok);
        let floor = Row::new("x", "x", 1, 0.95, c_only(|_| unreachable!("not run")));
        let with = |ours_ns| RowResult { ours_ns, roaring_ns: None, ..result.clone() };
        assert_eq!(with(10.5).verdict(&floor), Verdict::Ok);
        assert_eq!(with(10.6).verdict(&floor), Verdict::SlowerThanC);
    }

    #[test]
    fn numbers_for_readers() {
        assert_eq!(duration(0.5), "0.50 ns");
        assert_eq!(duration(1234.0), "1.23 µs");
        assert_eq!(duration(99_960_000.0), "100 ms");
        assert_eq!(size(1 << 50), "1 PiB");
        assert_eq!((size(4096), size(3 << 19)), ("4 KiB".into(), "1.50 MiB".into()));
        assert!((geometric_mean([2.0, 8.0].into_iter()) - 4.0).abs() < 1e-9);
    }
}
