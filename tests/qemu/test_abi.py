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
from pathlib import Path

import pytest
from fit import interface
from fit.prototypes import Prototype, declared
from qdb_tools import build, paths, symbols
from qdb_tools.build import Build
from qdb_tools.process import output, run

# QEMU's headers that declare what util/hbitmap.c and block/dirty-bitmap.c define.
HEADERS = """qemu/osdep.h qapi/error.h qemu/hbitmap.h block/dirty-bitmap.h block/block_int.h
block/block-io.h qapi/qapi-types-block-core.h""".split()
BESIDE = "QEMU_DIRTY_BITMAP_WITH_QEMU_HEADERS"
# All that QEMU's two headers define: `tools/generate --check known-trees` compares.
NUMBERS = [*interface.of_library(paths.DEFAULT).tables["constant"]]
ENUM = ["sizeof(BitmapCheckFlags)", "sizeof(enum BitmapCheckFlags)"]
MEMBER = "#define SIZE_OF_MEMBER(type, member) sizeof(((type *)0)->member)\n"
WRONG = r"(?:conflicting types for '|static assertion failed: \")([^'\"]+)"
both_ways = pytest.mark.parametrize("wrong", [False, True], ids=["agrees", "wrong"])


def layout(structure: str, members: str) -> list[str]:
    """The numbers of a structure that both sides have to agree on."""
    of_members = [f"({structure}, {member})" for member in members.split()]
    of_members = [side + m for m in of_members for side in ("offsetof", "SIZE_OF_MEMBER")]
    return [f"sizeof({structure})", f"_Alignof({structure})", *of_members]


FLAGS = "name count granularity recording busy persistent has_inconsistent inconsistent"
INFO = layout("BlockDirtyInfo", FLAGS) + layout("BlockDirtyInfoList", "next value")


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """{expression: value}, from a program that includes this library's header alone."""
    expressions = NUMBERS + layout("HBitmapIter", "hb granularity pos cur") + ENUM + INFO
    prints = "".join(f'printf("%llu\\n", (unsigned long long)({text}));\n' for text in expressions)
    includes = f'#include <stdio.h>\n#include "{paths.HEADER}"\n{MEMBER}'
    program = tmp_path_factory.mktemp("numbers") / "numbers"
    text = f"{includes}int main(void)\n{{\n{prints}return 0;\n}}\n"
    run(["cc", "-std=gnu11", "-Wall", "-Werror", "-x", "c", "-", "-o", program], input=text)
    return dict(zip(expressions, map(int, run([program]).split())))


class Compiler:
    """Compiles as QEMU does its own block/dirty-bitmap.c, in a build folder of stock QEMU."""

    def __init__(self, version: str, as_built: bool, work: Path) -> None:
        # Before 8.0 QEMU's static libraries had another suffix.
        library = f"libblock.{'fa' if version == '7.2' else 'a'}.p"
        names = ["libqemuutil.a.p/util_hbitmap.c.o", f"{library}/block_dirty-bitmap.c.o"]
        stock = Build(version, True) if as_built else build.build(version, True, names)
        self.work, self.folder = work, stock.folder
        self.symbols = symbols.defined(*(self.folder / name for name in names))
        entries = json.loads((self.folder / "compile_commands.json").read_text())
        command = next(entry["command"] for entry in entries if entry["output"] == names[1])
        self.flags = shlex.split(re.sub(r" -M[QF] \S+| -MD| -o \S+| -c \S+", "", command))
        preprocess = ["cc", "-E", "-P", paths.HEADER]
        self.all_of_ours = declared(run(preprocess))
        self.beside = declared(run([*preprocess, f"-D{BESIDE}"]))

    def compile(self, source: Path, output_file: Path, *flags: str) -> str:
        """Returns the compiler's errors, or "" if there were none. A warning is an error."""
        command = [*self.flags, "-Werror", *flags, "-c", source, "-o", output_file]
        code, said = output(command, cwd=self.folder, env=os.environ | {"LC_ALL": "C"})
        return (said or f"the compiler ended with {code}") if code else ""

    def rejects(self, text: str) -> set[str]:
        """What does not agree with QEMU's headers in a C text that declares it again."""
        source = self.work / "source.c"
        source.write_text("".join(f'#include "{name}"\n' for name in HEADERS) + MEMBER + text)
        flags = ("-Wno-redundant-decls", "-fmax-errors=0")
        errors = self.compile(source, source.with_suffix(".o"), *flags)
        found = set(re.findall(WRONG, errors))
        assert bool(found) == bool(errors), errors
        return found


