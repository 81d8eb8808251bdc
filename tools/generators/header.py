# SPDX-License-Identifier: GPL-2.0-or-later
"""include/qemu_dirty_bitmap.h, made from the Rust source with cbindgen.

cbindgen has to be of the version below, because another one may lay the text out in another way.
cargo installs it in the cache.
"""

import re
import tempfile
from pathlib import Path

from qdb_tools import log, paths
from qdb_tools.log import Failure
from qdb_tools.process import run

from generators import Files

VERSION = "0.29.2"

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
    ("src/ffi/save.rs", "", True),
    ("src/ffi/error.rs", "", True),
)
OWN = "#[cfg(qdb_own_declarations)]\n"
MARK = "// header: not with QEMU's headers\n"
WRITTEN = "// header: written in cbindgen.toml\n"
EXPORT = "#[cfg_attr(qdb_c_names, unsafe(no_mangle))]"
# A function, type or constant with its documentation and attributes, at any depth of indentation.
# Each line matches in one way only: with more, the search takes exponential time.
ITEM = re.compile(
    r"(?:^[ \t]*(?://|#\[)[^\n]*\n)*"
    r"(?:^[ \t]*pub (?:unsafe )?(?P<function>extern) \"C\" fn [^{]*\{"
    r"|^pub (?:struct|enum) (?P<type>\w+) \{\n.*?^\}\n|^pub const [A-Z_]+: \w+ = \d+;\n)",
    re.M | re.S,
)


def source() -> str:
    """One Rust file with all that C sees."""
    parts = []
    for path, what, own in SOURCES:
        found = list(ITEM.finditer((paths.ROOT / path).read_text()))
        named = [match for match in found if match["type"] == what]
        if what and len(named) != 1:
            raise Failure(f"{path}: {len(named)} definitions of {what}")
        for match in named or found:
            item = match[0]
            if match["function"]:
                if EXPORT not in item:
                    continue
                item = re.sub(r"^[ \t]+(?=//|#\[|pub (?:unsafe )?extern)", "", item, flags=re.M)
                item += "}\n"
            elif match["type"] and not what and ("#[repr(C)]" not in item or WRITTEN in item):
                continue
            # Types and constants have a body that QEMU's headers have too.
            beside = match["function"] and not own and MARK not in item
            item = item.replace(MARK, "").replace(EXPORT, "#[no_mangle]")
            parts.append(item if beside else OWN + item)
    return "\n".join(parts)


def cbindgen() -> Path:
    root = paths.cache("cbindgen", VERSION)
    if not (root / "bin" / "cbindgen").exists():
        log.step(f"installing cbindgen {VERSION}")
        run(["cargo", "install", f"cbindgen@{VERSION}", "--locked", "--root", root])
    return root / "bin" / "cbindgen"


def make() -> Files:
    with tempfile.TemporaryDirectory() as scratch:
        rust, header = Path(scratch, "c_api.rs"), Path(scratch, "out.h")
        rust.write_text(source())
        config = paths.ROOT / "cbindgen.toml"
        run([cbindgen(), "--quiet", "--config", config, "--output", header, rust])
        text = header.read_text()
    names = re.findall(r"^\w+", paths.SYMBOLS.read_text(), re.M)
    missing = [name for name in names if not re.search(rf"\b{name}(?:\(|;)", text)]
    if missing:
        raise Failure(f"exported, but not declared: {' '.join(missing)}")
    return {paths.HEADER: text}
