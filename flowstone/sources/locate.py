"""Where live functions, classes and modules stand in the texts of the project."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

from flowstone.core.asset import Asset
from flowstone.core.fingerprint.link import Module, Node
from flowstone.core.objects import peek
from flowstone.sources.project import is_project, resolved

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flowstone.core.fingerprint.summary import Part
    from flowstone.sources.modules import ProjectModules


class Places:
    """Finds the nodes of live objects."""

    def __init__(self, modules: ProjectModules) -> None:
        self._modules = modules

    def node_of(self, fn: types.FunctionType) -> Node | None:
        """The node of a function's text: the name it is bound to, or its part."""
        module = self._modules.of_namespace(fn.__globals__)
        if module is None:
            return None
        numbers = self._modules.numbers_at(module, fn.__code__)
        if not numbers:
            return _around(module, fn)
        number = numbers[0] if len(numbers) == 1 else _at(module, numbers, fn.__code__)
        name = fn.__code__.co_name
        if number in module.summary.names.get(name, ()):
            return Node("def", module.name, name)
        return Node("part", module.name, name, number)

    def root_of(self, fn: types.FunctionType) -> Node | None:
        """The node of a function's text as an asset's own."""
        module = self._modules.of_namespace(fn.__globals__)
        if module is None:
            return None
        code = fn.__code__
        name = code.co_name
        numbers = module.summary.names.get(name)
        if numbers:  # mostly it is the last definition of its name: no two begin in a line
            part = module.summary.parts[numbers[-1]]
            line = module.line_of(code.co_filename, code.co_firstlineno)
            if part.line == line and part.kind == "function" and part.name == name:
                return Node("root", module.name, name, numbers[-1])
        return self._root_of(fn)

    def _root_of(self, fn: types.FunctionType) -> Node | None:
        node = self.node_of(fn)
        if node is None:
            return None
        number = node.number
        if node.kind == "def":
            module = self._modules.module(node.module)
            number = module.summary.names[node.name][-1] if module is not None else -1
        return Node("root", node.module, node.name, number)

    def module_of(self, namespace: Mapping[str, Any]) -> Module | None:
        """The project's module with these global names."""
        return self._modules.of_namespace(namespace)

    def is_outside(self, fn: types.FunctionType) -> bool:
        """Whether a function belongs to a library, rather than to nobody who could be read."""
        if self._modules.of_namespace(fn.__globals__) is not None:
            return False
        file = fn.__globals__.get("__file__")
        if isinstance(file, str):
            return not is_project(resolved(file))
        return fn.__code__.co_filename.startswith("<frozen ")

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
        module = self._modules.of_namespace(namespace_of(cls))
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

    def nodes(self, values: Iterable[Any]) -> Iterator[Node]:
        """The nodes of the functions and classes among some values."""
        for each in values:
            inner = each.fn if isinstance(each, Asset) else each
            inner = peek(inner, "__wrapped__", inner) if callable(inner) else inner
            node = None
            if isinstance(inner, types.FunctionType):
                node = self.node_of(inner)
            elif isinstance(inner, type):
                node = self.class_node(inner)
            if node is not None:
                yield node


def _around(module: Module, fn: types.FunctionType) -> Node | None:
    """The class that a method counts with."""
    name, _, method = fn.__qualname__.partition(".")
    line = module.line_of(fn.__code__.co_filename, fn.__code__.co_firstlineno)
    in_text = fn.__code__.co_filename in module.cells or not fn.__code__.co_filename.startswith("<")
    for part in module.parts(name) if method and in_text else ():
        if part.kind == "class" and part.line <= line <= module.last_line_of(part):
            return Node("def", module.name, name)
    return None


def namespace_of(cls: type) -> Mapping[str, Any]:
    """The global names of the module a class was made in."""
    for held in vars(cls).values():
        inner = peek(held, "__func__", held)
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
