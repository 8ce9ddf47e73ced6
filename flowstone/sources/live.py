"""Live objects as code: functions, classes and what they hold, down to files and values."""

from __future__ import annotations

import ast
import dataclasses
import enum
import functools
import inspect
import sys
import types
import typing
from typing import TYPE_CHECKING, Any

from flowstone.core.asset import Asset
from flowstone.core.config import is_secret
from flowstone.core.hashing import digest
from flowstone.core.objects import attributes
from flowstone.core.syntax import Summary, summary_of
from flowstone.errors import HashingError
from flowstone.sources.files import Files, UnknownCodeError, is_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: Global names whose values say where code lives, not what it does.
_PLACE = {
    "__name__",
    "__doc__",
    "__file__",
    "__spec__",
    "__loader__",
    "__package__",
    "__builtins__",
    "__path__",
    "__cached__",
    "__annotations__",
}
_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_DESCRIPTORS = (
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.MethodWrapperType,
)
_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)


class LiveCode:
    """What one asset's function is made of; every function and class is followed once."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._seen: dict[int, tuple[int, object]] = {}

    def of_asset(self, asset: Asset[..., Any]) -> list[str]:
        """Digests and names of all that makes up the asset's function, in a fixed order.

        Defaults of its own parameters are config, and counted there.

        Raises:
            UnknownCodeError: if something can't be followed.
        """
        try:
            return self._parts(asset.fn, own=True)
        except RecursionError as error:
            raise UnknownCodeError(f"{asset.name} is made of too many layers") from error

    def _parts(self, value: Any, *, own: bool = False) -> list[str]:
        follow = self._follower(value)
        if follow is None:
            return self._value(value)
        if id(value) in self._seen:
            return [f"again {self._seen[id(value)][0]}"]
        self._seen[id(value)] = (len(self._seen), value)
        if isinstance(value, types.FunctionType):
            return self._function(value, own=own)
        return follow(self, value)

    @classmethod
    def _follower(cls, value: Any) -> Callable[[LiveCode, Any], list[str]] | None:
        """How a piece of code is followed; None for a plain value."""
        for kinds, follow in cls._FOLLOWERS:
            if isinstance(value, kinds):
                return follow
        if typing.get_origin(value) is not None:
            return cls._alias
        return cls._below if callable(value) and hasattr(value, "__wrapped__") else None

    def _all(self, values: Iterable[Any]) -> list[str]:
        return [part for each in values for part in self._parts(each)]

    def _named(self, values: Iterable[tuple[str, Any]]) -> list[str]:
        return [part for name, each in values for part in (name, *self._parts(each))]

    def _asset(self, value: Asset[..., Any]) -> list[str]:
        return ["asset", *self._parts(value.fn)]

    def _partial(self, value: functools.partial[Any]) -> list[str]:
        given = [(name, each) for name, each in value.keywords.items() if not is_secret(name, each)]
        held = self._all(value.args)
        return ["partial", *self._parts(value.func), *held, *self._named(sorted(given))]

    def _method(self, value: types.MethodType) -> list[str]:
        return ["method", *self._parts(value.__func__), *self._parts(value.__self__)]

    def _builtin(self, value: types.BuiltinFunctionType) -> list[str]:
        holder = value.__self__
        if holder is None or isinstance(holder, types.ModuleType):
            return [f"{value.__module__}.{value.__qualname__}"]
        return ["bound", value.__qualname__, *self._parts(holder)]

    def _descriptor(self, value: Any) -> list[str]:
        return ["method", value.__qualname__]

    def _property(self, value: property) -> list[str]:
        return ["property", *self._all((value.fget, value.fset, value.fdel))]

    def _below(self, value: Any) -> list[str]:
        """Whatever wraps one function: static methods, cached properties, caches."""
        inner = getattr(value, "func", None) or value.__wrapped__
        return [type(value).__name__, *self._parts(inner)]

    def _alias(self, value: Any) -> list[str]:
        return ["alias", *self._all((typing.get_origin(value), *typing.get_args(value)))]

    def _function(self, fn: types.FunctionType, *, own: bool = False) -> list[str]:
        wrapped = getattr(fn, "__wrapped__", None)
        inner = self._parts(wrapped, own=own) if wrapped is not None else []
        held = [*self._cells(fn), *inner]
        if not own:
            held += self._all(fn.__defaults__ or ())
            held += self._named(sorted((fn.__kwdefaults__ or {}).items()))
        file = self._files.source(fn.__code__.co_filename)
        if file is None:
            return [*self._unfiled(fn), *held]
        if own or is_project(file):
            return [fn.__qualname__, self._files.digest(file), *held]
        return [f"{fn.__module__}.{fn.__qualname__}", *held]

    def _cells(self, fn: types.FunctionType) -> list[str]:
        parts: list[str] = []
        for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
            parts.append(name)
            try:
                held = cell.cell_contents
            except ValueError:  # not assigned yet
                parts.append("empty")
            else:
                parts += self._parts(held)
        return parts

    def _unfiled(self, fn: types.FunctionType) -> list[str]:
        """A function of a notebook cell: its own source, and what the names in it mean."""
        said = _source(fn)
        if said.dynamic:
            raise UnknownCodeError(f"{fn.__qualname__} uses {said.dynamic}")
        known = _names(fn.__code__) & fn.__globals__.keys() - _PLACE
        reached = self._named((name, fn.__globals__[name]) for name in sorted(known))
        text = said.documented if said.reads_docs else said.plain
        return [text, *self._files.found(said.imports), *reached]

    def _class(self, cls: type) -> list[str]:
        module = sys.modules.get(cls.__module__)
        file = self._files.source(getattr(module, "__file__", None) or "")
        if file is not None and not is_project(file):
            return [f"{cls.__module__}.{cls.__qualname__}"]
        if file is None and _is_compiled(module):
            return [f"{cls.__module__}.{cls.__qualname__}"]
        whole = [] if file is None else [self._files.digest(file)]
        if whole and "<locals>" not in cls.__qualname__:
            return [cls.__qualname__, *whole]
        bases = self._all((type(cls), *cls.__bases__))
        return [cls.__qualname__, *whole, *bases, *self._named(_members(cls))]

    def _module(self, module: types.ModuleType) -> list[str]:
        """A module, and of a package all that is loaded of it: who knows what is used."""
        names = [module.__name__]
        if hasattr(module, "__path__"):
            names += sorted(n for n in list(sys.modules) if n.startswith(f"{module.__name__}."))
        parts: list[str] = []
        for name in names:
            held = module if name == module.__name__ else sys.modules[name]
            file = self._files.source(getattr(held, "__file__", None) or "")
            if file is not None and is_project(file):
                parts += [name.removeprefix(module.__name__), self._files.digest(file)]
        return parts or [module.__name__]

    def _value(self, value: Any) -> list[str]:
        """A value, and the classes whose methods it brings along."""
        try:
            parts = [digest(value)]
        except HashingError:
            return self._container(value)
        return parts + self._all(_classes(value))

    def _container(self, value: Any) -> list[str]:
        if type(value) in (list, tuple):
            return [type(value).__name__, str(len(value)), *self._all(value)]
        if type(value) is dict and all(isinstance(key, str) for key in value):
            return ["dict", str(len(value)), *self._named(sorted(value.items(), key=_key))]
        raise UnknownCodeError(f"a value of type {type(value).__name__} has no canonical form")

    _FOLLOWERS: tuple[tuple[Any, Callable[[LiveCode, Any], list[str]]], ...] = (
        (types.FunctionType, _function),
        (Asset, _asset),
        (functools.partial, _partial),
        (types.MethodType, _method),
        (types.ModuleType, _module),
        (types.GenericAlias, _alias),
        (type, _class),
        (types.BuiltinFunctionType, _builtin),
        (_DESCRIPTORS, _descriptor),
        (property, _property),
        ((staticmethod, classmethod, functools.cached_property), _below),
    )


def _key(item: tuple[str, Any]) -> str:
    return item[0]


def _is_compiled(module: types.ModuleType | None) -> bool:
    """Whether a module came from neither source nor a notebook: built in, or an extension."""
    if module is None or module.__name__ == "__main__":
        return False
    file = getattr(module, "__file__", None)
    return not file or not file.endswith(".py")


def _names(code: types.CodeType) -> set[str]:
    """All names a code object and the functions inside it may look up as globals."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


