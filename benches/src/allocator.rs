// SPDX-License-Identifier: GPL-2.0-or-later
//! The C library's allocator, kept as it is.
//!
//! glibc's malloc learns from what is freed: after a few rows with large arrays it keeps tens of
//! megabytes for itself, and the next large array of QEMU's C comes from those, touched already, or
//! does not, by which rows ran before. A row with a new bitmap then took 1.8 ms or 20 ms. So its
//! limits are set once: arrays of 16 MiB and more come from the system, and go back to it, for all
//! implementations.

/// Sets the limits, which ends the learning.
pub fn steady() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for parameter in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: mallopt has no requirements but a parameter that it knows; it refuses others.
        let done = unsafe { libc::mallopt(parameter, 16 << 20) };
        assert_eq!(done, 1, "mallopt({parameter})");
    }
}
