# SPDX-License-Identifier: GPL-2.0-or-later
"""Which lines of the library the corpora of the fuzz targets reach, by rustc's own instrumentation."""
import json
import shutil
import subprocess
from pathlib import Path

from . import debian, fuzzing, places, say

# Where it counts: the engine and the state machine; beside them what C programs meet.
FOLDERS = ["src/hbitmap", "src/dirty_bitmap", "src/ffi", "src/host"]
FLAGS = ["-Cinstrument-coverage", "-Ccodegen-units=1", "--cfg", "fuzzing"]
SUMS = ("lines", "regions", "functions")


def llvm_tool(name: str) -> Path:
    """The toolchain's own (rustup's component llvm-tools), or Debian's of the same LLVM: other versions can't read the data."""
    rust = fuzzing.toolchain()
    own = Path(say.run(["rustc", "--print", "sysroot"]).stdout.strip()) / "lib" / "rustlib" / rust["host"] / "bin" / name
    if own.is_file():
        return own
    major = rust["LLVM version"].split(".")[0]
    versioned = shutil.which(f"{name}-{major}")
    if not versioned:
        debian.need([f"llvm-{major}"], "coverage (or: rustup component add llvm-tools)")
        versioned = shutil.which(f"{name}-{major}")
    if not versioned:
        raise say.Failure(f"there is no {name} for LLVM {major}")
    return Path(versioned)


def measure(targets):
    """(llvm-cov's summary, its lines) of all corpora together."""
    cov, profdata = llvm_tool("llvm-cov"), llvm_tool("llvm-profdata")
    folder = fuzzing.target_folder() / "coverage"
    programs = fuzzing.build(targets, FLAGS, folder)
    env = fuzzing.oracle(targets)
    raw = []
    for target, program in programs.items():
        inputs = sorted(fuzzing.corpus(target).iterdir())
        say.note(f"{target}: {len(inputs)} inputs")
        raw.append(folder / f"{target}.profraw")
        raw[-1].unlink(missing_ok=True)
        # Children that abort leave nothing: what happens in them alone is not counted.
        done = subprocess.run(
            [program, *fuzzing.LIMITS, *inputs], env=dict(env, LLVM_PROFILE_FILE=str(raw[-1])),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
        if done.returncode != 0 or not raw[-1].is_file():
            raise say.Failure(f"{target} ended with {done.returncode} on its corpus:\n{done.stdout[-4000:]}")
    merged = folder / "merged.profdata"
    say.run([profdata, "merge", "-sparse", "-o", merged, *raw])
    objects = [word for program in list(programs.values())[1:] for word in ("-object", program)]
    command = [cov, "export", f"-instr-profile={merged}", next(iter(programs.values())), *objects]
    return json.loads(_output(command + ["-summary-only"])), _output(command + ["-format=lcov"])


def _output(command) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise say.Failure(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def _place(name: str):
    """A file's name in the tree, if it is one of those that count."""
    path = Path(name)
    if not path.is_relative_to(places.ROOT):
        return None
    path = path.relative_to(places.ROOT)
    return path if any(path.is_relative_to(folder) for folder in FOLDERS) else None


def table(summary) -> str:
    """Markdown: by file, and a sum for each folder."""
    files = {_place(file["filename"]): file["summary"] for file in summary["data"][0]["files"] if _place(file["filename"])}
    if not files:
        raise say.Failure("no file of the library is in what was measured")
    lines = ["| file | lines | regions | functions |", "| --- | --- | --- | --- |"]
    for folder in FOLDERS:
        inside = {path: sums for path, sums in sorted(files.items()) if path.is_relative_to(folder)}
        for path, sums in inside.items():
            lines.append(f"| {path} | " + " | ".join(_share(sums[kind]["covered"], sums[kind]["count"]) for kind in SUMS) + " |")
        total = {kind: [sum(sums[kind][part] for sums in inside.values()) for part in ("covered", "count")] for kind in SUMS}
        lines.append(f"| **{folder}** | " + " | ".join(f"**{_share(*total[kind])}**" for kind in SUMS) + " |")
    return "\n".join(lines)


def _share(covered: int, count: int) -> str:
    return f"{covered} of {count} ({100 * covered / count:.1f} %)" if count else "none"


def missing(lcov: str) -> str:
    """The lines that nothing reached, by file."""
    found, path = [], None
    for line in lcov.splitlines():
        kind, _, rest = line.partition(":")
        if kind == "SF":
            path, zero = _place(rest), []
        elif kind == "DA" and path:
            number, count = rest.split(",")[:2]
            if count == "0":
                zero.append(int(number))
        elif line == "end_of_record" and path and zero:
            found.append(f"{path}: {_ranges(zero)}")
    return "\n".join(sorted(found))


def _ranges(numbers) -> str:
    runs = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)
