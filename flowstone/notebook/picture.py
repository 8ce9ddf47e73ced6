"""A graph as SVG: boxes by state, a legend, and groups as one box each where there are many."""

from __future__ import annotations

import itertools
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import rustworkx as rx

from flowstone.notebook.layout import arrange
from flowstone.notebook.markup import COLOURS, State, text
from flowstone.notebook.states import URGENCY
from flowstone.telling.words import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from flowstone.core.dag import AssetGraph
    from flowstone.notebook.layout import Box, Layout, Point

#: From this many boxes on, groups are drawn as one box each.
GROUPED_FROM = 80
#: More than these are not drawn at all: no page would be glad of them.
MOST = 1_000

_LETTER = 7.25  # the width of a monospaced letter of 12 pixels
_LETTERS = 30
_MARGIN = 8
_LEGEND_HEIGHT = 30
_UNKNOWN = State("", "", "plain")
_FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"
_ALONE = "<style>svg{color:#1f2328}@media (prefers-color-scheme:dark){svg{color:#e6e6e6}}</style>"


@dataclass(frozen=True, slots=True)
class Node:
    """A box: an asset, or a group of them."""

    label: str
    title: str
    state: State = _UNKNOWN
    needs: Sequence[str] = ()
    members: Sequence[str] = field(default=())


def picture(
    graph: AssetGraph,
    states: Mapping[str, State] | None = None,
    names: Sequence[str] | None = None,
    *,
    alone: bool = False,
) -> str:
    """The graph as one ``<svg>`` element; an empty text if it is empty or has too many boxes.

    Args:
        graph: what to draw; with many assets, each of its groups becomes one box.
        states: how each asset stands, as far as it is known.
        names: draw these only; everything, if left out.
        alone: for a file or an image of its own, which has no page to take its text colour from.
    """
    names = graph.execution_order() if names is None else names
    nodes = _nodes(graph, states or {}, names)
    if not nodes or len(nodes) > MOST:
        return ""
    widths = {key: _width(node.label, node.state) for key, node in nodes.items()}
    drawn = arrange(widths, {key: node.needs for key, node in nodes.items()})
    legend, legend_width = _legend(nodes.values(), drawn.height + 2 * _MARGIN + 4)
    width = max(drawn.width + 2 * _MARGIN, legend_width)
    height = drawn.height + 2 * _MARGIN + (_LEGEND_HEIGHT if legend else 0)
    label = f"Graph of {describe(graph, states or {}, names)}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{text(label)}" '
        f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'font-family="{_FONT}" font-size="12" fill="none" style="max-width:none">'
        f"{_ALONE if alone else ''}"
        f"<title>{text(label)}</title>"
        f'<g transform="translate({_MARGIN} {_MARGIN})">{_arrows(drawn)}'
        f"{''.join(_box(node, drawn.boxes[key]) for key, node in nodes.items())}</g>"
        f"{legend}</svg>"
    )


def describe(graph: AssetGraph, states: Mapping[str, State], names: Sequence[str]) -> str:
    """How many assets and dependencies there are, and how many of the assets stand how."""
    if not names:
        return "no assets"
    inside = set(names)
    edges = sum(need in inside for name in names for need in graph.dependencies(name))
    several = "dependency" if edges == 1 else "dependencies"
    told = f"{counted(len(names), 'asset')}, {edges:,} {several}"
    counts = Counter(states[name].word for name in names if name in states)
    return "; ".join([told, *(f"{number} {word}" for word, number in counts.items())])


def _nodes(graph: AssetGraph, states: Mapping[str, State], names: Sequence[str]) -> dict[str, Node]:
    """The boxes by a key of their own, each after those it needs."""
    home = dict.fromkeys(names, "")
    if len(names) >= GROUPED_FROM:
        home |= _closed_groups(graph, names)
    # No name of an asset has a space in it.
    key = {name: f"group {home[name]}" if home[name] else name for name in names}
    members: dict[str, list[str]] = {}
    for name in names:
        members.setdefault(key[name], []).append(name)
    needs = {
        each: list(
            dict.fromkeys(key[n] for name in found for n in graph.dependencies(name) if n in key)
        )
        for each, found in members.items()
    }
    order = _in_order({each: [n for n in found if n != each] for each, found in needs.items()})
    return {
        each: _group(home[members[each][0]], members[each], found, states)
        if home[members[each][0]]
        else _single(each, graph[each].group, found, states)
        for each, found in order.items()
    }


def _single(
    name: str, group: str | None, needs: Sequence[str], states: Mapping[str, State]
) -> Node:
    state = states.get(name, _UNKNOWN)
    told = ": ".join(filter(None, (name, state.word, state.detail)))
    return Node(_fit(name), f"{told} (group {group})" if group else told, state, needs, (name,))


def _group(
    group: str, members: Sequence[str], needs: Sequence[str], states: Mapping[str, State]
) -> Node:
    known = [states[name] for name in members if name in states]
    counts = Counter(state.word for state in known)
    worst = min(known, key=lambda state: URGENCY.index(state.tone), default=_UNKNOWN)
    told = ", ".join(f"{number} {word}" for word, number in counts.items())
    title = f"group {group} of {counted(len(members), 'asset')}"
    label = f"{_fit(group)} ({len(members)})"
    return Node(label, f"{title}: {told}" if told else title, worst, needs, members)


