// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs `examples/block_backend.rs`: guests on several queues, and backups beside them.

#[path = "../examples/block_backend.rs"]
#[allow(dead_code)] // Its main().
mod block_backend;

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use block_backend::{Backend, Request, run, verify};

/// Not a multiple of the granularity.
const SIZE: u64 = 40 * 65536 + 1000;

fn new_path() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("block-backend-test-{}-{number}", std::process::id()))
}

/// A file without a name, full of zeroes.
fn file() -> File {
    let path = new_path();
    let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file.set_len(SIZE).unwrap();
    file
}

#[test]
fn no_write_is_lost_beside_backups() {
    // On a busy machine all guests may do all their work between two backups. Then the last backup
    // alone copies everything, which would be right without any care, and the run does not count.
    let mut runs_that_count = 0;
    for _ in 0..100 {
        let (backend, target) = (Backend::new(file()).unwrap(), file());
        let (backups, copied) = run(&backend, &target, 400).unwrap();
        verify(&backend, &target).unwrap();
        assert_eq!(backend.bitmap().unwrap().count(), 0);
        runs_that_count += u32::from(backups > 2 && copied > SIZE);
        if runs_that_count == 5 {
            return;
        }
    }
    panic!("backups copied something beside guests in {runs_that_count} runs of 100");
}

#[test]
fn each_kind_of_request_is_recorded_or_not() {
    let backend = Backend::new(file()).unwrap();
    let dirty = || {
        let areas = backend.bitmap().unwrap().areas(0..SIZE);
        areas.map(|area| (area.start, area.end)).collect::<Vec<_>>()
    };
    backend.serve(1, |queues| {
        let call = |request| queues[0].call(request);
        assert_eq!(call(Request::Read(5..9)).unwrap(), [0; 4]);
        call(Request::Flush).unwrap();
        assert_eq!(dirty(), []);
        call(Request::Write(65535, b"ab".to_vec())).unwrap();
        assert_eq!(dirty(), [(0, 2 * 65536)]);
        assert_eq!(call(Request::Read(65535..65538)).unwrap(), b"ab\0");
        call(Request::Discard(65535..65536)).unwrap();
        call(Request::WriteZeroes(SIZE - 1..SIZE)).unwrap();
        assert_eq!(dirty(), [(0, 2 * 65536), (40 * 65536, SIZE)]);
        assert_eq!(call(Request::Read(65535..65538)).unwrap(), b"\0b\0");
    });
}

#[test]
fn a_request_out_of_range_changes_nothing() {
    let backend = Backend::new(file()).unwrap();
    backend.serve(2, |queues| {
        for request in [
            Request::Read(SIZE - 1..SIZE + 1),
            #[allow(clippy::reversed_empty_ranges)]
            Request::Read(9..5),
            Request::Write(SIZE - 1, vec![1; 2]),
            Request::Write(u64::MAX, vec![1]),
            Request::Discard(0..u64::MAX),
            Request::WriteZeroes(SIZE..SIZE + 1),
        ] {
            let error = queues[1].call(request).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
        }
    });
    assert_eq!(backend.bitmap().unwrap().count(), 0);
    verify(&backend, &file()).unwrap();
}

#[test]
fn a_backup_that_fails_leaves_all_to_the_next() {
    let (backend, target) = (Backend::new(file()).unwrap(), file());
    let path = new_path();
    std::fs::write(&path, []).unwrap();
    let readonly = File::open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    backend.serve(1, |queues| queues[0].call(Request::Write(7, vec![1; 1000]))).unwrap();
    backend.incremental_backup(&readonly).unwrap_err();
    assert!(!backend.bitmap().unwrap().is_busy());
    assert_eq!(backend.incremental_backup(&target).unwrap(), 65536);
    let mut copied = [0; 1000];
    target.read_exact_at(&mut copied, 7).unwrap();
    assert_eq!(copied, [1; 1000]);
    verify(&backend, &target).unwrap();
}