def _source(fn: types.FunctionType) -> Summary:
    """What the source of a function without a file says; not of what it wraps."""
    try:
        text = inspect.getsource(fn.__code__)
        indented = text[:1].isspace()
        tree: ast.AST = ast.parse(f"if 1:\n{text}" if indented else text)
    except (OSError, TypeError, SyntaxError, ValueError, RecursionError, IndexError) as error:
        raise UnknownCodeError(f"{fn.__qualname__} has no source") from error
    return summary_of(tree)


def _members(cls: type) -> Iterator[tuple[str, Any]]:
    """What a class is, without its source: its attributes, annotations and fields."""
    for name, held in sorted(vars(cls).items(), key=_key):
        if name == "_abc_impl" or isinstance(held, _SLOTS) or _is_generated(cls, name, held):
            continue
        yield name, held
    for name, annotation in sorted(vars(cls).get("__annotations__", {}).items()):
        yield f":{name}", annotation if isinstance(annotation, str) else _shown(annotation)
    if dataclasses.is_dataclass(cls):
        yield "params", repr(getattr(cls, "__dataclass_params__", None))
        for field in dataclasses.fields(cls):
            flags = (field.init, field.repr, field.hash, field.compare, field.kw_only)
            yield field.name, [field.type, flags, *_given(field)]
    models: dict[str, Any] = getattr(cls, "__pydantic_fields__", {})
    for name, info in sorted(models.items()):
        yield name, _shown(info)