def _closed_groups(graph: AssetGraph, names: Sequence[str]) -> dict[str, str]:
    """The group of each asset whose group, as one box, lies on no ring with other boxes."""
    whole: rx.PyDiGraph[str, None] = rx.PyDiGraph()
    groups = {name: graph[name].group or "" for name in names}
    keys = {name: (group, "" if group else name) for name, group in groups.items()}
    index = {key: whole.add_node(key[0]) for key in dict.fromkeys(keys.values())}
    for name in names:
        for need in graph.dependencies(name):
            if need in keys and keys[need] != keys[name]:
                whole.add_edge(index[keys[need]], index[keys[name]], None)
    rings = rx.strongly_connected_components(whole)
    open_nodes = {node for ring in rings if len(ring) > 1 for node in ring}
    return {
        name: "" if index[key] in open_nodes else key[0] for name, key in keys.items() if key[0]
    }


def _in_order(needs: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """The same, every key after those it needs; else in the order given."""
    graph: rx.PyDiGraph[str, None] = rx.PyDiGraph()
    index = {key: graph.add_node(key) for key in needs}
    graph.add_edges_from_no_data([(index[n], index[key]) for key in needs for n in needs[key]])
    place = {key: f"{at:09}" for at, key in enumerate(needs)}
    order = rx.lexicographical_topological_sort(graph, key=place.__getitem__)
    return {key: needs[key] for key in order}


def _fit(name: str) -> str:
    """A name of bounded length, its middle left out if need be."""
    if len(name) <= _LETTERS:
        return name
    tail = _LETTERS // 3
    return f"{name[: _LETTERS - tail - 1]}…{name[-tail:]}"


def _letters(label: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in label)


def _width(label: str, state: State) -> float:
    return (_letters(label) + (2 if state.mark else 0)) * _LETTER + 20


def _box(node: Node, box: Box) -> str:
    colour = COLOURS[node.state.tone]
    dashes = ' stroke-dasharray="4 3"' if node.state.tone in ("maybe", "idle") else ""
    x, y = box.x + 10, box.middle + 4
    sign = ""
    if node.state.mark:
        sign = f'<tspan fill="{colour}" font-weight="bold">{text(node.state.mark)}</tspan> '
    stack = ""
    if len(node.members) > 1:
        stack = (
            f'<path d="M{box.x + 5:.1f} {box.y + box.height + 3:.1f}h{box.width - 10:.1f}" '
            f'stroke="{colour}"/>'
        )
    return (
        f"<g><title>{text(node.title, 1_000)}</title>"
        f'<rect x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.0f}" '
        f'rx="6" fill="{colour}" fill-opacity=".13" stroke="{colour}" stroke-width="1.3"{dashes}/>'
        f'{stack}<text x="{x:.1f}" y="{y:.1f}" fill="currentColor">{sign}{text(node.label)}</text>'
        f"</g>"
    )


def _arrows(drawn: Layout) -> str:
    """All arrows as one path, and their heads, one for each target, as another."""
    lines = dict.fromkeys(part for route in drawn.routes.values() for part in _curve(route))
    ends = dict.fromkeys(route[-1] for route in drawn.routes.values())
    heads = "".join(f"M{x - 6:.1f} {y - 3.5:.1f}L{x:.1f} {y:.1f}l-6 3.5z" for x, y in ends)
    return (
        f'<path d="{"".join(lines)}" stroke="currentColor" stroke-opacity=".38" '
        f'stroke-width="1.2"/><path d="{heads}" fill="currentColor" fill-opacity=".55"/>'
    )


def _curve(route: Sequence[Point]) -> Iterable[str]:
    """An arrow's parts: a curve between two columns, a straight line through one."""
    for number, (start, end) in enumerate(itertools.pairwise(route)):
        (x, y), (to_x, to_y) = start, end
        if number % 2:
            yield f"M{x:.1f} {y:.1f}H{to_x:.1f}"
        else:
            half = (to_x - x) / 2
            yield (
                f"M{x:.1f} {y:.1f}"
                f"C{x + half:.1f} {y:.1f} {to_x - half:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
            )


def _legend(nodes: Iterable[Node], y: float) -> tuple[str, float]:
    """What the marks mean, of those that occur, and how wide that is."""
    states = {node.state.word: node.state for node in nodes if node.state.word}
    parts: list[str] = []
    x = float(_MARGIN)
    for word, state in states.items():
        colour = COLOURS[state.tone]
        dashes = ' stroke-dasharray="4 3"' if state.tone in ("maybe", "idle") else ""
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="18" height="16" rx="4" fill="{colour}" '
            f'fill-opacity=".13" stroke="{colour}"{dashes}/>'
            f'<text x="{x + 9:.1f}" y="{y + 12:.1f}" fill="{colour}" font-weight="bold" '
            f'text-anchor="middle">{text(state.mark)}</text>'
            f'<text x="{x + 25:.1f}" y="{y + 12:.1f}" fill="currentColor" fill-opacity=".75">'
            f"{text(word)}</text>"
        )
        x += 25 + len(word) * _LETTER + 20
    return "".join(parts), x
