r"""Rows and arrays as Postgres reads them: the text format of COPY, and array literals.

Most texts of ours are plain: ASCII without a backslash and such means itself. Anything else is
cleaned of what Postgres does not store, then escaped.

Source: PostgreSQL documentation, "COPY", file formats, text format; "Arrays", array input syntax.
"""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import json
import sys
from typing import TYPE_CHECKING, Any, cast

from flowstone.core.text import TEXT_LIMIT, clean, jsonable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: What stands for no value, in a row.
NULL = r"\N"

#: Rows that are sent at once.
_AT_ONCE = 32
_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})
_encode = json.JSONEncoder(allow_nan=False, check_circular=False, separators=(",", ":")).encode


def lines(rows: Iterable[Sequence[str | None]]) -> Iterator[str]:
    """Rows of COPY, from texts and None for NULL: some at a time, so that the server has work."""
    them = iter(rows)
    while some := "".join(map(_line, itertools.islice(them, _AT_ONCE))):
        yield some


def document(value: dict[str, Any] | Sequence[Any]) -> str:
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
    """Bytes as they are where those are characters that mean themselves, else as digits."""
    if data is None:
        return None
    if data.isascii() and b"\\" not in data and b"\0" not in data:
        return data.decode()
    return rf"\x{data.hex()}"


def moment(at: dt.datetime | None) -> str | None:
    """A time with its zone."""
    if at is None:
        return None
    if at.tzinfo is not dt.UTC:
        return at.isoformat()
    return f"{_second(at.timestamp() // 1)}.{at.microsecond:06d}+00"


@functools.lru_cache
def _second(since_epoch: float) -> str:
    return dt.datetime.fromtimestamp(since_epoch, dt.UTC).replace(tzinfo=None).isoformat()


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


def _line(row: Sequence[str | None]) -> str:
    if _is_plain("".join(filter(None, row))):
        return "\t".join([NULL if text is None else text for text in row]) + "\n"
    return "\t".join(map(_field, row)) + "\n"


def _field(text: str | None) -> str:
    if text is None:
        return NULL
    return text if _is_plain(text) else clean(text).translate(_ESCAPES)


def _is_plain(text: str) -> bool:
    # each of these looks takes no time, unlike one at every character
    return (
        text.isascii()
        and "\\" not in text
        and "\n" not in text
        and "\t" not in text
        and "\r" not in text
        and "\0" not in text
    )


def _quoted(text: str | None) -> str:
    if text is None:
        return "NULL"
    # twice as fast as a translation: most of it is JSON
    return '"' + clean(text).replace("\\", r"\\").replace('"', r"\"") + '"'
