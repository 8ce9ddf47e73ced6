"""Live objects: where a function's text stands, what its closure holds, what was put elsewhere."""

from __future__ import annotations

import dataclasses
import enum
import functools
import sys
import types
import typing
from typing import TYPE_CHECKING, Any

from flowstone.core.asset import Asset
from flowstone.core.code import Remark
from flowstone.core.config import is_secret
from flowstone.core.fingerprint.expand import Extra
from flowstone.core.fingerprint.link import Module, Node
from flowstone.core.hashing import digest
from flowstone.core.objects import attributes
from flowstone.errors import HashingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from flowstone.core.fingerprint.summary import Part
    from flowstone.sources.modules import ProjectModules

_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_DESCRIPTORS = (
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
    types.MethodWrapperType,
)
_CONTAINERS = (dict, list, tuple, set, frozenset)
_MAX_HELD = 10_000
#: Modules whose objects are what the arguments they were made from say.
_DETERMINED = frozenset(
    "_operator _struct _thread builtins collections datetime decimal enum fractions functools"
    " itertools operator pathlib re types typing uuid zoneinfo".split()
)


class LiveObjects:
    """What live objects say about code."""

    def __init__(self, modules: ProjectModules) -> None:
        self._modules = modules

    def follow(self, value: Any) -> Extra:
        """What an object is made of, as texts and nodes."""
        found = Extra()
        _Walk(self, found).follow(value)
        return found

    def follow_asset(self, asset: Asset[..., Any]) -> Extra:
        """What an asset's function is made of; its own defaults are config and left out."""
        found = Extra()
        _Walk(self, found).root(asset.fn)
        return found

    # Living

    def besides(self, node: Node, module: Module) -> Extra | None:
        """What to add to a name: what was put in its place, and what its container holds."""
        if module.namespace is None or node.name not in module.namespace:
            return None
        value = module.namespace[node.name]
        parts = module.parts(node.name)
        kind = parts[-1].kind if parts else ""
        if kind == "function":
            return self._replaced(value, node, module, parts) or _registry(self, value)
        if kind != "value":
            return None
        if len(parts) == 1 and parts[0].literal:
            return self._set_elsewhere(value, node, module, parts[0])
        return self._holding(value) or _formless(value, node, module, parts[-1])

    def value(self, node: Node, module: Module) -> Extra:
        """What stands for a global that no statement sets."""
        found = Extra()
        walk = _Walk(self, found, unknown=True)
        walk.place = module.file
        walk.name = f"{module.label}.{node.name}"
        walk.follow((module.namespace or {}).get(node.name))
        return found

    def node_of(self, fn: types.FunctionType) -> Node | None:
        """The node of a function's text: the name it is bound to, or its part."""
        module = self._modules.of_namespace(fn.__globals__)
        if module is None:
            return None
        numbers = self._modules.numbers_at(module, fn.__code__)
        if not numbers:
            return None
        number = numbers[0] if len(numbers) == 1 else _at(module, numbers, fn.__code__)
        name = fn.__code__.co_name
        if number in module.summary.names.get(name, ()):
            return Node("def", module.name, name)
        return Node("part", module.name, name, number)

    def module_of(self, namespace: Mapping[str, Any]) -> Module | None:
        """The project's module with these global names."""
        return self._modules.of_namespace(namespace)

    def is_outside(self, fn: types.FunctionType) -> bool:
        """Whether a function belongs to a library, rather than to nobody who could be read."""
        if self._modules.of_namespace(fn.__globals__) is not None:
            return False
        file = fn.__globals__.get("__file__")
        return isinstance(file, str) or fn.__code__.co_filename.startswith("<frozen ")

    def part_of(self, node: Node) -> Part | None:
        """The statement a node is, if it is one."""
        module = self._modules.module(node.module)
        if module is None:
            return None
        if node.number >= 0:
            return module.summary.parts[node.number]
        parts = module.parts(node.name)
        return parts[-1] if parts else None

    def class_node(self, cls: type) -> Node | None:
        """The node of a class's text."""
        module = self._modules.of_namespace(_namespace(cls))
        if module is None:
            return None
        if "<locals>" not in cls.__qualname__:
            name = cls.__qualname__.partition(".")[0]
            return Node("def", module.name, name) if name in module.summary.names else None
        for number in module.summary.inner:
            part = module.summary.parts[number]
            if part.kind == "class" and part.name == cls.__qualname__:
                return Node("part", module.name, part.name, number)
        return None

    def module_node(self, module: types.ModuleType) -> Node:
        """The node of a module used as a value."""
        known = self._modules.module(module.__name__)
        return Node("outside", "", module.__name__) if known is None else Node("whole", known.name)

    def _replaced(
        self, value: Any, node: Node, module: Module, parts: list[Part]
    ) -> Extra | None:
        """A function that is not the one its module defines was put there by somebody."""
        part = parts[-1]
        fn = value.fn if isinstance(value, Asset) else value
        if part.is_decorated or len(parts) > 1 or not isinstance(fn, types.FunctionType):
            return None
        same = fn.__globals__ is module.namespace and fn.__code__.co_name == part.name
        if same and module.line_of(fn.__code__.co_filename, fn.__code__.co_firstlineno) == part.line:
            return None
        if hasattr(fn, "__wrapped__") and isinstance(value, Asset):
            return None
        found = self.follow(fn)
        text = f"{module.label}.{node.name} is another function than its module defines; both count"
        found.remarks.append(Remark("assumed", text, module.place(part.line)))
        return found

    def _set_elsewhere(
        self, value: Any, node: Node, module: Module, part: Part
    ) -> Extra | None:
        """A constant that is not what its module says was set by somebody: then the value counts."""
        if is_secret(node.name, value):
            return None
        found = Extra()
        try:
            made = digest(value)
        except HashingError:
            made = type(value).__qualname__
        if made == part.literal or _is_rebound(module, node.name):
            return None
        found.add(made)
        text = f"{module.label}.{node.name} is not what its module sets it to; its value counts"
        found.remarks.append(Remark("assumed", text, module.place(part.line)))
        return found

    def _holding(self, value: Any) -> Extra | None:
        """Functions and classes that a container of the module holds now."""
        if type(value) not in _CONTAINERS:
            return _registry(self, value)
        values = value.values() if isinstance(value, dict) else value
        if len(values) > _MAX_HELD:
            return None
        held = list(self.nodes(values))
        return Extra(held=held) if held else None

    def nodes(self, values: Iterable[Any]) -> Iterator[Node]:
        """The nodes of the functions and classes among some values."""
        for each in values:
            inner = each.fn if isinstance(each, Asset) else each
            inner = getattr(inner, "__wrapped__", inner) if callable(inner) else inner
            node = None
            if isinstance(inner, types.FunctionType):
                node = self.node_of(inner)
            elif isinstance(inner, type):
                node = self.class_node(inner)
            if node is not None:
                yield node


