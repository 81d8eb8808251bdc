# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs: run to their end, or watched while they work."""

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from qdb_tools import log
from qdb_tools.log import Failure

Words = Sequence[object]
STEP = re.compile(r"^\[(\d+)/(\d+)\]")


def words(command: Words) -> list[str]:
    return [w.decode(errors="surrogateescape") if isinstance(w, bytes) else str(w) for w in command]


def output(command: Words, **options: Any) -> tuple[int, str]:
    """Runs a program that may fail: its exit code, and what it says on stdout and stderr."""
    options = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "text": True} | options
    if "input" in options:
        del options["stdin"]
    options.setdefault("errors", "replace")
    try:
        done = subprocess.run(words(command), stdout=subprocess.PIPE, check=False, **options)
    except FileNotFoundError:
        raise Failure(f"{command[0]!s}: no such program") from None
    except subprocess.TimeoutExpired as late:
        raise Failure(f"{shlex.join(words(command))}: no end after {late.timeout} s") from None
    return done.returncode, done.stdout


def run(command: Words, **options: Any) -> str:
    """Runs a program that must succeed; returns what it says."""
    code, said = output(command, **options)
    if code != 0:
        raise Failure(f"{shlex.join(words(command))}\nended with {code}:\n{said[-4000:]}")
    return said


def wait_until(about: str, condition: Callable[[], bool], limit: int = 60) -> None:
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"{about}: not within {limit} s")
        time.sleep(0.05)


def watch(command: Words, log_file: Path, label: str, **options: Any) -> None:
    """Runs a long command; its output goes to a file, its progress ([12/345] lines) is shown."""
    log_file.parent.mkdir(parents=True, exist_ok=True)
    started = shown = time.monotonic()
    last = ""  # nothing is said about a command that has nothing to do
    with log_file.open("w") as file:
        process = subprocess.Popen(
            words(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            **options,
        )
        assert process.stdout
        for line in process.stdout:
            file.write(line)
            now = time.monotonic()
            if (found := STEP.match(line)) and found[1] != "0":
                last = (
                    f"{label}: {int(found[1]):,} of {int(found[2]):,} steps, {now - started:.0f} s"
                )
            if last and now - shown > 20:
                shown = now
                print(f"    {last}", file=sys.stderr, flush=True)
        code = process.wait()
    if code != 0:
        end = "".join(log_file.read_text(errors="replace").splitlines(keepends=True)[-60:])
        raise Failure(
            f"{shlex.join(words(command))}\nended with {code}; log {log_file}, its end:\n{end}"
        )
    if last:
        log.note(f"{label}: done in {time.monotonic() - started:.0f} s")
