"""Places in code as a notebook's reader knows them: ``Cell In[3]:2`` for a kernel's own file."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from flowstone.core.text import clean
from flowstone.telling.words import printable, relative

_CELL = re.compile(r"[^\s\"'(]*ipykernel_\d+[/\\]\d+\.py")


def readable(told: str) -> str:
    """A text with cells by their numbers, and paths from the working folder on."""
    return relative(_CELL.sub(_cell, printable(clean(told))), Path.cwd())


def _cell(match: re.Match[str]) -> str:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    named = shell.compile.format_code_name(match[0]) if shell is not None else None
    return " ".join(named) if named else match[0]
