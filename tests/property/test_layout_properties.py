"""Pictures of any graph: boxes apart, arrows one way, the same each time."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flowstone import Asset, AssetGraph
from flowstone.notebook.layout import Box, Layout, arrange
from flowstone.notebook.picture import picture


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    """What each name needs of those before it."""
    names = [f"n{number}" for number in range(draw(st.integers(0, 14)))]
    return {
        name: draw(st.lists(st.sampled_from(names[:at]), unique=True, max_size=5)) if at else []
        for at, name in enumerate(names)
    }


def placed(needs: dict[str, list[str]]) -> Layout:
    return arrange({name: 40.0 + 7 * len(needs[name]) for name in needs}, needs)


def overlap(one: Box, other: Box) -> bool:
    across = one.x < other.x + other.width and other.x < one.x + one.width
    return across and one.y < other.y + other.height and other.y < one.y + one.height


@given(graphs())
@settings(deadline=None)
def test_no_two_boxes_overlap_and_none_leaves_the_picture(needs: dict[str, list[str]]) -> None:
    drawn = placed(needs)
    for one, other in itertools.combinations(drawn.boxes.values(), 2):
        assert not overlap(one, other)
    for box in drawn.boxes.values():
        assert box.x >= 0
        assert box.y >= -1e-6
        assert box.x + box.width <= drawn.width + 1e-6
        assert box.y + box.height <= drawn.height + 1e-6


@given(graphs())
@settings(deadline=None)
def test_arrows_go_one_way_from_box_to_box_and_through_none(needs: dict[str, list[str]]) -> None:
    drawn = placed(needs)
    assert set(drawn.routes) == {(need, name) for name in needs for need in needs[name]}
    for (source, target), route in drawn.routes.items():
        start, end = drawn.boxes[source], drawn.boxes[target]
        assert route[0] == (start.x + start.width, start.middle)
        assert route[-1] == (end.x, end.middle)
        assert all(x < to_x for (x, _), (to_x, _) in itertools.pairwise(route))
        for _, y in route[1:-1]:
            assert -1e-6 <= y <= drawn.height + 1e-6
        for (x, y), (to_x, _) in list(itertools.pairwise(route))[1::2]:
            lane = Box(x, y, to_x - x, 0.0)
            assert not any(overlap(lane, box) for box in drawn.boxes.values())


@given(graphs())
@settings(deadline=None)
def test_the_same_graph_gives_the_same_picture_in_whatever_order_it_is_listed(
    needs: dict[str, list[str]],
) -> None:
    assets: list[Asset[..., Any]] = [
        Asset(name=name, depends_on=found) for name, found in needs.items()
    ]
    assert picture(AssetGraph(assets)) == picture(AssetGraph(reversed(assets)))
