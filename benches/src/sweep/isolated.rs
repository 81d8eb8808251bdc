// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs a measurement in a child process: the C library's allocator behaves by what was freed
//! before, and an implementation that aborts ends its own rows only.

use std::io::{self, BufRead, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Serialize, de::DeserializeOwned};

/// What a child has computed one after the other, until it ended. It may have died before the last
/// one.
///
/// # Errors
/// If there can be no child.
///
/// # Panics
/// If this process has more than one thread.
pub fn each<T: Serialize + DeserializeOwned>(items: impl Iterator<Item = T>) -> io::Result<Vec<T>> {
    let (reader, mut writer) = io::pipe()?;
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    assert_eq!(threads, 1, "a child has the thread that forks alone");
    // SAFETY: there is no other thread, whose locks the child could wait for.
    let child = unsafe { libc::fork() };
    if child < 0 {
        return Err(io::Error::last_os_error());
    }
    if child == 0 {
        drop(reader);
        // A panic prints its message and must not unwind into what only the parent may go on with.
        let done = catch_unwind(AssertUnwindSafe(|| {
            for item in items {
                let line = serde_json::to_string(&item).expect("numbers and strings") + "\n";
                writer.write_all(line.as_bytes()).expect("the parent reads");
            }
        }));
        // SAFETY: ends the process, without the parent's exit handlers.
        unsafe { libc::_exit(i32::from(done.is_err())) }
    }
    drop(writer);
    let results = BufReader::new(reader)
        .lines()
        .map(|line| Ok(serde_json::from_str(&line?)?))
        .collect::<io::Result<Vec<T>>>();
    // SAFETY: the child is this function's own, and nobody else waits for it.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    results
}
