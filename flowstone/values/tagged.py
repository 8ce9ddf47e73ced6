"""JSON for plain values, and JSON with tags for what JSON lacks.

Plain JSON is used for exact None, bool, int, float, str, list and dict with str keys. Anything
else is written as ``[1, form]``, where 1 is the version of the form and an object whose only key
starts with ``$`` is a tag: ``{"$tuple": [1, 2]}``. Dicts with other keys, or with a key that
starts with ``$``, are tagged themselves, so no value of a user reads as a tag.
"""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import enum
import fractions
import json
import pathlib
import uuid
import zoneinfo
from typing import TYPE_CHECKING, Any

from flowstone.core.hashing import MAX_DEPTH
from flowstone.core.objects import attributes, is_plain, rebuild
from flowstone.values.arrays import read_scalar, scalar_form
from flowstone.values.classes import field_names, is_record
from flowstone.values.sharing import owner_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowstone.values.classes import KnownClasses

_VERSION = 1
_PLAIN_SCALARS = {type(None), bool, int, float, str}
# Below the lowest limit Python may be told for the digits of an int read from text.
_WIDE_INT_BITS = 2_000
_MICROSECOND = dt.timedelta(microseconds=1)
_PATHS: dict[str, type[pathlib.PurePath]] = {
    kind.__name__: kind
    for kind in (
        pathlib.PosixPath,
        pathlib.WindowsPath,
        pathlib.PurePosixPath,
        pathlib.PureWindowsPath,
    )
}


class _UntakenError(Exception):
    """The form has no place for this value."""


def _no_part(_item: object) -> None:
    """Nothing is kept beside the form."""


def encode_json(value: object) -> bytes | None:
    """Give plain JSON that reads back as the same value and types, or None if there is none."""
    try:
        if type(value) is int:
            return b"%d" % value
        return _dumped(value) if _is_plain_json(value, 0) else None
    except (ValueError, RecursionError):  # an int of more digits than Python writes
        return None


def decode_json(data: bytes) -> object:
    """Give the value that ``encode_json`` wrote."""
    return _loaded(data, None)


def encode_tagged(
    value: object, classes: KnownClasses, part: Callable[[object], int | None] = _no_part
) -> tuple[str, bytes] | None:
    """Give ``("tagged", bytes)``, or ``("object", bytes)`` if a class takes part, or None.

    ``part`` takes what is to be kept beside the form, such as arrays, and gives its number.
    """
    writer = _Writer(classes, part)
    try:
        form = writer.form(value, 0)
        return ("object" if writer.met_class else "tagged"), _dumped([_VERSION, form])
    except (_UntakenError, RecursionError):
        return None


def decode_tagged(
    data: bytes, classes: KnownClasses, part: Callable[[int], object] = _no_part
) -> object:
    """Give the value that ``encode_tagged`` wrote; ``part`` gives what was kept beside it.

    Raises LookupError if a class is not among ``classes`` and ValueError if it has other fields.
    """
    loaded = _loaded(data, _Reader(classes, part).read)
    if not (isinstance(loaded, list) and len(loaded) == 2 and loaded[0] == _VERSION):  # noqa: PLR2004 - version and form
        raise ValueError("the form has an unknown version")
    return loaded[1]


_write = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def _dumped(form: object) -> bytes:
    return _write(form).encode("utf-8", "surrogatepass")


def _loaded(data: bytes, hook: Callable[[dict[str, Any]], object] | None) -> object:
    text = data.decode("utf-8", "surrogatepass")
    try:
        return json.loads(text, object_hook=hook)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # More digits than this process lets int() read, though the writing one could write them.
        return json.loads(text, object_hook=hook, parse_int=lambda s: int(decimal.Decimal(s)))


def _is_plain_json(value: object, depth: int) -> bool:
    kind = type(value)
    if kind in _PLAIN_SCALARS:
        return True
    if depth > MAX_DEPTH:
        return False
    if kind is list:
        return _all_plain(value, depth)  # type: ignore[arg-type]  # the line above says so
    if kind is dict:
        held: dict[Any, object] = value  # type: ignore[assignment]  # the line above says so
        return set(map(type, held)) <= {str} and _all_plain(held.values(), depth)
    return False


