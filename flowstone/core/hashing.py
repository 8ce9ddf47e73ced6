"""Canonical typed digests: equal values agree everywhere, different ones differ.

A value is written as type-tagged, length-prefixed bytes and digested with BLAKE2b. Nothing that
varies between processes takes part: no ``repr``, ``hash()``, ``id()``, pickle or module name.
What has no such form raises; it never becomes a constant.

The scheme, version 1. A value is one tag byte and a payload whose end is told by the payload
itself. Bytes above ``_FOLD_ABOVE`` are folded into their digest, which keeps sorting and copying
cheap. Sequences of one type are packed, and lists of dicts with the same str keys are written
column by column; which form is used follows from the value alone. Golden digests in the tests
keep the scheme as it is; any change raises ``SCHEME``.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import math
import pathlib
import struct
import threading
import uuid
import zoneinfo
from hashlib import blake2b
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import BaseModel

from flowstone.core.objects import attributes, is_plain
from flowstone.core.text import safe_repr
from flowstone.errors import HashingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    #: The canonical bytes of a value of another library, in pieces, or None.
    Forms: TypeAlias = Callable[[object], Iterable[bytes | memoryview] | None]

SCHEME = 1
"""Version of the scheme, mixed into every digest but content digests."""

MAX_DEPTH = 200
"""Levels of nesting that have a canonical form."""

_SIZE = 20
_FOLD_ABOVE = 1_024
_SHOWN_SEGMENTS = 12
_NAN = math.nan
#: What stands before a text of so many characters; made beforehand, since there are many.
_HEADS = [f"s{length}:" for length in range(256)]
_SCALARS = frozenset({type(None), bool, int, float, str, bytes})
_new_content = blake2b(digest_size=_SIZE).copy
_new_value = blake2b(digest_size=_SIZE, person=b"flowstone-val-%d" % SCHEME).copy
_new_fold = blake2b(digest_size=_SIZE, person=b"flowstone-fld-%d" % SCHEME).copy
_new_parts = blake2b(digest_size=_SIZE, person=b"flowstone-dep-%d" % SCHEME).copy


def digest(value: object, noticed: set[type] | None = None, forms: Forms | None = None) -> str:
    """Give the canonical typed digest of ``value``: 40 hexadecimal characters.

    Type and value count: ``1``, ``True``, ``1.0``, ``"1"``, ``(1,)``, ``[1]``, ``{1: 2}`` and
    ``{"1": 2}`` all differ. The order of dicts and sets does not count. All NaNs are one value;
    ``-0.0`` differs from ``0.0``, ``Decimal("1.0")`` from ``Decimal("1.00")``. A class counts by
    its qualified name without the module, so a script, a module and a notebook agree.
    Dataclasses and pydantic models count with everything the instance holds, private attributes
    and pydantic's set of given fields included.

    Taken are None, bool, int, float, complex, str, bytes, bytearray, list, tuple, set, frozenset,
    dict, range, date, datetime, time, timedelta (aware ones with ``timezone`` or ``ZoneInfo``),
    Decimal, Fraction, UUID, paths, enum members, NamedTuples, dataclasses and pydantic models, of
    exactly these types: a subclass such as an array library's scalar is never taken for its base.

    ``forms`` gives the canonical bytes, piece by piece, of further values (arrays, data frames),
    or None for a value that it doesn't know; they must begin with what tells its types apart.
    ``noticed`` takes the classes of all enum members, NamedTuples, dataclasses and models in it.

    Raises HashingError for anything else, for rings and for more than ``MAX_DEPTH`` levels; its
    ``path`` says where, like ``[0]['a'].name``.
    """
    kind = type(value)
    raw = _ENCODERS[kind](value, 0) if kind in _SCALARS else _noticing(value, noticed, forms)
    hasher = _new_value()
    hasher.update(raw)
    return hasher.hexdigest()


def _noticing(value: object, noticed: set[type] | None, forms: Forms | None) -> bytes:
    """The canonical bytes of a value with others in it, which may be noticed or refused."""
    outer, outer_forms = _here.noticed, _here.forms
    _here.noticed, _here.forms = noticed, forms
    try:
        return _encode(value, 0)
    except _RefusedError as refused:
        raise refused.told() from None
    except RecursionError:
        raise HashingError("value is nested too deeply for a digest; flatten it") from None
    finally:
        _here.noticed, _here.forms = outer, outer_forms


class _Here(threading.local):
    """What the call on this thread wants to know besides the digest."""

    noticed: set[type] | None = None
    forms: Forms | None = None


_here = _Here()


def content_hasher() -> blake2b:
    """Give what makes the ``content_digest`` of bytes that come piece by piece."""
    return blake2b(digest_size=_SIZE)


def content_digest(data: bytes | bytearray | memoryview) -> str:
    """Give the digest of raw bytes: 40 hexadecimal characters, what ``b2sum -l 160`` prints."""
    hasher = _new_content()
    hasher.update(data)
    return hasher.hexdigest()


def content_digest_of(chunks: Iterable[bytes]) -> str:
    """Give the ``content_digest`` of the chunks' concatenation, holding one chunk at a time."""
    hasher = blake2b(digest_size=_SIZE)
    for chunk in chunks:
        hasher.update(chunk)
    return hasher.hexdigest()


