"""What the members of a class promise: fields of typed dicts, attributes and methods."""

from __future__ import annotations

import dis
import functools
import inspect
import sys
import types
import typing
from dataclasses import dataclass
from typing import Any, ForwardRef

from flowstone.core.typed.classes import bindings, is_frozen, is_protocol, seen_as
from flowstone.core.typed.forms import ANY, Class, Evaluate, Function, Param, Type
from flowstone.core.typed.reading import NamesOf, read

_OURS = object()
_KINDS = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
    inspect.Parameter.POSITIONAL_ONLY: "/",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "",
    inspect.Parameter.KEYWORD_ONLY: "named",
}
T_co = typing.TypeVar("T_co", covariant=True)


@typing.runtime_checkable
class _Empty(typing.Protocol[T_co]):
    """A protocol that asks for nothing."""


#: What the machinery of classes and protocols adds to each.
_MACHINERY = {
    *vars(_Empty),
    "__annotations__",
    "__class_getitem__",
    "__dict__",
    "__firstlineno__",
    "__match_args__",
    "__non_callable_proto_members__",
    "__protocol_attrs__",
    "__slots__",
    "__static_attributes__",
    "__type_params__",
    "__weakref__",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A key of a typed dict."""

    type: Type
    required: bool
    read_only: bool


@dataclass(frozen=True, slots=True)
class Member:
    """An attribute: its type, whether it can be set, and whether it is a method."""

    type: Type
    settable: bool = False
    is_method: bool = False


def fields_of(kind: Class) -> dict[str, Field]:
    """The keys of a typed dict, inherited ones included."""
    cls: Any = kind.cls
    return {
        name: _field(cls, name, written, bindings(kind))
        for name, written in cls.__annotations__.items()
    }


def _field(cls: Any, name: str, written: Any, bound: Any) -> Field:
    names: Evaluate = NamesOf(cls)
    module = getattr(written, "__forward_module__", None)
    text = getattr(written, "__forward_arg__", written)
    if isinstance(text, str):
        written = _in_module(module, text) if module not in (None, cls.__module__) else _OURS
        written = names(text) if written is _OURS else written
    required, read_only = name in cls.__required_keys__, False
    read_only = name in getattr(cls, "__readonly_keys__", ())
    while (word := getattr(typing.get_origin(written), "_name", None)) in _QUALIFIERS:
        required = {"Required": True, "NotRequired": False}.get(word, required)
        read_only = read_only or word == "ReadOnly"
        written = typing.get_args(written)[0]
        if isinstance(written, ForwardRef):
            written = names(written.__forward_arg__)
    return Field(read(written, names).bind(bound), required, read_only)


_QUALIFIERS = ("Required", "NotRequired", "ReadOnly")


def _in_module(module: Any, text: str) -> Any:
    """An inherited field's annotation, in the module of the class that has it."""
    scope = vars(sys.modules[module]) if isinstance(module, str) else vars(module)
    try:
        return eval(text, scope)  # noqa: S307 - it is their code
    except Exception:  # noqa: BLE001 - names for type checkers only, or worse
        return Any


def promised(protocol: Class) -> dict[str, Member]:
    """What a protocol asks for, by name; what its bases ask for as well."""
    found: dict[str, Member] = {}
    for base in reversed(protocol.cls.__mro__):
        if not is_protocol(base):
            continue
        seen = seen_as(protocol, base)
        view = seen if isinstance(seen, Class) else Class(base)
        for name in {**vars(base).get("__annotations__", {}), **vars(base)}:
            if name not in _MACHINERY:
                member = _own(view, name)
                if member is not None:
                    found[name] = member
    return found


def found_in(kind: Class, name: str) -> Member | None:
    """An attribute that the instances of a class have; None if they lack it.

    What only a method assigns to ``self`` is there with an unknown type.
    """
    for base in kind.cls.__mro__:
        if name not in vars(base) and name not in vars(base).get("__annotations__", {}):
            continue
        seen = seen_as(kind, base)
        return _own(seen if isinstance(seen, Class) else Class(base), name)
    return Member(ANY, settable=True) if _is_assigned(kind.cls, name) else None


def _own(kind: Class, name: str) -> Member | None:
    """A member that a class has itself; None for one that it takes away, as ``__hash__ = None``."""
    cls = kind.cls
    written = vars(cls).get("__annotations__", {}).get(name, _OURS)
    if written is not _OURS:
        meant = read(written, NamesOf(cls)).bind(bindings(kind))
        return Member(meant, settable=not _is_fixed(cls, written))
    value = vars(cls)[name]
    if value is None:
        return None
    if isinstance(value, property):
        result = signature_of(value.fget, cls, skip=1).result if value.fget else ANY
        return Member(result.bind(bindings(kind)), settable=value.fset is not None)
    if isinstance(value, functools.cached_property):
        result = signature_of(value.func, cls, skip=1).result
        return Member(result.bind(bindings(kind)), settable=True)
    skip = 0 if isinstance(value, staticmethod) else 1
    function = getattr(value, "__func__", value)
    if isinstance(function, types.FunctionType):
        meant = signature_of(function, cls, skip).bind(bindings(kind))
        return Member(meant, is_method=True)
    return Member(_plain(value), settable=not hasattr(type(value), "__get__"))


def _plain(value: object) -> Type:
    """The type of a class attribute without annotation, as far as it is plain."""
    return Class(type(value)) if type(value) in (bool, int, float, str, bytes) else ANY


def _is_fixed(cls: Any, written: Any) -> bool:
    if is_frozen(cls):
        return True
    text = getattr(typing.get_origin(written), "_name", None) or str(written)
    return "_fields" in vars(cls) or text.startswith("Final")


def _is_assigned(cls: type, name: str) -> bool:
    """Whether a method of the class assigns the attribute, to ``self`` by all appearances."""
    methods = (each for base in cls.__mro__ for each in vars(base).values())
    return any(
        step.opname == "STORE_ATTR" and step.argval == name
        for method in methods
        if isinstance(method, types.FunctionType) and name in method.__code__.co_names
        for step in dis.get_instructions(method)
    )


def signature_of(fn: Any, owner: type, skip: int = 0) -> Function:
    """A function as a callable type, without its first ``skip`` parameters."""
    names = _Inside(NamesOf(owner), fn)
    try:
        signature = inspect.signature(fn)
    except (TypeError, ValueError):
        return Function(None, ANY)
    params = tuple(
        Param(
            each.name,
            _KINDS[each.kind],
            ANY if each.annotation is each.empty else read(each.annotation, names),
            each.default is each.empty and each.kind not in _MANY,
        )
        for each in list(signature.parameters.values())[skip:]
    )
    returns = signature.return_annotation
    return Function(params, ANY if returns is signature.empty else read(returns, names))


_MANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True)
class _Inside:
    """Evaluates what stands in a method's signature: the module it was written in, its class."""

    names: NamesOf
    fn: Any

    def __call__(self, annotation: Any, /) -> Any:
        try:
            return eval(annotation, self.fn.__globals__)  # noqa: S307 - it is their code
        except Exception:  # noqa: BLE001 - a type parameter of the class, or worse
            return self.names(annotation)
