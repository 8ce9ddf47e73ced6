r"""Rows and arrays as Postgres reads them: the text format of COPY, and array literals.

Most texts of ours are plain, and one look at a whole column says so: printable ASCII without a
backslash means itself. Anything else is cleaned of what Postgres does not store, then escaped.

Source: PostgreSQL documentation, "COPY", file formats, text format; "Arrays", array input syntax.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, cast

from flowstone.core.text import TEXT_LIMIT, clean, jsonable

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence

#: What stands for no value, in a row.
NULL = r"\N"

_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
_encode = json.JSONEncoder(allow_nan=False, check_circular=False, separators=(",", ":")).encode


def lines(columns: Iterable[Sequence[str | None]]) -> str:
    """Rows of COPY, from columns of texts and None for NULL."""
    rows = zip(*map(_escaped, columns), strict=True)
    return "\n".join(map("\t".join, rows)) + "\n"


def document(value: dict[str, Any] | list[Any]) -> str:
    """The JSON of what Flowstone made itself, or of anything else as far as jsonb takes it."""
    if not value:
        return "{}" if isinstance(value, dict) else "[]"
    try:
        text = _encode(value)
    except (TypeError, ValueError, RecursionError):
        return _encode(jsonable(value, sys.maxsize, sys.maxsize))
    # Escapes that jsonb may refuse: NUL, and surrogates, which may be alone.
    if len(text) > TEXT_LIMIT or r"\u0000" in text or r"\ud" in text:
        return _encode(jsonable(value, sys.maxsize, sys.maxsize))
    return text


def binary(data: bytes | None) -> str | None:
    """Bytes as hexadecimal digits."""
    return None if data is None else rf"\x{data.hex()}"


def moment(at: dt.datetime | None) -> str | None:
    """A time with its zone."""
    return None if at is None else at.isoformat()


def array(texts: Sequence[str | None]) -> str:
    """An array literal of texts and None for NULL."""
    if texts and None not in texts:
        known = cast("Sequence[str]", texts)
        joined = '","'.join(known)
        if _is_plain(joined) and joined.count('"') == 2 * (len(known) - 1):
            return f'{{"{joined}"}}'
    return bare_array(map(_quoted, texts))


def bare_array(texts: Iterable[str]) -> str:
    """An array literal of texts that need no quotes: words, digits, ``NULL``."""
    return f"{{{','.join(texts)}}}"


def _escaped(column: Sequence[str | None]) -> Sequence[str]:
    if None not in column:
        known = cast("Sequence[str]", column)
        return known if _is_plain("".join(known)) else [_escape(text) for text in known]
    return [NULL if text is None else _escape(text) for text in column]


def _escape(text: str) -> str:
    return text if _is_plain(text) else clean(text).translate(_ESCAPES)


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and "\\" not in text


def _quoted(text: str | None) -> str:
    if text is None:
        return "NULL"
    # twice as fast as a translation: most of it is JSON
    return '"' + clean(text).replace("\\", r"\\").replace('"', r"\"") + '"'
