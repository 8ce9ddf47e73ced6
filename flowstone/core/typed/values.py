"""Values held against types: the outer class, and a bounded number of what is inside.

Only builtin containers are looked into, so no iterator is used up and no code of the user's runs.
"""

from __future__ import annotations

import itertools
import numbers
from abc import ABCMeta
from collections import abc
from typing import TYPE_CHECKING, Any

from flowstone.core.typed.classes import argument, is_protocol, is_typed_dict, seen_as
from flowstone.core.typed.forms import (
    ANY,
    Class,
    Distinct,
    Function,
    Lazy,
    Tuple,
    Type,
    TypeOf,
    Union,
    Value,
    Variable,
    Word,
    told_apart,
)
from flowstone.core.typed.members import fields_of
from flowstone.core.typed.reading import expanded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.core.typed.members import Field

ITEMS = 10
"""How many items of each container a cheap check looks at: the first ones and the last."""

CHECKS = 100
"""How many values, over all levels, a cheap check looks at."""

_MAX_DEPTH = 100
_SEQUENCES = (list, tuple)
_SETS = (set, frozenset)
_TOWER: dict[type, tuple[type, ...]] = {
    float: (int, float),
    complex: (int, float, complex),
}
_NUMPY: dict[type, type] = {
    int: numbers.Integral,
    float: numbers.Real,
    complex: numbers.Complex,
}


def misfit(value: object, kind: Type, *, whole: bool = False) -> str:
    """What of a value its type does not admit, and where; empty if all that was looked at fits.

    The value itself is never shown. ``whole`` looks at every item.
    """
    try:
        return _Look(whole=whole).misfit(value, kind, "", 0)
    except Exception:  # noqa: BLE001 - metaclasses are the user's code; unknown means yes
        return ""


class _Look:
    """One value, with how much of it may still be looked at."""

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._left = CHECKS
        self._meant: dict[Type, Type] = {}
        self._fields: dict[Class, dict[str, Field]] = {}

    def misfit(self, value: Any, kind: Type, path: str, depth: int) -> str:
        self._left -= 1
        if (self._left < 0 and not self._whole) or depth > _MAX_DEPTH:
            return ""
        if isinstance(kind, Lazy):
            kind = self._meant.get(kind) or self._meant.setdefault(kind, expanded(kind))
        match kind:
            case Union():
                return self._one_of(value, kind, path, depth)
            case Distinct(base=base) | Variable(bound=base):
                return self.misfit(value, base, path, depth)
            case Tuple():
                return self._tuple(value, kind, path, depth)
            case Class():
                return self._class(value, kind, path, depth)
        return "" if _is_one(value, kind) else _told(value, kind, path)

    def _one_of(self, value: Any, kind: Union, path: str, depth: int) -> str:
        reasons = []
        for each in kind.members:
            reason = self.misfit(value, each, path, depth + 1)
            if not reason:
                return ""
            reasons.append(reason)
        inner = [reason for reason in reasons if not reason.startswith(_head(path))]
        return inner[0] if len(inner) == 1 else _told(value, kind, path)

    def _tuple(self, value: Any, kind: Tuple, path: str, depth: int) -> str:
        if not isinstance(value, tuple):
            return _told(value, kind, path)
        fixed = len(kind.before) + len(kind.after)
        spare = len(value) - fixed
        if spare < 0 or (kind.rest is None and spare):
            at_least = "" if kind.rest is None else "at least "
            return f"{_head(path)} has {len(value)} items, not {at_least}{fixed}"
        last = len(value) - len(kind.after)
        for i in self._chosen(len(value)):
            if i < len(kind.before):
                item = kind.before[i]
            else:
                item = kind.after[i - last] if i >= last else kind.rest or ANY
            reason = self.misfit(value[i], item, f"{path}[{i}]", depth + 1)
            if reason:
                return reason
        return ""

    def _class(self, value: Any, kind: Class, path: str, depth: int) -> str:
        if is_typed_dict(kind.cls):
            return self._typed_dict(value, kind, path, depth)
        if not _is_instance(value, kind.cls):
            return _told(value, kind, path)
        if not kind.args:
            return ""
        return next(filter(None, self._inside(value, kind, path, depth)), "")

    def _inside(self, value: Any, kind: Class, path: str, depth: int) -> Iterator[str]:
        """What does not fit inside a builtin container."""
        outer = type(value)
        if outer is dict and issubclass(kind.cls, abc.Mapping):
            for key, item in self._first(value.items(), len(value)):
                yield self.misfit(key, argument(kind, 0), f"{path}[key]", depth + 1)
                yield self.misfit(item, argument(kind, 1), f"{path}[{_key(key)}]", depth + 1)
            return
        seen = seen_as(kind, abc.Iterable) or kind
        if not isinstance(seen, Class) or seen.cls is not abc.Iterable:
            return
        item_kind = argument(seen, 0)
        if outer in _SEQUENCES:
            for i in self._chosen(len(value)):
                yield self.misfit(value[i], item_kind, f"{path}[{i}]", depth + 1)
        elif outer in _SETS or outer is dict:
            for item in self._first(value, len(value)):
                yield self.misfit(item, item_kind, f"{path}[item]", depth + 1)

    def _typed_dict(self, value: Any, kind: Class, path: str, depth: int) -> str:
        if not isinstance(value, dict):
            return _told(value, kind, path)
        if kind not in self._fields:
            self._fields[kind] = fields_of(kind)
        for name, field in self._fields[kind].items():
            if name in value:
                reason = self.misfit(value[name], field.type, f"{path}[{_key(name)}]", depth + 1)
                if reason:
                    return reason
            elif field.required:
                return f"{_head(path)} lacks the key {_key(name)}"
        return ""

    def _chosen(self, length: int) -> list[int]:
        """The positions that are looked at."""
        if self._whole or length <= ITEMS:
            return list(range(length))
        return [*range(ITEMS - 1), length - 1]

    def _first(self, items: Any, length: int) -> Iterator[Any]:
        return itertools.islice(items, length if self._whole else ITEMS)


