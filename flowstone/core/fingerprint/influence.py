"""What other statements do to a name: additions, registrations, patches, mutations by functions."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from flowstone.core.code import Remark
from flowstone.core.fingerprint.link import Linker, Module, Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowstone.core.fingerprint.scopes import Touch
    from flowstone.core.fingerprint.summary import Part

_OURS = "flowstone"
#: Packages whose global state never decides about a value.
_HARMLESS = frozenset({"atexit", "faulthandler", "gc", "logging", "signal", "sys", "warnings"})
_SUBCLASSES = ".__subclasses__"


@dataclass(slots=True)
class Influence:
    """For each node, the nodes of the statements that change it, and what to say about that."""

    on: dict[Node, dict[Node, None]] = field(default_factory=lambda: defaultdict(dict))
    remarks: dict[Node, dict[Remark, None]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, target: Node, by: Node, remark: Remark | None = None) -> None:
        """Note that one node changes another."""
        if target != by:
            self.on[target][by] = None
            if remark is not None:
                self.remarks[target][remark] = None


class Influences:
    """Finds who changes what among some modules; what one module does is worked out once."""

    def __init__(self, linker: Linker, reach: Callable[[Node], Iterable[Node]]) -> None:
        self._linker = linker
        self._reach = reach
        self._nodes: dict[str, dict[int, Node]] = {}

    def among(self, modules: Iterable[Module]) -> Influence:
        """Everything that statements of these modules do to names of theirs and of others."""
        found = Influence()
        mutated: dict[Node, dict[Node, None]] = defaultdict(dict)
        loaded = list(modules)
        for module in loaded:
            for number, part in enumerate(module.summary.parts):
                if part.touches:
                    self._touches(module, number, part, found)
                if part.mutates:
                    self._mutates(module, number, part, found, mutated)
        hooked = self._hooked(loaded)
        self._subclasses(loaded, hooked, found)
        if mutated:
            self._called(loaded, mutated, hooked, found)
        return found

    def node(self, module: Module, number: int) -> Node:
        """The node that a statement belongs to: the name it binds, or itself."""
        known = self._nodes.get(module.name)
        if known is None:
            known = self._nodes[module.name] = {
                number: Node("def", module.name, name)
                for name, numbers in module.summary.names.items()
                for number in numbers
            }
        return known.get(number) or Node("part", module.name, "", number)

    def _touches(self, module: Module, number: int, part: Part, found: Influence) -> None:
        by = self.node(module, number)
        for touch in part.touches:
            if self._is_ours(module, touch.callee):
                continue
            for target in self._linker.resolve(module, touch.ref):
                if target.kind == "def" and self._changes(module, touch, target):
                    found.add(target, by, self._patched(module, part, target, touch))
                elif target.kind == "outside" and touch.bare and touch.kind != "argument":
                    package = target.name.partition(".")[0]
                    if package not in _HARMLESS:
                        found.add(Node("outside", "", package), by)

    def _is_ours(self, module: Module, callee: str) -> bool:
        nodes = self._linker.resolve(module, callee) if callee else ()
        return any(node.kind == "outside" and node.name.startswith(_OURS) for node in nodes)

    def _changes(self, module: Module, touch: Touch, target: Node) -> bool:
        """Whether a call or assignment may change what a name holds."""
        parts = self._parts(target)
        if touch.kind == "store":
            return True
        if all(part.literal for part in parts):
            return False
        if any(part.kind != "value" for part in parts):
            return touch.bare and touch.kind != "call"
        if touch.kind != "argument" or touch.bare:
            return touch.kind != "call" or touch.bare
        callee = self._linker.resolve(module, touch.callee) if touch.callee else ()
        return not any(node.kind == "outside" for node in callee)

    def _patched(self, module: Module, part: Part, target: Node, touch: Touch) -> Remark | None:
        if touch.kind != "store" or target.module == module.name:
            return None
        text = f"{target.name} is set from outside its module; it counts by the source of both"
        return Remark("assumed", text, module.place(part.line))

    def _mutates(
        self,
        module: Module,
        number: int,
        part: Part,
        found: Influence,
        mutated: dict[Node, dict[Node, None]],
    ) -> None:
        by = self.node(module, number)
        for ref in part.mutates:
            for target in self._linker.resolve(module, ref):
                if target.kind != "def":
                    continue
                mutated[target][by] = None
                text = f"{target.name} is changed by {part.name}; it counts by its source alone"
                found.add(target, by, Remark("assumed", text, module.place(part.line)))

    # Classes that learn of their subclasses, functions that are called when modules are executed

    def _hooked(self, modules: Iterable[Module]) -> set[Node]:
        """Classes that learn of their subclasses, or are asked for them."""
        hooked: set[Node] = set()
        for module in modules:
            for name, numbers in module.summary.names.items():
                parts = [module.summary.parts[number] for number in numbers]
                metas = [node for p in parts for m in p.metas for node in self._defs(module, m)]
                if metas or any(part.has_hooks for part in parts):
                    hooked.add(Node("def", module.name, name))
            for part in module.summary.parts:
                for ref in part.refs:
                    if ref.endswith(_SUBCLASSES):
                        hooked.update(self._defs(module, ref.removesuffix(_SUBCLASSES)))
        return hooked

    def _subclasses(self, modules: list[Module], hooked: set[Node], found: Influence) -> None:
        """Subclasses change the classes that learn of them; theirs are learnt of as well."""
        before = -1
        while hooked and len(hooked) != before:
            before = len(hooked)
            for module in modules:
                for number, part in enumerate(module.summary.parts):
                    if part.kind != "class":
                        continue
                    by = self.node(module, number)
                    for ref in part.eager:
                        for base in self._defs(module, ref):
                            if base in hooked:
                                found.add(base, by)
                                hooked.add(by)

    def _called(
        self,
        modules: list[Module],
        mutated: dict[Node, dict[Node, None]],
        hooked: set[Node],
        found: Influence,
    ) -> None:
        """A statement that calls what changes a container adds to the container."""
        changers: dict[Node, list[Node]] = defaultdict(list)
        for target, functions in mutated.items():
            for function in functions:
                changers[function].append(target)
        for module in modules:
            for number, part in enumerate(module.summary.parts):
                called = part.eager if part.kind == "class" and hooked else part.calls
                nodes = [node for ref in called for node in self._defs(module, ref)]
                if not nodes:
                    continue
                by = self.node(module, number)
                for node in {each for start in nodes for each in self._reach(start)}:
                    for target in changers.get(node, ()):
                        found.add(target, by)

    def _defs(self, module: Module, ref: str) -> list[Node]:
        return [node for node in self._linker.resolve(module, ref) if node.kind == "def"]

    def _parts(self, node: Node) -> list[Part]:
        module = self._linker.module(node.module)
        return module.parts(node.name) if module is not None else []