def _formless(value: Any, node: Node, module: Module, part: Part) -> Extra | None:
    """A global whose value can't be written down counts by its source, and that is told."""
    if has_form(value) or callable(value):
        return None
    text = (
        f"{module.label}.{node.name} is a {type(value).__name__}, which has no canonical form;"
        " it counts by its source"
    )
    return Extra(remarks=[Remark("assumed", text, module.place(part.line))])


def _registry(live: LiveObjects, value: Any) -> Extra | None:
    """What was registered with a ``functools.singledispatch`` function."""
    registry = getattr(value, "registry", None)
    if not isinstance(registry, types.MappingProxyType):
        return None
    held = list(live.nodes(registry.values()))
    return Extra(held=held) if held else None


class _Walk:
    """Follows one object through all it is made of."""

    def __init__(self, live: LiveObjects, found: Extra, *, unknown: bool = False) -> None:
        self._live = live
        self._found = found
        self._unknown = unknown
        self._seen: dict[int, Any] = {}
        self.name = ""
        self.place = ""

    def root(self, fn: Any) -> None:
        """The layers of an asset's function down to the innermost, which counts as an asset does."""
        if isinstance(fn, types.FunctionType) and not hasattr(fn, "__wrapped__"):
            self._function(fn, own=True)
            return
        innermost = _innermost(fn)
        node = self._live.node_of(innermost) if innermost is not None else None
        part = self._live.part_of(node) if node is not None else None
        if innermost is not None and part is not None and part.is_decorated and node is not None:
            if node.kind == "def":
                self._function(innermost, own=True)
                return
        self.follow(fn, own=True)

    def follow(self, value: Any, *, own: bool = False) -> None:
        if type(value) in _PLAIN:
            self._found.add(digest(value))
            return
        if id(value) in self._seen:
            self._found.add("again")
            return
        self._seen[id(value)] = value
        for kinds, follow in _FOLLOWERS:
            if isinstance(value, kinds):
                follow(self, value, own)
                return
        if typing.get_origin(value) is not None:
            self._all("alias", (typing.get_origin(value), *typing.get_args(value)))
        elif callable(value) and hasattr(value, "__wrapped__"):
            self._found.add(type(value).__name__)
            self.follow(value.__wrapped__, own=own)
        else:
            self._value(value)

    def _all(self, tag: str, values: Iterable[Any]) -> None:
        held = list(values)
        self._found.add(tag, str(len(held)))
        for each in held:
            self.follow(each)

    def _function(self, fn: types.FunctionType, own: bool) -> None:
        wrapped = getattr(fn, "__wrapped__", None)
        node = self._live.node_of(fn)
        if node is not None:
            self._known_function(fn, node, own=own and wrapped is None)
        elif self._live.is_outside(fn):
            self._found.add("function", f"{fn.__module__}.{fn.__qualname__}")
            for each in _cells(fn).values():
                if isinstance(each, (types.FunctionType, type, functools.partial, Asset)):
                    self.follow(each, own=own and each is wrapped)
        else:
            text = f"{fn.__qualname__} has no source that can be had"
            place = f"{fn.__code__.co_filename}:{fn.__code__.co_firstlineno}"
            self._found.remarks.append(Remark("unknown", text, place))
        if wrapped is not None and id(wrapped) not in self._seen:
            self.follow(wrapped, own=own)

    def _known_function(self, fn: types.FunctionType, node: Node, *, own: bool) -> None:
        part = self._live.part_of(node)
        if own:
            number = node.number
            if node.kind == "def":
                module = self._live.module_of(fn.__globals__)
                number = module.summary.names[node.name][-1] if module is not None else -1
            node = Node("root", node.module, node.name, number)
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

    def _asset(self, value: Asset[..., Any], own: bool) -> None:
        self.follow(value.fn, own=own)

    def _partial(self, value: functools.partial[Any], own: bool) -> None:
        self._found.add("partial")
        self.follow(value.func, own=own)
        self._all("arguments", value.args)
        self._named(value.keywords.items())

    def _method(self, value: types.MethodType, own: bool) -> None:
        self._found.add("method", value.__func__.__name__)
        del own
        self.follow(value.__self__)
        self.follow(value.__func__)

    def _builtin(self, value: types.BuiltinFunctionType, own: bool) -> None:
        del own
        holder = value.__self__
        if holder is None or isinstance(holder, types.ModuleType):
            self._found.add(f"{value.__module__}.{value.__qualname__}")
        else:
            self._found.add("bound", value.__qualname__)
            self.follow(holder)

    def _descriptor(self, value: Any, own: bool) -> None:
        del own
        self._found.add("method", value.__qualname__)

    def _property(self, value: property, own: bool) -> None:
        del own
        self._all("property", (value.fget, value.fset, value.fdel))

    def _below(self, value: Any, own: bool) -> None:
        """Whatever wraps one function: static methods, cached properties."""
        self._found.add(type(value).__name__)
        self.follow(getattr(value, "func", None) or value.__wrapped__, own=own)

    def _alias(self, value: Any, own: bool) -> None:
        del own
        self._all("alias", (typing.get_origin(value), *typing.get_args(value)))

    def _module(self, value: types.ModuleType, own: bool) -> None:
        del own
        self._found.reach(self._live.module_node(value))

    def _class(self, cls: type, own: bool) -> None:
        del own
        node = self._live.class_node(cls)
        if node is None:
            self._found.add("class", f"{cls.__module__}.{cls.__qualname__}")
            if self._live.module_of(_namespace(cls)) is None:
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
        if self._live.class_node(kind) is not None:
            self.follow(kind)
        what = f"{self.name or 'the function'} is or holds a {kind.__name__}"
        if self._unknown:
            text = f"{what}, and no statement sets it"
            self._found.remarks.append(Remark("unknown", text, self.place))
        else:
            text = f"{what}, which has no canonical form; it counts by its type"
            self._found.remarks.append(Remark("assumed", text, self.place))