def _is_one(value: Any, kind: Type) -> bool:
    """Whether a value is of a type that is no class."""
    match kind:
        case Value():
            return type(value) is kind.kind and bool(value == kind.value)
        case Function():
            return callable(value)
        case TypeOf():
            of = expanded(kind.of)
            if not isinstance(of, Class) or not isinstance(value, type) or is_protocol(of.cls):
                return callable(value)
            return of.cls in value.__mro__ or _virtual(value, of.cls)
        case Word():
            return kind == ANY
    return True


def _virtual(cls: type, of: type) -> bool:
    """Whether a class passes for a subclass of an ABC: registered, or by its methods."""
    return isinstance(of, ABCMeta) and issubclass(cls, of)


def _is_instance(value: Any, cls: type) -> bool:
    if cls in type(value).__mro__ or is_protocol(cls):
        return True
    if isinstance(value, _TOWER.get(cls, ())):
        return True
    if type(value).__module__ == "numpy":
        if cls is bool:
            return type(value).__name__ in ("bool", "bool_")
        if cls in _NUMPY:
            return isinstance(value, _NUMPY[cls])
    return _virtual(type(value), cls) or seen_as(Class(type(value)), cls) is not None


def _told(value: object, kind: Type, path: str) -> str:
    came, wanted = told_apart(Class(type(value)), kind)
    if came == wanted:
        again = "as it was defined another time; define the asset again after it"
        return f"{_head(path)} is {came} {again}"
    return f"{_head(path)} is {came}, not {wanted}"


def _head(path: str) -> str:
    return f"the value at {path}" if path else "the value"


def _key(key: object) -> str:
    """A key as it is shown: short text and numbers; of anything else, its kind."""
    if isinstance(key, str):
        return repr(key if len(key) <= 40 else f"{key[:37]}...")  # noqa: PLR2004 - a line's worth
    return repr(key) if type(key) in (int, bool) else type(key).__name__
