// SPDX-License-Identifier: GPL-2.0-or-later
//! Calls that abort, in a child process: how it ended, and what it wrote to stderr.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It came to the end.
    Returned,
    /// A signal killed it.
    Killed(i32),
    /// It left with a status of its own.
    Exited(i32),
}

/// The end of a child and its stderr.
#[derive(Clone, Debug)]
pub struct Report {
    /// How it ended.
    pub end: End,
    /// What it wrote.
    pub stderr: String,
}

/// Seconds after which a child that hangs is killed by SIGALRM: long, because the machine may have
/// a lot else to do.
const PATIENCE: u32 = 600;

/// Runs `work` in a child.
///
/// # Panics
/// If no child can be made.
#[must_use]
pub fn run(work: impl FnOnce()) -> Report {
    prepare_hook();
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors, which are ours then.
    let (read, write) = unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0, "pipe2 failed");
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    };
    // SAFETY: the child makes calls on its copy of the memory and ends with _exit; glibc keeps
    // malloc usable in it.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork failed");
    if pid == 0 {
        become_child(&write);
        work();
        // SAFETY: ends the child, without the parent's exit handlers.
        unsafe { libc::_exit(0) };
    }
    drop(write);
    let mut stderr = Vec::new();
    let _ = std::fs::File::from(read).read_to_end(&mut stderr);
    let mut status = 0;
    // SAFETY: waits for the child made above.
    while unsafe { libc::waitpid(pid, &raw mut status, 0) } < 0 {}
    let end = if libc::WIFSIGNALED(status) {
        End::Killed(libc::WTERMSIG(status))
    } else if libc::WEXITSTATUS(status) == 0 {
        End::Returned
    } else {
        End::Exited(libc::WEXITSTATUS(status))
    };
    Report { end, stderr: String::from_utf8_lossy(&stderr).into_owned() }
}

/// Lets signals kill (a fuzzer's handlers would report a crash), keeps cores away, and redirects
/// stderr.
fn become_child(stderr: &OwnedFd) {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: plain system calls on this process's own state.
    unsafe {
        for signal in
            [libc::SIGABRT, libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGALRM]
        {
            libc::signal(signal, libc::SIG_DFL);
        }
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
        libc::dup2(stderr.as_raw_fd(), 2);
        libc::alarm(PATIENCE);
    }
    IS_CHILD.store(true, Ordering::Relaxed);
}

/// Whether this process is a child.
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// Sees to it that a child's panic aborts at once: one that can't unwind out of a C function would
/// print a backtrace, which takes longer than thousands of calls. Done by the parent, because a
/// thread that panics while another one forks holds the hook's lock, and the child, which would
/// wait for it to change the hook, has no such thread.
fn prepare_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !IS_CHILD.load(Ordering::Relaxed) {
                return usual(panic);
            }
            // Not eprintln!, which cargo's tests capture. That nobody may be left to read it is no
            // reason not to abort.
            let _ = std::io::stderr().write_all(format!("{panic}\n").as_bytes());
            std::process::abort()
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends() {
        assert_eq!(run(|| ()).end, End::Returned);
        let panicked = run(|| panic!("last words"));
        assert_eq!(panicked.end, End::Killed(libc::SIGABRT));
        assert!(panicked.stderr.contains("last words"), "{panicked:?}");
        // SAFETY: ends the child.
        assert_eq!(run(|| unsafe { libc::_exit(3) }).end, End::Exited(3));
    }
}
