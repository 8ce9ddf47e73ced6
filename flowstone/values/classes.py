"""The classes an annotation reaches: only these are rebuilt from stored values."""

from __future__ import annotations

import dataclasses
import enum
import sys
import types
import typing
from functools import cached_property
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel


class KnownClasses:
    """Dataclasses, NamedTuples, enums and pydantic models that ``annotation`` names.

    Looked for in generics, unions, ``Annotated``, aliases and the types of fields. Two classes
    with one qualified name make each other unknown, since a stored value holds that name only.
    """

    def __init__(self, annotation: object) -> None:
        self._annotation = annotation

    def knows(self, cls: type) -> bool:
        """Say whether a value of exactly this class can be stored under its name."""
        return self._by_name.get(cls.__qualname__) is cls

    def named(self, qualname: str) -> type[Any]:
        """Give the class, or raise LookupError if the annotation doesn't reach one."""
        cls = self._by_name.get(qualname)
        if cls is None:
            raise LookupError(f"class {qualname!r} is not in the asset's annotation")
        return cls

    @cached_property
    def _by_name(self) -> dict[str, type[Any] | None]:
        found: dict[str, type[Any] | None] = {}
        for cls in _reachable(self._annotation):
            if found.setdefault(cls.__qualname__, cls) is not cls:
                found[cls.__qualname__] = None
        return found


def is_record(cls: type) -> bool:
    """Say whether the class is a dataclass, a pydantic model, a NamedTuple or an enum."""
    if issubclass(cls, tuple):
        return isinstance(getattr(cls, "_fields", None), tuple)
    return dataclasses.is_dataclass(cls) or issubclass(cls, BaseModel | enum.Enum)


def field_names(cls: type[Any]) -> list[str]:
    """Give the names of the fields, the shape by which a changed class is noticed."""
    if issubclass(cls, BaseModel):
        return sorted(cls.model_fields)
    if issubclass(cls, tuple):
        return list(typing.cast("Any", cls)._fields)
    return sorted(field.name for field in dataclasses.fields(cls))


def _reachable(annotation: object) -> list[type[Any]]:
    todo = [annotation]
    # kept alive while walking, so that an id is never used twice
    seen: dict[int, object] = {}
    found: list[type[Any]] = []
    while todo:
        hint = todo.pop()
        if id(hint) in seen:
            continue
        seen[id(hint)] = hint
        if isinstance(hint, type) and is_record(hint):
            found.append(hint)
            todo += _field_hints(hint)
        todo += _parts(hint)
    return found


def _parts(hint: object) -> list[object]:
    """Give what an annotation is made of, one level down."""
    if isinstance(hint, list | tuple):
        return list(hint)
    if isinstance(hint, TypeVar):
        return [hint.__bound__, *hint.__constraints__]
    if isinstance(hint, enum.Enum):
        return [type(hint)]
    if isinstance(hint, typing.NewType):
        return [hint.__supertype__]
    if type(hint).__name__ == "TypeAliasType":  # of typing since Python 3.12
        return [_alias_value(hint)]
    return [get_origin(hint), *get_args(hint)]


def _alias_value(alias: Any) -> object:
    try:
        return alias.__value__
    except Exception:  # noqa: BLE001 - evaluates the user's text, which may raise anything
        return None


def _field_hints(cls: type[Any]) -> list[object]:
    if issubclass(cls, enum.Enum):
        return []
    names = set(field_names(cls))
    hints: list[object] = []
    if issubclass(cls, BaseModel):
        names |= set(cls.__private_attributes__)
        # of a generic model these have their parameters filled in
        hints += [field.annotation for field in cls.model_fields.values()]
    for base in cls.__mro__:
        for name, hint in vars(base).get("__annotations__", {}).items():
            if name in names:
                hints.append(_evaluated(hint, base))
    return hints


def _evaluated(hint: object, cls: type) -> object:
    """Give an annotation written as text as the object it names, or the text if it can't be."""
    if not isinstance(hint, str):
        return hint
    holder = types.SimpleNamespace(__annotations__={"field": hint})
    module = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
    try:
        return typing.get_type_hints(holder, {**module, cls.__name__: cls}, include_extras=True)[
            "field"
        ]
    except Exception:  # noqa: BLE001 - the text is the user's, evaluating it may raise anything
        return hint
