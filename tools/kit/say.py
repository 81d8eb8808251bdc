# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tools show: steps, progress, and loud failures. All on stderr but results."""
import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

STEP = re.compile(r"^\[(\d+)/(\d+)\]")


class Failure(Exception):
    """Something that the user must know and that ends the run."""


def colour(text: str, code: str, stream=sys.stderr) -> str:
    return f"\033[{code}m{text}\033[0m" if stream.isatty() and "NO_COLOR" not in os.environ else text


def step(text: str) -> None:
    print(colour(f"==> {text}", "1"), file=sys.stderr, flush=True)


def note(text: str) -> None:
    print(f"    {text}", file=sys.stderr, flush=True)


def run(command, **options) -> subprocess.CompletedProcess:
    """Runs a command to its end; a failure is a Failure that shows the command and its output."""
    options.setdefault("text", True)
    command = [str(word) for word in command]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options)
    except FileNotFoundError:
        raise Failure(f"{command[0]}: no such program") from None
    if done.returncode != 0:
        output = done.stdout if isinstance(done.stdout, str) else done.stdout.decode(errors="replace")
        raise Failure(f"{shlex.join(command)}\nended with {done.returncode}:\n{output[-4000:]}")
    return done


def watch(command, log: Path, label: str, **options) -> None:
    """Runs a long command; its output goes to `log`, its progress ([12/345] lines) is shown."""
    command = [str(word) for word in command]
    log.parent.mkdir(parents=True, exist_ok=True)
    tty, started, shown, tail = sys.stderr.isatty(), time.monotonic(), 0.0, []
    # Nothing is said about a command that has nothing to do.
    last = None
    with log.open("w") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", **options,
        )
        for line in process.stdout:
            file.write(line)
            tail = (tail + [line])[-60:]
            found = STEP.match(line)
            now = time.monotonic()
            if found and found[1] != "0":
                last = f"{label}: {int(found[1]):,} of {int(found[2]):,} steps, {now - started:.0f} s"
            if last and now - shown > (0.2 if tty else 20):
                shown = now
                print(f"\r    {last}\033[K" if tty else f"    {last}", end="" if tty else "\n", file=sys.stderr, flush=True)
        code = process.wait()
    if tty and shown:
        print("\r\033[K", end="", file=sys.stderr)
    if code != 0:
        raise Failure(f"{shlex.join(command)}\nended with {code}; the whole output is in {log}, its end:\n{''.join(tail)}")
    if last:
        note(f"{label}: done in {time.monotonic() - started:.0f} s")


def main(function) -> None:
    """Runs a tool's main function; its number is the exit code, a Failure is 1."""
    try:
        sys.exit(function())
    except Failure as failure:
        print(colour("FAILED: ", "1;31") + str(failure), file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
