"""What other statements do to a name: additions, registrations, patches, mutations by functions."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from flowstone.core.code import Remark
from flowstone.core.fingerprint.link import Linker, Module, Node
from flowstone.core.fingerprint.names import words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowstone.core.fingerprint.scopes import Touch
    from flowstone.core.fingerprint.summary import Part

_OURS = "flowstone"
#: Packages whose global state never decides about a value.
_HARMLESS = frozenset({"atexit", "faulthandler", "gc", "logging", "signal", "sys", "warnings"})
#: What gives values that no method changes.
_IMMUTABLE = words(
    "datetime.date datetime.datetime datetime.time datetime.timedelta datetime.timezone"
    " decimal.Decimal fractions.Fraction pathlib.Path pathlib.PurePath pathlib.PurePosixPath"
    " re.compile uuid.UUID zoneinfo.ZoneInfo"
)
_SUBCLASSES = ".__subclasses__"


class Effect(NamedTuple):
    """A statement, ``by``, changes what ``target`` is, provided one of ``causes`` is imported."""

    target: Node
    by: Node
    causes: frozenset[str]
    remark: Remark | None = None

    @property
    def is_local(self) -> bool:
        """Whether whoever has the target has all of this."""
        return self.by.module == self.target.module and self.target.module in self.causes


class Influence:
    """For each node, the nodes of the statements that change it, and what to say about that."""

    def __init__(self, effects: Iterable[Effect]) -> None:
        self.on: dict[Node, dict[Node, None]] = defaultdict(dict)
        self.remarks: dict[Node, dict[Remark, None]] = defaultdict(dict)
        for effect in effects:
            if effect.by != effect.target:
                self.on[effect.target][effect.by] = None
            if effect.remark is not None:
                self.remarks[effect.target][effect.remark] = None


class Influences:
    """Who changes what among some modules."""

    def __init__(
        self, linker: Linker, near: Callable[[Node], Iterable[Node]], modules: Iterable[Module]
    ) -> None:
        self._linker = linker
        self._near = near
        self._modules = list(modules)
        self._nodes: dict[str, dict[int, Node]] = {}
        self._effects: dict[Effect, None] = {}
        self._mutated: dict[Node, dict[Node, None]] = defaultdict(dict)
        self._hooked: dict[Node, set[str]] = defaultdict(set)
        self._find()

    def among(self, names: frozenset[str]) -> tuple[Effect, ...]:
        """The effects across modules that take place where just these modules are imported."""
        return tuple(
            effect
            for effect in self._foreign
            if effect.by.module in names and not names.isdisjoint(effect.causes)
        )

    def influence(self, across: tuple[Effect, ...]) -> Influence:
        """These effects, and those inside modules."""
        return Influence([*self._local, *across])

    def _find(self) -> None:
        for module in self._modules:
            for number, part in enumerate(module.summary.parts):
                if part.touches:
                    self._touches(module, number, part)
                if part.mutates:
                    self._mutates(module, number, part)
                self._hooks(module, number, part)
        self._subclasses()
        if self._mutated:
            self._called()
        self._local = [effect for effect in self._effects if effect.is_local]
        self._foreign = [effect for effect in self._effects if not effect.is_local]

    def _add(
        self, target: Node, by: Node, causes: Iterable[str] = (), remark: Remark | None = None
    ) -> None:
        self._effects[Effect(target, by, frozenset(causes or {by.module}), remark)] = None

    def _node(self, module: Module, number: int) -> Node:
        """The node that a statement belongs to: the name it binds, or itself."""
        known = self._nodes.get(module.name)
        if known is None:
            known = self._nodes[module.name] = {
                number: Node("def", module.name, name)
                for name, numbers in module.summary.names.items()
                for number in numbers
            }
        return known.get(number) or Node("part", module.name, "", number)

    def _touches(self, module: Module, number: int, part: Part) -> None:
        by = self._node(module, number)
        for touch in part.touches:
            if self._is_ours(module, touch.callee):
                continue
            for target in self._linker.resolve(module, touch.ref):
                if target.kind == "def" and _is_rebound(module, number, touch, target):
                    continue
                if target.kind == "def" and self._changes(module, touch, target):
                    self._add(target, by, (), self._patched(module, part, target, touch))
                elif target.kind == "outside" and touch.bare and touch.kind == "receiver":
                    package = target.name.partition(".")[0]
                    if package not in _HARMLESS:
                        self._add(Node("outside", "", package), by)

    def _is_ours(self, module: Module, callee: str) -> bool:
        nodes = self._linker.resolve(module, callee) if callee else ()
        return any(node.kind == "outside" and node.name.startswith(_OURS) for node in nodes)

    def _changes(self, module: Module, touch: Touch, target: Node) -> bool:
        """Whether a call or assignment may change what a name holds."""
        parts = self._parts(target)
        if touch.kind == "store":
            return True
        if any(part.is_asset for part in parts) or all(part.literal for part in parts):
            return False
        if any(part.kind != "value" for part in parts):
            return touch.bare and touch.kind != "call"
        if self._is_immutable(target, parts):
            return False
        if touch.kind != "argument" or touch.bare:
            return touch.kind != "call" or touch.bare
        callee = self._linker.resolve(module, touch.callee) if touch.callee else ()
        return not any(node.kind == "outside" for node in callee)

    def _is_immutable(self, target: Node, parts: list[Part]) -> bool:
        """Whether a name holds what nothing can change: what makes it is known for that."""
        module = self._linker.module(target.module)
        if module is None:
            return False
        made = [self._linker.resolve(module, ref) for part in parts for ref in part.calls]
        return bool(made) and all(
            nodes and all(n.kind == "outside" and n.name in _IMMUTABLE for n in nodes)
            for nodes in made
        )

    def _patched(self, module: Module, part: Part, target: Node, touch: Touch) -> Remark | None:
        if touch.kind != "store" or target.module == module.name:
            return None
        text = f"{target.name} is set from outside its module; it counts by the source of both"
        return Remark("assumed", text, module.place(part.line))

    def _mutates(self, module: Module, number: int, part: Part) -> None:
        by = self._node(module, number)
        for ref in part.mutates:
            for target in self._defs(module, ref):
                text = f"{target.name} is changed by {part.name}; it counts by its source alone"
                self._add(target, by, (), Remark("assumed", text, module.place(part.line)))
                self._mutated[target][by] = None

    # Classes that learn of their subclasses, functions that are called when modules are executed

    def _hooks(self, module: Module, number: int, part: Part) -> None:
        """Note classes that learn of their subclasses, or are asked for them."""
        if part.has_hooks or any(self._defs(module, ref) for ref in part.metas):
            self._hooked[self._node(module, number)].add(module.name)
        for ref in part.refs:
            if ref.endswith(_SUBCLASSES):
                for asked in self._defs(module, ref.removesuffix(_SUBCLASSES)):
                    self._hooked[asked].add(module.name)

    def _subclasses(self) -> None:
        """Subclasses change the classes that learn of them; theirs are learnt of as well."""
        before = -1
        while self._hooked and len(self._hooked) != before:
            before = len(self._hooked)
            for module in self._modules:
                for number, part in enumerate(module.summary.parts):
                    if part.kind == "class":
                        self._subclass(module, self._node(module, number), part)

    def _subclass(self, module: Module, by: Node, part: Part) -> None:
        for ref in part.eager:
            for base in self._defs(module, ref):
                if base in self._hooked:
                    self._add(base, by, self._hooked[base])
                    self._hooked[by] |= self._hooked[base]

    def _called(self) -> None:
        """A statement that calls what changes a container adds to the container."""
        callers: dict[Node, dict[Node, None]] = defaultdict(dict)
        for module in self._modules:
            for number, part in enumerate(module.summary.parts):
                called = part.eager if part.kind == "class" and self._hooked else part.calls
                for start in {node for ref in called for node in self._defs(module, ref)}:
                    callers[start][self._node(module, number)] = None
        back = self._backwards(callers)
        for target, functions in self._mutated.items():
            for start in _reached(functions, back):
                for by in callers.get(start, ()):
                    self._add(target, by)

    def _backwards(self, starts: Iterable[Node]) -> dict[Node, list[Node]]:
        """By whom each node is reached directly, among all that the given ones reach."""
        back: dict[Node, list[Node]] = {start: [] for start in starts}
        todo = list(back)
        while todo:
            node = todo.pop()
            for near in self._near(node):
                if near not in back:
                    back[near] = []
                    todo.append(near)
                back[near].append(node)
        return back

    def _defs(self, module: Module, ref: str) -> list[Node]:
        return [node for node in self._linker.resolve(module, ref) if node.kind == "def"]

    def _parts(self, node: Node) -> list[Part]:
        module = self._linker.module(node.module)
        return module.parts(node.name) if module is not None else []


def _is_rebound(module: Module, number: int, touch: Touch, target: Node) -> bool:
    """Whether a name is bound anew after a statement changed what it held, and nobody kept that."""
    made_by = module.summary.names.get(target.name, ())
    if target.module != module.name or not made_by or number >= min(made_by):
        return False
    keeping = (each for numbers in module.summary.names.values() for each in numbers)
    return not any(
        each < min(made_by) and touch.ref in module.summary.parts[each].eager for each in keeping
    )


def _reached(starts: Iterable[Node], edges: dict[Node, list[Node]]) -> set[Node]:
    found = set(starts)
    todo = list(found)
    while todo:
        for near in edges.get(todo.pop(), ()):
            if near not in found:
                found.add(near)
                todo.append(near)
    return found
