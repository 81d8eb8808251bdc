// SPDX-License-Identifier: GPL-2.0-or-later
//! Choosing without a branch, where no processor could foresee which way it goes.

/// A word of all ones if `condition` holds, else of none.
#[inline(always)]
pub(crate) fn mask_if(condition: bool) -> u64 {
    u64::from(condition).wrapping_neg()
}

/// `a` where `mask` has ones, `b` where it has none.
#[inline(always)]
pub(crate) fn select(mask: u64, a: u64, b: u64) -> u64 {
    b ^ ((a ^ b) & mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses() {
        assert_eq!(select(mask_if(true), 3, 5), 3);
        assert_eq!(select(mask_if(false), 3, 5), 5);
    }
}
