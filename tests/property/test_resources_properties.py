"""Providers that need each other in any way, against a naive oracle."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowstone import Asset, AssetGraph, Resource
from flowstone.errors import DefinitionError, DefinitionErrors

NAMES = "abcdef"
Needs = dict[str, list[str]]

needs = st.dictionaries(
    st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), unique=True, max_size=3), min_size=1
)


def provider(parameters: list[str]) -> Any:
    return eval(f"lambda {', '.join(parameters)}: 1")  # noqa: S307 - test code


def reached(edges: Needs, name: str) -> set[str]:
    """All that a resource needs, however far away; itself, if it is on a ring."""
    found: set[str] = set()
    while True:
        more = {n for each in {*found} | {name} for n in edges.get(each, ())} - found
        if not more:
            return found
        found |= more


@given(needs, st.dictionaries(st.sampled_from(NAMES), st.sampled_from("12")), st.data())
def test_rings_and_unknown_names_are_told_and_versions_passed_on(
    edges: Needs, versions: dict[str, str], data: st.DataObject
) -> None:
    taken = data.draw(st.sampled_from(sorted(edges)))
    resources = {
        name: Resource(provider(parameters), version=versions.get(name))
        for name, parameters in edges.items()
    }
    taker = Asset(provider([taken]), name="taker")
    everyone = Asset(provider(sorted(edges)), name="everyone")
    unknown = sum(need not in edges for parameters in edges.values() for need in parameters)
    on_rings = {name for name in edges if name in reached(edges, name)}
    try:
        graph = AssetGraph([taker, everyone], resources=resources)
    except DefinitionError as error:
        several = error.errors if isinstance(error, DefinitionErrors) else [error]
        rings = [str(each) for each in several if "in a ring" in str(each)]
        told = {word for ring in rings for word in ring.partition(": ")[2].split(";")[0].split()}
        assert told - {"->"} <= on_rings
        assert bool(rings) == bool(on_rings)
        assert len(several) - len(rings) == unknown
    else:
        assert not on_rings
        assert not unknown
        among = {taken} | reached(edges, taken)
        expected = {name: text for name, text in versions.items() if name in among}
        assert graph["taker"].resource_versions == expected
