// SPDX-License-Identifier: GPL-2.0-or-later
//! Why an operation was refused, with QEMU's words.

use std::ffi::{CStr, CString};

/// A refused operation: what C stores through `Error **errp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    function: &'static CStr,
    message: CString,
    hint: Option<&'static CStr>,
    os_errno: i32,
}

impl Failure {
    /// A failure of the C function `function`, with a message made of `parts`. Names in it are
    /// bytes as C has them.
    pub(crate) fn new(function: &'static CStr, parts: &[&[u8]]) -> Self {
        // Parts are literals, numbers and C strings: none has a NUL.
        let message = CString::new(parts.concat()).unwrap_or_default();
        Self { function, message, hint: None, os_errno: 0 }
    }

    /// With a hint: lines that each end in a newline.
    pub(crate) fn with_hint(self, hint: &'static CStr) -> Self {
        Self { hint: Some(hint), ..self }
    }

    /// With an errno, whose text C appends to the message.
    pub(crate) fn with_os_errno(self, os_errno: i32) -> Self {
        Self { os_errno, ..self }
    }

    /// The C function that refused.
    #[must_use]
    pub fn function(&self) -> &'static CStr {
        self.function
    }

    /// The message, without the text of [`os_errno`](Self::os_errno).
    #[must_use]
    pub fn message(&self) -> &CStr {
        &self.message
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static CStr> {
        self.hint
    }

    /// The errno of the failure, or 0.
    #[must_use]
    pub fn os_errno(&self) -> i32 {
        self.os_errno
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message.to_string_lossy())?;
        match self.os_errno {
            0 => Ok(()),
            errno => write!(f, ": {}", std::io::Error::from_raw_os_error(errno)),
        }
    }
}

impl std::error::Error for Failure {}
