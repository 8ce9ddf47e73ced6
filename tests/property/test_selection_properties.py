"""Selections of any shape, against sets taken step by step."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone import Asset, AssetGraph
from flowstone.errors import EmptySelectionError

EDGES = {
    "a": [],
    "b": ["a"],
    "c": ["a"],
    "d": ["b", "c"],
    "e": ["d"],
    "f": [],
    "g": ["f", "c"],
    "h": ["g", "e"],
}
TAGS = {"a": {"x"}, "b": {"x", "y"}, "e": {"y"}, "f": {"z"}, "h": {"x"}}
GROUPS = {"a": "in", "f": "in", "h": "out"}
GRAPH = AssetGraph(
    [
        Asset(name=name, depends_on=needs, tags=TAGS.get(name, ()), group=GROUPS.get(name))
        for name, needs in EDGES.items()
    ]
)
Factor = tuple[bool, int | None, str, int | None]

ATOMS = st.sampled_from([*EDGES, "tag:x", "tag:y", "tag:none", "group:in", "group:*", "?", "[ab]"])
REACH = st.one_of(st.none(), st.integers(-1, 4))
FACTORS = st.tuples(st.booleans(), REACH, ATOMS, REACH)
TERMS = st.lists(FACTORS, min_size=1, max_size=3)
SELECTIONS = st.lists(TERMS, min_size=1, max_size=3)


def written(factor: Factor) -> str:
    without, up, atom, down = factor
    before = "" if up is None else "+" if up < 0 else f"{up}+"
    after = "" if down is None else "+" if down < 0 else f"+{down}"
    return ("^" if without else "") + before + atom + after


def of_atom(atom: str) -> set[str]:
    kind, _, word = atom.partition(":")
    if kind == "tag":
        return {name for name in EDGES if word in TAGS.get(name, ())}
    if kind == "group":
        return {
            name for name in EDGES if GROUPS.get(name) == word or (word == "*" and name in GROUPS)
        }
    return set(EDGES) if atom == "?" else {"a", "b"} if atom == "[ab]" else {atom}


def walked(names: set[str], steps: int | None, *, up: bool) -> set[str]:
    found = set(names)
    for _ in range(0 if steps is None else len(EDGES) if steps < 0 else steps):
        found |= {
            other if up else name
            for name, needs in EDGES.items()
            for other in needs
            if (name if up else other) in found
        }
    return found


def of_factor(factor: Factor) -> set[str]:
    _, up, atom, down = factor
    names = of_atom(atom)
    return walked(names, up, up=True) | walked(names, down, up=False)


def naive(selection: list[list[Factor]]) -> set[str]:
    chosen: set[str] = set()
    everywhere: set[str] = set()
    some = False
    for term in selection:
        without = set().union(*(of_factor(factor) for factor in term if factor[0]))
        taken = [of_factor(factor) for factor in term if not factor[0]]
        if taken:
            some = True
            chosen |= set.intersection(*taken) - without
        else:
            everywhere |= without
    return (chosen if some else set(EDGES)) - everywhere


def selected(text: str, exclude: tuple[str, ...] = ()) -> set[str]:
    try:
        return set(GRAPH.select(text, exclude=exclude))
    except EmptySelectionError:
        return set()


def as_text(selection: list[list[Factor]]) -> str:
    return " ".join(",".join(map(written, term)) for term in selection)


@given(SELECTIONS)
def test_a_selection_is_the_naive_set(selection: list[list[Factor]]) -> None:
    assert selected(as_text(selection)) == naive(selection)


@given(SELECTIONS, st.randoms(use_true_random=False))
def test_the_order_of_terms_and_factors_makes_no_difference(
    selection: list[list[Factor]], random: Any
) -> None:
    shuffled = [random.sample(term, len(term)) for term in random.sample(selection, len(selection))]
    assert selected(as_text(selection)) == selected(as_text(shuffled))


@given(SELECTIONS, TERMS)
def test_exclude_takes_away_what_it_selects(
    selection: list[list[Factor]], term: list[Factor]
) -> None:
    text = ",".join(map(written, term))
    assert selected(as_text(selection), (text,)) == selected(as_text(selection)) - naive([term])


@given(SELECTIONS)
def test_the_answer_is_in_execution_order_without_repetition(
    selection: list[list[Factor]],
) -> None:
    if not naive(selection):
        with pytest.raises(EmptySelectionError):
            GRAPH.select(as_text(selection))
        return
    order = GRAPH.execution_order()
    found = GRAPH.select(as_text(selection))
    assert found == [name for name in order if name in set(found)]
