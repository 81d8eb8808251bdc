# SPDX-License-Identifier: GPL-2.0-or-later
"""What makes the generated files of this repository. Each makes {file: its text, None: no file}."""

from pathlib import Path

Files = dict[Path, str | None]
