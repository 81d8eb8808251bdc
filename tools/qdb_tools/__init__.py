# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands of tools/ and the tests have in common: sources, builds and machines."""