def _given(field: dataclasses.Field[Any]) -> list[Any]:
    held = (field.default, field.default_factory)
    return [None if each is dataclasses.MISSING else each for each in held]


def _is_generated(cls: type, name: str, held: Any) -> bool:
    """Whether an attribute follows from what else is said of the class."""
    if type(held).__name__ == "_tuplegetter":
        return True
    code = getattr(inspect.unwrap(getattr(held, "__func__", held)), "__code__", None)
    if code is None:
        return name.startswith("__") and name.endswith("__") and not isinstance(held, property)
    written = code.co_filename.startswith("<") and name.startswith("__")
    return written and (dataclasses.is_dataclass(cls) or hasattr(cls, "_fields"))


def _shown(value: object) -> str:
    if isinstance(value, type):
        return value.__qualname__
    text = repr(value)
    if " at 0x" in text:
        raise UnknownCodeError(f"{text} has no canonical form")
    return text


def _classes(value: Any) -> list[type]:
    """The classes, other than built-in ones, of all that a value holds."""
    found: dict[type, None] = {}
    todo = [value]
    while todo:
        each = todo.pop()
        kind = type(each)
        if kind in _PLAIN:
            continue
        if kind.__module__ != "builtins":
            found[kind] = None
        if isinstance(each, dict):
            todo += [*each.keys(), *each.values()]
        elif isinstance(each, (list, tuple, set, frozenset)):
            todo += each
        elif isinstance(each, enum.Enum):
            todo.append(each._value_)
        elif dataclasses.is_dataclass(each) or hasattr(kind, "__pydantic_fields__"):
            todo += attributes(each).values()
    return sorted(found, key=lambda kind: (kind.__qualname__, kind.__module__))
