"""Classes as type checkers see them: parameters, bases with their arguments, variance."""

from __future__ import annotations

import enum
import types
import typing
from collections import abc
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from flowstone.core.typed.forms import (
    ANY,
    OBJECT,
    Class,
    Function,
    Lazy,
    Tuple,
    Type,
    TypeOf,
    Union,
    Value,
    Variable,
    bound,
    union,
)
from flowstone.core.typed.known import KNOWN
from flowstone.core.typed.reading import NamesOf, read

if TYPE_CHECKING:
    from collections.abc import Iterable

Variance = Literal["covariant", "contravariant", "invariant", "unknown"]

_ROOTS = (object, Generic, Protocol)


def parameters(cls: type) -> tuple[Any, ...]:
    """The type parameters of a class."""
    if cls in KNOWN:
        return KNOWN[cls][0]
    generic = vars(cls).get("__pydantic_generic_metadata__")
    found = generic["parameters"] if generic else getattr(cls, "__parameters__", ())
    return tuple(found) if isinstance(found, tuple) else ()


def bindings(kind: Class) -> tuple[tuple[object, Type], ...]:
    """A class's type parameters with what stands for them."""
    return bound(parameters(kind.cls), kind.args)


def seen_as(kind: Class | Tuple, wanted: type) -> Class | Tuple | None:
    """The type as a base class of it, with the arguments that this base has; None if it is none.

    ``list[int]`` seen as ``Iterable`` is ``Iterable[int]``.
    """
    if isinstance(kind, Tuple):
        if wanted is tuple:
            return kind
        kind = Class(tuple, (union(kind.items),))
    if kind.cls is wanted:
        return kind
    for base in _bases(kind):
        found = seen_as(base, wanted)
        if found is not None:
            return found
    return None


def _bases(kind: Class) -> list[Class | Tuple]:
    cls = kind.cls
    fields = named_tuple_fields(cls)
    if fields is not None:
        return [Tuple(fields)]
    if cls in KNOWN:
        found: Iterable[Type] = KNOWN[cls][1]
    elif is_typed_dict(cls):
        found = (Class(abc.Mapping, (Class(str), OBJECT)),)
    else:
        written = vars(cls).get("__orig_bases__", cls.__bases__)
        found = (read(each, NamesOf(cls)) for each in written if not _is_root(each))
    own = bindings(kind)
    bases = (each.bind(own) for each in found)
    return [each for each in bases if isinstance(each, (Class, Tuple))]


def _is_root(base: Any) -> bool:
    return base in _ROOTS or typing.get_origin(base) in _ROOTS


def named_tuple_fields(cls: type) -> tuple[Type, ...] | None:
    """The types of a named tuple's fields, None for another class."""
    fields = vars(cls).get("_fields")
    if tuple not in cls.__bases__ or not isinstance(fields, tuple):
        return None
    written = vars(cls).get("__annotations__", {})
    return tuple(read(written.get(name, Any), NamesOf(cls)) for name in fields)


def is_typed_dict(cls: type) -> bool:
    """Whether a class is a ``TypedDict``, of Python's or of typing_extensions."""
    return dict in cls.__mro__ and hasattr(cls, "__required_keys__")


def is_protocol(cls: type) -> bool:
    """Whether a class is a ``Protocol`` itself, not one that implements it."""
    return bool(vars(cls).get("_is_protocol")) and cls not in _ROOTS


def is_frozen(cls: type) -> bool:
    """Whether a class is a frozen dataclass."""
    return bool(getattr(getattr(cls, "__dataclass_params__", None), "frozen", False))


def every_value(kind: Class) -> Type:
    """A class of few values as the union of these: ``bool`` and enums; any other as it is."""
    if kind.cls is bool:
        return Union((Value(bool, True), Value(bool, False)))  # noqa: FBT003 - the values
    if issubclass(kind.cls, enum.Enum) and not issubclass(kind.cls, enum.Flag):
        return union(Value(kind.cls, each) for each in kind.cls) if list(kind.cls) else kind
    return kind


def variance(cls: type, parameter: Any) -> Variance:
    """How a class varies with one of its type parameters."""
    return _variance(cls, parameter, ())


def _variance(cls: type, parameter: Any, above: tuple[type, ...]) -> Variance:
    if not isinstance(parameter, TypeVar):
        return "unknown"
    if parameter.__covariant__:
        return "covariant"
    if parameter.__contravariant__:
        return "contravariant"
    if not getattr(parameter, "__infer_variance__", False):
        return "invariant"
    if cls in above:
        return "unknown"
    return _inferred(cls, parameter, (*above, cls))


def _inferred(cls: type, parameter: Any, above: tuple[type, ...]) -> Variance:
    """The variance of a parameter in new syntax: where it stands in the members of the class.

    What only ``__init__`` assigns can't be seen, and does not count.
    """
    seen: set[int] = set()
    for kind, signs in _positions(cls):
        for sign in signs:
            seen |= _signs(kind, parameter, sign, above)
    if seen == {1, -1}:
        return "invariant"
    return "contravariant" if seen == {-1} else "covariant"


def _positions(cls: type) -> list[tuple[Type, tuple[int, ...]]]:
    """The types in a class's body: 1 for what is read, -1 for what is given."""
    names = NamesOf(cls)
    found: list[tuple[Type, tuple[int, ...]]] = []
    for name, written in vars(cls).get("__annotations__", {}).items():
        fixed = is_frozen(cls) or name.startswith("_") or "_fields" in vars(cls)
        found.append((read(written, names), (1,) if fixed else (1, -1)))
    bases = vars(cls).get("__orig_bases__", ())
    found += [(read(base, names), (1,)) for base in bases if not _is_root(base)]
    for name, member in vars(cls).items():
        if name in ("__init__", "__new__", "__post_init__"):
            continue
        getter = getattr(member, "fget", member)
        function = getattr(getter, "__func__", getter)
        if isinstance(function, types.FunctionType):
            found += [
                (read(written, names), (1,) if what == "return" else (-1,))
                for what, written in function.__annotations__.items()
            ]
    return found


def _signs(kind: Type, parameter: Any, sign: int, above: tuple[type, ...]) -> set[int]:
    """With which signs a type parameter occurs in a type."""
    if isinstance(kind, Variable):
        return {sign} if kind.form is parameter else set()
    found: set[int] = set()
    for part, factor in _parts(kind, above):
        found |= _signs(part, parameter, sign * factor, above)
    return found


def _parts(kind: Type, above: tuple[type, ...]) -> list[tuple[Type, int]]:
    """The types inside a type, each with 1 or -1 as it varies with them or against them."""
    match kind:
        case Class():
            return [
                (arg, factor)
                for own, arg in bindings(kind)
                for factor in _FACTORS[_variance(kind.cls, own, above)]
            ]
        case Function():
            return [(kind.result, 1), *((each.type, -1) for each in kind.params or ())]
        case Union(members=parts) | Tuple(items=parts):
            return [(each, 1) for each in parts]
        case TypeOf():
            return [(kind.of, 1)]
        case Lazy() if isinstance(kind.form, str):
            meant = read(kind.evaluate(kind.form), kind.evaluate)
            return [] if isinstance(meant, Lazy) else [(meant, 1)]
    return []


_FACTORS: dict[Variance, tuple[int, ...]] = {
    "covariant": (1,),
    "contravariant": (-1,),
    "invariant": (1, -1),
    "unknown": (),
}


def argument(kind: Class, number: int) -> Type:
    """One of a class's type arguments, ``ANY`` if it was written without."""
    return kind.args[number] if number < len(kind.args) else ANY
