"""Hooks are called once for what they want, and never fail or delay a run."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from flowstone.core.policy import PLAIN, Policy
from flowstone.runner.events import RunFinished, RunStarted, StepFinished, StepStarted
from flowstone.runner.hooks import Hooks, OfCall

if TYPE_CHECKING:
    from flowstone.core.context import Logger
    from flowstone.core.policy import Hook
    from flowstone.runner.events import Ending, Event

pytestmark = pytest.mark.anyio


class Log:
    """Remembers what is an error."""

    def __init__(self) -> None:
        self.errors: list[str] = []

    def debug(self, event: str, **fields: Any) -> None: ...

    info = warning = debug

    def error(self, event: str, **_: Any) -> None:
        self.errors.append(event)


def ended(name: str, ending: Ending) -> StepFinished:
    return StepFinished("r", name, ending)


def hooks_of(log: Logger, of_call: OfCall | None = None, **policies: Policy) -> Hooks:
    return Hooks(lambda name: policies.get(name, PLAIN), log, of_call)


def success(*hooks: Hook) -> Policy:
    return Policy(on_success=hooks)


async def test_each_is_called_with_the_end_it_wants() -> None:
    told: list[Event] = []
    both = Policy(on_success=(told.append,), on_failure=(told.append,))
    hooks = hooks_of(Log(), a=success(told.append), b=both, c=both)
    for event in (
        RunStarted("r", 4, 4),
        StepStarted("r", "a", ""),
        ended("a", "materialized"),
        ended("b", "failed"),
        ended("c", "skipped"),
        ended("plain", "failed"),
        RunFinished("r", "failed"),
    ):
        hooks(event)
    assert await hooks.finish() == []
    assert told == [ended("a", "materialized"), ended("b", "failed")]


@pytest.mark.parametrize("status", ["success", "failed", "cancelled"])
async def test_those_of_a_call_are_called_once_and_told_what_failed(status: str) -> None:
    good: list[RunFinished] = []
    bad: list[RunFinished] = []
    hooks = hooks_of(Log(), OfCall([good.append], [bad.append]))
    if status == "failed":
        hooks(ended("a", "failed"))
        hooks(ended("b", "failed"))
    hooks(RunFinished("r", status))
    await hooks.finish()
    assert good == ([RunFinished("r", "success")] if status == "success" else [])
    wanted = RunFinished("r", "failed", failed=("a", "b"))
    assert bad == ([wanted] if status == "failed" else [])


async def test_coroutine_functions_run_on_the_loop_others_in_a_thread() -> None:
    where: list[object] = []

    async def on_loop(_: object) -> None:
        await asyncio.sleep(0)
        where.append(threading.current_thread())

    def in_thread(_: object) -> None:
        where.append(threading.current_thread())

    def given(event: object) -> object:
        return on_loop(event)

    hooks = hooks_of(Log(), a=success(on_loop, in_thread, given))
    hooks(ended("a", "materialized"))
    assert await hooks.finish() == []
    here = threading.current_thread()
    assert [each is here for each in where] == [True, False, True]


async def test_one_that_raises_is_noted_and_the_next_are_called() -> None:
    told: list[Event] = []

    def broken(_: object) -> None:
        raise ValueError("no postgres://me:open@host")

    def leaves(_: object) -> None:
        raise SystemExit(3)

    async def cancels(_: object) -> None:
        raise asyncio.CancelledError

    log = Log()
    hooks = hooks_of(log, a=success(broken, leaves, cancels, told.append))
    hooks(ended("a", "materialized"))
    errors = await hooks.finish()
    assert errors == log.errors
    assert errors == [
        "hook broken of a raised ValueError: no postgres://me:**********@host",
        "hook leaves of a raised SystemExit: 3",
        "hook cancels of a raised asyncio.exceptions.CancelledError",
    ]
    assert told == [ended("a", "materialized")]


async def test_a_slow_one_delays_no_event_and_one_without_end_is_left() -> None:
    free = threading.Event()
    hooks = hooks_of(Log(), a=success(lambda _: free.wait()), b=success(print))
    hooks(ended("a", "materialized"))
    hooks(ended("b", "materialized"))
    await asyncio.sleep(0)
    (error,) = await hooks.finish(patience=0.05)
    free.set()
    assert error == "hook <lambda> of a did not end within 0.05 s, 1 more were not called"


async def test_without_hooks_there_is_nothing_to_wait_for() -> None:
    hooks = hooks_of(Log())
    hooks(ended("a", "materialized"))
    hooks(RunFinished("r", "success"))
    assert await hooks.finish() == []
