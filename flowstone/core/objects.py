"""What an instance of a dataclass or a pydantic model holds, without asking the instance."""

from __future__ import annotations

import types
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

_GENERIC_MARK = "__orig_class__"


class _Layout(NamedTuple):
    slots: dict[str, types.MemberDescriptorType]
    plain: bool


_layouts: WeakKeyDictionary[type[Any], _Layout] = WeakKeyDictionary()


def peek(value: object, name: str, default: Any = None) -> Any:
    """An attribute, or ``default`` if there is none, or if asking for it fails.

    Lazy modules and proxies run their owner's code when asked, which may raise anything.
    """
    try:
        return getattr(value, name, default)
    except Exception:  # noqa: BLE001 - somebody else's ``__getattr__``
        return default


def is_plain(cls: type[Any]) -> bool:
    """Say whether all state of the class's instances lies in slots and ``__dict__``.

    False for subclasses of built-in types such as dict or Exception, which hold more.
    """
    return _layout(cls).plain


def attributes(value: object) -> dict[str, object]:
    """Give what the instance itself holds, by attribute name: ``__dict__``, then set slots.

    Class attributes are not part of it, nor is the mark that ``Box[int](...)`` leaves. No
    property, ``__getattr__`` or ``__getattribute__`` of the class is called.
    """
    try:
        held = dict(object.__getattribute__(value, "__dict__"))
    except AttributeError:
        held = {}
    held.pop(_GENERIC_MARK, None)
    for name, slot in _layout(type(value)).slots.items():
        try:
            held[name] = slot.__get__(value)
        except AttributeError:
            continue
    return held


def rebuild(cls: type[Any], held: dict[str, Any]) -> object:
    """Make an instance that holds ``held``, without ``__init__``, ``__post_init__`` or validators.

    Raises AttributeError if the class has no place for one of the names.
    """
    made: object = object.__new__(cls)
    slots = _layout(cls).slots
    for name, item in held.items():
        if name in slots:
            slots[name].__set__(made, item)
    rest = {name: item for name, item in held.items() if name not in slots}
    if rest:
        object.__getattribute__(made, "__dict__").update(rest)
    return made


def _layout(cls: type[Any]) -> _Layout:
    layout = _layouts.get(cls)
    if layout is None:
        found = [slot for base in cls.__mro__ for slot in vars(base).items() if _is_slot(slot[1])]
        slots = dict(found)
        plain = len(slots) == len(found) and _has_own_constructor(cls)
        layout = _layouts[cls] = _Layout(slots, plain)
    return layout


def _is_slot(attribute: object) -> bool:
    return type(attribute) is types.MemberDescriptorType


def _has_own_constructor(cls: type[Any]) -> bool:
    """Say whether ``object`` can make an instance: it refuses what built-in types must make."""
    try:
        object.__new__(cls)
    except TypeError:
        return False
    return True
