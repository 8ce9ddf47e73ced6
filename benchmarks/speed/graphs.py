"""The graphs of the workloads: for each name, the names it needs, in an order that can run."""

from __future__ import annotations

from typing import TypeAlias

Graph: TypeAlias = "dict[str, list[str]]"

#: Inputs of each node of ``layers``, from the layer above.
INPUTS = 3


def chain(size: int) -> Graph:
    """One after the other."""
    return {f"c{n}": [f"c{n - 1}"] if n else [] for n in range(size)}


def fan(width: int) -> Graph:
    """One, then ``width`` that need it, then one that needs all of those."""
    middle = [f"m{n}" for n in range(width)]
    return {"first": [], **{name: ["first"] for name in middle}, "last": middle}


def layers(depth: int, width: int) -> Graph:
    """Layers where each needs ``INPUTS`` neighbours in the layer above."""
    return {
        f"l{layer}_{number}": [
            f"l{layer - 1}_{(number + offset) % width}"
            for offset in range(min(INPUTS, width) if layer else 0)
        ]
        for layer in range(depth)
        for number in range(width)
    }


def apart(size: int) -> Graph:
    """None needs another."""
    return {f"s{n}": [] for n in range(size)}


def given(graph: Graph) -> Graph:
    """This very one."""
    return graph


def sources(graph: Graph) -> list[str]:
    """Those that need nothing."""
    return [name for name, needs in graph.items() if not needs]


def dependents(graph: Graph) -> dict[str, list[str]]:
    """For each name, those that need it."""
    found: dict[str, list[str]] = {name: [] for name in graph}
    for name, needs in graph.items():
        for each in needs:
            found[each].append(name)
    return found


def below(graph: Graph, changed: list[str]) -> set[str]:
    """What has to be made again when these change: they and all that needs them."""
    found = set(changed)
    for name, needs in graph.items():
        if not found.isdisjoint(needs):
            found.add(name)
    return found
