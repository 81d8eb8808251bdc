# SPDX-License-Identifier: GPL-2.0-or-later
"""What a command says while it works. All of it goes to stderr; results go to stdout."""

import os
import sys
from collections.abc import Callable
from typing import TextIO


class Failure(Exception):
    """Something that the user must know and that ends the run."""


def colour(text: str, code: str, stream: TextIO = sys.stderr) -> str:
    plain = "NO_COLOR" in os.environ or not stream.isatty()
    return text if plain else f"\033[{code}m{text}\033[0m"


def step(text: str) -> None:
    print(colour(f"==> {text}", "1"), file=sys.stderr, flush=True)


def note(text: str) -> None:
    print(f"    {text}", file=sys.stderr, flush=True)


def main(function: Callable[[], int]) -> None:
    """Runs a command's main function; its number is the exit code, a Failure is 1."""
    try:
        sys.exit(function())
    except Failure as failure:
        sys.exit(colour("FAILED: ", "1;31") + str(failure))
    except KeyboardInterrupt:
        sys.exit(130)
