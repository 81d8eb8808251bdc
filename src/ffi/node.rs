// SPDX-License-Identifier: GPL-2.0-or-later
//! Block nodes for programs other than QEMU.

#![allow(clippy::missing_safety_doc)] // One set of rules for all of them: see the parent module.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use super::{object, optional_string};
use crate::assertion::abi_assert;
use crate::dirty_bitmap::node::is_empty;
use crate::host::{self, BlockDirtyInfoList, BlockDriverState, QdbDriver};

/// Makes a block node: what dirty bitmaps are attached to.
///
/// @param length        Bytes; a negative value is the negative errno that asking the node for its
///                      length gives.
/// @param cluster_size  Bytes; 0 if unknown. It only chooses bdrv_get_default_bitmap_granularity().
/// @param node_name     For error messages; copied. May be NULL.
/// @return              The node; free it with qdb_node_free().
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn qdb_node_new(
    length: i64,
    cluster_size: i64,
    node_name: *const c_char,
) -> *mut BlockDriverState {
    Arc::into_raw(BlockDriverState::new(length, cluster_size, optional_string(node_name)))
        .cast_mut()
}

/// Frees a node; NULL does nothing. Aborts if bitmaps are attached to it.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn qdb_node_free(bs: *mut BlockDriverState) {
    if bs.is_null() {
        return;
    }
    abi_assert!(
        is_empty(object!(bs, "qdb_node_free")),
        "qdb_node_free",
        "QLIST_EMPTY(&bs->dirty_bitmaps)"
    );
    // SAFETY: a node that C has came from Arc::into_raw in qdb_node_new, and the caller gives it
    // up.
    drop(unsafe { Arc::from_raw(bs.cast_const()) });
}

/// Changes the length, in bytes, or the negative errno that reading it gives. Bitmaps keep their
/// size until bdrv_dirty_bitmap_truncate().
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn qdb_node_set_length(bs: *mut BlockDriverState, length: i64) {
    object!(bs, "qdb_node_set_length").set_length(length);
}

/// The length in bytes, or a negative errno.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn qdb_node_length(bs: *const BlockDriverState) -> i64 {
    object!(bs, "qdb_node_length").length()
}

/// Says how the node's format stores bitmaps.
///
/// @param driver  Copied. NULL: the node has no driver, as if no medium were in it (that is how
///                nodes start).
/// @param opaque  Given back to the driver's functions, which run in the threads that call into the
///                library.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn qdb_node_set_driver(
    bs: *mut BlockDriverState,
    driver: *const QdbDriver,
    opaque: *mut c_void,
) {
    // SAFETY: NULL or a table of the caller's, by the rules for all C functions.
    let table = unsafe { driver.as_ref() }.copied();
    object!(bs, "qdb_node_set_driver").set_driver(table, opaque);
}

/// Frees what bdrv_query_dirty_bitmaps() returned; NULL does nothing.
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub unsafe extern "C" fn qdb_dirty_info_list_free(list: *mut BlockDirtyInfoList) {
    // SAFETY: the caller gives up a list of this library, or NULL.
    unsafe { host::free_info_list(list) }
}

/// The version of the library, such as "0.1.0".
#[cfg_attr(qdb_c_names, unsafe(no_mangle))]
pub extern "C" fn qdb_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}
