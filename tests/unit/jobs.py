"""An executor at work, for tests: submits calls and hands out their ends."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from flowstone import Asset
from flowstone.runner.executors.base import Job
from flowstone.runner.step import Made

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flowstone.core.asset import AnyAsset
    from flowstone.runner.executors.base import Executor
    from flowstone.runner.failure import Failure
    from flowstone.runner.step import Outcome
    from flowstone.values import Keeper


class Desk:
    """Submits jobs; ``told`` lists what was told of them, in order."""

    def __init__(self, executor: Executor, keeper: Keeper) -> None:
        self.executor, self.keeper = executor, keeper
        self.told: list[tuple[str, str]] = []
        self.changed = asyncio.Event()
        self._waiting: dict[Job, asyncio.Future[Outcome]] = {}

    def submit(
        self, made: AnyAsset | Callable[..., Any], timeout: float | None = None, **arguments: Any
    ) -> asyncio.Future[Outcome]:
        """Have an asset made, or what a function returns; the future is its end."""
        asset = made if isinstance(made, Asset) else Asset(made, name="made", keep=False)
        assets = list(asset.outputs.values()) or [asset]
        job = Job(
            assets, arguments, self.keeper, timeout, self._begun, self._ended,
            label=f"{asset.name} {len(self._waiting)}", run_id="run",
        )  # fmt: skip
        self._waiting[job] = asyncio.get_running_loop().create_future()
        self.executor.submit(job)
        return self._waiting[job]

    async def value(self, made: AnyAsset | Callable[..., Any], **arguments: Any) -> Any:
        """What a call returned, of an asset that is not kept."""
        return value(await self.submit(made, **arguments))

    async def failure(self, made: AnyAsset | Callable[..., Any], **options: Any) -> Failure:
        """Why a call failed."""
        outcome = await self.submit(made, **options)
        if isinstance(outcome, list):
            (outcome,) = outcome  # type: ignore[assignment]  # the one there is
        return outcome  # type: ignore[return-value]  # a wrong type fails the test that reads it

    async def begun(self, label: str) -> None:
        """Wait until the beginning of a job was told."""
        while ("begun", label) not in self.told:
            self.changed.clear()
            await self.changed.wait()

    def _begun(self, job: Job) -> None:
        self.told.append(("begun", job.label))
        self.changed.set()

    def _ended(self, job: Job, outcome: Outcome) -> None:
        self.told.append(("ended", job.label))
        self.changed.set()
        self._waiting[job].set_result(outcome)


def value(outcome: Outcome) -> Any:
    """The one value that was made."""
    assert isinstance(outcome, list), outcome
    (made,) = outcome
    assert isinstance(made, Made), made
    return made.value


@contextlib.asynccontextmanager
async def at_work(executor: Executor, keeper: Keeper) -> AsyncIterator[Desk]:
    """The executor on the running loop, for the time of the block."""
    executor.start(asyncio.get_running_loop())
    try:
        yield Desk(executor, keeper)
    finally:
        await executor.close()
