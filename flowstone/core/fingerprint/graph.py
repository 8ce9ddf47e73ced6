"""The definitions that some assets reach, as one graph, and the code of each asset from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.core.code import Code, Remark
from flowstone.core.fingerprint.expand import Expander, Expansion, Extra
from flowstone.core.fingerprint.link import Node
from flowstone.core.fingerprint.merkle import Edge, digests
from flowstone.core.hashing import combine

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.core.fingerprint.influence import Influence

_IGNORED = combine("ignored")


class Graph:
    """Nodes are laid open as they are reached, each once for all assets."""

    def __init__(
        self, expander: Expander, influence: Influence, is_ignored: Callable[[Node], bool]
    ) -> None:
        self._expander = expander
        self._influence = influence
        self._is_ignored = is_ignored
        self._numbers: dict[Node, int] = {}
        self._own: list[str] = []
        self._edges: list[list[Edge]] = []
        self._laid: list[Expansion | None] = []
        self._remarks: list[list[Remark]] = []
        self._assets: dict[str, int] = {}

    def add(self, asset: str, made_of: Extra) -> None:
        """Add an asset: the texts and nodes its function is made of."""
        self._assets[asset] = number = self._append(combine("asset", *made_of.texts))
        self._remarks[number] += made_of.remarks
        self._lay([(number, made_of.edges)])

    def codes(self) -> dict[str, Code]:
        """The code of each asset."""
        reached = {asset: self._reached(number) for asset, number in self._assets.items()}
        made = digests(self._own, self._edges)
        held = [
            (laid.definition.name, laid.definition.place, number)
            for number, laid in enumerate(self._laid)
            if laid is not None and laid.definition is not None
        ]
        rank = {number: rank for rank, (_, _, number) in enumerate(sorted(held))}
        return {
            asset: self._code(made[number], reached[asset], rank)
            for asset, number in self._assets.items()
        }

    def _reached(self, asset: int) -> set[int]:
        """What an asset reaches, what live containers hold included."""
        while True:
            reached = {asset}
            todo = [asset]
            while todo:
                new = {to for _, to in self._edges[todo.pop()]} - reached
                reached |= new
                todo += new
            laid = filter(None, map(self._laid.__getitem__, reached))
            held = {node for each in laid for node in each.held}
            new_nodes = [each for each in held if self._numbers.get(each) not in reached]
            if not new_nodes:
                return reached
            self._lay([(asset, [("held", each) for each in new_nodes])])

    def _append(self, own: str, laid: Expansion | None = None) -> int:
        self._own.append(own)
        self._edges.append([])
        self._laid.append(laid)
        self._remarks.append([])
        return len(self._own) - 1

    def _lay(self, todo: list[tuple[int, list[tuple[str, Node]]]]) -> None:
        while todo:
            number, edges = todo.pop()
            for label, node in dict.fromkeys(edges):
                near = self._numbers.get(node)
                if near is None:
                    near = self._numbers[node] = self._open(node, todo)
                self._edges[number].append((label, near))

    def _open(self, node: Node, todo: list[tuple[int, list[tuple[str, Node]]]]) -> int:
        if self._is_ignored(node):
            return self._append(_IGNORED)
        laid = self._expander.expand(node)
        number = self._append(laid.own, laid)
        changed = Node("def", node.module, node.name) if node.kind == "root" else node
        self._remarks[number] += [*laid.remarks, *self._influence.remarks.get(changed, ())]
        by = [("+", each) for each in self._influence.on.get(changed, ())]
        if node.kind == "outside":
            package = Node("outside", "", node.name.partition(".")[0])
            by = [("+", each) for each in self._influence.on.get(package, ())]
        todo.append((number, [*laid.edges, *by]))
        return number

    def _code(self, version: str, reached: set[int], rank: dict[int, int]) -> Code:
        remarks = {remark: None for each in reached for remark in self._remarks[each]}
        laid = [each for each in map(self._laid.__getitem__, reached) if each is not None]
        if any(each.reads_docs for each in laid):
            version = combine("documented", version, *sorted(each.docs for each in laid))
        known = all(remark.level != "unknown" for remark in remarks)
        held = sorted(reached & rank.keys(), key=rank.__getitem__)
        definitions = [self._laid[each].definition for each in held]  # type: ignore[union-attr]  # those with a rank have one
        told = sorted(remarks, key=lambda each: (each.level != "unknown", each.place, each.text))
        return Code(version if known else None, tuple(filter(None, definitions)), tuple(told))
