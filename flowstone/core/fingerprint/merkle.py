"""Digests of a graph with rings: each of a node's own text and of all it reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from flowstone.core.hashing import combine, combine_three

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: What a node calls another, and the number of that.
Edge: TypeAlias = tuple[str, int]


def digests(
    own: Sequence[str], edges: Sequence[Sequence[Edge]], rings: Iterable[Sequence[int]]
) -> list[str]:
    """The digest of each node: of its own, and of its neighbours' under the names it gives them.

    ``rings`` are the strongly connected components, those that are reached first. Nodes on a ring
    are told apart by what they are and where they lie in it (colour refinement), so a digest
    depends neither on their numbers nor on where a walk begins.
    """
    made = [""] * len(own)
    for ring in rings:
        node = ring[0]
        arrows = edges[node]
        if len(ring) == 1 and not (arrows and node in [to for _, to in arrows]):
            near = [(label, made[to]) for label, to in arrows] if arrows else []
            made[node] = _digest("node", own[node], near)
            continue
        inside = set(ring)
        colours = {
            node: _digest(
                "node",
                own[node],
                [(to, made[near]) for to, near in edges[node] if near not in inside],
            )
            for node in ring
        }
        for node, digest in _refined(colours, edges).items():
            made[node] = digest
    return made


def _refined(colours: dict[int, str], edges: Sequence[Sequence[Edge]]) -> dict[int, str]:
    """Colours that also tell what a node's neighbours on the ring are, until no more is told."""
    kinds = 0
    while len(set(colours.values())) > kinds:
        kinds = len(set(colours.values()))
        colours = {
            node: _digest(
                "ring", colour, [(to, colours[n]) for to, n in edges[node] if n in colours]
            )
            for node, colour in colours.items()
        }
    ring = combine("ring", *sorted(set(colours.values())))
    return {node: combine("on", colour, ring) for node, colour in colours.items()}


def alone(own: str) -> str:
    """The digest of a node that reaches nothing."""
    return combine_three("node", own, "")


def above(own: str, label: str, near: str) -> str:
    """The digest of a node that reaches one other, of this digest, under that name."""
    return combine_three("node", own, f"{near} {label}")


def _digest(tag: str, own: str, near: list[tuple[str, str]]) -> str:
    if len(near) > 1:
        near.sort()
    return combine_three(tag, own, "\n".join([f"{digest} {label}" for label, digest in near]))
