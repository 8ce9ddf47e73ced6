"""Annotations read as a small algebra of types: classes, unions, tuples, callables and a few more.

Names in quotes and aliases stay unread until they are met, so that they may refer to themselves.
What can't be read is ``ANY``.
"""

from __future__ import annotations

import collections.abc
import sys
import types
import typing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ForwardRef, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

#: What stands for type variables.
Bindings: TypeAlias = "tuple[tuple[object, Type], ...]"


class Evaluate(typing.Protocol):
    """Gives what a text means as an annotation, ``Any`` if it can't be told."""

    def __call__(self, annotation: Any, /) -> Any:
        """The annotation that the text spells."""


@dataclass(frozen=True, slots=True)
class Word:
    """A type without parts."""

    word: str

    def __str__(self) -> str:
        return self.word


ANY = Word("Any")
NEVER = Word("Never")


@dataclass(frozen=True, slots=True)
class Class:
    """A class with its type arguments; none where it was written without."""

    cls: type
    args: tuple[Type, ...] = ()

    def __str__(self) -> str:
        name = "None" if self.cls is type(None) else self.cls.__qualname__.rpartition(".")[2]
        return f"{name}[{_listed(self.args)}]" if self.args else name


@dataclass(frozen=True, slots=True)
class Union:
    """One of several types."""

    members: tuple[Type, ...]

    def __str__(self) -> str:
        return " | ".join(map(str, self.members))


@dataclass(frozen=True, slots=True)
class Value:
    """A single value, of ``Literal``; its type tells ``1`` from ``True``."""

    kind: type
    value: Any

    def __str__(self) -> str:
        member = getattr(self.value, "name", None)
        return f"Literal[{f'{self.kind.__name__}.{member}' if member else repr(self.value)}]"


