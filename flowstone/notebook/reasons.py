"""The answer to "why", as nested lists with their diffs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.notebook.markup import COLOURS, block, code, heading, text
from flowstone.notebook.places import readable
from flowstone.notebook.plans import titled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.core.reason import Explanation, Reason

#: Lines of one diff that are shown.
_DIFF_LINES = 60
_COLOURS = {"+": COLOURS["good"], "-": COLOURS["bad"], "@": COLOURS["new"]}


def explanation(told: Explanation) -> dict[str, str]:
    """An explanation in HTML and text."""
    html = block(
        heading(titled(told.asset, told.partition), text(told.headline)),
        _list(told.reasons),
        label=f"Why: {told.asset}",
    )
    return {"text/html": html, "text/plain": repr(told)}


def _list(reasons: Sequence[Reason]) -> str:
    return f"<ul>{''.join(map(_item, reasons))}</ul>" if reasons else ""


def _item(reason: Reason) -> str:
    cause = text(readable(str(reason.cause)))
    behind = ""
    if reason.because:
        behind = (
            f'<div style="margin-left:1.2em">{code(reason.source)}:{_list(reason.because)}</div>'
        )
    return f"<li>{cause}{_diff(reason.diff)}{behind}</li>"


def _diff(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    left_out = len(lines) - _DIFF_LINES
    told = [_line(line) for line in lines[:_DIFF_LINES]]
    told += [f"... {left_out} more lines"] if left_out > 0 else []
    return f'<pre style="margin-left:1.2em">{chr(10).join(told)}</pre>'


def _line(line: str) -> str:
    colour = _COLOURS.get(line[:1])
    return f'<span style="color:{colour}">{text(line)}</span>' if colour else text(line)
