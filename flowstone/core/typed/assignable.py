"""Whether what is annotated one way may be passed where something is annotated another way.

The answer is that of ``mypy --strict``, except where that would refuse values which do fit, such
as numpy scalars or virtual subclasses. Whatever can't be told is a yes, nothing raises, and the
only code of the user's that runs is that of annotations themselves.
"""

from __future__ import annotations

from abc import ABCMeta
from collections import abc
from typing import Any, Protocol, TypeVar

from flowstone.core.typed.calls import Arguments, takes_anything
from flowstone.core.typed.classes import (
    bindings,
    every_value,
    is_protocol,
    is_typed_dict,
    seen_as,
    variance,
)
from flowstone.core.typed.forms import (
    ANY,
    NEVER,
    OBJECT,
    Class,
    Distinct,
    Function,
    Tuple,
    Type,
    TypeOf,
    Union,
    Value,
    Variable,
    told_apart,
    union,
)
from flowstone.core.typed.members import fields_of, found_in, promised
from flowstone.core.typed.reading import expanded

Out_co = TypeVar("Out_co", covariant=True)

_MAX_DEPTH = 40
_PROMOTED = {float: (int,), complex: (int, float)}
#: Libraries whose type arguments say nothing that could be relied on: element types, shapes.
_LOOSE = ("numpy", "pandas", "polars", "pyarrow")


class _Iterable(Protocol[Out_co]):
    """What counts as iterable without deriving from it."""

    def __iter__(self) -> abc.Iterator[Out_co]: ...


def why_not(source: Type, target: Type) -> str:
    """Why a value of one type can't be passed where another is wanted; empty if it can."""
    try:
        return _Relation().why_not(source, target)
    except Exception:  # noqa: BLE001 - metaclasses are the user's code; unknown means yes
        return ""


