// SPDX-License-Identifier: GPL-2.0-or-later
//! The fuzz targets' sequences on stable Rust without a fuzzer: from seeds, and from the files in
//! corpus/. What fails is made smaller and printed as C calls.
//!
//! QDB_ORACLE         QEMU's C (oracle/build); without it, it is built now, or the test fails
//! QDB_LIBRARY        a shared object of this library to test in place of the functions compiled in
//! QDB_FUZZ_SECONDS   how long each test draws sequences (default: 5)
//! QDB_FUZZ_SEED      the first seed (default: 1)

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qemu_dirty_bitmap_fuzz::api::Api;
use qemu_dirty_bitmap_fuzz::child::{self, End};
use qemu_dirty_bitmap_fuzz::op::{Op, Subject, sequence, sequence_on_either};
use qemu_dirty_bitmap_fuzz::session::{Setup, Tally, run};
use qemu_dirty_bitmap_fuzz::{hostile, oracle, random};

/// Sequences that one child runs.
const BATCH: u64 = 64;

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| {
        value.parse().unwrap_or_else(|_| panic!("{name}={value} is not a number"))
    })
}

fn ours() -> &'static Api {
    match env::var_os("QDB_LIBRARY").filter(|value| !value.is_empty()) {
        // A table of its own for each test: they run at the same time, and count calls.
        None => Box::leak(Box::new(Api::ours())),
        Some(path) => {
            let api = Api::load(Path::new(&path))
                .unwrap_or_else(|message| panic!("QDB_LIBRARY: {message}"));
            assert_ne!(api.version(), "qemu", "QDB_LIBRARY is QEMU's code");
            Box::leak(Box::new(api))
        }
    }
}

/// With QEMU's C.
fn both() -> Setup {
    Setup { ours: ours(), qemu: Some(oracle::qemu()), abort_every: 4 }
}

/// A sequence's end: `None` if all is well.
fn failure(setup: Setup, ops: &[Op]) -> Option<String> {
    let report = child::run(|| {
        run(setup, ops);
    });
    (report.end != End::Returned).then(|| format!("{:?}\n{}", report.end, report.stderr))
}

/// Leaves out what is not needed for a failure, and fails with what remains.
fn fail(setup: Setup, name: &str, ops: Vec<Op>, first: String) -> ! {
    let (mut ops, mut message) = (ops, first);
    let mut length = ops.len();
    while length > 0 {
        let mut at = 0;
        while at < ops.len() {
            let mut fewer = ops.clone();
            fewer.drain(at..(at + length).min(ops.len()));
            match failure(setup, &fewer) {
                Some(shorter) => (ops, message) = (fewer, shorter),
                None => at += length,
            }
        }
        length /= 2;
    }
    panic!("{name}, made smaller:\n{message}\nfrom {ops:#?}")
}

/// The C functions that were called.
fn reached(api: &Api) -> BTreeSet<&'static str> {
    api.calls().into_iter().filter(|&(_, calls)| calls != 0).map(|(name, _)| name).collect()
}

/// Checks that sequences on a subject called each function that they should: with nodes all, else
/// all that need none.
fn all_reached(what: &str, subject: Subject, reached: &BTreeSet<&str>) {
    let wanted = |name: &&str| match subject {
        Subject::HBitmaps => name.starts_with("hbitmap_"),
        // This one says whose functions they are; sequences do not ask.
        Subject::DirtyBitmaps => *name != "qdb_version",
    };
    let all = oracle::ours().calls().into_iter().map(|(name, _)| name).filter(wanted);
    let never: Vec<&str> = all.filter(|name| !reached.contains(name)).collect();
    assert!(never.is_empty(), "{what}: never called: {never:?}");
}

/// Draws sequences for the time that is given. Returns how many.
fn draw(name: &str, setup: Setup, subject: Subject) {
    let end = Instant::now() + Duration::from_secs(number("QDB_FUZZ_SECONDS", 5));
    let first = number("QDB_FUZZ_SEED", 1);
    let ops = |seed: u64| sequence(subject, &random::bytes(seed, 40 + (seed % 5 * 300) as usize));
    let mut seed = first;
    while Instant::now() < end {
        let batch = seed..seed + BATCH;
        let report = child::run(|| {
            let mut tally = Tally::default();
            batch.clone().for_each(|seed| tally += run(setup, &ops(seed)));
        });
        if report.end != End::Returned {
            for seed in batch.clone() {
                if let Some(message) = failure(setup, &ops(seed)) {
                    fail(setup, &format!("{name}, seed {seed}"), ops(seed), message);
                }
            }
            panic!("{name}: the seeds {batch:?} fail together but not alone: {report:?}");
        }
        seed = batch.end;
    }
    // Sequences that do nothing would prove nothing.
    let mut tally = Tally::default();
    (first..first + 4 * BATCH).for_each(|seed| tally += run(setup, &ops(seed)));
    assert!(tally.calls > 10 * BATCH && tally.aborts > 0, "{name}: {tally:?}");
    for api in [Some(setup.ours), setup.qemu].into_iter().flatten() {
        all_reached(&format!("{name}, {}", api.version()), subject, &reached(api));
    }
    println!("{name}: {} sequences; the first {} made {tally:?}", seed - first, 4 * BATCH);
}

