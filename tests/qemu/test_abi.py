# SPDX-License-Identifier: GPL-2.0-or-later
"""The library has the ABI of QEMU's two C files, in each QEMU version.

The compiler is the judge: C files that include QEMU's own headers and then this library's are
compiled with the flags of QEMU's build, and object files are compared name by name. Each check that
the compiler does is done once more with an input that is wrong on purpose.
"""

import json
import os
import re
import shlex
from functools import cached_property
from pathlib import Path

import pytest
from fit import interface
from fit.prototypes import Prototype, declared
from qdb_tools import build, paths
from qdb_tools.process import output, run

GLUE = paths.ROOT / "qemu" / "glue"
# Before 8.0 QEMU's static libraries had another suffix.
SUFFIX = {"7.2": "fa"}

# All of QEMU's headers that declare what util/hbitmap.c and block/dirty-bitmap.c define.
QEMU_HEADERS = """\
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/hbitmap.h"
#include "block/dirty-bitmap.h"
#include "block/block_int.h"
#include "block/block-io.h"
#include "qapi/qapi-types-block-core.h"
"""
BESIDE = "QEMU_DIRTY_BITMAP_WITH_QEMU_HEADERS"

NUMBERS = """BITS_PER_LEVEL HBITMAP_LOG_MAX_SIZE HBITMAP_LEVELS BDRV_BITMAP_BUSY BDRV_BITMAP_RO
BDRV_BITMAP_INCONSISTENT BDRV_BITMAP_DEFAULT BDRV_BITMAP_ALLOW_RO
BDRV_BITMAP_MAX_NAME_SIZE""".split()


def layout(structure: str, members: str) -> list[str]:
    """The numbers of a structure that both sides have to agree on."""
    sides = [f"{what}({structure}, " for what in ("offsetof", "SIZE_OF_MEMBER")]
    of_members = [f"{side}{member})" for member in members.split() for side in sides]
    return [f"sizeof({structure})", f"_Alignof({structure})", *of_members]


ITERATOR = layout("HBitmapIter", "hb granularity pos cur")
ENUM = ["sizeof(BitmapCheckFlags)", "sizeof(enum BitmapCheckFlags)"]
INFO = layout(
    "BlockDirtyInfo",
    "name count granularity recording busy persistent has_inconsistent inconsistent",
) + layout("BlockDirtyInfoList", "next value")
MEMBER = "#define SIZE_OF_MEMBER(type, member) sizeof(((type *)0)->member)\n"


def ours(*flags: str) -> dict[str, Prototype]:
    """The prototypes of this library's header."""
    return declared(run(["cc", "-E", "-P", *flags, paths.HEADER]))


def both(header: Path) -> str:
    """A C file that includes QEMU's headers, then one of the library."""
    return f'{QEMU_HEADERS}#define {BESIDE}\n#include "{header}"\n'


def defined(*objects: Path) -> set[str]:
    """The names that object files define for others."""
    listed = [run(["nm", "-g", "--defined-only", "--format=posix", file]) for file in objects]
    return {line.split()[0] for text in listed for line in text.splitlines() if line.strip()}


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """{expression: value}, from a program that includes this library's header alone."""
    expressions = NUMBERS + ITERATOR + ENUM + INFO
    prints = "".join(f'printf("%llu\\n", (unsigned long long)({text}));\n' for text in expressions)
    includes = f'#include <stdio.h>\n#include "{paths.HEADER}"\n{MEMBER}'
    program = tmp_path_factory.mktemp("numbers") / "numbers"
    text = f"{includes}int main(void)\n{{\n{prints}return 0;\n}}\n"
    run(["cc", "-std=gnu11", "-Wall", "-Werror", "-x", "c", "-", "-o", program], input=text)
    return dict(zip(expressions, map(int, run([program]).split())))


class Compiler:
    """Compiles as QEMU does its own block/dirty-bitmap.c, in a build folder of stock QEMU."""

    def __init__(self, version: str, as_built: bool, work: Path) -> None:
        self.version, self.work = version, work
        library = f"libblock.{SUFFIX.get(version, 'a')}.p"
        names = ["libqemuutil.a.p/util_hbitmap.c.o", f"{library}/block_dirty-bitmap.c.o"]
        stock = build.Build(version, True) if as_built else build.build(version, True, names)
        self.folder = stock.folder
        self.symbols = defined(*(self.folder / name for name in names))
        entries = json.loads((self.folder / "compile_commands.json").read_text())
        command = next(entry["command"] for entry in entries if entry["output"] == names[1])
        self.flags = shlex.split(re.sub(r" -M[QF] \S+| -MD| -o \S+| -c \S+", "", command))
        self.beside, self.all_of_ours = ours(f"-D{BESIDE}"), ours()

    def compile(self, source: Path, output_file: Path, *flags: str) -> str:
        """Returns the compiler's errors, or "" if there were none. A warning is an error."""
        command = [*self.flags, "-Werror", *flags, "-c", source, "-o", output_file]
        code, said = output(command, cwd=self.folder, env=os.environ | {"LC_ALL": "C"})
        return (said or f"the compiler ended with {code}") if code else ""

    def errors(self, text: str) -> str:
        """As compile, for a C file of this text. The library's header repeats what QEMU's say."""
        source = self.work / "source.c"
        source.write_text(text)
        return self.compile(
            source, self.work / "source.o", "-Wno-redundant-decls", "-fmax-errors=0"
        )

    @cached_property
    def left_out(self) -> list[str]:
        """What the library's header leaves out beside QEMU's."""
        return sorted(self.symbols - self.beside.keys())


