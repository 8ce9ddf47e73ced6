"""The definitions that some assets reach, as one graph, and the code of each asset from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rustworkx as rx

from flowstone.core.code import Code, Remark
from flowstone.core.fingerprint.expand import Expander, Expansion, Extra
from flowstone.core.fingerprint.link import Node
from flowstone.core.fingerprint.merkle import Edge, arrows, digests
from flowstone.core.hashing import combine

if TYPE_CHECKING:
    from flowstone.core.fingerprint.influence import Influence

_IGNORED = combine("ignored")


class Graph:
    """Nodes are laid open as they are reached, each once for all assets.

    ``without`` are nodes that don't count; a whole module stands for all that is in it.
    """

    def __init__(
        self, expander: Expander, influence: Influence, without: frozenset[Node] = frozenset()
    ) -> None:
        self._expander = expander
        self._influence = influence
        self._without = without
        self._numbers: dict[Node, int] = {}
        self._own: list[str] = []
        self._edges: list[list[Edge]] = []
        self._laid: dict[int, Expansion] = {}
        self._remarks: dict[int, list[Remark]] = {}
        self._assets: dict[str, int] = {}

    def add(self, asset: str, made_of: Extra) -> None:
        """Add an asset: the texts and nodes its function is made of."""
        self._assets[asset] = number = self._append(combine("asset", *made_of.texts))
        if made_of.remarks:
            self._remarks[number] = made_of.remarks
        self._lay([(number, made_of.edges)])

    def codes(self) -> dict[str, Code]:
        """The code of each asset."""
        reached = self._reached()
        made = digests(self._own, self._edges)
        held = sorted(
            (laid.definition.name, laid.definition.place, number)
            for number, laid in self._laid.items()
            if laid.definition is not None
        )
        ranks = {number: rank for rank, (_, _, number) in enumerate(held)}
        definitions = [self._laid[number].definition for _, _, number in held]
        readers = {number for number, laid in self._laid.items() if laid.reads_docs}
        found: dict[str, Code] = {}
        for asset, number in self._assets.items():
            near = reached[asset]
            ranked = sorted([ranks[each] for each in near if each in ranks])
            version = made[number]
            if not near.isdisjoint(readers):
                docs = (self._laid[each].docs for each in near if each in self._laid)
                version = combine("documented", version, *sorted(docs))
            remarks = self._told(number, near)
            known = not remarks or remarks[0].level != "unknown"
            listed = tuple(filter(None, map(definitions.__getitem__, ranked)))
            found[asset] = Code(version if known else None, listed, remarks)
        return found

    def _reached(self) -> dict[str, set[int]]:
        """What each asset reaches, what live containers hold included."""
        while True:
            graph: rx.PyDiGraph[int, None] = rx.PyDiGraph()
            graph.add_nodes_from(range(len(self._own)))
            graph.extend_from_edge_list(arrows(self._edges))
            reached = {name: rx.descendants(graph, asset) for name, asset in self._assets.items()}
            holders = {number: laid.held for number, laid in self._laid.items() if laid.held}
            more = False
            for name, asset in self._assets.items():
                held = {node for each in reached[name] & holders.keys() for node in holders[each]}
                missing = [node for node in held if self._numbers.get(node) not in reached[name]]
                more = more or bool(missing)
                self._lay([(asset, [("held", node) for node in missing])])
            if not more:
                return reached

    def _told(self, asset: int, reached: set[int]) -> tuple[Remark, ...]:
        held = [asset, *(reached & self._remarks.keys())]
        remarks = {remark: None for each in held for remark in self._remarks.get(each, ())}
        return tuple(sorted(remarks, key=_urgency))

    def _append(self, own: str) -> int:
        self._own.append(own)
        self._edges.append([])
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
        if self._without and self._is_left_out(node):
            return self._append(_IGNORED)
        laid = self._expander.expand(node)
        number = self._append(laid.own)
        self._laid[number] = laid
        changed = _changed(node)
        remarks = [*laid.remarks, *self._influence.remarks.get(changed, ())]
        if remarks:
            self._remarks[number] = remarks
        by = self._influence.on.get(changed, ())
        todo.append((number, [*laid.edges, *(("+", each) for each in by)]))
        return number

    def _is_left_out(self, node: Node) -> bool:
        """Whether a node is ignored: itself, or with the module it is in."""
        if node.kind == "root":
            return False
        around = node.module
        while around:
            if Node("whole", around) in self._without:
                return True
            around, _, _ = around.rpartition(".")
        return node in self._without


def _changed(node: Node) -> Node:
    """The node that statements elsewhere change when they change this one."""
    if node.kind == "root":
        return Node("def", node.module, node.name)
    if node.kind == "outside":
        return Node("outside", "", node.name.partition(".")[0])
    return node


def _urgency(remark: Remark) -> tuple[bool, str, str]:
    return remark.level != "unknown", remark.place, remark.text