class _Relation:
    """One question, with the pairs under way: a pair met again inside itself holds."""

    def __init__(self) -> None:
        self._open: set[tuple[Type, Type]] = set()

    def why_not(self, source: Type, target: Type) -> str:
        source, target = expanded(source), expanded(target)
        if source in (target, NEVER) or ANY in (source, target) or target == OBJECT:
            return ""
        pair = source, target
        if pair in self._open or len(self._open) > _MAX_DEPTH:
            return ""
        self._open.add(pair)
        try:
            return self._compare(source, target)
        finally:
            self._open.discard(pair)

    def _compare(self, source: Type, target: Type) -> str:
        match source:
            case Union():
                reasons = (self.why_not(each, target) for each in source.members)
                return next(filter(None, reasons), "")
            case Variable():
                return self.why_not(source.bound, target)
        match target:
            case Variable():
                return self._fits_variable(source, target)
            case Union():
                return self._one_of(source, target)
        if isinstance(source, Distinct) and not isinstance(target, Distinct):
            return self.why_not(source.base, target)
        return self._single(source, target)

    def _single(self, source: Type, target: Type) -> str:
        match target:
            case Distinct():
                if isinstance(source, Distinct):
                    return self.why_not(source.base, target)
            case TypeOf():
                return self._class_object(source, target)
            case Function():
                return self._callable(source, target)
            case Tuple():
                return self._tuple(source, target)
            case Class():
                return self._class(source, target)
        return _is_not(source, target)

    def _fits_variable(self, source: Type, target: Variable) -> str:
        choices = getattr(target.form, "__constraints__", ())
        return "" if choices else self.why_not(source, target.bound)

    def _one_of(self, source: Type, target: Union) -> str:
        reasons = []
        for each in target.members:
            reason = self.why_not(source, each)
            if not reason:
                return ""
            reasons.append((expanded(each), reason))
        few = every_value(source) if isinstance(source, Class) else source
        if isinstance(few, Union):
            return self.why_not(few, target)
        if isinstance(source, Tuple) or len(reasons) > len(_alike(source, reasons)) == 1:
            return (_alike(source, reasons) or [_is_not(source, target)])[0]
        return _is_not(source, target)

    def _class_object(self, source: Type, target: TypeOf) -> str:
        if isinstance(source, TypeOf):
            reason = self.why_not(source.of, target.of)
            return f"{source} is not {target}: {reason}" if reason else ""
        if isinstance(source, Class) and source.cls in (type, object):
            return "" if source.cls is type else _is_not(source, target)
        is_meta = isinstance(source, Class) and issubclass(source.cls, type)
        return "" if is_meta else _is_not(source, target)

    def _callable(self, source: Type, target: Function) -> str:
        if isinstance(source, TypeOf):
            return ""
        if isinstance(source, Class):
            call = found_in(source, "__call__")
            if call is None:
                return _is_not(source, target)
            source = call.type if isinstance(call.type, Function) else Function(None, ANY)
        if not isinstance(source, Function):
            return _is_not(source, target)
        reason = self._calls(source, target, by_name=True)
        return f"{source} is not {target}: {reason}" if reason else ""

    def _calls(self, source: Function, target: Function, *, by_name: bool) -> str:
        """Why one callable can't stand for another: its result, its parameters."""
        if target.result != Class(type(None)) or expanded(source.result) != ANY:
            reason = self.why_not(source.result, target.result)
            if reason:
                return f"in the result, {reason}"
        if source.params is None or target.params is None:
            return ""
        if takes_anything(source.params) or takes_anything(target.params):
            return ""
        return Arguments(self.why_not, source.params, by_name=by_name).why_not(target.params)

    def _tuple(self, source: Type, target: Tuple) -> str:
        seen = seen_as(source, tuple) if isinstance(source, (Class, Tuple)) else None
        if not isinstance(seen, Tuple):
            if isinstance(seen, Class):  # a subclass of tuple without arguments
                return ""
            return _is_not(source, target)
        pairs = _aligned(seen, target)
        if pairs is None:
            return f"{source} is not {target}: they differ in length"
        for one, other in pairs:
            reason = self.why_not(one, other)
            if reason:
                return f"{source} is not {target}: {reason}"
        return ""

    def _class(self, source: Type, target: Class) -> str:
        match source:
            case Value():
                return self.why_not(Class(source.kind), target)
            case TypeOf():
                return self._from_class_object(source, target)
            case Function():
                return self._from_callable(source, target)
            case Class() | Tuple():
                return self._classes(source, target)
        return _is_not(source, target)

    def _from_class_object(self, source: TypeOf, target: Class) -> str:
        of = expanded(source.of)
        known = type(of.cls) if isinstance(of, Class) else type
        if is_protocol(target.cls):
            return ""
        return self._classes(Class(known), target)

    def _from_callable(self, source: Function, target: Class) -> str:
        if is_protocol(target.cls):
            wanted = promised(target)
            call = wanted.pop("__call__", None)
            if wanted or call is None:
                return f"{source} has no {next(iter(wanted), 'attributes')}"
            if not isinstance(call.type, Function):
                return ""
            reason = self._calls(source, call.type, by_name=True)
            return f"{source} is not {target}: {reason}" if reason else ""
        is_function = target.cls is abc.Hashable or target.cls.__module__ in ("types", "typing")
        return "" if is_function else _is_not(source, target)

    def _classes(self, source: Class | Tuple, target: Class) -> str:
        """Compare by name: promotions, typed dicts, base classes; then by what they have."""
        if isinstance(source, Class) and source.cls in _promoted(source, target.cls):
            return ""
        if isinstance(source, Class) and is_typed_dict(source.cls) and is_typed_dict(target.cls):
            return self._typed_dict(source, target)
        seen = seen_as(source, target.cls)
        if isinstance(seen, Class):
            return self._arguments(source, seen, target)
        cls = tuple if isinstance(source, Tuple) else source.cls
        if Any in cls.__mro__:
            return ""
        if seen is not None or target.cls in cls.__mro__:
            return _no_plain_dict(source, target) if is_typed_dict(cls) else ""
        return self._by_members(source, cls, target)

    def _by_members(self, source: Class | Tuple, cls: type, target: Class) -> str:
        if is_protocol(target.cls):
            return self._protocol(source, target)
        if target.cls in (abc.Iterable, abc.Collection) and issubclass(cls, target.cls):
            return self._protocol(source, Class(_Iterable, target.args))
        if is_typed_dict(cls):
            return _no_plain_dict(source, target)
        return "" if _is_virtual(cls, target.cls) else _is_not(source, target)

    def _arguments(self, source: Type, seen: Class, target: Class) -> str:
        """Compare type arguments, each by its parameter's variance."""
        if not (seen.args and target.args) or target.cls.__module__.startswith(_LOOSE):
            return ""
        if len(seen.args) != len(target.args):
            return ""
        names = [form for form, _ in bindings(target)] or [None] * len(target.args)
        if len(names) != len(target.args):
            return ""
        for form, one, other in zip(names, seen.args, target.args, strict=True):
            reason = self._varies(form, target.cls, one, other)
            if reason:
                return f"{source} is not {target}: {reason}"
        return ""

    def _varies(self, form: object, cls: type, one: Type, other: Type) -> str:
        match variance(cls, form):
            case "covariant":
                return self.why_not(one, other)
            case "contravariant":
                return self.why_not(other, one)
            case "unknown":
                return self.why_not(one, other) and self.why_not(other, one)
        if isinstance(expanded(other), Variable):
            return self.why_not(one, other)
        reason = self.why_not(one, other)
        if reason:
            return reason
        exact = self.why_not(other, one)
        return exact and f"what a {Class(cls)} holds must be exactly {other}, not {one}"

    def _typed_dict(self, source: Class, target: Class) -> str:
        have = fields_of(source)
        for name, wanted in fields_of(target).items():
            given = have.get(name)
            if given is None:
                return f"{source} has no key {name!r}"
            if wanted.required and not given.required:
                return f"key {name!r} of {source} may be missing"
            if not wanted.read_only and given.required != wanted.required:
                return f"key {name!r} of {source} must not be deleted"
            if not wanted.read_only and given.read_only:
                return f"key {name!r} of {source} is read-only"
            reason = self.why_not(given.type, wanted.type)
            if not reason and not wanted.read_only:
                reason = self.why_not(wanted.type, given.type)
            if reason:
                return f"key {name!r} of {source}: {reason}"
        return ""

    def _protocol(self, source: Class | Tuple, target: Class) -> str:
        if isinstance(source, Tuple):
            source = Class(tuple, (union(source.items),))
        for name, wanted in promised(target).items():
            given = found_in(source, name)
            if given is None:
                return f"{source} has no {name}"
            if isinstance(given.type, Function) and isinstance(wanted.type, Function):
                reason = self._calls(given.type, wanted.type, by_name=name == "__call__")
            else:
                reason = self.why_not(given.type, wanted.type)
            if not reason and not wanted.is_method and wanted.settable:
                if not given.settable:
                    reason = "it can't be set"
                else:
                    reason = self.why_not(wanted.type, given.type)
            if reason:
                return f"{name} of {source} is not that of {target}: {reason}"
        return ""


