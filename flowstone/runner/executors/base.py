"""What every executor promises, and what it is handed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence
    from typing import Any

    from anyio.abc import TaskGroup

    from flowstone.core.asset import AnyAsset
    from flowstone.runner.step import Arguments, Awaited, Outcome
    from flowstone.values import Keeper


@dataclass(slots=True, eq=False)
class Job:
    """One call of the function that makes ``assets``.

    ``begun`` and ``ended`` are called on the event loop's thread, each once; ``timeout`` is in
    seconds. ``started_at`` is set by the executor when the call begins.
    """

    assets: Sequence[AnyAsset]
    arguments: Arguments
    values: Keeper
    begun: Callable[[Any], None]
    ended: Callable[[Any, Outcome | Awaited], None]
    timeout: float | None = None
    run_id: str = ""
    started_at: dt.datetime | None = None


class Executor(Protocol):
    """Calls functions, as many at once as it has places; all methods belong to the event loop.

    ``size`` is how many it calls at once, ``ahead`` how many more jobs it takes than those that
    have begun.
    """

    size: float
    ahead: int

    def start(self, group: TaskGroup) -> None:
        """Take what belongs to a run: the task group that lives as long as it."""
        ...

    def submit(self, job: Job) -> None:
        """Have a job done as soon as there is a place."""
        ...

    def withdraw(self) -> list[Job]:
        """The jobs that have not begun, taken back."""
        ...

    async def close(self) -> None:
        """Give up what still runs: threads are left to themselves, processes are killed."""
        ...
