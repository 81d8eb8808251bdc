# SPDX-License-Identifier: GPL-2.0-or-later
"""The crates that QEMU's own Rust code wants, put where its build looks for them.

QEMU's release has them with a meson.build for each; Debian's source package has neither. Cargo
fetches what QEMU's Cargo.lock names, and a meson.build is written for each.
"""

import re
import shutil
from pathlib import Path
from typing import NamedTuple

from qdb_tools import log
from qdb_tools.log import Failure
from qdb_tools.process import run


class Crate(NamedTuple):
    """What a meson.build says of a crate that its wrap file does not."""

    edition: int
    kind: str = "native"  # for the compiler (native), a procedural macro, or for QEMU (host)
    cfg: str = ""
    needs: str = ""


MACROS = "proc-macro2-1 quote-1 syn-2"
FOR_10_2 = {
    "anyhow-1": Crate(2018, "host", "feature=std std_backtrace"),
    "arbitrary-int-1": Crate(2021, "host"),
    "attrs-0.2": Crate(2021, needs="proc-macro2-1 syn-2"),
    "bilge-0.2": Crate(2021, "host", needs="arbitrary-int-1 bilge-impl-0.2"),
    "bilge-impl-0.2": Crate(
        2021, "macro", needs=f"itertools-0.11 proc-macro-error-attr-1 proc-macro-error-1 {MACROS}"
    ),
    "either-1": Crate(2018, cfg="feature=use_std"),
    "foreign-0.3": Crate(2021, "host", needs="libc-0.2"),
    "glib-sys-0.21": Crate(
        2021,
        "host",
        "feature=v2_58 feature=v2_60 feature=v2_62 feature=v2_64 feature=v2_66",
        "libc-0.2",
    ),
    "itertools-0.11": Crate(2018, cfg="feature=use_std feature=use_alloc", needs="either-1"),
    "libc-0.2": Crate(
        2015,
        "host",
        "freebsd11 libc_priv_mod_use libc_union libc_const_size_of libc_align libc_int128 "
        "libc_core_cvoid libc_packedN libc_cfg_target_vendor libc_non_exhaustive libc_long_array "
        "libc_ptr_addr_of libc_underscore_const_names libc_const_extern_fn",
    ),
    "proc-macro-error-1": Crate(
        2018, cfg="use_fallback feature=syn-error", needs=f"proc-macro-error-attr-1 {MACROS}"
    ),
    "proc-macro-error-attr-1": Crate(
        2018, "macro", "use_fallback feature=syn-error", "proc-macro2-1 quote-1"
    ),
    "proc-macro2-1": Crate(
        2021,
        cfg="feature=proc-macro wrap_proc_macro no_literal_byte_character no_literal_c_string "
        "no_source_text",
        needs="unicode-ident-1",
    ),
    "quote-1": Crate(2021, cfg="feature=proc-macro", needs="proc-macro2-1"),
    "syn-2": Crate(
        2021,
        cfg="feature=full feature=derive feature=parsing feature=printing "
        "feature=clone-impls feature=proc-macro feature=extra-traits",
        needs="proc-macro2-1 quote-1 unicode-ident-1",
    ),
    "unicode-ident-1": Crate(2021),
}


def native(name: str) -> str:
    # A macro runs in the compiler; meson knows that by itself, and both kinds of programs name it.
    return "" if FOR_10_2[name].kind == "host" or name == "bilge-impl-0.2" else ", native: true"


def meson_build(name: str) -> str:
    """A meson.build that builds a crate as meson's `dependency('NAME-rs')`."""
    crate = FOR_10_2[name]
    needs = crate.needs.split()
    library = re.sub(r"-[\d.]+$", "", name).replace("-", "_")
    cfg = [re.sub(r"^feature=(.*)", r'feature="\1"', word) for word in crate.cfg.split()]
    options = [word for value in cfg for word in ("--cfg", value)]
    found = ", ".join(f"dependency('{n}-rs'{native(n)})" for n in needs)
    arguments = [
        f"'{library}'",
        "files('src/lib.rs')",
        f"override_options: ['rust_std={crate.edition}', 'build.rust_std={crate.edition}']",
        f"rust_args: {['--cap-lints', 'allow', *options]}",
        f"dependencies: [{found}]",
    ]
    if crate.kind != "macro":
        arguments += ["rust_abi: 'rust'", *(["native: true"] if crate.kind == "native" else [])]
    function = "import('rust').proc_macro" if crate.kind == "macro" else "static_library"
    return "\n".join(
        [
            f"project('{name}-rs', 'rust')",
            *(f"subproject('{n}-rs', required: true)" for n in needs),
            f"crate = {function}({', '.join(arguments)})",
            "dep = declare_dependency(link_with: crate)",
            f"meson.override_dependency('{name}-rs', dep{native(name)})",
            "",
        ]
    )


def put_into(tree: Path) -> None:
    """The crates in subprojects/, from where meson takes them without a look at the network."""
    subprojects = tree / "subprojects"
    wraps = {
        file.name.removesuffix("-rs.wrap"): file.read_text()
        for file in subprojects.glob("*-rs.wrap")
    }
    folders = {
        name: re.findall(r"^directory = (\S+)", text, re.M)[0] for name, text in wraps.items()
    }
    if all((subprojects / folder / "meson.build").is_file() for folder in folders.values()):
        return
    if set(wraps) != set(FOR_10_2):
        raise Failure(
            f"this QEMU wants other crates than 10.2: {sorted(set(wraps) ^ set(FOR_10_2))}"
        )
    log.step("fetching the crates of QEMU's own Rust code")
    vendored = tree / "vendored-crates"
    run(
        [
            "cargo",
            "vendor",
            "--locked",
            "--versioned-dirs",
            "--manifest-path",
            tree / "rust" / "Cargo.toml",
            vendored,
        ]
    )
    for name, folder in folders.items():
        shutil.rmtree(subprojects / folder, ignore_errors=True)
        shutil.move(vendored / folder, subprojects / folder)
        (subprojects / folder / "meson.build").write_text(meson_build(name))
    shutil.rmtree(vendored)
