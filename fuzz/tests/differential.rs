// SPDX-License-Identifier: GPL-2.0-or-later
//! The fuzz targets' sequences on stable Rust without a fuzzer: from seeds, and from the files in corpus/. What fails is made smaller
//! and printed as C calls.
//!
//! QDB_ORACLE         QEMU's C (oracle/build); without it, it is built now, or the test fails
//! QDB_LIBRARY        a shared object of this library to test in place of the functions compiled in
//! QDB_FUZZ_SECONDS   how long each test draws sequences (default: 5)
//! QDB_FUZZ_SEED      the first seed (default: 1)

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qemu_dirty_bitmap_fuzz::api::Api;
use qemu_dirty_bitmap_fuzz::child::{self, End};
use qemu_dirty_bitmap_fuzz::op::{sequence, Op, Subject};
use qemu_dirty_bitmap_fuzz::session::{run, Setup, Tally};
use qemu_dirty_bitmap_fuzz::{hostile, oracle, random};

/// Sequences that one child runs.
const BATCH: u64 = 64;

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is not a number")))
}

fn ours() -> &'static Api {
    match env::var_os("QDB_LIBRARY").filter(|value| !value.is_empty()) {
        None => oracle::ours(),
        Some(path) => {
            let api = Api::load(Path::new(&path)).unwrap_or_else(|message| panic!("QDB_LIBRARY: {message}"));
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
    (first..first + BATCH).for_each(|seed| tally += run(setup, &ops(seed)));
    assert!(tally.calls > 10 * BATCH && tally.aborts > 0, "{name}: {tally:?}");
    println!("{name}: {} sequences; the first {BATCH} made {tally:?}", seed - first);
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
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = files.map(|file| file.expect("a folder that can be read").path());
    paths.map(|path| (path.clone(), fs::read(&path).expect("a file that can be read"))).collect()
}

#[test]
fn what_fuzzers_found() {
    let setup = both();
    let mut files = 0;
    for (target, fixed) in [
        ("hbitmap_ops", Some(Subject::HBitmaps)),
        ("dirty_bitmap_ops", Some(Subject::DirtyBitmaps)),
        ("differential", None),
    ] {
        for (path, bytes) in corpus(target) {
            let (subject, bytes) = match (fixed, bytes.split_first()) {
                (Some(subject), _) => (subject, &bytes[..]),
                (None, Some((first, rest))) if first % 2 == 0 => (Subject::HBitmaps, rest),
                (None, Some((_, rest))) => (Subject::DirtyBitmaps, rest),
                (None, None) => continue,
            };
            // Alone too: larger bitmaps are possible then.
            for setup in [setup, Setup { qemu: None, ..setup }] {
                let ops = sequence(subject, bytes);
                if let Some(message) = failure(setup, &ops) {
                    fail(setup, &path.display().to_string(), ops, message);
                }
            }
            files += 1;
        }
    }
    for (_, bytes) in corpus("deserialize") {
        hostile::run(setup.ours, &bytes);
        files += 1;
    }
    assert!(files > 0, "there is no corpus");
}
