"""A small algebra of types: classes, unions, tuples, callables and a few more.

``bind`` replaces type variables. What is not known is ``ANY``.
"""

from __future__ import annotations

import typing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

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

    def bind(self, _: Bindings) -> Type:
        """The type with its variables replaced."""
        return self


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

    def bind(self, bindings: Bindings) -> Type:
        """The type with its variables replaced."""
        return Class(self.cls, _all(self.args, bindings))


@dataclass(frozen=True, slots=True)
class Union:
    """One of several types."""

    members: tuple[Type, ...]

    def __str__(self) -> str:
        return " | ".join(map(str, self.members))

    def bind(self, bindings: Bindings) -> Type:
        """The type with its variables replaced."""
        return union(_all(self.members, bindings))


@dataclass(frozen=True, slots=True)
class Value:
    """A single value, of ``Literal``; its type tells ``1`` from ``True``."""

    kind: type
    value: Any

    def __str__(self) -> str:
        member = getattr(self.value, "name", None)
        return f"Literal[{f'{self.kind.__name__}.{member}' if member else repr(self.value)}]"

    def bind(self, _: Bindings) -> Type:
        """The type with its variables replaced."""
        return self


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

    def bind(self, bindings: Bindings) -> Type:
        """The type with its variables replaced."""
        rest = None if self.rest is None else self.rest.bind(bindings)
        return Tuple(_all(self.before, bindings), rest, _all(self.after, bindings))


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

    def bind(self, bindings: Bindings) -> Function:
        """The type with its variables replaced."""
        taken = self.params and tuple(
            replace(each, type=each.type.bind(bindings)) for each in self.params
        )
        return Function(taken, self.result.bind(bindings))


@dataclass(frozen=True, slots=True)
class TypeOf:
    """A class object itself: ``type[X]``."""

    of: Type

    def __str__(self) -> str:
        return f"type[{self.of}]"

    def bind(self, bindings: Bindings) -> Type:
        """The type with its variables replaced."""
        return TypeOf(self.of.bind(bindings))


@dataclass(frozen=True, slots=True)
class Distinct:
    """A ``NewType``: one of its own, made of another."""

    form: Any
    base: Type

    def __str__(self) -> str:
        return str(self.form.__name__)

    def bind(self, _: Bindings) -> Type:
        """The type with its variables replaced."""
        return self


@dataclass(frozen=True, slots=True)
class Variable:
    """A type variable; ``bound`` is what it stands for at most, or ``ANY``."""

    form: Any
    bound: Type

    def __str__(self) -> str:
        return str(self.form.__name__)

    def bind(self, bindings: Bindings) -> Type:
        """The type with its variables replaced."""
        return next((to for form, to in bindings if form is self.form), self)


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

    def bind(self, bindings: Bindings) -> Type:
        """The type with its variables replaced."""
        own = tuple((form, to.bind(bindings)) for form, to in self.bindings)
        return Lazy(self.form, self.evaluate, (*own, *bindings), _all(self.args, bindings))


Type: TypeAlias = (
    Word | Class | Union | Value | Tuple | Function | TypeOf | Distinct | Variable | Lazy
)

OBJECT = Class(object)
NONE = Class(type(None))


def _all(parts: Iterable[Type], bindings: Bindings) -> tuple[Type, ...]:
    return tuple(each.bind(bindings) for each in parts)


def told_apart(one: Type, other: Type) -> tuple[str, str]:
    """Two types as text, classes of one name with the modules they come from."""
    if str(one) == str(other) and isinstance(one, Class) and isinstance(other, Class):
        return f"{one.cls.__module__}.{one}", f"{other.cls.__module__}.{other}"
    return str(one), str(other)


def _listed(parts: Iterable[object]) -> str:
    return ", ".join(map(str, parts))


def bound(params: Iterable[object], args: Iterable[Type]) -> Bindings:
    """Type parameters with their arguments; ``ANY`` for all if the numbers differ."""
    params, args = tuple(params), tuple(args)
    if len(params) != len(args):
        args = (ANY,) * len(params)
    return tuple(zip(params, args, strict=True))


def union(members: Iterable[Type]) -> Type:
    """One of several types, flat and without repetition."""
    flat: dict[Type, None] = {}
    for each in members:
        flat.update(dict.fromkeys(each.members if isinstance(each, Union) else (each,)))
    return next(iter(flat)) if len(flat) == 1 else Union(tuple(flat)) if flat else NEVER