@dataclass(frozen=True, slots=True)
class Tuple:
    """A tuple: some items, then any number of ``rest`` unless that is None, then some more."""

    before: tuple[Type, ...]
    rest: Type | None = None
    after: tuple[Type, ...] = ()

    def __str__(self) -> str:
        if self.rest is None:
            return f"tuple[{_listed(self.before) or '()'}]"
        if not self.before and not self.after:
            return f"tuple[{self.rest}, ...]"
        rest = f"*tuple[{self.rest}, ...]"
        return f"tuple[{_listed((*self.before, rest, *self.after))}]"

    @property
    def items(self) -> tuple[Type, ...]:
        """The types of all items, wherever they stand."""
        rest = () if self.rest is None else (self.rest,)
        return (*self.before, *rest, *self.after)


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of a callable: ``kind`` is ``/``, ``*``, ``**``, ``named`` or empty for both."""

    name: str
    kind: str
    type: Type
    required: bool = True


@dataclass(frozen=True, slots=True)
class Function:
    """A callable; ``params`` is None where any arguments will do."""

    params: tuple[Param, ...] | None
    result: Type

    def __str__(self) -> str:
        taken = "..." if self.params is None else f"[{_listed(p.type for p in self.params)}]"
        return f"Callable[{taken}, {self.result}]"


@dataclass(frozen=True, slots=True)
class TypeOf:
    """A class object itself: ``type[X]``."""

    of: Type

    def __str__(self) -> str:
        return f"type[{self.of}]"


@dataclass(frozen=True, slots=True)
class Distinct:
    """A ``NewType``: one of its own, made of another."""

    form: Any
    base: Type

    def __str__(self) -> str:
        return str(self.form.__name__)


@dataclass(frozen=True, slots=True)
class Variable:
    """A type variable; ``bound`` is what it stands for at most, or ``ANY``."""

    form: Any
    bound: Type

    def __str__(self) -> str:
        return str(self.form.__name__)


@dataclass(frozen=True, slots=True)
class Lazy:
    """What a text or an alias means, looked up when it is met."""

    form: Any
    evaluate: Evaluate = field(repr=False)
    bindings: Bindings = ()
    args: tuple[Type, ...] = ()

    def __str__(self) -> str:
        name = self.form if isinstance(self.form, str) else self.form.__name__
        return f"{name}[{_listed(self.args)}]" if self.args else str(name)


Type: TypeAlias = (
    Word | Class | Union | Value | Tuple | Function | TypeOf | Distinct | Variable | Lazy
)

OBJECT = Class(object)
NONE = Class(type(None))
_MAX_ALIASES = 50
_UNIONS = (typing.Union, types.UnionType)
_WORDS = {
    "Any": ANY,
    "Never": NEVER,
    "NoReturn": NEVER,
    "LiteralString": Class(str),  # as mypy has it
    "TypeAlias": ANY,
    "Self": ANY,
}
#: Qualifiers around a type that say nothing about its values here.
_WRAPPERS = ("Final", "ClassVar", "Required", "NotRequired", "ReadOnly")


def _listed(parts: Iterable[object]) -> str:
    return ", ".join(map(str, parts))


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
        kind = _expanded_once(kind)
    return ANY


def _expanded_once(lazy: Lazy) -> Type:
    if isinstance(lazy.form, str):
        return substituted(read(lazy.evaluate(lazy.form), lazy.evaluate), lazy.bindings)
    try:
        value = lazy.form.__value__
        params = lazy.form.__type_params__
    except Exception:  # noqa: BLE001 - the alias of a name that is not there
        return ANY
    args = lazy.args or (ANY,) * len(params)
    return substituted(read(value, lazy.evaluate), bound(params, args))


def bound(params: Iterable[object], args: Iterable[Type]) -> Bindings:
    """Type parameters with their arguments; ``ANY`` for all if the numbers differ."""
    params, args = tuple(params), tuple(args)
    if len(params) != len(args):
        args = (ANY,) * len(params)
    return tuple(zip(params, args, strict=True))


def substituted(kind: Type, bindings: Bindings) -> Type:
    """A type with its variables replaced."""
    return _substituted(kind, bindings) if bindings else kind


def _substituted(kind: Type, bindings: Bindings) -> Type:
    def all_of(parts: tuple[Type, ...]) -> tuple[Type, ...]:
        return tuple(_substituted(each, bindings) for each in parts)

    match kind:
        case Variable():
            return next((to for form, to in bindings if form is kind.form), kind)
        case Class():
            return Class(kind.cls, all_of(kind.args))
        case Union():
            return union(all_of(kind.members))
        case Tuple():
            rest = None if kind.rest is None else _substituted(kind.rest, bindings)
            return Tuple(all_of(kind.before), rest, all_of(kind.after))
        case Function():
            taken = kind.params and tuple(
                replace(each, type=_substituted(each.type, bindings)) for each in kind.params
            )
            return Function(taken, _substituted(kind.result, bindings))
        case TypeOf():
            return TypeOf(_substituted(kind.of, bindings))
        case Lazy():
            own = tuple((form, _substituted(to, bindings)) for form, to in kind.bindings)
            return Lazy(kind.form, kind.evaluate, (*own, *bindings), all_of(kind.args))
    return kind


def union(members: Iterable[Type]) -> Type:
    """One of several types, flat and without repetition."""
    flat: dict[Type, None] = {}
    for each in members:
        flat.update(dict.fromkeys(each.members if isinstance(each, Union) else (each,)))
    return next(iter(flat)) if len(flat) == 1 else Union(tuple(flat)) if flat else NEVER


def _read(annotation: Any, evaluate: Evaluate) -> Type:
    if isinstance(annotation, (str, ForwardRef)):
        return Lazy(getattr(annotation, "__forward_arg__", annotation), evaluate)
    if annotation is None:
        return NONE
    if isinstance(annotation, TypeVar):
        limit = annotation.__bound__
        return Variable(annotation, ANY if limit is None else read(limit, evaluate))
    if isinstance(annotation, typing.NewType):
        return Distinct(annotation, read(annotation.__supertype__, evaluate))
    if type(annotation).__name__ == "TypeAliasType":
        return Lazy(annotation, _around(annotation, evaluate))
    origin = typing.get_origin(annotation)
    if origin is None:
        return _read_plain(annotation, evaluate)
    if type(origin).__name__ == "TypeAliasType":
        args = tuple(read(each, evaluate) for each in typing.get_args(annotation))
        return Lazy(origin, _around(origin, evaluate), args=args)
    return _read_form(annotation, origin, evaluate)


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
    if not isinstance(annotation, type):
        return _WORDS.get(getattr(annotation, "_name", "") or "", ANY)
    if annotation is Any:  # a class on 3.11 and later
        return ANY
    if annotation is tuple:
        return Tuple((), ANY)
    if annotation is type:
        return TypeOf(ANY)
    if annotation is collections.abc.Callable:
        return Function(None, ANY)
    generic = vars(annotation).get("__pydantic_generic_metadata__")
    if generic and generic["origin"]:
        return Class(generic["origin"], tuple(read(each, evaluate) for each in generic["args"]))
    return Class(annotation)


def _read_form(annotation: Any, origin: Any, evaluate: Evaluate) -> Type:
    args = typing.get_args(annotation)
    if origin in _UNIONS:
        return union(read(each, evaluate) for each in args)
    if origin is typing.Annotated or getattr(origin, "_name", "") in _WRAPPERS:
        return read(args[0], evaluate)
    if origin is Literal:
        return union(NONE if each is None else Value(type(each), each) for each in args)
    if origin is tuple:
        bare = annotation is typing.Tuple  # noqa: UP006 - the old spelling is what is met
        return Tuple((), ANY) if bare else _read_tuple(args, evaluate)
    if origin is type:
        return TypeOf(read(args[0], evaluate) if args else ANY)
    if origin is collections.abc.Callable:
        return _read_callable(args, evaluate)
    if not isinstance(origin, type):
        return Class(bool) if getattr(origin, "_name", "") in ("TypeGuard", "TypeIs") else ANY
    return Class(origin, tuple(read(each, evaluate) for each in args))


def _read_tuple(args: tuple[Any, ...], evaluate: Evaluate) -> Type:
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


def _read_callable(args: tuple[Any, ...], evaluate: Evaluate) -> Type:
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
