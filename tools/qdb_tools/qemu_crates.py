# SPDX-License-Identifier: GPL-2.0-or-later
"""The crates that QEMU's own Rust code wants, put where its build looks for them.

QEMU's release has them with a meson.build for each; Debian's source package has neither. Cargo
fetches what QEMU's Cargo.lock names, and a meson.build is written for each.
"""

import re
import shutil
from pathlib import Path

from qdb_tools import log
from qdb_tools.log import Failure
from qdb_tools.process import run

# What a meson.build says of QEMU 10.2's crates, and their wrap files do not:
# name, edition, what for | crates it needs | --cfg, where +NAME is feature="NAME"
TABLE = """
anyhow-1 2018 qemu | | +std std_backtrace
arbitrary-int-1 2021 qemu | |
attrs-0.2 2021 compiler | proc-macro2-1 syn-2 |
bilge-0.2 2021 qemu | arbitrary-int-1 bilge-impl-0.2 |
bilge-impl-0.2 2021 qemu-macro | itertools-0.11 proc-macro-error-attr-1 proc-macro-error-1 \
proc-macro2-1 quote-1 syn-2 |
either-1 2018 compiler | | +use_std
foreign-0.3 2021 qemu | libc-0.2 |
glib-sys-0.21 2021 qemu | libc-0.2 | +v2_58 +v2_60 +v2_62 +v2_64 +v2_66
itertools-0.11 2018 compiler | either-1 | +use_std +use_alloc
libc-0.2 2015 qemu | | freebsd11 libc_priv_mod_use libc_union libc_const_size_of libc_align \
libc_int128 libc_core_cvoid libc_packedN libc_cfg_target_vendor libc_non_exhaustive \
libc_long_array libc_ptr_addr_of libc_underscore_const_names libc_const_extern_fn
proc-macro-error-1 2018 compiler | proc-macro-error-attr-1 proc-macro2-1 quote-1 syn-2 | \
use_fallback +syn-error
proc-macro-error-attr-1 2018 compiler-macro | proc-macro2-1 quote-1 | use_fallback +syn-error
proc-macro2-1 2021 compiler | unicode-ident-1 | +proc-macro wrap_proc_macro \
no_literal_byte_character no_literal_c_string no_source_text
quote-1 2021 compiler | proc-macro2-1 | +proc-macro
syn-2 2021 compiler | proc-macro2-1 quote-1 unicode-ident-1 | +full +derive +parsing +printing \
+clone-impls +proc-macro +extra-traits
unicode-ident-1 2021 compiler | |
"""
FOR_10_2 = {line.split()[0]: line.split("|") for line in TABLE.strip().splitlines()}


def native(name: str) -> str:
    # A macro runs in the compiler; meson knows that by itself, and both kinds of programs name it.
    return ", native: true" if " compiler" in FOR_10_2[name][0] else ""


def meson_build(name: str) -> str:
    """A meson.build that builds a crate as meson's `dependency('NAME-rs')`."""
    (_, edition, kind), needs, cfg = (column.split() for column in FOR_10_2[name])
    library = re.sub(r"-[\d.]+$", "", name).replace("-", "_")
    cfg = [re.sub(r"^\+(.*)", r'feature="\1"', word) for word in cfg]
    options = ["--cap-lints", "allow", *(word for value in cfg for word in ("--cfg", value))]
    subprojects = "".join(f"subproject('{need}-rs', required: true)\n" for need in needs)
    found = ", ".join(f"dependency('{need}-rs'{native(need)})" for need in needs)
    macro = kind.endswith("macro")
    function = "import('rust').proc_macro" if macro else "static_library"
    return f"""\
project('{name}-rs', 'rust')
{subprojects}crate = {function}('{library}', files('src/lib.rs'),
  override_options: ['rust_std={edition}', 'build.rust_std={edition}'],
  rust_args: {options}, dependencies: [{found}],
  {"" if macro else f"rust_abi: 'rust'{native(name)}"})
dep = declare_dependency(link_with: crate)
meson.override_dependency('{name}-rs', dep{native(name)})
"""


def put_into(tree: Path) -> None:
    """The crates in subprojects/, from where meson takes them without a look at the network."""
    subprojects, vendored = tree / "subprojects", tree / "vendored-crates"
    folders = {
        file.name.removesuffix("-rs.wrap"): re.findall(r"(?m)^directory = (\S+)", file.read_text())[
            0
        ]
        for file in subprojects.glob("*-rs.wrap")
    }
    if all((subprojects / folder / "meson.build").is_file() for folder in folders.values()):
        return
    if others := folders.keys() ^ FOR_10_2.keys():
        raise Failure(f"this QEMU wants other crates than 10.2: {sorted(others)}")
    log.step("fetching the crates of QEMU's own Rust code")
    vendor = ["cargo", "vendor", "--locked", "--versioned-dirs", "--manifest-path"]
    run([*vendor, tree / "rust" / "Cargo.toml", vendored])
    for name, folder in folders.items():
        shutil.rmtree(subprojects / folder, ignore_errors=True)
        shutil.move(vendored / folder, subprojects / folder)
        (subprojects / folder / "meson.build").write_text(meson_build(name))
    shutil.rmtree(vendored)
