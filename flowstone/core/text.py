"""Text and metadata that Postgres takes, however they came about.

Postgres stores neither NUL nor lone surrogates, jsonb neither NaN nor Infinity, and nobody wants
a 50 MB error message. Nothing here raises because of what it is given.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import numbers
import pathlib
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

TEXT_LIMIT = 65_536
"""Bytes of UTF-8 that a stored text may have."""

METADATA_DEPTH = 16
"""Levels of metadata that are kept; what lies deeper is shown as text."""

METADATA_ITEMS = 10_000
"""Members, over all levels, that a piece of metadata may have."""

METADATA_SIZE = 262_144
"""Characters, of all texts and keys together, that a piece of metadata may have."""

_SHOWN_AS_TEXT = (dt.date, dt.time, decimal.Decimal, uuid.UUID, pathlib.PurePath)
_WIDE_INT_BITS = 1_024
_CONTINUATION = 0x80


def clean(text: str) -> str:
    r"""Give a text that Postgres stores: NUL becomes ``\x00``, a lone surrogate ``\ud800``.

    Everything else stays as it is, so a second pass changes nothing.
    """
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", r"\x00").encode("utf-8", "backslashreplace").decode("utf-8")


def cap(text: str, limit: int = TEXT_LIMIT) -> str:
    """Give a text of at most ``limit`` bytes of UTF-8: its head, its tail, and how much is missing.

    A text within the limit is returned as it is. Under a limit too small for the mark, the head
    alone is kept. A lone surrogate counts three bytes; ``clean`` after this can lengthen the
    text, so clean first.
    """
    if len(text) * 4 <= limit:
        return text
    raw = text.encode("utf-8", "surrogatepass")
    if len(raw) <= limit:
        return text
    room = limit - len(_mark(len(raw)))
    if room < 0:
        return _decoded(raw[: _boundary(raw, max(limit, 0))])
    head = _boundary(raw, (room + 1) // 2)
    tail = _following_boundary(raw, len(raw) - room // 2)
    return _decoded(raw[:head]) + _mark(tail - head) + _decoded(raw[tail:])


def safe_str(value: object, limit: int = TEXT_LIMIT) -> str:
    """Give ``str(value)``, cleaned and capped, or a note in angle brackets if that raises."""
    return _shown(str, value, limit)


def safe_repr(value: object, limit: int = TEXT_LIMIT) -> str:
    """Give ``repr(value)``, cleaned and capped, or a note in angle brackets if that raises."""
    return _shown(repr, value, limit)


def kind_of(value: object) -> str:
    """What a value is, for messages, without asking it: a class by its name, else its type's."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return type(value).__name__


def jsonable(value: object, items: int = METADATA_ITEMS, size: int = METADATA_SIZE) -> Any:
    """Give what a jsonb column takes in place of ``value``.

    None, bool, int, float, str, lists and mappings stay what they are, with text cleaned and
    capped; tuples and sets become lists; NaN and the infinities, dates, Decimal, UUID and paths
    become their text; any other object its ``repr``. Keys become text; two keys with one text
    are told apart by added apostrophes. Below ``METADATA_DEPTH`` levels, inside a ring, and after
    ``items`` members or ``size`` characters there is text in place of the rest.
    """
    return _Simplifier(items, size).simple(value, 0)


class _Simplifier:
    """One pass of ``jsonable``, with its budget of members and characters."""

    def __init__(self, items: int, size: int) -> None:
        self._left, self._room = items, size
        self._open: set[int] = set()

    def simple(self, value: object, depth: int) -> Any:
        if isinstance(value, dict | list | tuple | set | frozenset):
            return self._container(value, depth)
        try:
            return _scalar(value)
        except Exception:  # noqa: BLE001 - a subclass may raise anything from its conversions
            return safe_repr(value)

    def _container(self, value: Any, depth: int) -> Any:
        if id(value) in self._open:
            return "<contains itself>"
        if depth >= METADATA_DEPTH:
            return safe_repr(value, 200)
        self._open.add(id(value))
        try:
            if isinstance(value, dict):
                return self._mapping(value, depth)
            return self._sequence(value, depth)
        except Exception:  # noqa: BLE001 - a subclass may raise anything while it is walked
            return safe_repr(value, 200)
        finally:
            self._open.discard(id(value))

    def _sequence(self, items: Iterable[object], depth: int) -> list[Any]:
        simple: list[Any] = []
        for item in items:
            told = self.simple(item, depth + 1)
            if not self._spend(told):
                return [*simple, "<more left out>"]
            simple.append(told)
        return simple

    def _mapping(self, items: Mapping[object, object], depth: int) -> dict[str, Any]:
        simple: dict[str, Any] = {}
        for key, item in items.items():
            name = safe_str(key)
            while name in simple:
                name += "'"
            told = self.simple(item, depth + 1)
            if not self._spend(name, told):
                return {**simple, name[:100]: "<more left out>"}
            simple[name] = told
        return simple

    def _spend(self, *told: object) -> bool:
        self._left -= 1
        self._room -= sum(len(each) for each in told if isinstance(each, str))
        return self._left >= 0 and self._room >= 0


def _scalar(value: object) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return cap(clean(str.__str__(value)))
    if isinstance(value, numbers.Integral):
        number = int(value)
        return number if number.bit_length() <= _WIDE_INT_BITS else cap(hex(number))
    if isinstance(value, numbers.Real):
        real = float(value)
        return real if math.isfinite(real) else str(real)
    return safe_str(value) if isinstance(value, _SHOWN_AS_TEXT) else safe_repr(value)


def _shown(show: Callable[[object], str], value: object, limit: int) -> str:
    try:
        text = str.__str__(show(value))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a hostile __str__ may raise SystemExit
        text = f"<{type(value).__name__} whose {show.__name__}() raised {type(error).__name__}>"
    return cap(clean(text), limit)


def _mark(left_out: int) -> str:
    return f" [... {left_out:,} bytes left out ...] "


def _boundary(raw: bytes, at: int) -> int:
    """Give the last start of a character at or before ``at``."""
    while 0 < at < len(raw) and _continues(raw[at]):
        at -= 1
    return at


def _following_boundary(raw: bytes, at: int) -> int:
    while at < len(raw) and _continues(raw[at]):
        at += 1
    return at


def _continues(byte: int) -> bool:
    return byte & 0xC0 == _CONTINUATION


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")
