"""Standard output for results alone."""

from __future__ import annotations

import os
import sys
from typing import TextIO


def claim() -> TextIO:
    """Standard output as a file of our own; what anyone else writes there goes to stderr.

    Users' modules print, when they are imported and when they run, and so do the programs and
    libraries they call; none of that may end up between our results.
    """
    sys.stdout.flush()
    ours = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
    os.dup2(2, 1)
    return ours
