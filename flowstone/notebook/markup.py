"""HTML from text that may be anything: escaped, capped, without scripts or outside references.

Colours are mid-tones that read on light and on dark; all else is the text colour of the page.
State is told by a character and a word as well.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from flowstone.core.text import cap, clean
from flowstone.telling.words import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

Tone: TypeAlias = Literal["good", "new", "todo", "maybe", "bad", "idle", "plain"]

#: Bytes of a single text that are shown.
_TEXT_LIMIT = 4_000

COLOURS: dict[Tone, str] = {
    "good": "#2da44e",
    "new": "#3b82f6",
    "todo": "#d9860b",
    "maybe": "#d9860b",
    "bad": "#e5484d",
    "idle": "#8b949e",
    "plain": "#8b949e",
}

_STYLE = """
.fs{font:13px/1.5 var(--jp-ui-font-family,system-ui,-apple-system,"Segoe UI",sans-serif);
max-width:100%;padding:2px 0 4px}
.fs .fs-m,.fs.fs code,.fs.fs pre{font-family:var(--jp-code-font-family,ui-monospace,Menlo,Consolas,
"DejaVu Sans Mono",monospace);font-size:12px;background:none;color:inherit;border:0;padding:0}
.fs .fs-h{margin:2px 0 6px}
.fs .fs-q{opacity:.68}
.fs .fs-x{overflow:auto;max-height:640px}
.fs.fs table{border-collapse:collapse;margin:0;width:auto;table-layout:auto;font:inherit;border:0}
.fs.fs tr.fs-r{background:none}
.fs.fs th,.fs.fs td{text-align:left;padding:2px 20px 2px 0;border:0;vertical-align:top;
background:none;max-width:none;white-space:nowrap;line-height:1.6}
.fs.fs th{font-weight:600;opacity:.68;border-bottom:1px solid rgba(128,128,128,.45)}
.fs.fs td.fs-w{white-space:normal;min-width:14em;max-width:46em;overflow-wrap:anywhere}
.fs.fs td.fs-a{white-space:normal;min-width:9em;max-width:30em;overflow-wrap:anywhere}
.fs.fs td.fs-n,.fs.fs th.fs-n{text-align:right}
.fs.fs pre{margin:2px 0 6px;line-height:1.45;white-space:pre-wrap;overflow-wrap:anywhere}
.fs .fs-e{border-left:3px solid #e5484d;padding-left:10px;margin:10px 0 4px}
.fs.fs ul{margin:0 0 0 1.2em;padding:0;list-style:none}
.fs details{margin-top:6px}
.fs summary{cursor:pointer;opacity:.68}
.fs summary:focus-visible{outline:2px solid #3b82f6}
""".replace("\n", "")


class State(NamedTuple):
    """How something stands: a character, a word, a colour, and what more there is to say."""

    mark: str
    word: str
    tone: Tone
    detail: str = ""


def text(value: str, limit: int = _TEXT_LIMIT) -> str:
    """A text as HTML or XML shows it: of at most ``limit`` bytes, control characters told."""
    return html.escape(printable(cap(clean(value), limit)))


def block(*parts: str, label: str) -> str:
    """A display of its own, with its style."""
    inner = "".join(parts)
    name = text(label, 200)
    return f'<style>{_STYLE}</style><div class="fs" role="group" aria-label="{name}">{inner}</div>'


def heading(title: str, *rest: str) -> str:
    """The first line: a name in bold, and HTML after it."""
    return f'<div class="fs-h"><strong>{text(title)}</strong> {" ".join(rest)}</div>'


def quiet(value: str) -> str:
    """Something by the way."""
    return f'<span class="fs-q">{text(value)}</span>'


def code(value: str) -> str:
    """A name or a signature."""
    return f'<span class="fs-m">{text(value)}</span>'


def mark(state: State) -> str:
    """A state's character and word, in its colour."""
    colour = COLOURS[state.tone]
    return (
        f'<span style="white-space:nowrap"><b style="color:{colour}" class="fs-m">'
        f"{text(state.mark)}</b> {text(state.word)}</span>"
    )


def lines(told: Iterable[str]) -> str:
    """Lines of source or of a traceback, or nothing."""
    joined = "\n".join(told)
    return f"<pre>{text(joined)}</pre>" if joined else ""


def folded(summary: str, inner: str, *, is_open: bool = False) -> str:
    """What can be opened and shut, without a script."""
    opened = " open" if is_open else ""
    return f"<details{opened}><summary>{text(summary)}</summary>{inner}</details>"


def scrolled(inner: str) -> str:
    """What may be larger than its place. It can be scrolled from the keyboard, too."""
    return f'<div class="fs-x" tabindex="0">{inner}</div>'


class Column(NamedTuple):
    """A column's head, and the class of its cells.

    Those of ``fs-w`` and ``fs-a`` wrap text and names, those of ``fs-n`` hold numbers.
    """

    head: str
    kind: str = ""


def table(columns: Iterable[Column], rows: Iterable[Iterable[str]]) -> str:
    """A table of cells that are HTML already."""
    listed = list(columns)
    head = "".join(f'<th class="{c.kind}" scope="col">{text(c.head)}</th>' for c in listed)
    body = "".join(
        '<tr class="fs-r">'
        + "".join(f'<td class="{c.kind}">{x}</td>' for c, x in zip(listed, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return scrolled(
        f'<table><thead><tr class="fs-r">{head}</tr></thead><tbody>{body}</tbody></table>'
    )