#[test]
fn hbitmaps_beside_qemu() {
    draw("HBitmaps", both(), Subject::HBitmaps);
}

#[test]
fn dirty_bitmaps_beside_qemu() {
    draw("dirty bitmaps", both(), Subject::DirtyBitmaps);
}

#[test]
fn large_hbitmaps_beside_the_model() {
    draw("large HBitmaps", Setup { qemu: None, ..both() }, Subject::HBitmaps);
}

#[test]
fn hostile_bytes() {
    let end = Instant::now() + Duration::from_secs(number("QDB_FUZZ_SECONDS", 5));
    let (mut seed, ours) = (number("QDB_FUZZ_SEED", 1), ours());
    while Instant::now() < end {
        hostile::run(ours, &random::bytes(seed, 6 + (seed % 4 * 700) as usize));
        seed += 1;
    }
}

/// The inputs that are kept for a fuzz target.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let files =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = files.map(|file| file.expect("a folder that can be read").path());
    paths.map(|path| (path.clone(), fs::read(&path).expect("a file that can be read"))).collect()
}

/// Entries of docs/differences.md that decide what a call does (0: "Return types").
const DECIDING: [u8; 8] = [0, 1, 2, 4, 15, 16, 18, 20];

/// What the sequences of a fuzz target's corpus reached.
#[derive(Default)]
struct Reached {
    functions: BTreeSet<String>,
    entries: BTreeSet<String>,
}

impl Reached {
    /// Runs a sequence in a child, which tells on stderr what it reached.
    fn run(&mut self, setup: Setup, path: &Path, ops: &[Op]) {
        let report = child::run(|| {
            let tally = run(setup, ops);
            let entries = (0..).zip(tally.entries).filter(|&(_, times)| times != 0);
            let told = reached(setup.ours).into_iter().map(|name| format!("function {name}\n"));
            let told: String =
                told.chain(entries.map(|(entry, _): (u8, _)| format!("entry {entry}\n"))).collect();
            std::io::stderr().write_all(told.as_bytes()).expect("somebody listens");
        });
        if report.end != End::Returned {
            fail(
                setup,
                &path.display().to_string(),
                ops.to_vec(),
                format!("{:?}\n{}", report.end, report.stderr),
            );
        }
        for line in report.stderr.lines() {
            match line.split_once(' ') {
                Some(("function", name)) => self.functions.insert(name.into()),
                Some(("entry", entry)) => self.entries.insert(entry.into()),
                _ => continue,
            };
        }
    }

    /// Checks that the corpus is worth its name.
    fn check(&self, target: &str, subject: Subject, entries: &[u8]) {
        all_reached(target, subject, &self.functions.iter().map(String::as_str).collect());
        let never: Vec<&u8> =
            entries.iter().filter(|entry| !self.entries.contains(&entry.to_string())).collect();
        assert!(
            never.is_empty(),
            "{target}: entries of docs/differences.md that were never met: {never:?}"
        );
    }
}

/// Runs a corpus, in which every function must be called, and every listed difference met that can
/// decide a call. Without a subject the inputs choose theirs.
fn corpus_of_sequences(target: &str, subject: Option<Subject>, entries: &[u8]) {
    let setup = both();
    let mut all = Reached::default();
    for (path, bytes) in corpus(target) {
        let ops =
            subject.map_or_else(|| sequence_on_either(&bytes), |subject| sequence(subject, &bytes));
        all.run(setup, &path, &ops);
        // Alone too: larger bitmaps are possible then.
        all.run(Setup { qemu: None, ..setup }, &path, &ops);
    }
    all.check(target, subject.unwrap_or(Subject::DirtyBitmaps), entries);
}

#[test]
fn corpus_hbitmap_ops() {
    corpus_of_sequences("hbitmap_ops", Some(Subject::HBitmaps), &[0, 1, 2, 15, 20]);
}

#[test]
fn corpus_dirty_bitmap_ops() {
    corpus_of_sequences("dirty_bitmap_ops", Some(Subject::DirtyBitmaps), &DECIDING);
}

#[test]
fn corpus_differential() {
    corpus_of_sequences("differential", None, &DECIDING);
}

#[test]
fn corpus_deserialize() {
    let files = corpus("deserialize");
    assert!(!files.is_empty(), "there is no corpus");
    let ours = ours();
    files.iter().for_each(|(_, bytes)| hostile::run(ours, bytes));
}