@pytest.fixture(scope="module")
def compiler(
    version: str, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Compiler:
    work = tmp_path_factory.mktemp("abi")
    return Compiler(version, pytestconfig.getoption("as_built"), work)


def test_qemus_headers_declare_all(compiler: Compiler) -> None:
    """Without this, an agreement with them would say nothing of a function that they lack."""
    table = "".join(f"    (const void *)&{name},\n" for name in sorted(compiler.symbols))
    text = f"extern const void *const table[];\nconst void *const table[] = {{\n{table}}};\n"
    assert compiler.rejects(text) == set()


@both_ways
def test_headers(compiler: Compiler, wrong: bool) -> None:
    """Wrong: each function has one parameter more, and the compiler names each."""
    text = re.sub(r"/\*.*?\*/", "", paths.HEADER.read_text(), flags=re.S)
    for name in compiler.beside if wrong else ():
        text, count = re.subn(rf"((?<!= )\b{name}\([^;()]+)\);", r"\1, char wrong);", text)
        assert count == 1, name
    assert compiler.rejects(f"#define {BESIDE}\n{text}") == (
        set(compiler.beside) if wrong else set()
    )
    assert compiler.beside.keys() <= compiler.symbols


@both_ways
def test_the_rest(compiler: Compiler, wrong: bool) -> None:
    """What the library's header leaves out beside QEMU's, declared here."""
    left_out, lines = compiler.symbols - compiler.beside.keys(), []
    for name in left_out:
        function = compiler.all_of_ours[name]
        if name in interface.RETURN_TYPES:
            returns = function.returns if wrong else interface.RETURN_TYPES[name]
            other = Prototype("", returns, function.parameters)
            same = f"__builtin_types_compatible_p(__typeof__({name}), {other})"
            lines.append(f'_Static_assert({same}, "{name}");\n')
        else:
            lines.append(f"{function.of('short' if wrong else function.returns)};\n")
    assert compiler.rejects("".join(lines)) == (left_out if wrong else set())


def test_same_names(compiler: Compiler) -> None:
    """QEMU's two objects against the drop-in and its glue."""
    glue = sorted((paths.ROOT / "qemu" / "glue").glob("*.c"))
    objects = [compiler.work / f"glue-{file.stem}.o" for file in glue]
    assert [compiler.compile(*pair) for pair in zip(glue, objects)] == [""] * len(glue)
    of_dropin, of_glue = symbols.defined(build.drop_in_object()), symbols.defined(*objects)
    of_glue = {name for name in of_glue if not name.startswith("qdb_host_")}
    assert of_dropin | of_glue == compiler.symbols and not of_dropin & of_glue


@both_ways
def test_numbers(compiler: Compiler, version: str, numbers: dict[str, int], wrong: bool) -> None:
    # 7.2's BlockDirtyInfo has one member more; the library's own is that of 10.0, and inside QEMU
    # the glue fills QEMU's.
    shared = {t: value for t, value in numbers.items() if version != "7.2" or t not in INFO}
    line = '_Static_assert(({0}) == {1}, "{0}");\n'
    text = "".join(line.format(name, value + wrong) for name, value in shared.items())
    assert compiler.rejects(text) == (shared.keys() if wrong else set())
    assert len(shared) > len(NUMBERS)