def _is_not(source: Type, target: Type) -> str:
    """Two classes by their names alone: their arguments are not what is wrong."""
    if isinstance(source, Class) and isinstance(target, Class) and source.cls is not target.cls:
        source, target = Class(source.cls), Class(target.cls)
    one, other = told_apart(source, target)
    return f"{one} is not {other}"


def _no_plain_dict(source: Type, target: Class) -> str:
    if target.cls not in (dict, abc.MutableMapping):
        return _is_not(source, target)
    return f"{source} is a TypedDict, which is no plain dict; take Mapping[str, object]"


def _alike(source: Type, reasons: list[tuple[Type, str]]) -> list[str]:
    """The reasons of those members that are the same kind of thing as the source."""
    outer = source.cls if isinstance(source, Class) else type(source)
    return [
        reason
        for kind, reason in reasons
        if (kind.cls if isinstance(kind, Class) else type(kind)) is outer
    ]


def _promoted(source: Class, wanted: type) -> tuple[type, ...]:
    lower = _PROMOTED.get(wanted, ())
    return (source.cls,) if any(each in source.cls.__mro__ for each in lower) else ()


def _is_virtual(cls: type, wanted: type) -> bool:
    """Whether values of a class pass for instances of an ABC: registered, or by their methods.

    Subclasses of an ABC without hash may have one.
    """
    if wanted is abc.Hashable and cls.__module__ == "collections.abc":
        return True
    return isinstance(wanted, ABCMeta) and issubclass(cls, wanted)


def _aligned(source: Tuple, target: Tuple) -> list[tuple[Type, Type]] | None:
    """The items of two tuples that must fit each other; None if their lengths can't agree."""
    if source.rest is None:
        return _fixed_to(source.before, target)
    if target.rest is None:
        return _open_to_fixed(source)
    if len(source.before) < len(target.before) or len(source.after) < len(target.after):
        return _open_to_fixed(source)
    head, tail = len(target.before), len(target.after)
    cut = len(source.after) - tail
    middle = (*source.before[head:], source.rest, *source.after[:cut])
    return [
        *zip(source.before[:head], target.before, strict=True),
        *((each, target.rest) for each in middle),
        *zip(source.after[cut:], target.after, strict=True),
    ]


def _fixed_to(items: tuple[Type, ...], target: Tuple) -> list[tuple[Type, Type]] | None:
    spare = len(items) - len(target.before) - len(target.after)
    if spare < 0 or (target.rest is None and spare):
        return None
    rest = (target.rest or ANY,) * spare
    return list(zip(items, (*target.before, *rest, *target.after), strict=True))


def _open_to_fixed(source: Tuple) -> list[tuple[Type, Type]] | None:
    """A tuple of any length fits one of a certain length only if nothing is known of it."""
    if source.rest == ANY and not source.before and not source.after:
        return []
    return None
