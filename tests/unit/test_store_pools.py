"""How many steps a pool admits, by its size and by its rate."""

from __future__ import annotations

import sys

import pytest

from flowstone.store.pools import CATCH_UP_SECONDS, admitted


@pytest.mark.parametrize(("size", "within", "room"), [(3, 1, 2), (3, 3, 0), (3, 4, 0)])
def test_a_size_admits_what_there_is_room_for(size: int, within: int, room: int) -> None:
    assert admitted(size, within, None, 0.0) == room


def test_a_pool_without_size_and_rate_admits_all() -> None:
    assert admitted(None, 1000, None, 0.0) == sys.maxsize


def test_a_rate_admits_one_and_none_before_its_time() -> None:
    assert admitted(None, 0, 1.0, 0.0) == 1
    assert admitted(None, 0, 1.0, 3600.0) == 1
    assert admitted(None, 0, 1.0, -0.01) == 0


def test_a_high_rate_is_caught_up_a_little() -> None:
    assert admitted(None, 0, CATCH_UP_SECONDS / 4, 3600.0) == 5
    assert admitted(2, 0, CATCH_UP_SECONDS / 4, 3600.0) == 2


def test_the_rate_over_time_is_kept_however_often_one_asks() -> None:
    """Of any 10 s at 20 a second: 200, and what may be caught up."""
    interval, next_at, entered = 0.05, 0.0, 0
    for tick in range(1000):
        moment = tick / 100
        count = admitted(None, 0, interval, moment - next_at)
        if count:
            next_at = max(next_at, moment - CATCH_UP_SECONDS) + interval * count
        entered += count
    assert 198 <= entered <= 203
