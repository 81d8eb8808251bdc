# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs: run to their end, or watched while they work."""

import re
import shlex
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from qdb_tools import log
from qdb_tools.log import Failure

Words = Sequence[object]
COMMON: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
COMMON |= {"text": True, "errors": "replace"}
STEP = re.compile(r"^\[([1-9]\d*)/(\d+)\]")


def words(command: Words) -> list[str]:
    return [str(word) for word in command]


def output(command: Words, **options: Any) -> tuple[int, str]:
    """Runs a program that may fail: its exit code, and what it says on stdout and stderr."""
    options = COMMON | {"stdout": subprocess.PIPE} | options
    if "input" in options:
        del options["stdin"]
    try:
        done = subprocess.run(words(command), check=False, **options)
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
        time.sleep(0.02)


def follow(command: Words, log_file: Path, show: Callable[[str], None], **options: Any) -> int:
    """Runs a program; each line of its output goes to a file and to `show`. Returns its code."""
    options = COMMON | {"stdout": subprocess.PIPE} | options
    with log_file.open("w") as file, subprocess.Popen(words(command), **options) as process:
        for line in process.stdout or []:
            print(line, end="", file=file, flush=True)
            show(line)
    return process.returncode


def watch(command: Words, log_file: Path, label: str, **options: Any) -> None:
    """Runs a long command; its output goes to a file, its progress ([12/345] lines) is shown."""
    started = shown = time.monotonic()
    step = None  # nothing is said about a command that has nothing to do

    def show(line: str) -> None:
        nonlocal shown, step
        step = STEP.match(line) or step
        if step and time.monotonic() - shown > 20:
            shown = time.monotonic()
            log.note(f"{label}: {step[1]} of {step[2]} steps, {shown - started:.0f} s")

    if (code := follow(command, log_file, show, **options)) != 0:
        end = log_file.read_text(errors="replace")[-6000:]
        failed = f"ended with {code}; log {log_file}, its end:\n{end}"
        raise Failure(f"{shlex.join(words(command))}\n{failed}")
    if step:
        log.note(f"{label}: done in {time.monotonic() - started:.0f} s")
