"""Errors of ours as IPython shows them: the reader's own lines, and none of ours."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType

_OURS = str(Path(__file__).parents[1])


def brief(error: BaseException) -> list[str]:
    """The error as IPython would show it if no frame were ours."""
    shell = sys.modules["IPython"].get_ipython()
    trace = without_ours(error.__traceback__)
    told: list[str] = shell.InteractiveTB.structured_traceback(type(error), error, trace)
    return told


def without_ours(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames of this package."""
    kept: list[TracebackType] = []
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_OURS):
            kept.append(trace)
        trace = trace.tb_next
    made: TracebackType | None = None
    for each in reversed(kept):
        made = TracebackType(made, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return made
