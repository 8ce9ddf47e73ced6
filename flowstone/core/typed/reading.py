"""Annotations read as types.

Names in quotes and aliases stay unread until they are met, so that they may refer to themselves.
What can't be read is ``ANY``.
"""

from __future__ import annotations

import sys
import types
import typing
from collections import abc
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ForwardRef, Literal, TypeVar

from flowstone.core.typed.forms import (
    ANY,
    NEVER,
    NONE,
    Class,
    Distinct,
    Function,
    Lazy,
    Param,
    Tuple,
    Type,
    TypeOf,
    Value,
    Variable,
    bound,
    union,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.core.typed.forms import Evaluate

_MAX_ALIASES = 50
_WORDS: dict[str, Type] = {
    "Any": ANY,
    "Never": NEVER,
    "NoReturn": NEVER,
    "LiteralString": Class(str),  # as mypy has it
}
#: What stands without arguments; ``Any`` is a class.
_PLAIN: dict[Any, Type] = {
    Any: ANY,
    tuple: Tuple((), ANY),
    type: TypeOf(ANY),
    abc.Callable: Function(None, ANY),
}
#: Qualifiers around a type that say nothing about its values here.
_WRAPPERS = ("Final", "ClassVar", "Required", "NotRequired", "ReadOnly")
_BOOLS = ("TypeGuard", "TypeIs")


@dataclass(frozen=True, slots=True)
class NamesOf:
    """Evaluates what stands in the body of a class: its type parameters, itself, its module."""

    cls: type

    def __call__(self, annotation: Any, /) -> Any:
        """The annotation that the text spells, or ``Any``."""
        cls = self.cls
        module = sys.modules.get(cls.__module__)
        own = (*getattr(cls, "__type_params__", ()), *getattr(cls, "__parameters__", ()))
        names = {cls.__name__: cls} | {each.__name__: each for each in own}
        for scope in (names, {**vars(cls), **names}):
            try:
                return eval(annotation, vars(module) if module else {}, scope)  # noqa: S307 - theirs
            except Exception:  # noqa: BLE001, S112 - names for type checkers only, or worse
                continue
        return Any


def read(annotation: Any, evaluate: Evaluate) -> Type:
    """The type that an annotation stands for; ``ANY`` for one of unknown form. Never raises."""
    try:
        return _read(annotation, evaluate)
    except Exception:  # noqa: BLE001 - a form of some library
        return ANY


def expanded(kind: Type) -> Type:
    """A type that is neither a text nor an alias. Never raises."""
    for _ in range(_MAX_ALIASES):
        if not isinstance(kind, Lazy):
            return kind
        try:
            kind = _expanded_once(kind)
        except Exception:  # noqa: BLE001 - whatever the user's names raise
            return ANY
    return ANY


def _expanded_once(lazy: Lazy) -> Type:
    if isinstance(lazy.form, str):
        return read(lazy.evaluate(lazy.form), lazy.evaluate).bind(lazy.bindings)
    value, params = lazy.form.__value__, lazy.form.__type_params__
    args = lazy.args or (ANY,) * len(params)
    return read(value, lazy.evaluate).bind(bound(params, args))


def _read(annotation: Any, evaluate: Evaluate) -> Type:
    lazy = _read_lazily(annotation, evaluate)
    if lazy is not None:
        return lazy
    if isinstance(annotation, TypeVar):
        limit = annotation.__bound__
        return Variable(annotation, ANY if limit is None else read(limit, evaluate))
    if isinstance(annotation, typing.NewType):
        return Distinct(annotation, read(annotation.__supertype__, evaluate))
    origin = typing.get_origin(annotation)
    if origin is None:
        return _read_plain(annotation, evaluate)
    if origin in _READERS:
        return _READERS[origin](annotation, typing.get_args(annotation), evaluate)
    return _read_subscript(annotation, origin, evaluate)


def _read_lazily(annotation: Any, evaluate: Evaluate) -> Lazy | None:
    """Texts and aliases; None for anything else."""
    if isinstance(annotation, (str, ForwardRef)):
        return Lazy(getattr(annotation, "__forward_arg__", annotation), evaluate)
    alias = typing.get_origin(annotation) or annotation
    if type(alias).__name__ != "TypeAliasType":
        return None
    args = () if alias is annotation else typing.get_args(annotation)
    return Lazy(alias, _around(alias, evaluate), args=tuple(read(each, evaluate) for each in args))


def _around(alias: Any, evaluate: Evaluate) -> Evaluate:
    """What evaluates texts inside an alias: the module it stands in, where that is known."""
    module = sys.modules.get(getattr(alias, "__module__", None) or "")
    return evaluate if module is None else _NamesIn(module.__name__)


@dataclass(frozen=True, slots=True)
class _NamesIn:
    module: str

    def __call__(self, annotation: Any, /) -> Any:
        try:
            return eval(annotation, vars(sys.modules[self.module]))  # noqa: S307 - it is their code
        except Exception:  # noqa: BLE001 - names for type checkers only, or worse
            return Any


def _read_plain(annotation: Any, evaluate: Evaluate) -> Type:
    if annotation is None:
        return NONE
    if isinstance(annotation, type):
        if annotation in _PLAIN:
            return _PLAIN[annotation]
        generic = vars(annotation).get("__pydantic_generic_metadata__")
        if generic and generic["origin"]:
            args = tuple(read(each, evaluate) for each in generic["args"])
            return Class(generic["origin"], args)
        return Class(annotation)
    return _WORDS.get(getattr(annotation, "_name", None) or "", ANY)


def _read_subscript(annotation: Any, origin: Any, evaluate: Evaluate) -> Type:
    args = typing.get_args(annotation)
    name = getattr(origin, "_name", "")
    if name in _WRAPPERS:
        return read(args[0], evaluate)
    if name in _BOOLS:
        return Class(bool)
    known = isinstance(origin, type)
    return Class(origin, tuple(read(each, evaluate) for each in args)) if known else ANY


def _read_union(_: Any, args: tuple[Any, ...], evaluate: Evaluate) -> Type:
    return union(read(each, evaluate) for each in args)


def _read_annotated(_: Any, args: tuple[Any, ...], evaluate: Evaluate) -> Type:
    return read(args[0], evaluate)


def _read_literal(_: Any, args: tuple[Any, ...], __: Evaluate) -> Type:
    return union(NONE if each is None else Value(type(each), each) for each in args)


def _read_type(_: Any, args: tuple[Any, ...], evaluate: Evaluate) -> Type:
    return TypeOf(read(args[0], evaluate) if args else ANY)


def _read_any_tuple(annotation: Any, args: tuple[Any, ...], evaluate: Evaluate) -> Type:
    bare = annotation is typing.Tuple  # noqa: UP006 - the old spelling is what is met
    return Tuple((), ANY) if bare else _read_tuple(args, evaluate)


def _read_tuple(args: tuple[Any, ...], evaluate: Evaluate) -> Tuple:
    before: list[Type] = []
    after: list[Type] = []
    rest: Type | None = None
    for arg in args:
        if arg is ...:
            rest = before.pop()
            continue
        if getattr(arg, "__unpacked__", False) or _is_unpack(arg):
            inner = _unpacked(arg, evaluate)
        else:
            inner = Tuple((read(arg, evaluate),))
        if rest is None:
            before += inner.before
            rest = inner.rest
            after += inner.after
        else:
            after += inner.items
    return Tuple(tuple(before), rest, tuple(after))


def _is_unpack(arg: Any) -> bool:
    return getattr(typing.get_origin(arg), "_name", "") == "Unpack"


def _unpacked(arg: Any, evaluate: Evaluate) -> Tuple:
    inner = typing.get_args(arg)[0] if _is_unpack(arg) else typing.get_args(arg)
    kind = _read_tuple(inner, evaluate) if isinstance(inner, tuple) else read(inner, evaluate)
    kind = expanded(kind)
    return kind if isinstance(kind, Tuple) else Tuple((), ANY)


def _read_callable(_: Any, args: tuple[Any, ...], evaluate: Evaluate) -> Type:
    if not args:
        return Function(None, ANY)
    *_, result = args
    taken = args[0]
    if not isinstance(taken, list):
        return Function(None, read(result, evaluate))
    if any(getattr(each, "__unpacked__", False) or _is_unpack(each) for each in taken):
        return Function(None, read(result, evaluate))
    params = tuple(Param("", "/", read(each, evaluate)) for each in taken)
    return Function(params, read(result, evaluate))


_READERS: dict[Any, Callable[[Any, tuple[Any, ...], Evaluate], Type]] = {
    typing.Union: _read_union,
    types.UnionType: _read_union,
    typing.Annotated: _read_annotated,
    Literal: _read_literal,
    tuple: _read_any_tuple,
    type: _read_type,
    abc.Callable: _read_callable,
}
