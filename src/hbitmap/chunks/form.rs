// SPDX-License-Identifier: GPL-2.0-or-later
//! What form a chunk has.

/// The form of a chunk: it is dense; or coarse; or sparse, with so many bits; or none of them. A byte of zero says none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Form(u8);

impl Form {
    /// Of a chunk that is none of them.
    pub(super) const NO_MEMORY: Form = Form(0);
    /// Of a dense chunk.
    pub(super) const DENSE: Form = Form(1);
    /// Of a coarse chunk.
    pub(super) const COARSE: Form = Form(2);

    /// Of a sparse chunk with `len` bits: at most [`super::LIMIT`]. With none it has no memory.
    #[inline]
    pub(super) fn sparse(len: usize) -> Form {
        if len == 0 {
            Form::NO_MEMORY
        } else {
            Form(2 + len as u8)
        }
    }

    /// How many bits a sparse chunk has; 0 if it is not sparse.
    #[inline(always)]
    pub(super) fn len(self) -> usize {
        usize::from(self.0.saturating_sub(2))
    }

    /// Whether the chunk is dense.
    #[inline(always)]
    pub(super) fn is_dense(self) -> bool {
        self == Form::DENSE
    }

    /// Whether the chunk is coarse.
    #[inline(always)]
    pub(super) fn is_coarse(self) -> bool {
        self == Form::COARSE
    }
}

const _: () = assert!(super::LIMIT + 2 <= u8::MAX as usize);