@pytest.fixture(scope="module")
def compiler(
    version: str, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Compiler:
    work = tmp_path_factory.mktemp("abi")
    return Compiler(version, pytestconfig.getoption("as_built"), work)


def test_qemus_headers_declare_all(compiler: Compiler) -> None:
    """Without this, an agreement with them would say nothing of a function that they lack."""
    table = "".join(f"    (const void *)&{name},\n" for name in sorted(compiler.symbols))
    table = f"extern const void *const table[];\nconst void *const table[] = {{\n{table}}};\n"
    assert compiler.errors(QEMU_HEADERS + table) == ""


def test_headers_agree(compiler: Compiler) -> None:
    assert compiler.errors(both(paths.HEADER)) == ""
    assert compiler.beside.keys() <= compiler.symbols


def test_wrong_prototypes_are_seen(compiler: Compiler) -> None:
    """Each function with one parameter more: the compiler names each."""
    changed = compiler.work / "wrong.h"
    text = re.sub(r"/\*.*?\*/", "", paths.HEADER.read_text(), flags=re.S)
    for name in compiler.beside:
        text, count = re.subn(rf"((?<!= )\b{name}\([^;()]+)\);", r"\1, char wrong);", text)
        assert count == 1, name
    changed.write_text(text)
    seen = re.findall(r"conflicting types for '(\w+)'", compiler.errors(both(changed)))
    assert set(seen) == compiler.beside.keys()


def the_rest(compiler: Compiler, wrong: bool) -> str:
    """What the library's header leaves out beside QEMU's, declared here."""
    lines = []
    for name in compiler.left_out:
        function = compiler.all_of_ours[name]
        if name in interface.RETURN_TYPES:
            returns = function.returns if wrong else interface.RETURN_TYPES[name]
            other = Prototype("", returns, function.parameters)
            same = f"__builtin_types_compatible_p(__typeof__({name}), {other})"
            lines.append(f'_Static_assert({same}, "{name}");')
        else:
            lines.append(f"{function.of('short' if wrong else function.returns)};")
    return QEMU_HEADERS + "\n".join(lines) + "\n"


def test_the_rest_agrees(compiler: Compiler) -> None:
    assert compiler.errors(the_rest(compiler, wrong=False)) == ""


def test_a_wrong_rest_is_seen(compiler: Compiler) -> None:
    errors = compiler.errors(the_rest(compiler, wrong=True))
    failed = r"conflicting types for '(\w+)'|static assertion failed: \"(\w+)\""
    assert sorted({a or b for a, b in re.findall(failed, errors)}) == compiler.left_out


def test_same_names(compiler: Compiler) -> None:
    """QEMU's two objects against the drop-in and its glue."""
    glue = []
    for file in sorted(GLUE.glob("*.c")):
        glue.append(compiler.work / f"glue-{file.stem}.o")
        assert compiler.compile(file, glue[-1]) == ""
    of_dropin, of_glue = defined(build.drop_in_object()), defined(*glue)
    of_glue = {name for name in of_glue if not name.startswith("qdb_host_")}
    assert of_dropin | of_glue == compiler.symbols and not of_dropin & of_glue


def test_no_other_numbers(tree: Path) -> None:
    """The list of numbers above has all that QEMU's two headers define."""
    found: set[str] = set()
    for name in ("qemu/hbitmap.h", "block/dirty-bitmap.h"):
        text = (tree / "include" / name).read_text()
        found |= set(re.findall(r"^#define (\w+)", text, re.M))
        found |= set(re.findall(r"^\s+([A-Z_]+)\s*=", text, re.M))
    assert found - interface.NO_NUMBERS == set(NUMBERS)


def assertions(version: str, numbers: dict[str, int], change: int) -> list[str]:
    # 7.2's BlockDirtyInfo has one member more; the library's own is that of 10.0, and inside QEMU
    # the glue fills QEMU's.
    left_out = INFO if version == "7.2" else []
    return [
        f'_Static_assert(({text}) == {value + change}, "{text}");\n'
        for text, value in numbers.items()
        if text not in left_out
    ]


def test_numbers_agree(compiler: Compiler, version: str, numbers: dict[str, int]) -> None:
    lines = assertions(version, numbers, 0)
    assert compiler.errors(QEMU_HEADERS + MEMBER + "".join(lines)) == ""


def test_wrong_numbers_are_seen(compiler: Compiler, version: str, numbers: dict[str, int]) -> None:
    lines = assertions(version, numbers, 1)
    errors = compiler.errors(QEMU_HEADERS + MEMBER + "".join(lines))
    assert errors.count("static assertion failed") == len(lines) > len(NUMBERS)
