"""Classes as type checkers see them: parameters, bases with their arguments, variance.

What the standard library's classes derive from stands in the annotations of no module; the table
here says it, after typeshed.
"""

from __future__ import annotations

import collections
import enum
import os
import pathlib
import types
import typing
from collections import abc
from dataclasses import is_dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

from flowstone.core.typed.forms import (
    ANY,
    OBJECT,
    Class,
    Function,
    Lazy,
    NamesOf,
    Tuple,
    Type,
    TypeOf,
    Union,
    Value,
    Variable,
    bound,
    read,
    substituted,
    union,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

Variance = Literal["covariant", "contravariant", "invariant", "unknown"]

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")
Out = TypeVar("Out", covariant=True)
Out2 = TypeVar("Out2", covariant=True)
In = TypeVar("In", contravariant=True)

ITEM, KEY, VALUE = Variable(T, ANY), Variable(K, ANY), Variable(V, ANY)
OUT, OUT2 = Variable(Out, ANY), Variable(Out2, ANY)

#: Type parameters, with their variance, and bases.
_KNOWN: dict[Any, tuple[tuple[Any, ...], tuple[Class, ...]]] = {
    abc.Iterable: ((Out,), ()),
    abc.Container: ((Out,), ()),
    abc.AsyncIterable: ((Out,), ()),
    abc.Awaitable: ((Out,), ()),
    abc.Iterator: ((Out,), (Class(abc.Iterable, (OUT,)),)),
    abc.Reversible: ((Out,), (Class(abc.Iterable, (OUT,)),)),
    abc.Collection: (
        (Out,),
        (Class(abc.Iterable, (OUT,)), Class(abc.Container, (OUT,)), Class(abc.Sized)),
    ),
    abc.Generator: ((Out, In, Out2), (Class(abc.Iterator, (OUT,)),)),
    abc.AsyncIterator: ((Out,), (Class(abc.AsyncIterable, (OUT,)),)),
    abc.AsyncGenerator: ((Out, In), (Class(abc.AsyncIterator, (OUT,)),)),
    abc.Coroutine: ((Out, In, Out2), (Class(abc.Awaitable, (OUT2,)),)),
    abc.Sequence: ((Out,), (Class(abc.Reversible, (OUT,)), Class(abc.Collection, (OUT,)))),
    abc.MutableSequence: ((T,), (Class(abc.Sequence, (ITEM,)),)),
    abc.Set: ((Out,), (Class(abc.Collection, (OUT,)),)),
    abc.MutableSet: ((T,), (Class(abc.Set, (ITEM,)),)),
    abc.Mapping: ((K, Out), (Class(abc.Collection, (KEY,)),)),
    abc.MutableMapping: (
        (K, V),
        (
            Class(
                abc.Mapping,
                (
                    KEY,
                    VALUE,
                ),
            ),
        ),
    ),
    abc.KeysView: ((Out,), (Class(abc.MappingView), Class(abc.Set, (OUT,)))),
    abc.ItemsView: ((Out, Out2), (Class(abc.MappingView), Class(abc.Set, (Tuple((OUT, OUT2)),)))),
    abc.ValuesView: ((Out,), (Class(abc.MappingView), Class(abc.Collection, (OUT,)))),
    list: ((T,), (Class(abc.MutableSequence, (ITEM,)),)),
    tuple: ((Out,), (Class(abc.Sequence, (OUT,)),)),
    dict: (
        (K, V),
        (
            Class(
                abc.MutableMapping,
                (
                    KEY,
                    VALUE,
                ),
            ),
            Class(abc.Reversible, (KEY,)),
        ),
    ),
    set: ((T,), (Class(abc.MutableSet, (ITEM,)),)),
    frozenset: ((Out,), (Class(abc.Set, (OUT,)),)),
    enumerate: ((T,), (Class(abc.Iterator, (Tuple((Class(int), ITEM)),)),)),
    zip: ((Out,), (Class(abc.Iterator, (OUT,)),)),
    map: ((Out,), (Class(abc.Iterator, (OUT,)),)),
    filter: ((T,), (Class(abc.Iterator, (ITEM,)),)),
    reversed: ((T,), (Class(abc.Iterator, (ITEM,)),)),
    str: ((), (Class(abc.Sequence, (Class(str),)),)),
    bytes: ((), (Class(abc.Sequence, (Class(int),)),)),
    bytearray: ((), (Class(abc.MutableSequence, (Class(int),)),)),
    memoryview: ((), (Class(abc.Sequence, (Class(int),)),)),
    range: ((), (Class(abc.Sequence, (Class(int),)),)),
    types.MappingProxyType: (
        (K, Out),
        (
            Class(
                abc.Mapping,
                (
                    KEY,
                    OUT,
                ),
            ),
        ),
    ),
    collections.deque: ((T,), (Class(abc.MutableSequence, (ITEM,)),)),
    collections.defaultdict: (
        (K, V),
        (
            Class(
                dict,
                (
                    KEY,
                    VALUE,
                ),
            ),
        ),
    ),
    collections.OrderedDict: (
        (K, V),
        (
            Class(
                dict,
                (
                    KEY,
                    VALUE,
                ),
            ),
        ),
    ),
    collections.Counter: (
        (T,),
        (
            Class(
                dict,
                (
                    ITEM,
                    Class(int),
                ),
            ),
        ),
    ),
    collections.ChainMap: (
        (K, V),
        (
            Class(
                abc.MutableMapping,
                (
                    KEY,
                    VALUE,
                ),
            ),
        ),
    ),
    os.PathLike: ((Out,), ()),
    pathlib.PurePath: ((), (Class(os.PathLike, (Class(str),)),)),
}
_ROOTS = (object, Generic, Protocol)


def parameters(cls: type) -> tuple[Any, ...]:
    """The type parameters of a class."""
    if cls in _KNOWN:
        return _KNOWN[cls][0]
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
    if cls in _KNOWN:
        found: Iterable[Type] = _KNOWN[cls][1]
    elif is_typed_dict(cls):
        found = (Class(abc.Mapping, (Class(str), OBJECT)),)
    else:
        written = vars(cls).get("__orig_bases__", cls.__bases__)
        found = (read(each, NamesOf(cls)) for each in written if not _is_root(each))
    own = bindings(kind)
    bases = (substituted(each, own) for each in found)
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
    frozen = is_dataclass(cls) and cls.__dataclass_params__.frozen  # type: ignore[attr-defined]  # undocumented, stable
    for name, written in vars(cls).get("__annotations__", {}).items():
        fixed = frozen or name.startswith("_") or "_fields" in vars(cls)
        found.append((read(written, names), (1,) if fixed else (1, -1)))
    for base in vars(cls).get("__orig_bases__", ()):
        if not _is_root(base):
            found.append((read(base, names), (1,)))
    for name, member in vars(cls).items():
        if name in ("__init__", "__new__", "__post_init__"):
            continue
        getter = getattr(member, "fget", member)
        function = getattr(getter, "__func__", getter)
        if isinstance(function, types.FunctionType):
            for what, written in function.__annotations__.items():
                found.append((read(written, names), (1,) if what == "return" else (-1,)))
    return found


def _signs(kind: Type, parameter: Any, sign: int, above: tuple[type, ...]) -> set[int]:
    """With which signs a type parameter occurs in a type."""
    match kind:
        case Variable():
            return {sign} if kind.form is parameter else set()
        case Class():
            found: set[int] = set()
            for own, arg in bindings(kind):
                for factor in _FACTORS[_variance(kind.cls, own, above)]:
                    found |= _signs(arg, parameter, sign * factor, above)
            return found
        case Function():
            taken = [_signs(each.type, parameter, -sign, above) for each in kind.params or ()]
            return set().union(_signs(kind.result, parameter, sign, above), *taken)
        case Union():
            return set().union(*(_signs(each, parameter, sign, above) for each in kind.members))
        case Tuple():
            return set().union(*(_signs(each, parameter, sign, above) for each in kind.items))
        case TypeOf():
            return _signs(kind.of, parameter, sign, above)
        case Lazy() if isinstance(kind.form, str):
            meant = read(kind.evaluate(kind.form), kind.evaluate)
            return set() if isinstance(meant, Lazy) else _signs(meant, parameter, sign, above)
    return set()


_FACTORS: dict[Variance, tuple[int, ...]] = {
    "covariant": (1,),
    "contravariant": (-1,),
    "invariant": (1, -1),
    "unknown": (),
}


def argument(kind: Class, number: int) -> Type:
    """One of a class's type arguments, ``ANY`` if it was written without."""
    return kind.args[number] if number < len(kind.args) else ANY
