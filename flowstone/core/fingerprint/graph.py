"""The definitions that some assets reach, as one graph, and the code of each asset from it."""

from __future__ import annotations

import itertools
from bisect import insort
from typing import TYPE_CHECKING, TypeAlias

import rustworkx as rx

from flowstone.core.code import Code, Remark
from flowstone.core.fingerprint.expand import Extra
from flowstone.core.fingerprint.link import Node
from flowstone.core.fingerprint.merkle import Edge, above, alone, digests
from flowstone.core.hashing import combine

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flowstone.core.code import Definition
    from flowstone.core.fingerprint.expand import Expander, Expansion
    from flowstone.core.fingerprint.influence import Influence

Arrows: TypeAlias = "rx.PyDiGraph[int, None]"

_IGNORED = combine("ignored")
_PLAIN = combine("asset", "@")
#: How many sets of reached nodes are kept to be shared; each may hold all nodes.
_KEPT = 1_024


class Graph:
    """Nodes are laid open as they are reached, each once for all assets.

    ``without`` are nodes that don't count; a whole module stands for all that is in it.
    """

    def __init__(
        self, expander: Expander, influence: Influence, without: frozenset[Node] = frozenset()
    ) -> None:
        self._expander = expander
        self._influence = influence
        self._is_influence = bool(influence.on or influence.remarks)
        self._without = without
        self._numbers: dict[Node, int] = {}
        self._own: list[str] = []
        self._owns: dict[tuple[str, ...], str] = {}
        self._edges: list[list[Edge]] = []
        self._laid: dict[int, Expansion] = {}
        self._remarks: dict[int, list[Remark]] = {}
        self._assets: dict[str, int] = {}
        self._alone: dict[str, Code] = {}

    def add_plain(self, asset: str, node: Node) -> None:
        """Add an asset whose function is made of one text: that of a ``root`` node."""
        influenced = self._is_influence and self._is_influenced(node)
        found = None if influenced else self._expander.alone(node)
        if found is None:
            self.add(asset, Extra(["@"], [("0", node)]))
        else:
            own, definition = found
            version = above(_PLAIN, "0", alone(own))
            self._alone[asset] = Code(version, (definition,))

    def add(self, asset: str, made_of: Extra) -> None:
        """Add an asset: the texts and nodes its function is made of."""
        texts = tuple(made_of.texts)
        own = self._owns.get(texts)
        if own is None:
            own = self._owns[texts] = combine("asset", *texts)
        self._assets[asset] = number = self._append(own)
        if made_of.remarks:
            self._remarks[number] = made_of.remarks
        self._lay([(number, made_of.edges)])

    def _is_influenced(self, node: Node) -> bool:
        """Whether other statements change a node, or have something said about it."""
        changed = _changed(node)
        return changed in self._influence.on or changed in self._influence.remarks

    def codes(self) -> dict[str, Code]:
        """The code of each asset."""
        return self._alone | self._codes()

    def _codes(self) -> dict[str, Code]:
        """The code of the assets that reach more than their own text."""
        if not self._assets:
            return {}
        while self._lay_held():
            pass
        laid, remarks = self._laid, self._remarks
        arrows = _arrows(self._edges)
        made = digests(self._own, self._edges, rx.strongly_connected_components(arrows))
        documented = {number for number, each in laid.items() if each.reads_docs}
        annotated = {number for number, each in laid.items() if each.reads_hints}
        reach = _Reach(arrows, self._edges, laid)
        found: dict[str, Code] = {}
        for asset, number in self._assets.items():
            near, definitions = reach.of(number)
            version = made[number]
            if not near.isdisjoint(documented):
                docs = (laid[at].docs for at in near if at in laid)
                version = combine("documented", version, *sorted(docs))
            if not near.isdisjoint(annotated):
                hints = (laid[at].hints for at in near if at in laid)
                version = combine("annotated", version, *sorted(hints))
            told: tuple[Remark, ...] = ()
            if remarks and not near.isdisjoint(remarks):
                told = _sorted(remarks[at] for at in near if at in remarks)
            known = not told or told[0].level != "unknown"
            found[asset] = Code(version if known else None, definitions, told)
        return found

    def _lay_held(self) -> bool:
        """Add what live containers hold to the assets that reach them; is there anything new?"""
        holders = {number: laid.held for number, laid in self._laid.items() if laid.held}
        if not holders:
            return False
        arrows = _arrows(self._edges)
        before = arrows.num_edges()
        for asset in self._assets.values():
            near = rx.descendants(arrows, asset)
            held = {node: None for each in near.intersection(holders) for node in holders[each]}
            missing = [node for node in held if self._numbers.get(node) not in near]
            self._lay([(asset, [("held", node) for node in missing])])
        return before != _arrows(self._edges).num_edges()

    def _append(self, own: str) -> int:
        self._own.append(own)
        self._edges.append([])
        return len(self._own) - 1

    def _lay(self, todo: list[tuple[int, list[tuple[str, Node]]]]) -> None:
        numbers = self._numbers
        while todo:
            number, edges = todo.pop()
            arrows = self._edges[number]
            for label, node in dict.fromkeys(edges) if len(edges) > 1 else edges:
                near = numbers.get(node)
                if near is None:
                    near = numbers[node] = self._open(node, todo)
                arrows.append((label, near))

    def _open(self, node: Node, todo: list[tuple[int, list[tuple[str, Node]]]]) -> int:
        if self._without and self._is_left_out(node):
            return self._append(_IGNORED)
        laid = self._expander.expand(node)
        number = self._append(laid.own)
        self._laid[number] = laid
        edges, remarks = laid.edges, laid.remarks
        if self._is_influence:
            changed = _changed(node)
            remarks = [*remarks, *self._influence.remarks.get(changed, ())]
            edges = [*edges, *(("+", each) for each in self._influence.on.get(changed, ()))]
        if remarks:
            self._remarks[number] = remarks
        if edges:
            todo.append((number, edges))
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