def combine(tag: str, *parts: str | bytes | None) -> str:
    """Give one digest of named parts, in order: 40 hexadecimal characters.

    ``tag`` keeps uses apart. Parts are length-prefixed and typed, so ``("ab", "c")`` and
    ``("a", "bc")``, ``"a"`` and ``b"a"``, None and ``""`` all differ.
    """
    if any(isinstance(part, bytes) for part in parts):
        hasher = _new_parts()
        hasher.update(b"".join(map(_part, (tag, *parts))))
        return hasher.hexdigest()
    return combine_texts([tag, *parts])  # type: ignore[list-item]  # there are no bytes


def combine_texts(texts: Sequence[str | None]) -> str:
    """Give what ``combine`` gives for a tag and parts that are texts or None."""
    return combine_named(texts, ())


def combine_named(
    texts: Sequence[str | None], named: Iterable[Mapping[str, str]], after: Iterable[str] = ()
) -> str:
    """Give what ``combine`` gives for texts, the size and sorted items of each mapping, and more.

    ``after`` are the texts that come last.
    """
    try:
        pieces = ["N" if text is None else _HEADS[len(text)] + text for text in texts]
        pieces += [_written(each) if each else "s1:0" for each in named]
        pieces += [_HEADS[len(text)] + text for text in after]
        raw = "".join(pieces).encode("ascii")
    except (IndexError, UnicodeEncodeError):  # of long texts, and of those in other alphabets
        items = ((str(len(each)), *chain.from_iterable(sorted(each.items()))) for each in named)
        raw = b"".join(map(_part, (*texts, *chain.from_iterable(items), *after)))
    hasher = _new_parts()
    hasher.update(raw)
    return hasher.hexdigest()


def combine_three(tag: str, first: str, second: str) -> str:
    """Give what ``combine`` gives for a tag and two texts, which is asked for most often."""
    try:
        heads = _HEADS[len(tag)], _HEADS[len(first)], _HEADS[len(second)]
        raw = f"{heads[0]}{tag}{heads[1]}{first}{heads[2]}{second}".encode("ascii")
    except (IndexError, UnicodeEncodeError):
        return combine_texts([tag, first, second])
    hasher = _new_parts()
    hasher.update(raw)
    return hasher.hexdigest()


def _written(named: Mapping[str, str]) -> str:
    """The size and the sorted items of a mapping, each with what stands before it."""
    size = str(len(named))
    items = [
        f"{_HEADS[len(name)]}{name}{_HEADS[len(text)]}{text}"
        for name, text in sorted(named.items())
    ]
    return "".join([_HEADS[len(size)], size, *items])


