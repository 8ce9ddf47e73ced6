"""A graph as text: Mermaid, DOT, and a tree for terminals."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.core.dag import AssetGraph


def mermaid(graph: AssetGraph, names: Sequence[str] | None = None) -> str:
    """A Mermaid flowchart of the whole graph or of some of its assets, groups as boxes."""
    names = graph.execution_order() if names is None else names
    ids = {name: f"n{number}" for number, name in enumerate(names)}
    lines = ["flowchart LR"]
    for group, members in _grouped(graph, names).items():
        indent = "    " if group else "  "
        if group:
            lines.append(f'  subgraph g{len(lines)}["{_entities(group)}"]')
        lines += [f'{indent}{ids[name]}["{_entities(name)}"]' for name in members]
        if group:
            lines.append("  end")
    lines += [f"  {ids[source]} --> {ids[name]}" for source, name in _edges(graph, ids)]
    return "\n".join(lines) + "\n"


def dot(graph: AssetGraph, names: Sequence[str] | None = None) -> str:
    """A Graphviz digraph of the whole graph or of some of its assets, groups as clusters."""
    names = graph.execution_order() if names is None else names
    lines = ["digraph flowstone {", "  rankdir=LR;", "  node [shape=box, style=rounded];"]
    for group, members in _grouped(graph, names).items():
        indent = "    " if group else "  "
        if group:
            lines += [f'  subgraph "cluster_{_quoted(group)}" {{', f'    label="{_quoted(group)}";']
        lines += [f'{indent}"{_quoted(name)}";' for name in members]
        if group:
            lines.append("  }")
    inside = dict.fromkeys(names, "")
    lines += [
        f'  "{_quoted(source)}" -> "{_quoted(name)}";' for source, name in _edges(graph, inside)
    ]
    return "\n".join([*lines, "}"]) + "\n"


def tree(graph: AssetGraph, names: Sequence[str] | None = None) -> str:
    """One line for each asset in execution order: its name and what it needs."""
    names = graph.execution_order() if names is None else names
    width = max((len(name) for name in names), default=0)
    lines = []
    for name in names:
        needs = ", ".join(graph.dependencies(name))
        lines.append(f"{name:<{width}}  <- {needs}" if needs else name)
    return "".join(f"{line}\n" for line in lines)


def _grouped(graph: AssetGraph, names: Sequence[str]) -> Mapping[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(graph[name].group or "", []).append(name)
    return groups


def _edges(graph: AssetGraph, inside: Mapping[str, str]) -> list[tuple[str, str]]:
    return [
        (source, name) for name in inside for source in graph[name].depends_on if source in inside
    ]


def _entities(text: str) -> str:
    for mark, entity in (
        ("&", "&amp;"),
        ('"', "&quot;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ("\n", " "),
    ):
        text = text.replace(mark, entity)
    return text


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