_FOLLOWERS: tuple[tuple[Any, Callable[[_Walk, Any, bool], None]], ...] = (
    (types.FunctionType, _Walk._function),
    (Asset, _Walk._asset),
    (functools.partial, _Walk._partial),
    (types.MethodType, _Walk._method),
    (types.ModuleType, _Walk._module),
    (types.GenericAlias, _Walk._alias),
    (type, _Walk._class),
    (types.BuiltinFunctionType, _Walk._builtin),
    (_DESCRIPTORS, _Walk._descriptor),
    (property, _Walk._property),
    ((staticmethod, classmethod, functools.cached_property), _Walk._below),
)


def has_form(value: Any) -> bool:
    """Whether values of this type can be written down, or follow from what made them."""
    kind = type(value)
    if kind.__module__.partition(".")[0] in _DETERMINED or isinstance(value, (enum.Enum, Asset)):
        return True
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return True
    return dataclasses.is_dataclass(kind) or hasattr(kind, "__pydantic_fields__")


def _innermost(fn: Any) -> types.FunctionType | None:
    """The plain function below wrappers and partials."""
    for _ in range(100):
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


def _namespace(cls: type) -> Mapping[str, Any]:
    """The global names of the module a class was made in."""
    for held in vars(cls).values():
        inner = getattr(held, "__func__", held)
        if isinstance(inner, types.FunctionType) and inner.__module__ == cls.__module__:
            return inner.__globals__
    module = sys.modules.get(cls.__module__)
    return vars(module) if module is not None else {}


def _at(module: Module, numbers: list[int], code: types.CodeType) -> int:
    """Which of several lambdas in a line a code object was made from."""
    start = module.start_of(module.line_of(code.co_filename, code.co_firstlineno))
    columns = [place[2] for place in code.co_positions() if place[0] == code.co_firstlineno]
    inside = [column + start for column in columns if column]
    for number in numbers:
        part = module.summary.parts[number]
        if inside and all(part.start <= place < part.end for place in inside):
            return number
    # Python 3.12 forgets the place of a lambda that only returns a constant
    for number in numbers:
        part = module.summary.parts[number]
        made = compile(module.data[part.start : part.end], "<lambda>", "eval").co_consts[0]
        if isinstance(made, types.CodeType) and repr(made.co_consts) == repr(code.co_consts):
            return number
    return numbers[0]


def _is_rebound(module: Module, name: str) -> bool:
    """Whether functions of the module set the name while they run."""
    return any(name in part.mutates for part in module.summary.parts)


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
