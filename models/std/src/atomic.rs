// SPDX-License-Identifier: GPL-2.0-or-later
//! `std::sync::atomic`, made of loom's atomics.

pub use ::loom::sync::atomic::fence;
pub use ::std::sync::atomic::{AtomicU8, Ordering};

use ::std::cell::OnceCell;

use crate::Alive;

macro_rules! atomic {
    ($name:ident, $value:ty) => {
        /// As std's. Who reads it must know of its making, or loom complains.
        pub struct $name {
            alive: Alive,
            inner: loom::sync::atomic::$name,
        }

        impl $name {
            /// With a first value.
            pub fn new(value: $value) -> Self {
                Self { alive: Alive::new(), inner: loom::sync::atomic::$name::new(value) }
            }

            /// As std's.
            pub fn load(&self, order: Ordering) -> $value {
                self.alive.check();
                self.inner.load(order)
            }

            /// As std's.
            pub fn store(&self, value: $value, order: Ordering) {
                self.alive.check();
                self.inner.store(value, order);
            }

            /// As std's.
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                self.alive.check();
                self.inner.swap(value, order)
            }
        }

        impl From<$value> for $name {
            fn from(value: $value) -> Self {
                Self::new(value)
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}

macro_rules! number {
    ($name:ident, $value:ty) => {
        atomic!($name, $value);

        impl $name {
            /// As std's.
            pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.alive.check();
                self.inner.fetch_add(value, order)
            }

            /// As std's.
            pub fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                self.alive.check();
                self.inner.fetch_sub(value, order)
            }
        }
    };
}

atomic!(AtomicBool, bool);
number!(AtomicI64, i64);
number!(AtomicU32, u32);
number!(AtomicU64, u64);
number!(AtomicUsize, usize);

/// As std's. The library has some in statics, which loom's can't be; so loom's is made at the first
/// use. That is sound because the threads of a model take turns on one thread of the machine. The
/// scenes use a node's once before other threads know it.
pub struct AtomicPtr<T> {
    alive: Alive,
    initial: *mut T,
    inner: OnceCell<Box<loom::sync::atomic::AtomicPtr<T>>>,
}

// SAFETY: the threads of a model take turns on one thread of the machine.
unsafe impl<T> Sync for AtomicPtr<T> {}
// SAFETY: as above.
unsafe impl<T> Send for AtomicPtr<T> {}

impl<T> AtomicPtr<T> {
    /// With a first value.
    pub const fn new(initial: *mut T) -> Self {
        Self { alive: Alive::new(), initial, inner: OnceCell::new() }
    }

    fn inner(&self) -> &loom::sync::atomic::AtomicPtr<T> {
        self.alive.check();
        self.inner.get_or_init(|| Box::new(loom::sync::atomic::AtomicPtr::new(self.initial)))
    }

    /// As std's.
    pub fn load(&self, order: Ordering) -> *mut T {
        self.inner().load(order)
    }

    /// As std's.
    pub fn store(&self, value: *mut T, order: Ordering) {
        self.inner().store(value, order);
    }

    /// As std's.
    pub fn swap(&self, value: *mut T, order: Ordering) -> *mut T {
        self.inner().swap(value, order)
    }

    /// As std's; only the address counts to those who ask.
    pub const fn as_ptr(&self) -> *mut *mut T {
        (&raw const self.initial).cast_mut()
    }
}

impl<T> ::std::fmt::Debug for AtomicPtr<T> {
    fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
        f.write_str("AtomicPtr")
    }
}