def _part(part: str | bytes | None) -> bytes:
    """One part of ``combine``, of any kind."""
    if part is None:
        return b"N"
    if isinstance(part, bytes):
        return b"b%d:" % len(part) + part
    raw = part.encode("utf-8", "surrogatepass")
    return b"s%d:" % len(raw) + raw


class _RefusedError(Exception):
    """A value without canonical form; ``trail`` is its path, innermost segment first."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        self.trail: list[str] = []
        super().__init__(reason)

    def told(self) -> HashingError:
        shown = self.trail[::-1]
        cut = "..." if len(shown) > _SHOWN_SEGMENTS else ""
        path = "".join(shown[:_SHOWN_SEGMENTS]) + cut
        return HashingError(f"{self.reason}{f' (at {path})' if path else ''}", path)


def _encode(value: object, depth: int) -> bytes:
    return (_ENCODERS.get(type(value)) or _encode_instance)(value, depth)


def _fold(raw: bytes) -> bytes:
    if len(raw) <= _FOLD_ABOVE:
        return raw
    hasher = _new_fold()
    hasher.update(raw)
    return b"#" + hasher.digest()


def _fold_payload(head: bytes, payload: bytes | bytearray) -> bytes:
    """Give ``_fold(head + payload)`` without a copy of a large payload."""
    if len(head) + len(payload) <= _FOLD_ABOVE:
        return head + payload
    hasher = _new_fold()
    hasher.update(head)
    hasher.update(payload)
    return b"#" + hasher.digest()


def _int(value: int, _depth: int = 0) -> bytes:
    raw = b"i%x;" % value
    return raw if len(raw) <= _FOLD_ABOVE else _fold(raw)


def _float_bits(value: float) -> bytes:
    return struct.pack(">d", value if value == value else _NAN)  # noqa: PLR0124 - false for NaN only


def _str(value: str, _depth: int = 0) -> bytes:
    raw = value.encode("utf-8", "surrogatepass")
    return _fold_payload(b"s%d:" % len(raw), raw)


def _bytes(value: bytes, _depth: int = 0) -> bytes:
    return _fold_payload(b"b%d:" % len(value), value)


def _bytearray(value: bytearray, _depth: int = 0) -> bytes:
    return _fold_payload(b"B%d:" % len(value), value)


def _list(value: list[object], depth: int) -> bytes:
    return b"l" + _members(value, depth)


def _tuple(value: tuple[object, ...], depth: int) -> bytes:
    return b"t" + _members(value, depth)


def _members(items: Sequence[Any], depth: int) -> bytes:
    _check_depth(depth)
    kinds = set(map(type, items))
    if len(kinds) == 1:
        packed = _packed(kinds.pop(), items, depth)
        if packed is not None:
            return packed
    parts: list[bytes] = []
    try:
        for item in items:
            parts.append(_encode(item, depth + 1))  # noqa: PERF401 - its length is the place of a failure
    except _RefusedError as refused:
        refused.trail.append(f"[{len(parts)}]")
        raise
    return _fold(b"*%d:" % len(parts) + b"".join(parts))


def _packed(kind: type, items: Sequence[Any], depth: int) -> bytes | None:
    """Give the packed form of items that all have the type ``kind``, or None if there is none."""
    count = len(items)
    if kind is int:
        try:
            return _fold_payload(b"i%d:" % count, struct.pack(f">{count}q", *items))
        except struct.error:
            return None
    if kind is float:
        if math.isnan(sum(items)):
            items = [item if item == item else _NAN for item in items]  # noqa: PLR0124 - false for NaN only
        return _fold_payload(b"f%d:" % count, struct.pack(f">{count}d", *items))
    if kind is str:
        lengths = struct.pack(f">{count}Q", *map(len, items))
        raw = "".join(items).encode("utf-8", "surrogatepass")
        return _fold_payload(b"s%d:%d:" % (count, len(raw)) + lengths, raw)
    if kind is bool:
        return _fold_payload(b"?%d:" % count, bytes(items))
    return _records(items, depth) if kind is dict else None


def _records(items: Sequence[dict[Any, Any]], depth: int) -> bytes | None:
    """Give the columns of dicts that share one set of str keys, or None for other dicts."""
    keys = items[0].keys()
    if not keys or set(map(type, chain.from_iterable(items))) != {str}:
        return None
    if not all(map(keys.__eq__, map(dict.keys, items))):
        return None
    _check_depth(depth + 1)
    parts = [b"r%d:%d:" % (len(items), len(keys))]
    for key in sorted(keys):
        try:
            column = _members(list(map(itemgetter(key), items)), depth + 1)
        except _RefusedError as refused:
            row = refused.trail.pop() if refused.trail else "[0]"
            refused.trail += [f"[{safe_repr(key, 40)}]", row]
            raise
        parts += (_str(key), column)
    return _fold(b"".join(parts))


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise _RefusedError(f"value is nested deeper than {MAX_DEPTH} levels or contains itself")


def _dict(value: dict[object, object], depth: int) -> bytes:
    return b"d" + _pairs(value, depth, "[{}]", repr_keys=True)


def _pairs(value: dict[Any, Any], depth: int, place: str, *, repr_keys: bool) -> bytes:
    _check_depth(depth)
    parts: list[bytes] = []
    key: object = None
    try:
        for key, item in value.items():
            parts.append(_encode(key, depth + 1) + _encode(item, depth + 1))
    except _RefusedError as refused:
        refused.trail.append(place.format(safe_repr(key, 40) if repr_keys else key))
        raise
    parts.sort()
    return _fold(b"%d:" % len(parts) + b"".join(parts))


def _set(value: set[object] | frozenset[object], depth: int) -> bytes:
    _check_depth(depth)
    try:
        parts = sorted(_encode(item, depth + 1) for item in value)
    except _RefusedError as refused:
        refused.trail.append("{...}")
        raise
    tag = b"S" if type(value) is set else b"Z"
    return tag + _fold(b"%d:" % len(parts) + b"".join(parts))


def _tagged(tag: bytes, *texts: object) -> bytes:
    """Give ``tag`` and the texts' lengths and bytes, for types whose state is short text."""
    return tag + b"%d:" % len(texts) + b"".join(_str(str(text)) for text in texts)


