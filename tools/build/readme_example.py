# SPDX-License-Identifier: GPL-2.0-or-later
"""The C program in README.md.

readme_example.py extract README OUTPUT    writes it to a file
readme_example.py run README PROGRAM       fails unless it prints what README says
"""

import re
import subprocess
import sys


def found(pattern: str, text: str) -> str:
    match = re.findall(pattern, text, re.M | re.S)
    if len(match) != 1:
        raise SystemExit(f"README has {len(match)} of {pattern}")
    return str(match[0])


def main() -> None:
    what, readme, other = sys.argv[1:]
    with open(readme, encoding="utf-8") as file:
        text = file.read()
    if what == "extract":
        with open(other, "w", encoding="utf-8") as file:
            file.write(found(r"^```c\n(.*?)^```$", text))
        return
    expected = found(r"prints\s`([^`]+)`", text) + "\n"
    printed = subprocess.run([other], capture_output=True, text=True, check=True).stdout
    if printed != expected:
        raise SystemExit(f"it prints {printed!r}, and README says {expected!r}")


if __name__ == "__main__":
    main()
