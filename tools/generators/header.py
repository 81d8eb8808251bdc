# SPDX-License-Identifier: GPL-2.0-or-later
"""include/qemu_dirty_bitmap.h, made from the Rust source with cbindgen.

cbindgen has to be of the version below, because another one may lay the text out in another way. It
is looked for in $CBINDGEN, in the PATH and in target/tools; else cargo installs it there.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

from qdb_tools import log, paths
from qdb_tools.log import Failure
from qdb_tools.process import run

from generators import Files

VERSION = "0.29.2"
TOOLS = paths.ROOT / "target" / "tools"

# What C sees, in the order of the header: the file, what of it (empty: all functions and types that
# C can see), and whether it is left out beside QEMU's own headers.
SOURCES = (
    ("src/ffi/hbitmap.rs", "", False),
    ("src/dirty_bitmap/flags.rs", "BitmapCheckFlags", True),
    ("src/host/standalone/info.rs", "BlockDirtyInfo", True),
    ("src/host/standalone/info.rs", "BlockDirtyInfoList", True),
    ("src/ffi/dirty_bitmap.rs", "", False),
    ("src/ffi/driver.rs", "", True),
    ("src/host/standalone/node.rs", "QdbDriver", True),
    ("src/ffi/node.rs", "", True),
    ("src/ffi/error.rs", "", True),
)
OWN = "#[cfg(qdb_own_declarations)]\n"
MARK = "// header: not with QEMU's headers\n"
WRITTEN = "// header: written in cbindgen.toml\n"
EXPORT = '#[cfg_attr(feature = "capi", no_mangle)]'
# An item with its documentation and attributes, at any depth of indentation.
# Each line matches in one way only: with more, the search takes exponential time.
DOCS = r"(?:^[ \t]*(?://|#\[)[^\n]*\n)*"
FUNCTION = re.compile(DOCS + r"^[ \t]*pub (?:unsafe )?extern \"C\" fn [^{]*\{", re.M)
CONSTANT = re.compile(DOCS + r"^pub const [A-Z_]+: \w+ = \d+;\n", re.M)


def type_pattern(name: str) -> re.Pattern[str]:
    """A type with a body, its documentation and its attributes."""
    return re.compile(DOCS + rf"^pub (?:struct|enum) {name} \{{\n.*?^\}}\n", re.M | re.S)


def items(path: str, what: str) -> list[str]:
    """The items of a file that C sees, in the order of the file."""
    text = (paths.ROOT / path).read_text()
    types = [(m.start(), m.group()) for m in type_pattern(what or r"\w+").finditer(text)]
    if what:
        if len(types) != 1:
            raise Failure(f"{path}: {len(types)} definitions of {what}")
        return [types[0][1]]
    found = [(m.start(), m.group()) for m in CONSTANT.finditer(text)]
    functions = [(m.start(), m.group() + "}\n") for m in FUNCTION.finditer(text)]
    found += [function for function in functions if EXPORT in function[1]]
    found += [each for each in types if "#[repr(C)]" in each[1] and WRITTEN not in each[1]]
    return [item for _, item in sorted(found)]


def source() -> str:
    """One Rust file with all that C sees."""
    parts = []
    for path, what, own in SOURCES:
        for item in items(path, what):
            function = 'extern "C" fn' in item
            if function:
                item = re.sub(r"^[ \t]+(?=//|#\[|pub (?:unsafe )?extern)", "", item, flags=re.M)
            # Types and constants have a body that QEMU's headers have too.
            own_item = own or MARK in item or not function or "pub struct" in item
            item = item.replace(MARK, "").replace(EXPORT, "#[no_mangle]")
            parts.append((OWN if own_item else "") + item)
    return "\n".join(parts)


def cbindgen() -> str:
    """cbindgen of the right version."""
    own = str(TOOLS / "bin" / "cbindgen")
    for program in (os.environ.get("CBINDGEN"), shutil.which("cbindgen"), own):
        if program and os.access(program, os.X_OK):
            if run([program, "--version"]).split()[-1] == VERSION:
                return program
    log.step(f"installing cbindgen {VERSION} into target/tools")
    run(["cargo", "install", "cbindgen", "--version", VERSION, "--locked", "--root", TOOLS])
    return own


def make() -> Files:
    with tempfile.TemporaryDirectory() as scratch:
        rust, header = Path(scratch, "c_api.rs"), Path(scratch, "out.h")
        rust.write_text(source())
        config = paths.ROOT / "cbindgen.toml"
        run([cbindgen(), "--quiet", "--config", config, "--output", header, rust])
        text = header.read_text()
    listed = [line.split()[0] for line in paths.SYMBOLS.read_text().splitlines() if line]
    names = [name for name in listed if not name.startswith("#")]
    missing = [name for name in names if not re.search(rf"\b{name}(?:\(|;)", text)]
    if missing:
        raise Failure(f"exported, but not declared: {' '.join(missing)}")
    return {paths.HEADER: text}
