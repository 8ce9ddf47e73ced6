"""Partition keys as text: readable, and one text per key.

Strings stay as they are given. Other types carry a tag: ``d:2025-01-15`` is the date,
``2025-01-15`` the string. A string that would read as tagged gets the tag of strings, ``s:``.
All one-letter tags are reserved, so a type added later can't change what a stored key means.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
import zoneinfo
from typing import TYPE_CHECKING

from flowstone.core.text import safe_repr
from flowstone.errors import PartitionError

if TYPE_CHECKING:
    from collections.abc import Callable

PartitionKey = str | int | bool | dt.date | dt.datetime | uuid.UUID | tuple["PartitionKey", ...]
"""What a partition key may be; subclasses of these types are not taken."""

MAX_BYTES = 512
"""Bytes of UTF-8 that an encoded key may have."""

_MAX_DEPTH = 16
_TAGGED = re.compile(r"([a-z]|dt):(.*)", re.DOTALL)
_ZONED = re.compile(r"([^\[\];]+)(;fold=1)?(?:\[([^\[\]]+)\])?")
_CURE = "use a str, int, bool, date, datetime, UUID or a tuple of these"


def encode(key: object) -> str:
    """Give the text that stands for ``key``; ``decode`` gives the key back, with its type.

    Keys of different types never share a text. A datetime is its wall time with its zone, so the
    same instant in another zone is another key.

    Raises PartitionError for other types (subclasses among them), NUL, lone surrogates and keys
    of more than 512 bytes.
    """
    text = _encode(key, 0)
    _check(text, key)
    return text


def decode(text: str) -> object:
    """Give the key that ``encode`` wrote as ``text``.

    Raises PartitionError for anything ``encode`` doesn't write, such as ``d:tomorrow``.
    """
    _check(text, text)
    try:
        key = _decode(text)
        written = _encode(key, 0)
    except (ValueError, TypeError, LookupError, RecursionError, OSError) as error:
        raise _unreadable(text) from error
    if written != text:
        raise _unreadable(text)
    return key


def _encode(key: object, depth: int) -> str:
    write = _WRITERS.get(type(key))
    if write is None:
        raise PartitionError(f"partition key {_short(key)} is a {type(key).__name__}; {_CURE}")
    if depth > _MAX_DEPTH:
        raise PartitionError(
            f"partition key {_short(key)} is nested deeper than {_MAX_DEPTH} levels; use fewer"
        )
    return write(key, depth)


def _decode(text: str) -> object:
    tagged = _TAGGED.fullmatch(text)
    if tagged is None:
        return text
    read = _READERS.get(tagged[1])
    if read is None:
        raise _unreadable(text)
    return read(tagged[2])


def _check(text: str, key: object) -> None:
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise PartitionError(
            f"partition key {_short(key)} has a lone surrogate, which is no character; remove it"
        ) from None
    if size > MAX_BYTES:
        raise PartitionError(
            f"partition key {_short(key)} has {size} bytes, more than {MAX_BYTES}; "
            "shorten it or use a digest of it"
        )


def _unreadable(text: str) -> PartitionError:
    return PartitionError(
        f"partition {_short(text)} can't be read as a tagged key; "
        f"write {_short('s:' + text)} for the string itself"
    )


def _short(key: object) -> str:
    return safe_repr(key, 120)


def _write_str(key: str, _depth: int) -> str:
    # here, since JSON would hide it inside a tuple
    if "\0" in key:
        raise PartitionError(f"partition key {_short(key)} has a NUL character; remove it")
    return f"s:{key}" if _TAGGED.fullmatch(key) else key


def _write_int(key: int, _depth: int) -> str:
    if key.bit_length() > MAX_BYTES * 4:
        raise PartitionError(
            f"partition key is an int of {key.bit_length()} bits, too long for {MAX_BYTES} bytes"
        )
    return f"i:{key}"


def _write_datetime(key: dt.datetime, _depth: int) -> str:
    zone = key.tzinfo
    fold = ";fold=1" if key.fold else ""
    if zone is None or type(zone) is dt.timezone:
        return f"dt:{key.isoformat()}{fold}"
    if type(zone) is zoneinfo.ZoneInfo and zone.key:
        return f"dt:{key.replace(tzinfo=None).isoformat()}{fold}[{zone.key}]"
    raise PartitionError(
        f"partition key {_short(key)} has a time zone of type {type(zone).__name__}; "
        "use datetime.timezone or zoneinfo.ZoneInfo with a key"
    )


def _read_datetime(text: str) -> dt.datetime:
    parts = _ZONED.fullmatch(text)
    if parts is None:
        raise ValueError(text)
    moment = dt.datetime.fromisoformat(parts[1]).replace(fold=1 if parts[2] else 0)
    return moment.replace(tzinfo=zoneinfo.ZoneInfo(parts[3])) if parts[3] else moment


def _write_tuple(key: tuple[object, ...], depth: int) -> str:
    members = [_encode(member, depth + 1) for member in key]
    return "t:" + json.dumps(members, ensure_ascii=False, separators=(",", ":"))


def _read_tuple(text: str) -> tuple[object, ...]:
    return tuple(_decode(member) for member in json.loads(text))


_WRITERS: dict[type, Callable[..., str]] = {
    str: _write_str,
    bool: lambda key, _: f"b:{str(key).lower()}",
    int: _write_int,
    dt.date: lambda key, _: f"d:{key.isoformat()}",
    dt.datetime: _write_datetime,
    uuid.UUID: lambda key, _: f"u:{key}",
    tuple: _write_tuple,
}

_READERS: dict[str, Callable[[str], object]] = {
    "s": str,
    "b": {"true": True, "false": False}.__getitem__,
    "i": int,
    "d": dt.date.fromisoformat,
    "dt": _read_datetime,
    "u": uuid.UUID,
    "t": _read_tuple,
}
