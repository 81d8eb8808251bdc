# SPDX-License-Identifier: GPL-2.0-or-later
"""What a tool counts: each check is told as it ends, the sum at the end."""
import sys

from . import say


class Score:
    def __init__(self):
        self.passed, self.failed = 0, []

    def count(self, name: str, good: bool, about: str = "") -> bool:
        if good:
            self.passed += 1
        else:
            self.failed.append(name)
        word = say.colour("pass", "32", sys.stdout) if good else say.colour("FAIL", "1;31", sys.stdout)
        print(f"{word}  {name}{'  ' + about if about else ''}", flush=True)
        return good

    def attempt(self, name: str, function, *arguments) -> bool:
        """Counts a function that returns what there is to say, and raises say.Failure if it is not as it should be."""
        try:
            return self.count(name, True, function(*arguments) or "")
        except say.Failure as failure:
            self.count(name, False)
            print(str(failure), flush=True)
            return False

    def end(self, subject: str) -> int:
        """Tells the sum; returns the exit code."""
        for name in self.failed:
            print(f"  failed: {name}")
        print(f"{subject}: {self.passed} passed, {len(self.failed)} failed")
        return 1 if self.failed else 0