def _all_plain(items: Iterable[object], depth: int) -> bool:
    if set(map(type, items)) <= _PLAIN_SCALARS:
        return True
    for item in items:  # noqa: SIM110 - a generator would double the frames per level
        if not _is_plain_json(item, depth + 1):
            return False
    return True


class _Writer:
    """One pass of ``encode_tagged``."""

    def __init__(self, classes: KnownClasses, part: Callable[[object], int | None]) -> None:
        self._classes, self._part = classes, part
        self.met_class = False

    def form(self, value: Any, depth: int) -> object:
        kind = type(value)
        if kind in _PLAIN_SCALARS:
            wide = kind is int and value.bit_length() > _WIDE_INT_BITS
            return {"$int": hex(value)} if wide else value
        if depth > MAX_DEPTH:
            raise _UntakenError
        number = self._part(value)
        if number is not None:
            return {"$part": number}
        if kind in _SCALAR_FORMS:
            tag, state = _SCALAR_FORMS[kind]
            return {tag: state(value)}
        if kind is list:
            return self._items(value, depth)
        if kind in _SEQUENCES:
            items = self._items(value, depth)
            return {_SEQUENCES[kind]: items if kind is tuple else sorted(items, key=_dumped)}
        return self._dict(value, depth) if kind is dict else self._record(value, depth)

    def _items(self, items: Iterable[object], depth: int) -> list[object]:
        return [self.form(item, depth + 1) for item in items]

    def _dict(self, value: dict[Any, object], depth: int) -> object:
        if all(type(key) is str and not key.startswith("$") for key in value):
            return {key: self.form(item, depth + 1) for key, item in value.items()}
        return {"$dict": [self._items(pair, depth) for pair in value.items()]}

    def _record(self, value: Any, depth: int) -> object:
        cls = type(value)
        if owner_of(value) == "numpy":
            return self._numpy(value)
        if not (is_record(cls) and self._classes.knows(cls)):
            raise _UntakenError
        self.met_class = True
        name = cls.__qualname__
        if isinstance(value, enum.Enum):
            member = None if isinstance(value, enum.Flag) else value._name_
            return {"$enum": [name, member, self.form(value._value_, depth + 1)]}
        if isinstance(value, tuple):
            if getattr(value, "__dict__", None):
                raise _UntakenError
            return {"$named": [name, field_names(cls), self._items(tuple.__iter__(value), depth)]}
        if not is_plain(cls):
            raise _UntakenError
        return {"$object": [name, field_names(cls), self.form(attributes(value), depth + 1)]}

    def _numpy(self, value: Any) -> object:
        form = scalar_form(value)
        if form is None:
            raise _UntakenError
        return {"$numpy": form}


class _Reader:
    """One pass of ``decode_tagged``: turns tags into values, innermost first."""

    def __init__(self, classes: KnownClasses, part: Callable[[int], object]) -> None:
        self._classes = classes
        self._own: dict[str, Callable[[Any], object]] = {
            "$enum": self._enum,
            "$named": self._named,
            "$object": self._object,
            "$part": part,
        }

    def read(self, found: dict[str, Any]) -> object:
        if len(found) != 1:
            return found
        (tag, state), *_ = found.items()
        if not tag.startswith("$"):
            return found
        read = self._own.get(tag) or _SCALAR_READERS[tag]
        return read(state)

    def _enum(self, state: list[Any]) -> object:
        name, member, value = state
        cls = self._classes.named(name)
        found: Any = cls(value) if member is None else cls[member]
        if _differs(found._value_, value):
            raise ValueError(f"{name}.{member} has another value now")
        return found

    def _named(self, state: list[Any]) -> object:
        cls = self._shaped(state)
        made: object = tuple.__new__(cls, state[2])
        return made

    def _object(self, state: list[Any]) -> object:
        return rebuild(self._shaped(state), state[2])

    def _shaped(self, state: list[Any]) -> type[Any]:
        cls = self._classes.named(state[0])
        if field_names(cls) != state[1]:
            raise ValueError(f"class {state[0]!r} has other fields now")
        return cls


def _differs(one: object, other: object) -> bool:
    # NaN is the one value that isn't itself
    return type(one) is not type(other) or (one != other and one == one)  # noqa: PLR0124 - see above


