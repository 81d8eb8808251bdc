# SPDX-License-Identifier: GPL-2.0-or-later
"""The crates that QEMU's own Rust code wants, put where its build looks for them.

QEMU's release has them with a meson.build for each; Debian's source package has neither. Cargo
fetches what QEMU's Cargo.lock names, and a meson.build is written for each.
"""

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

from qdb_tools import log
from qdb_tools.log import Failure
from qdb_tools.process import run

CRATES = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())  # of 10.2


def meson_build(name: str) -> str:
    """A meson.build that builds a crate as meson's `dependency('NAME-rs')`."""
    # A macro runs in the compiler; meson knows that by itself, and both kinds of programs name it.
    native = {crate: ", native: true" for crate, what in CRATES.items() if what["for"] != "qemu"}
    crate: dict[str, Any] = {"macro": False, "needs": [], "features": [], "cfg": []} | CRATES[name]
    edition, macro, own = crate["edition"], crate["macro"], native.get(name, "")
    library = re.sub(r"-[\d.]+$", "", name).replace("-", "_")
    cfg = [*crate["cfg"], *(f'feature="{feature}"' for feature in crate["features"])]
    options = ["--cap-lints", "allow", *(f"--cfg={value}" for value in cfg)]
    subprojects = "".join(f"subproject('{need}-rs', required: true)\n" for need in crate["needs"])
    found = ", ".join(f"dependency('{need}-rs'{native.get(need, '')})" for need in crate["needs"])
    function = "import('rust').proc_macro" if macro else "static_library"
    return f"""\
project('{name}-rs', 'rust')
{subprojects}crate = {function}('{library}', files('src/lib.rs'),
  override_options: ['rust_std={edition}', 'build.rust_std={edition}'],
  rust_args: {options}, dependencies: [{found}],
  {"" if macro else f"rust_abi: 'rust'{own}"})
dep = declare_dependency(link_with: crate)
meson.override_dependency('{name}-rs', dep{own})
"""


def put_into(tree: Path) -> None:
    """The crates in subprojects/, from where meson takes them without a look at the network."""
    subprojects, vendored = tree / "subprojects", tree / "vendored-crates"
    folders = {}
    for wrap in subprojects.glob("*-rs.wrap"):
        (folder,) = re.findall(r"^directory = (\S+)", wrap.read_text(), re.M)
        folders[wrap.name.removesuffix("-rs.wrap")] = folder
    if all((subprojects / folder / "meson.build").is_file() for folder in folders.values()):
        return
    if others := folders.keys() ^ CRATES.keys():
        raise Failure(f"this QEMU wants other crates than 10.2: {sorted(others)}")
    log.step("fetching the crates of QEMU's own Rust code")
    vendor = ["cargo", "vendor", "--locked", "--versioned-dirs", "--manifest-path"]
    run([*vendor, tree / "rust" / "Cargo.toml", vendored])
    for name, folder in folders.items():
        shutil.rmtree(subprojects / folder, ignore_errors=True)
        shutil.move(vendored / folder, subprojects / folder)
        (subprojects / folder / "meson.build").write_text(meson_build(name))
    shutil.rmtree(vendored)
