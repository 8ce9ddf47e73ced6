"""Graphs of any shape, against naive oracles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone import Asset, AssetGraph
from flowstone.errors import CycleError, DefinitionErrors

if TYPE_CHECKING:
    from collections.abc import Mapping

Edges = dict[str, list[str]]


@st.composite
def dags(draw: st.DrawFn, most: int = 12) -> Edges:
    """Names in any order, each with what it needs of those before it in a hidden order."""
    names = draw(st.lists(st.text("abcxyzé_", min_size=1, max_size=3), unique=True, max_size=most))
    edges = {
        name: draw(st.lists(st.sampled_from(names[:i]), unique=True)) if i else []
        for i, name in enumerate(names)
    }
    shuffled = draw(st.permutations(names))
    return {name: edges[name] for name in shuffled}


def assets(edges: Mapping[str, list[str]]) -> list[Asset[..., Any]]:
    return [Asset(name=name, depends_on=needs) for name, needs in edges.items()]


def needed(edges: Edges, name: str) -> set[str]:
    """All that an asset needs, by the naive way."""
    return set(edges[name]).union(*(needed(edges, need) for need in edges[name]))


def naive_order(edges: Edges, names: set[str]) -> list[str]:
    """Again and again the least name whose dependencies are all placed."""
    order: list[str] = []
    while len(order) < len(names):
        ready = (n for n in names if n not in order and set(edges[n]) & names <= set(order))
        order.append(min(ready))
    return order


@given(dags())
def test_the_whole_order_is_the_naive_one(edges: Edges) -> None:
    assert AssetGraph(assets(edges)).execution_order() == naive_order(edges, set(edges))


@given(dags(), st.data())
def test_the_order_of_targets_is_the_naive_one_of_them_and_their_ancestors(
    edges: Edges, data: st.DataObject
) -> None:
    targets = data.draw(
        st.lists(st.sampled_from(sorted(edges)), min_size=1) if edges else st.just([])
    )
    if targets:
        names = set(targets).union(*(needed(edges, name) for name in targets))
        assert AssetGraph(assets(edges)).execution_order(*targets) == naive_order(edges, names)


@given(dags())
def test_neighbours_are_the_naive_ones(edges: Edges) -> None:
    graph = AssetGraph(assets(edges))
    order = {name: rank for rank, name in enumerate(graph.execution_order())}
    for name in edges:
        below = {other for other in edges if name in needed(edges, other)}
        assert graph.dependencies(name) == edges[name]
        assert set(graph.dependencies(name, transitive=True)) == needed(edges, name)
        assert set(graph.dependents(name, transitive=True)) == below
        assert set(graph.dependents(name)) == {other for other in edges if name in edges[other]}
        for found in (
            graph.dependencies(name, transitive=True),
            graph.dependents(name),
            graph.dependents(name, transitive=True),
        ):
            assert found == sorted(found, key=order.__getitem__)


@given(dags(), st.randoms(use_true_random=False))
def test_the_order_assets_are_given_in_makes_no_difference(edges: Edges, random: Any) -> None:
    shuffled = list(edges.items())
    random.shuffle(shuffled)
    one, other = AssetGraph(assets(edges)), AssetGraph(assets(dict(shuffled)))
    assert one.execution_order() == other.execution_order()
    for name in edges:
        assert one.execution_order(name) == other.execution_order(name)
        assert one.dependents(name) == other.dependents(name)


@given(dags(), st.data())
def test_a_planted_cycle_is_found_and_its_ring_is_real(edges: Edges, data: st.DataObject) -> None:
    if not edges:
        return
    last = data.draw(st.sampled_from(sorted(edges)))
    first = data.draw(st.sampled_from(sorted({last} | needed(edges, last))))
    planted = {name: list(needs) for name, needs in edges.items()}
    planted[first].append(last)
    with pytest.raises(CycleError) as told:
        AssetGraph.check_cycles(assets(planted))
    ring = told.value.cycle
    assert len(set(ring)) == len(ring)
    for before, after in zip(ring, [*ring[1:], ring[0]], strict=True):
        assert before in planted[after]
    assert last in ring
    assert first in ring
    assert str(told.value).startswith("cycle: " + " -> ".join([*ring, ring[0]]))


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef")), min_size=1))
def test_any_graph_has_a_cycle_or_an_order(edges: Edges) -> None:
    whole = {name: edges.get(name, []) for name in "abcdef"}
    try:
        order = AssetGraph(assets(whole)).execution_order()
    except CycleError as error:
        rings = [error.cycle]
    except DefinitionErrors as error:
        rings = [each.cycle for each in error.errors if isinstance(each, CycleError)]
    else:
        assert all(order.index(need) < order.index(n) for n in whole for need in whole[n])
        return
    assert rings
    assert len({name for ring in rings for name in ring}) == sum(map(len, rings))
    for ring in rings:
        for before, after in zip(ring, [*ring[1:], ring[0]], strict=True):
            assert before in whole[after]