class _Reach:
    """What nodes reach; those that go on to the same nodes share the work."""

    def __init__(
        self, arrows: Arrows, edges: list[list[Edge]], laid: Mapping[int, Expansion]
    ) -> None:
        self._arrows, self._edges = arrows, edges
        named = [(each.definition, number) for number, each in laid.items() if each.definition]
        named.sort(key=lambda pair: (pair[0].name, pair[0].place, pair[1]))
        self._definitions = [definition for definition, _ in named]
        self._ranks = {number: rank for rank, (_, number) in enumerate(named)}
        self._beyond: dict[tuple[int, ...], tuple[set[int], list[int]]] = {(): (set(), [])}

    def of(self, asset: int) -> tuple[set[int], tuple[Definition, ...]]:
        """The asset and all that it reaches, and the definitions among these by name."""
        first = [to for _, to in self._edges[asset]]
        if len(first) == 1:  # the function's text, mostly: others share what comes after
            near, ranks = self._all(tuple([to for _, to in self._edges[first[0]]]))
            rank = self._ranks.get(first[0])
            if rank is not None and first[0] not in near:
                ranks = ranks.copy()
                insort(ranks, rank)
        else:
            near, ranks = self._all(tuple(first))
        definitions = tuple(map(self._definitions.__getitem__, ranks))
        return near.union(first, (asset,)), definitions

    def _all(self, nodes: tuple[int, ...]) -> tuple[set[int], list[int]]:
        """These nodes and all that they reach, and the ranks of the definitions in order."""
        found = self._beyond.get(nodes)
        if found is None:
            near = set(nodes).union(*(rx.descendants(self._arrows, node) for node in nodes))
            found = near, sorted([self._ranks[each] for each in near if each in self._ranks])
            if len(self._beyond) < _KEPT:
                self._beyond[nodes] = found
        return found


def _changed(node: Node) -> Node:
    """The node that statements elsewhere change when they change this one."""
    if node.kind == "root":
        return Node("def", node.module, node.name)
    if node.kind == "outside":
        return Node("outside", "", node.name.partition(".")[0])
    return node


def _arrows(edges: list[list[Edge]]) -> Arrows:
    arrows: Arrows = rx.PyDiGraph()
    arrows.add_nodes_from(range(len(edges)))
    arrows.add_edges_from_no_data(
        [(number, near) for number, targets in enumerate(edges) for _, near in targets]
    )
    return arrows


def _sorted(remarks: Iterable[list[Remark]]) -> tuple[Remark, ...]:
    """Each remark once, those that make the code unknown first."""
    told = dict.fromkeys(itertools.chain.from_iterable(remarks))
    return tuple(sorted(told, key=lambda each: (each.level != "unknown", each.place, each.text)))
