# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether the library fits a QEMU tree: both are read as text and compared."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
