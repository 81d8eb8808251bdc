// SPDX-License-Identifier: GPL-2.0-or-later
//! QEMU's `assert`, kept in release builds, and the end of a process that broke one.
//!
//! Two kinds of caller meet a violated assertion. C callers (`--cfg qdb_c_names`) get what C's
//! `assert` does: the text on stderr, then `abort`. Rust callers get a panic with the same text.

/// Ends the call with `message`: C programs abort, Rust programs panic.
#[cold]
#[inline(never)]
#[track_caller]
pub(crate) fn fail(message: std::fmt::Arguments<'_>) -> ! {
    #[cfg(qdb_c_names)]
    {
        use std::io::Write;
        // One write, so that lines of several threads stay whole, and from the stack: there may be
        // no memory left, and that may be what the message says. One that is too long is cut. A
        // closed stderr must not keep us from aborting.
        let mut line = [0; 2048];
        let mut rest = &mut line[..2047];
        let _ = rest.write_fmt(message);
        let end = 2047 - rest.len();
        line[end] = b'\n';
        let _ = std::io::stderr().write_all(&line[..=end]);
        std::process::abort()
    }
    #[cfg(not(qdb_c_names))]
    panic!("{message}")
}

/// Reports a violated assertion with QEMU's text. Out of line, so that a check costs its caller a
/// compare and a branch.
#[cold]
#[inline(never)]
#[track_caller]
pub(crate) fn assertion_failed(function: &str, condition: &str) -> ! {
    fail(format_args!("{function}: Assertion `{condition}' failed."))
}

/// Reports a NULL pointer where C would have dereferenced it.
#[cold]
#[inline(never)]
#[track_caller]
pub(crate) fn null_argument(function: &str, argument: &str) -> ! {
    fail(format_args!("{function}: argument `{argument}' must not be NULL"))
}

/// Checks a condition that QEMU asserts on: `abi_assert!(condition, "function", "condition as QEMU
/// writes it")`.
macro_rules! abi_assert {
    ($condition:expr, $function:expr, $text:expr) => {
        if !$condition {
            $crate::assertion::assertion_failed($function, $text);
        }
    };
}
pub(crate) use abi_assert;
