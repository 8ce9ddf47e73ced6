"""Inputs that are lost are made again once, however many steps missed them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from flowstone import AssetGraph, asset
from flowstone.core.plan import Plan, Request, Step
from flowstone.core.records import Materialization
from flowstone.ids import materialization_id
from flowstone.runner.course import Course
from flowstone.runner.journal import Journal
from flowstone.runner.ledger import Ledger
from flowstone.runner.recovery import Recovery
from flowstone.runner.report import Report, new_run
from flowstone.runner.step import Lost
from flowstone.store.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowstone.core.asset import AnyAsset
    from flowstone.runner.versions import Read


@asset
def source() -> list[int]:
    return [1]


@asset
def lost(source: list[int]) -> list[int]:
    return source


@asset
def left(lost: list[int]) -> list[int]:
    return lost


@asset
def right(lost: list[int]) -> list[int]:
    return lost


@dataclass
class Call:
    """A call that has claimed its inputs."""

    numbers: list[int]
    assets: Sequence[AnyAsset]
    read: Read
    lane: Any = None
    arguments: dict[str, Any] = field(default_factory=dict)


def _step(asset: AnyAsset, *, reused: bool) -> Step:
    now = dt.datetime.now(dt.UTC)
    made = Materialization(
        id=materialization_id(),
        asset_name=asset.name,
        run_id="before",
        status="success",
        inserted_at=now,
        updated_at=now,
    )
    return Step(asset, "reuse" if reused else "materialize", current=made, before=made)


def _unexpected(*_: object) -> NoReturn:
    pytest.fail("nothing of this was to happen")


def test_two_steps_that_miss_an_input_have_it_take_its_own_inputs_once() -> None:
    graph = AssetGraph([source, lost, left, right])
    reused = {"source", "lost"}
    steps = [_step(graph[name], reused=name in reused) for name in graph.execution_order()]
    plan = Plan(Request(graph, ("left", "right"), {}), steps, {})
    run = new_run(plan, "run")
    ledger = Ledger(run, Journal(MemoryStore(), "run"), None)
    offered: list[int] = []
    course = Course(plan, ledger, Report(run, ledger.endings), offered.append)
    recovery = Recovery(course, pools=_unexpected, spawn=_unexpected, moved=lambda: None)  # type: ignore[arg-type] # no asset has a pool
    course.take_over()
    course.start()
    calls = []
    for number in offered:
        step = course.steps[number]
        read = course.versions.read_by(step.asset)
        taken = {name: version.claim() for name, version in read}
        calls.append(Call([number], [step.asset], read, arguments=taken))
    offered.clear()

    for call in calls:
        recovery.begin(call, Lost(["lost"]), _unexpected)

    assert [course.steps[number].name for number in offered] == ["lost"]
    assert course.versions.takers("source") == 1
    assert course.versions.takers("lost") == 2
