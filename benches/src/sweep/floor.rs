// SPDX-License-Identifier: GPL-2.0-or-later
//! The floor: no call takes noticeably longer than in C.

use serde::{Deserialize, Serialize};

/// What two equal programs may show.
const NOISE: f64 = 0.95;
/// A call that is shorter than this has an absolute limit, because of where code and data lie.
const SHORT_NS: f64 = 10.0;
/// What such a call may take more.
const ALLOWANCE_NS: f64 = 2.0;

/// Nanoseconds of a call in both implementations.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// QEMU's C.
    pub qemu_ns: f64,
    /// This library.
    pub ours_ns: f64,
}

impl Times {
    /// How many times faster than C.
    pub fn ratio(self) -> f64 {
        self.qemu_ns / self.ours_ns
    }

    /// Whether it is slower than C by more than what is allowed.
    pub fn is_under_the_floor(self) -> bool {
        let limit = if self.qemu_ns < SHORT_NS {
            self.qemu_ns + ALLOWANCE_NS
        } else {
            self.qemu_ns / NOISE
        };
        self.ours_ns > limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn under(qemu_ns: f64, ours_ns: f64) -> bool {
        Times { qemu_ns, ours_ns }.is_under_the_floor()
    }

    #[test]
    fn a_long_call_may_take_five_percent_more() {
        assert!(!under(100.0, 105.2));
        assert!(under(100.0, 105.3));
        assert!(!under(100.0, 1.0));
    }

    #[test]
    fn a_short_call_may_take_two_nanoseconds_more() {
        assert!(!under(3.0, 5.0));
        assert!(under(3.0, 5.1));
        assert!(!under(9.9, 11.9));
        assert!(under(10.0, 11.9));
    }
}
