"""What an object is made of: functions, closures, partials, classes and values, layer by layer."""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from typing import TYPE_CHECKING, Any, ClassVar

from flowstone.core.asset import Asset
from flowstone.core.code import Remark
from flowstone.core.config import is_secret
from flowstone.core.hashing import digest
from flowstone.core.objects import attributes, peek
from flowstone.errors import HashingError
from flowstone.sources.locate import namespace_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowstone.core.fingerprint.expand import Extra
    from flowstone.core.fingerprint.link import Node
    from flowstone.sources.locate import Places

_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_DESCRIPTORS = (
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.MethodWrapperType,
)
_MAX_LAYERS = 100


class Walk:
    """Follows one object through all it is made of."""

    def __init__(self, places: Places, found: Extra, *, unknown: bool = False) -> None:
        self._places = places
        self._found = found
        self._unknown = unknown
        self._seen: dict[int, Any] = {}
        self.name = ""
        self.place = ""

    def root(self, fn: Any) -> None:
        """The layers of an asset's function; the innermost counts as an asset's does.

        What decorators in the text do is in the text, and their live layers are left alone.
        """
        inner = _innermost(fn)
        node = self._places.node_of(inner) if inner is not None else None
        part = self._places.part_of(node) if node is not None else None
        is_plain = (
            part is not None and part.is_decorated and node is not None and node.kind == "def"
        )
        self.follow(inner if is_plain else fn, own=True)

    def follow(self, value: Any, *, own: bool = False) -> None:
        """Follow one object; ``own`` ones are the asset's function itself."""
        if type(value) in _PLAIN:
            self._found.add(digest(value))
            return
        if id(value) in self._seen:
            self._found.add("again")
            return
        self._seen[id(value)] = value
        for kinds, follow in self._FOLLOWERS:
            if isinstance(value, kinds):
                follow(self, value, own=own)
                return
        if typing.get_origin(value) is not None:
            self._all("alias", (typing.get_origin(value), *typing.get_args(value)))
        elif callable(value) and peek(value, "__wrapped__") is not None:
            self._found.add(type(value).__name__)
            self.follow(value.__wrapped__, own=own)
        else:
            self._value(value)

    def _all(self, tag: str, values: Iterable[Any]) -> None:
        held = list(values)
        self._found.add(tag, str(len(held)))
        for each in held:
            self.follow(each)

    def _function(self, fn: types.FunctionType, *, own: bool) -> None:
        wrapped = getattr(fn, "__wrapped__", None)
        node = self._places.node_of(fn)
        if node is not None:
            self._known_function(fn, node, own=own and wrapped is None)
        elif self._places.is_outside(fn):
            self._found.add("function", f"{fn.__module__}.{fn.__qualname__}")
            for each in _cells(fn).values():
                if isinstance(each, (types.FunctionType, type, functools.partial, Asset)):
                    self.follow(each, own=own and each is wrapped)
        else:
            self._found.remarks.append(self._sourceless(fn))
        if wrapped is not None and id(wrapped) not in self._seen:
            self.follow(wrapped, own=own)

    def _sourceless(self, fn: types.FunctionType) -> Remark:
        module = self._places.module_of(fn.__globals__)
        if module is not None and module.trouble is not None:
            return module.trouble
        place = f"{fn.__code__.co_filename}:{fn.__code__.co_firstlineno}"
        return Remark("unknown", f"{fn.__qualname__} has no source that can be had", place)

    def _known_function(self, fn: types.FunctionType, node: Node, *, own: bool) -> None:
        part = self._places.part_of(node)
        if own:
            node = self._places.root_of(fn) or node
        self._found.reach(node)
        if node.kind == "def" or part is None:
            return
        if fn.__closure__:
            self._closure(fn)
        if not own and node.number >= 0 and "<locals>" in fn.__qualname__:
            self._all("defaults", fn.__defaults__ or ())
            self._named((fn.__kwdefaults__ or {}).items())

    def _closure(self, fn: types.FunctionType) -> None:
        place = f"{fn.__code__.co_filename}:{fn.__code__.co_firstlineno}"
        before = self.name, self.place
        for name, held in _cells(fn).items():
            self._found.add(name)
            if is_secret(name, held) or name == "__class__" or isinstance(held, types.ModuleType):
                continue
            self.name, self.place = f"{name} in the closure of {fn.__qualname__}", place
            self.follow(held)
        self.name, self.place = before

    def _named(self, items: Iterable[tuple[str, Any]]) -> None:
        for name, held in sorted(items, key=lambda item: item[0]):
            self._found.add(name)
            if not is_secret(name, held):
                self.follow(held)

    def _asset(self, value: Asset[..., Any], *, own: bool) -> None:
        self.follow(value.fn, own=own)

    def _partial(self, value: functools.partial[Any], *, own: bool) -> None:
        self._found.add("partial")
        self.follow(value.func, own=own)
        self._all("arguments", value.args)
        self._named(value.keywords.items())

    def _method(self, value: types.MethodType, *, own: bool) -> None:
        self._found.add("method", value.__func__.__name__)
        del own
        self.follow(value.__self__)
        self.follow(value.__func__)

    def _builtin(self, value: types.BuiltinFunctionType, *, own: bool) -> None:
        del own
        holder = value.__self__
        if holder is None or isinstance(holder, types.ModuleType):
            self._found.add(f"{value.__module__}.{value.__qualname__}")
        else:
            self._found.add("bound", value.__qualname__)
            self.follow(holder)

    def _descriptor(self, value: Any, *, own: bool) -> None:
        del own
        self._found.add("method", value.__qualname__)

    def _property(self, value: property, *, own: bool) -> None:
        del own
        self._all("property", (value.fget, value.fset, value.fdel))

    def _below(self, value: Any, *, own: bool) -> None:
        """Whatever wraps one function: static methods, cached properties."""
        self._found.add(type(value).__name__)
        self.follow(getattr(value, "func", None) or value.__wrapped__, own=own)

    def _alias(self, value: Any, *, own: bool) -> None:
        del own
        self._all("alias", (typing.get_origin(value), *typing.get_args(value)))

    def _module(self, value: types.ModuleType, *, own: bool) -> None:
        del own
        self._found.reach(self._places.module_node(value))

    def _class(self, cls: type, *, own: bool) -> None:
        del own
        node = self._places.class_node(cls)
        if node is None:
            self._found.add("class", f"{cls.__module__}.{cls.__qualname__}")
            if self._places.module_of(namespace_of(cls)) is None:
                return
            self._all("bases", cls.__bases__)
        else:
            self._found.reach(node)
        if "<locals>" in cls.__qualname__ or node is None:
            for _, held in sorted(vars(cls).items()):
                if isinstance(held, types.FunctionType) and held.__module__ == cls.__module__:
                    self._closure(held)

    def _value(self, value: Any) -> None:
        """A value, and the classes whose methods it brings along."""
        try:
            self._found.add(digest(value))
        except HashingError:
            self._container(value)
            return
        for cls in _classes(value):
            self.follow(cls)

    def _container(self, value: Any) -> None:
        if type(value) in (list, tuple):
            self._all(type(value).__name__, value)
        elif type(value) is dict and all(isinstance(key, str) for key in value):
            self._found.add("dict", str(len(value)))
            self._named(value.items())
        else:
            self._uncanonical(value)

    def _uncanonical(self, value: Any) -> None:
        kind = type(value)
        self._found.add("a", kind.__qualname__)
        if self._places.class_node(kind) is not None:
            self.follow(kind)
        what = f"{self.name or 'the function'} is or holds a {kind.__name__}"
        if self._unknown:
            text = f"{what}, and no statement sets it"
            self._found.remarks.append(Remark("unknown", text, self.place))
        else:
            text = f"{what}, which has no canonical form; it counts by its type"
            self._found.remarks.append(Remark("assumed", text, self.place))

    _FOLLOWERS: ClassVar[tuple[tuple[Any, Callable[..., None]], ...]] = (
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


def _innermost(fn: Any) -> types.FunctionType | None:
    """The plain function below wrappers and partials."""
    for _ in range(_MAX_LAYERS):
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif getattr(fn, "__wrapped__", None) is not None:
            fn = fn.__wrapped__
        else:
            break
    return fn if isinstance(fn, types.FunctionType) else None


def _cells(fn: types.FunctionType) -> dict[str, Any]:
    """A function's closure by name; a cell without value holds an ellipsis of its own."""
    held: dict[str, Any] = {}
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        try:
            held[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            held[name] = "not assigned yet"
    return held


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
