"""The lanes of a run, one for each kind of executor that its assets want."""

from __future__ import annotations

import asyncio
import math
import os
from importlib import import_module
from typing import TYPE_CHECKING

import anyio

from flowstone.runner.executors.loop import LoopExecutor
from flowstone.runner.executors.threads import Threads
from flowstone.runner.lane import Lane, Ranks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anyio.abc import TaskGroup

    from flowstone.core.asset import AnyAsset
    from flowstone.core.policy import ExecutorName
    from flowstone.runner.executors.base import Executor
    from flowstone.runner.lane import Preparing


def default_concurrency() -> int:
    """How many functions run in threads at once unless said otherwise."""
    return min(32, (os.cpu_count() or 1) + 4)


class Lanes:
    """Lanes by kind of executor, each opened when the first asset wants it.

    ``executor`` is for assets that don't say otherwise: ``auto`` calls async functions on the
    event loop and others in threads. ``at_once`` is how many functions each executor calls at
    once; None leaves that to the executor. ``blocked`` hears of functions that block the loop,
    ``rested`` of ends: when jobs have ended, there may be places for more.
    """

    def __init__(
        self,
        by: Preparing,
        executor: ExecutorName,
        at_once: int | None,
        urgency: Sequence[float],
        *,
        blocked: Callable[[AnyAsset, float], object],
        rested: Callable[[], object],
    ) -> None:
        self._by, self._executor, self._ranks = by, executor, Ranks(urgency)
        self._at_once, self._blocked, self._rested = at_once, blocked, rested
        self._lanes: dict[str, Lane] = {}
        self._group: TaskGroup

    def start(self, group: TaskGroup) -> None:
        """Tasks of executors live in this group."""
        self._group = group

    def of(self, asset: AnyAsset) -> Lane:
        """The lane of an asset."""
        kind = asset.policy.executor or self._executor
        if kind == "process" and asset.resources and not asset.policy.executor:
            kind = "auto"  # its resources live here
        if kind == "auto":
            kind = "loop" if asset.is_async else "thread"
        return self._lanes.get(kind) or self._open(kind)

    @property
    def are_busy(self) -> bool:
        """Whether anything is being prepared, or called."""
        return any(lane.is_busy for lane in self._lanes.values())

    def pump(self) -> None:
        """Hand on as much as there is place for."""
        for lane in tuple(self._lanes.values()):
            lane.pump()

    def withdraw(self) -> None:
        """What has not begun is not to begin any more."""
        for lane in self._lanes.values():
            lane.withdraw()

    async def close(self) -> None:
        """Executors give up what still runs, each of them also while the run is being cancelled."""
        async with anyio.create_task_group() as closing:
            for lane in self._lanes.values():
                closing.start_soon(lane.executor.close)

    def _open(self, kind: str) -> Lane:
        executor = self._opened(kind)
        executor.start(asyncio.get_running_loop(), self._rested)
        lane = self._lanes[kind] = Lane(executor, self._by, self._ranks)
        return lane

    def _opened(self, kind: str) -> Executor:
        if kind == "loop":
            at_once = math.inf if self._at_once is None else self._at_once
            return LoopExecutor(self._group, at_once, self._blocked)
        if kind == "process":
            # most runs need none, and starting is slow enough
            processes = import_module("flowstone.runner.executors.processes")
            made: Executor = processes.Processes(self._at_once or os.cpu_count() or 1)
            return made
        return Threads(self._at_once or default_concurrency())
