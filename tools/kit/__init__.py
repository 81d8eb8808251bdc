# SPDX-License-Identifier: GPL-2.0-or-later
"""What tools/ needs to get, build, run and test a QEMU on the library."""