def _zone(zone: dt.tzinfo | None) -> bytes:
    if zone is None:
        return b"N"
    if type(zone) is dt.timezone:
        return _tagged(b"O", zone.utcoffset(None) // _MICROSECOND, zone.tzname(None))
    if type(zone) is zoneinfo.ZoneInfo and zone.key:
        return _tagged(b"K", zone.key)
    raise _RefusedError(
        f"a time zone of type {type(zone).__name__!r} has no canonical form; "
        "use datetime.timezone or zoneinfo.ZoneInfo with a key"
    )


_MICROSECOND = dt.timedelta(microseconds=1)


def _datetime(value: dt.datetime, _depth: int = 0) -> bytes:
    wall = value.replace(tzinfo=None, fold=0).isoformat()
    return _tagged(b"m", wall, value.fold) + _zone(value.tzinfo)


def _time(value: dt.time, _depth: int = 0) -> bytes:
    wall = value.replace(tzinfo=None, fold=0).isoformat()
    return _tagged(b"h", wall, value.fold) + _zone(value.tzinfo)


def _decimal(value: decimal.Decimal, _depth: int = 0) -> bytes:
    # str(Decimal) depends on the context of the thread
    sign, digits, exponent = value.as_tuple()
    return _tagged(b"D", sign, "".join(map(str, digits)), exponent)


def _range(value: range, _depth: int = 0) -> bytes:
    return b"r" + _int(value.start) + _int(value.stop) + _int(value.step)


def _encode_instance(value: object, depth: int) -> bytes:
    """Give the form of an enum member, NamedTuple, dataclass or model, found by their class."""
    cls = type(value)
    pieces = _here.forms(value) if _here.forms is not None else None
    if pieces is not None:
        return _pieces(pieces)
    if _here.noticed is not None:
        _here.noticed.add(cls)
    if isinstance(value, enum.Enum):
        return _enum(value, depth)
    if isinstance(value, tuple) and isinstance(getattr(cls, "_fields", None), tuple):
        return _named_tuple(value, cls, depth)
    if dataclasses.is_dataclass(cls) and is_plain(cls):
        defaults = {
            field.name: field.default
            for field in dataclasses.fields(cls)
            if not field.init and field.default is not dataclasses.MISSING
        }
        return _instance(b"C", cls, defaults | attributes(value), depth)
    if isinstance(value, BaseModel) and is_plain(cls):
        return _instance(b"M", cls, attributes(value), depth)
    raise _RefusedError(f"a value of type {cls.__name__!r} has no canonical form")


def _pieces(pieces: Iterable[bytes | memoryview]) -> bytes:
    hasher = _new_fold()
    for piece in pieces:
        hasher.update(piece)
    return b"x#" + hasher.digest()


def _instance(tag: bytes, cls: type, held: dict[str, object], depth: int) -> bytes:
    return tag + _str(cls.__qualname__) + _pairs(held, depth, ".{}", repr_keys=False)


def _enum(value: enum.Enum, depth: int) -> bytes:
    _check_depth(depth)
    # names of combined flags differ between Python versions; their values don't
    name = None if isinstance(value, enum.Flag) else value._name_
    try:
        state = _encode(name, depth) + _encode(value._value_, depth + 1)
    except _RefusedError as refused:
        refused.trail.append(".value")
        raise
    return b"E" + _str(type(value).__qualname__) + state


def _named_tuple(value: tuple[object, ...], cls: type, depth: int) -> bytes:
    if getattr(value, "__dict__", None):
        raise _RefusedError(f"a {cls.__name__!r} with attributes besides its fields has no form")
    fields: tuple[str, ...] = cls._fields  # type: ignore[attr-defined]  # checked by the caller
    head = b"n" + _str(cls.__qualname__) + _tagged(b"F", *fields)
    return head + _members(tuple(tuple.__iter__(value)), depth)


_ENCODERS: dict[type, Callable[[Any, int], bytes]] = {
    type(None): lambda _value, _depth: b"N",
    bool: lambda value, _depth: b"T" if value else b"F",
    int: _int,
    float: lambda value, _depth: b"f" + _float_bits(value),
    complex: lambda value, _depth: b"c" + _float_bits(value.real) + _float_bits(value.imag),
    str: _str,
    bytes: _bytes,
    bytearray: _bytearray,
    list: _list,
    tuple: _tuple,
    set: _set,
    frozenset: _set,
    dict: _dict,
    range: _range,
    dt.date: lambda value, _depth: _tagged(b"a", value.isoformat()),
    dt.datetime: _datetime,
    dt.time: _time,
    dt.timedelta: lambda value, _depth: b"e" + _int(value // _MICROSECOND),
    dt.timezone: lambda value, _depth: b"z" + _zone(value),
    zoneinfo.ZoneInfo: lambda value, _depth: b"z" + _zone(value),
    decimal.Decimal: _decimal,
    fractions.Fraction: lambda value, _depth: (
        b"q" + _int(value.numerator) + _int(value.denominator)
    ),
    uuid.UUID: lambda value, _depth: b"u" + value.bytes,
    **{
        kind: (lambda value, _depth: _tagged(b"p", type(value).__name__, value))
        for kind in (
            pathlib.PosixPath,
            pathlib.WindowsPath,
            pathlib.PurePosixPath,
            pathlib.PureWindowsPath,
        )
    },
}
