"""What the runner hands to an executor, and what it is told in return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from flowstone.runner.output import Output

if TYPE_CHECKING:
    import asyncio
    import datetime as dt
    from collections.abc import Callable, Sequence

    from flowstone.core.asset import AnyAsset
    from flowstone.runner.step import Arguments, Outcome
    from flowstone.values import Keeper


@dataclass(slots=True, eq=False)
class Job:
    """One call of a function, for all of ``assets`` that it makes.

    ``begun`` and ``ended`` are called on the loop's thread, each once and in this order, unless
    the job is withdrawn before it began or the executor is closed before it ended. ``timeout`` is
    in seconds from ``started_at``, which the executor sets when the call begins (UTC). ``output``
    keeps what the function prints and logs.
    """

    assets: Sequence[AnyAsset]
    arguments: Arguments
    values: Keeper
    timeout: float | None
    begun: Callable[[Any], None]
    ended: Callable[[Any, Outcome], None]
    label: str
    run_id: str
    started_at: dt.datetime | None = None
    output: Output = field(default_factory=Output)


def nothing() -> None:
    """Nobody wants to know."""


class Executor(Protocol):
    """Calls functions for a run; all its methods are called on the run's event loop.

    ``size`` is how many jobs it runs at once, ``ahead`` how many it takes beyond those.
    """

    size: float
    ahead: int
    #: Whether inputs that are stored are to come as ``Input``, not as the object itself.
    by_reference: bool

    def start(
        self, loop: asyncio.AbstractEventLoop, rested: Callable[[], object] = nothing
    ) -> None:
        """Report to this loop from now on; ``rested`` is called after one or several ends."""

    def submit(self, job: Job) -> None:
        """Take a job; it is never waited for."""

    def withdraw(self) -> list[Job]:
        """Give back the jobs that have not begun, the first submitted first."""

    async def close(self) -> None:
        """End: threads that still run are left to themselves, processes are killed.

        No job begins or ends any more.
        """


#: Stands for the value of a ``Made`` that was saved by another process and stayed there.
ABSENT: Final = object()


def refusal(asset: AnyAsset) -> str:
    """Why an asset can't be made in a process, and how to mend it; nothing if it can."""
    if asset.resources:
        return (
            f"{asset.label} takes the resource {asset.resources[0]!r}, which lives in the run's own"
            " process; use executor='thread', or open it inside the function"
        )
    return ""
