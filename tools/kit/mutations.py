# SPDX-License-Identifier: GPL-2.0-or-later
"""Mutants of the library: which there are, which are accepted, and the verdict."""
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import places, say

ACCEPTED = places.ROOT / "tests" / "mutants-accepted.txt"
WHOLE = ["src/hbitmap/**/*.rs", "src/dirty_bitmap/**/*.rs"]
PLACE = re.compile(r"^(\S+?):(\d+):(\d+): (.*)$", re.S)


@dataclass(frozen=True)
class Mutant:
    """`what` and `code` say which one it is when lines have moved."""
    name: str
    what: str
    code: str

    @property
    def file(self):
        return self.name.split(":")[0]

    @property
    def key(self):
        return self.what, self.code


def program() -> Path:
    folder = places.cache() / "cargo-mutants"
    found = folder / "bin" / "cargo-mutants"
    if not found.is_file():
        with places.lock("cargo-mutants"):
            say.step("cargo-mutants")
            command = ["cargo", "install", "--locked", "--root", folder, "cargo-mutants"]
            say.run(command, env=environment())
    return found


def environment():
    """The caller's, but for what would make two jobs build in one folder."""
    without = ("CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "RUSTFLAGS")
    return {name: value for name, value in os.environ.items() if name not in without}


def every(files):
    """All mutants of some files; of none: of the whole engine and state machine."""
    for file in files:
        if not (places.ROOT / file).is_file():
            raise say.Failure(f"{file}: no such file")
    chosen = [word for file in files or WHOLE for word in ("--file", file)]
    command = [program(), "mutants", "--list", "--json", *chosen]
    listed = subprocess.run(
        command, cwd=places.ROOT, env=environment(), capture_output=True, text=True, check=False,
    )
    if listed.returncode != 0:
        raise say.Failure(f"cargo-mutants can't list the mutants:\n{listed.stderr}")
    return [mutant(each) for each in json.loads(listed.stdout)]


def mutant(listed) -> Mutant:
    file, line, column, what = PLACE.match(listed["name"]).groups()
    code = ""
    if listed["genre"] != "FnValue":
        lines = (places.ROOT / file).read_text().splitlines()
        code = lines[int(line) - 1][int(column) - 1:].rstrip()
    return Mutant(listed["name"], f"{file}: {what}", code)


def accepted(text=None):
    """The accepted mutants: what and code, and the reason."""
    entries = {}
    text = ACCEPTED.read_text() if text is None else text
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for block in re.split(r"\n\s*\n", kept.strip("\n")):
        what, *rest = [line.strip() for line in block.splitlines() if line.strip()] or [""]
        if not what:
            continue
        code = rest.pop(0).removeprefix("at: ") if rest and rest[0].startswith("at: ") else ""
        if not rest:
            raise say.Failure(f"{ACCEPTED.name} gives no reason for: {what}")
        if (what, code) in entries:
            raise say.Failure(f"{ACCEPTED.name} has this twice: {what}")
        entries[what, code] = " ".join(rest)
    return entries


def watch(command, log: Path, env) -> int:
    """Runs cargo-mutants; shows what it tells of mutants that live."""
    with log.open("w") as file:
        process = subprocess.Popen(
            [str(word) for word in command], cwd=places.ROOT, env=env, text=True,
            errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for line in process.stdout:
            file.write(line)
            file.flush()
            if line.startswith(("ok", "Found", "MISSED", "TIMEOUT", "FAILED")):
                say.note(line.rstrip())
        return process.wait()


def tell(score, mine, living, unviable, reasons) -> None:
    """Counts the mutants: killed or accepted, or not."""
    for each in mine:
        if each in unviable:
            continue
        if each in living and each.key in reasons:
            score.count(each.name, True, "the same program: " + reasons[each.key])
        elif each in living:
            score.count(each.name, False, f"lives: {each.code}")
        elif each.key in reasons:
            score.count(each.name, False, "is accepted as the same program, but a test kills it")
        else:
            score.passed += 1


def tell_stale(score, mutants, reasons) -> None:
    """Counts entries of the list that are no mutants."""
    keys = {each.key for each in mutants}
    for what, code in reasons.keys() - keys:
        score.count(what, False, f"is accepted, but there is no such mutant: {code}")
