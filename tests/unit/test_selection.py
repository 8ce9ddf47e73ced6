"""The selection language, example by example."""

from __future__ import annotations

from typing import Any

import pytest

from flowstone import Asset, AssetGraph
from flowstone.errors import EmptySelectionError, SelectionError


def node(name: str, *needs: str, **options: Any) -> Asset[..., Any]:
    return Asset(name=name, depends_on=needs, **options)


#   raw_a ─┐
#   raw_b ─┴─ clean ── daily ─┬─ report
#             rates ──────────┘
GRAPH = AssetGraph(
    [
        node("raw_a", tags=["raw", "slow"], group="in"),
        node("raw_b", tags=["raw"], group="in"),
        node("clean", "raw_a", "raw_b"),
        node("daily", "clean", tags=["nightly"]),
        node("rates", tags=["slow"], group="in.rates"),
        node("report", "daily", "rates", group="out"),
        node("ns/x.y-z"),
    ]
)
ALL = {"raw_a", "raw_b", "clean", "daily", "rates", "report", "ns/x.y-z"}

EXAMPLES: dict[str, set[str]] = {
    "clean": {"clean"},
    "ns/x.y-z": {"ns/x.y-z"},
    "raw_*": {"raw_a", "raw_b"},
    "raw_?": {"raw_a", "raw_b"},
    "*": ALL,
    "tag:slow": {"raw_a", "rates"},
    "tag:*": {"raw_a", "raw_b", "daily", "rates"},
    "group:in": {"raw_a", "raw_b"},
    "group:in*": {"raw_a", "raw_b", "rates"},
    "group:*": {"raw_a", "raw_b", "rates", "report"},
    "+clean": {"raw_a", "raw_b", "clean"},
    "clean+": {"clean", "daily", "report"},
    "+clean+": {"raw_a", "raw_b", "clean", "daily", "report"},
    "1+report": {"daily", "rates", "report"},
    "2+report": {"clean", "daily", "rates", "report"},
    "0+report": {"report"},
    "999999999+report": ALL - {"ns/x.y-z"},
    "raw_a+1": {"raw_a", "clean"},
    "1+clean+1": {"raw_a", "raw_b", "clean", "daily"},
    "2+daily+3": {"raw_a", "raw_b", "clean", "daily", "report"},
    "+tag:nightly": {"raw_a", "raw_b", "clean", "daily"},
    "tag:raw+1": {"raw_a", "raw_b", "clean"},
    "+group:out": ALL - {"ns/x.y-z"},
    "raw_a rates": {"raw_a", "rates"},
    " raw_a   rates ": {"raw_a", "rates"},
    "+report,tag:slow": {"raw_a", "rates"},
    "tag:raw,tag:slow": {"raw_a"},
    "+report,^tag:slow": {"raw_b", "clean", "daily", "report"},
    "^tag:slow,+report": {"raw_b", "clean", "daily", "report"},
    "+report,^+clean": {"daily", "rates", "report"},
    "^tag:slow": ALL - {"raw_a", "rates"},
    "+report ^clean": {"raw_a", "raw_b", "daily", "rates", "report"},
    "^clean +report": {"raw_a", "raw_b", "daily", "rates", "report"},
    "tag:raw,^tag:slow rates": {"raw_b", "rates"},
    "^tag:slow,^clean": ALL - {"raw_a", "rates", "clean"},
    "raw_a tag:nothing": {"raw_a"},
}


@pytest.mark.parametrize("selection", EXAMPLES)
def test_a_selection_means(selection: str) -> None:
    assert set(GRAPH.select(selection)) == EXAMPLES[selection]


def test_the_answer_is_in_execution_order() -> None:
    assert GRAPH.select("report clean raw_b") == ["raw_b", "clean", "report"]


def test_several_selections_mean_any_of_them() -> None:
    assert GRAPH.select("rates", "clean") == GRAPH.select("clean rates")


def test_no_selection_means_all() -> None:
    assert set(GRAPH.select()) == ALL


def test_exclude_takes_away() -> None:
    assert set(GRAPH.select("+report", exclude=["tag:slow", "clean"])) == {
        "raw_b",
        "daily",
        "report",
    }
    assert set(GRAPH.select(exclude=["+report"])) == {"ns/x.y-z"}
    assert set(GRAPH.select(exclude=["tag:nothing"])) == ALL


@pytest.mark.parametrize(
    "selection", ["tag:nothing", "group:nothing", "nothing*", "tag:raw,tag:nightly", "clean ^clean"]
)
def test_a_pattern_that_matches_nothing_is_told_apart(selection: str) -> None:
    with pytest.raises(EmptySelectionError, match="matches no asset"):
        GRAPH.select(selection)


def test_excluding_everything_is_an_empty_selection() -> None:
    with pytest.raises(EmptySelectionError, match="without clean"):
        GRAPH.select("clean", exclude=["clean"])


@pytest.mark.parametrize("selection", ["cleen", "+cleen", "raw_a,cleen", "^cleen", "clean cleen"])
def test_an_unknown_name_is_an_error_with_the_nearest(selection: str) -> None:
    with pytest.raises(
        SelectionError, match="no asset named 'cleen'; did you mean 'clean'"
    ) as told:
        GRAPH.select(selection)
    assert not isinstance(told.value, EmptySelectionError)


def test_an_unknown_name_in_exclude_is_an_error() -> None:
    with pytest.raises(SelectionError, match="cleen"):
        GRAPH.select(exclude=["cleen"])


@pytest.mark.parametrize(
    "selection",
    [
        "+",
        "a,,b",
        ",a",
        "a+b+c",
        "++a",
        "a++",
        "x+a",
        "^^a",
        "^",
        "a^b",
        "9999999999+clean",
        "-1+a",
    ],
)
def test_what_can_t_be_read_is_an_error(selection: str) -> None:
    with pytest.raises(SelectionError, match=r"can't read the selection|a selection is empty"):
        GRAPH.select(selection)


@pytest.mark.parametrize("selection", ["", "  "])
def test_an_empty_text_never_means_everything(selection: str) -> None:
    """A shell's unset variable must not run the whole graph."""
    with pytest.raises(SelectionError, match="a selection is empty"):
        GRAPH.select(selection)


def test_names_are_normalised() -> None:
    graph = AssetGraph([node("caf\u00e9")])
    assert graph.select("cafe\u0301") == ["caf\u00e9"]


def test_a_long_chain_is_walked_quickly() -> None:
    chain = AssetGraph([node("n0"), *(node(f"n{i}", f"n{i - 1}") for i in range(1, 3_000))])
    assert len(chain.select("+n2999")) == len(chain.select("n0+")) == 3_000
