"""Digests of a graph with rings: each of a node's own text and of all it reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import rustworkx as rx

from flowstone.core.hashing import combine

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What a node calls another, and the number of that.
Edge: TypeAlias = tuple[str, int]


def digests(own: Sequence[str], edges: Sequence[Sequence[Edge]]) -> list[str]:
    """The digest of each node: of its own, and of its neighbours' under the names it gives them.

    Nodes on a ring are told apart by what they are and where they lie in it (colour refinement),
    so the digest depends neither on their numbers nor on where a walk begins.
    """
    graph: rx.PyDiGraph[int, None] = rx.PyDiGraph()
    graph.add_nodes_from(range(len(own)))
    graph.extend_from_edge_list(arrows(edges))
    made: dict[int, str] = {}
    for ring in rx.strongly_connected_components(graph):  # those that are reached come first
        inside = set(ring)
        first = {
            node: combine(
                "node",
                own[node],
                *_listed((label, made[to]) for label, to in edges[node] if to not in inside),
            )
            for node in ring
        }
        if len(ring) == 1 and not any(to in inside for _, to in edges[ring[0]]):
            made |= first
        else:
            made |= _refined(first, edges)
    return [made[number] for number in range(len(own))]


def arrows(edges: Sequence[Sequence[Edge]]) -> list[tuple[int, int]]:
    """The edges as pairs of numbers."""
    return [(source, target) for source, targets in enumerate(edges) for _, target in targets]


def _refined(colours: dict[int, str], edges: Sequence[Sequence[Edge]]) -> dict[int, str]:
    """Colours that also tell what a node's neighbours on the ring are, until no more is told."""
    kinds = 0
    while len(set(colours.values())) > kinds:
        kinds = len(set(colours.values()))
        colours = {
            node: combine(
                "ring",
                colour,
                *_listed((label, colours[to]) for label, to in edges[node] if to in colours),
            )
            for node, colour in colours.items()
        }
    ring = combine("ring", *sorted(set(colours.values())))
    return {node: combine("on", colour, ring) for node, colour in colours.items()}


def _listed(pairs: object) -> list[str]:
    return [text for pair in sorted(pairs) for text in pair]  # type: ignore[call-overload]  # pairs of texts
