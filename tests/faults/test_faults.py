"""A few trials of faults that every change is held to; ``python -m tests.faults`` makes more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.faults import calls, kills, launcher, programs, racing
from tests.faults.frame import Trial, repeated
from tests.faults.workload import Workload
from tests.faults.world import opened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.faults.world import World

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="takes over at once on Linux"),
]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with opened() as world:
        yield world


def violations(trials: Iterable[Trial]) -> list[str]:
    return [f"{trial.what}: {each}" for trial in trials for each in trial.violations]


def test_a_runner_that_is_killed_anywhere_loses_nothing_that_was_recorded(world: World) -> None:
    assert violations(repeated(kills.at_random)(world, 6, 7)) == []


@pytest.mark.parametrize("point", kills.POINTS[2::4])
def test_a_runner_that_is_killed_at_a_point_is_made_up_for(world: World, point: str) -> None:
    assert violations([kills.at_point(world, f"{point}:after:1")]) == []


def test_fifty_runners_that_want_one_asset_make_it_once(world: World) -> None:
    assert violations(racing.fifty(world, 1, 7)) == []


def test_a_runner_that_was_taken_for_dead_writes_nothing_more(world: World) -> None:
    assert violations(repeated(racing.zombie)(world, 1, 7)) == []


def test_poison_keeps_nothing_else_from_being_recorded(world: World) -> None:
    assert violations(repeated(programs.poisoned)(world, 1, 7)) == []


def test_whatever_call_of_the_store_fails_the_next_run_makes_up_for_it(world: World) -> None:
    assert violations(calls.store_calls(world)) == []


def test_a_run_gets_over_a_request_that_is_lost_or_the_next_one_does(world: World) -> None:
    assert violations(calls.requests(world, every=6)) == []


def test_damage_is_found_out(world: World) -> None:
    """The judge of all trials is no rubber stamp."""
    with world.job(Workload(layers=2, width=3, seconds=0.0)) as job:
        assert job.run() == "success"
        clean = Trial()
        job.judge(clean)
        assert clean.violations == []
        for damage, told in DAMAGES.items():
            job.do(damage)
            trial = Trial()
            job.judge(trial)
            assert told in str(trial.violations), damage


#: What is done to a database, one after the other, and what is told of it.
DAMAGES = {
    "UPDATE flowstone_materializations SET value_inline = '7', value_size = 1"
    " WHERE asset_name = 'n0_0'": "I4",
    "DELETE FROM flowstone_lineage": "I2",
    "UPDATE flowstone_current SET materialization_id = NULL WHERE asset_name = 'n1_1'": "n1_1",
    "INSERT INTO flowstone_leases (run_id, owner, lease_until) VALUES ('x', 'x', now())": "left",
}


def test_every_point_is_a_function() -> None:
    """One that was renamed would be passed by nobody."""
    for point in (*kills.POINTS, *kills.TAKEOVER, *kills.MIGRATION):
        assert callable(launcher.found(point)), point