def _zone_form(zone: dt.tzinfo | None) -> object:
    if zone is None:
        return None
    if type(zone) is dt.timezone:
        offset, name = zone.utcoffset(None), zone.tzname(None)
        own = name == dt.timezone(offset).tzname(None)
        return [offset // _MICROSECOND, None if own else name]
    if type(zone) is zoneinfo.ZoneInfo and zone.key:
        return zone.key
    raise _UntakenError


def _read_zone(form: Any) -> dt.tzinfo | None:
    if form is None or isinstance(form, str):
        return zoneinfo.ZoneInfo(form) if form else None
    offset = form[0] * _MICROSECOND
    return dt.timezone(offset) if form[1] is None else dt.timezone(offset, form[1])


def _wall_form(value: Any) -> list[object]:
    return [
        value.replace(tzinfo=None, fold=0).isoformat(),
        value.fold,
        _zone_form(value.tzinfo),
    ]


def _decimal_form(value: decimal.Decimal) -> list[object]:
    # str(Decimal) depends on the context of the thread
    sign, digits, exponent = value.as_tuple()
    return [sign, "".join(map(str, digits)), exponent]


def _read_decimal(form: list[Any]) -> decimal.Decimal:
    return decimal.Decimal((form[0], tuple(map(int, form[1])), form[2]))


def _read_datetime(form: list[Any]) -> dt.datetime:
    return dt.datetime.fromisoformat(form[0]).replace(fold=form[1], tzinfo=_read_zone(form[2]))


def _read_time(form: list[Any]) -> dt.time:
    return dt.time.fromisoformat(form[0]).replace(fold=form[1], tzinfo=_read_zone(form[2]))


def _timedelta_form(value: dt.timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _base64(value: bytes | bytearray) -> str:
    return base64.b64encode(value).decode("ascii")


def _path_form(value: pathlib.PurePath) -> list[str]:
    return [type(value).__name__, str(value)]


def _hexes(*numbers: int) -> list[str]:
    return [hex(number) for number in numbers]


def _unhexed(form: Iterable[str]) -> list[int]:
    return [int(number, 16) for number in form]


_SEQUENCES: dict[type, str] = {tuple: "$tuple", set: "$set", frozenset: "$frozenset"}

_SCALAR_FORMS: dict[type, tuple[str, Callable[[Any], object]]] = {
    complex: ("$complex", lambda value: [value.real, value.imag]),
    bytes: ("$bytes", _base64),
    bytearray: ("$bytearray", _base64),
    dt.date: ("$date", lambda value: value.isoformat()),
    dt.datetime: ("$datetime", _wall_form),
    dt.time: ("$time", _wall_form),
    dt.timedelta: ("$timedelta", _timedelta_form),
    dt.timezone: ("$zone", _zone_form),
    zoneinfo.ZoneInfo: ("$zone", _zone_form),
    decimal.Decimal: ("$decimal", _decimal_form),
    fractions.Fraction: ("$fraction", lambda value: _hexes(value.numerator, value.denominator)),
    uuid.UUID: ("$uuid", str),
    range: ("$range", lambda value: _hexes(value.start, value.stop, value.step)),
    **dict.fromkeys(_PATHS.values(), ("$path", _path_form)),
}

_SCALAR_READERS: dict[str, Callable[[Any], object]] = {
    "$int": lambda form: int(form, 16),
    "$complex": lambda form: complex(*form),
    "$bytes": base64.b64decode,
    "$bytearray": lambda form: bytearray(base64.b64decode(form)),
    "$date": dt.date.fromisoformat,
    "$datetime": _read_datetime,
    "$time": _read_time,
    "$timedelta": lambda form: dt.timedelta(*form),
    "$zone": _read_zone,
    "$decimal": _read_decimal,
    "$fraction": lambda form: fractions.Fraction(*_unhexed(form)),
    "$uuid": uuid.UUID,
    "$range": lambda form: range(*_unhexed(form)),
    "$path": lambda form: _PATHS[form[0]](form[1]),
    "$tuple": tuple,
    "$set": set,
    "$frozenset": frozenset,
    "$dict": dict,
    "$numpy": read_scalar,
}
