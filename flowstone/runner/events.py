"""What a run tells while it goes on; progress, logs, hooks and tests draw from it.

Each event is told once the rows it speaks of are committed; those that speak of no row, when they
happen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

#: How a step ended: its function ran, a recorded value stood in for it, it failed, something it
#: needs failed, or the run was stopped. A run that verifies executes fresh steps too: what they
#: made was the recorded value again, or another one.
Ending = Literal["materialized", "reused", "failed", "skipped", "cancelled", "verified", "differs"]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins: how many steps it has, and how many of them are expected to run."""

    run_id: str
    steps: int
    to_run: int


@dataclass(frozen=True, slots=True)
class StepStarted:
    """An asset's function is about to be called."""

    run_id: str
    asset: str
    why: str
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class StepWaiting:
    """A step could begin, but waits for a place in its ``pool``, or for the run ``holder``.

    Another run that makes the same asset has claimed it; what it makes is used once it is done.
    """

    run_id: str
    asset: str
    pool: str | None = None
    holder: str | None = None

    @property
    def what(self) -> str:
        """What it waits for, in words."""
        return f"run {self.holder}" if self.holder else f"a place in pool {self.pool!r}"


@dataclass(frozen=True, slots=True)
class StepRetrying:
    """An attempt failed, and the next one begins in ``delay`` seconds.

    ``attempt`` is the number of the one that failed, ``detail`` why it did.
    """

    run_id: str
    asset: str
    attempt: int
    delay: float
    detail: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class LoopBlocked:
    """The function of an async asset has kept the event loop from everything else.

    For ``seconds`` nothing else of the run went on: it waits or computes without ``await``.
    """

    run_id: str
    asset: str
    seconds: float


@dataclass(frozen=True, slots=True)
class DatabaseAway:
    """The database has not answered for ``seconds``, or answers again after as many.

    Meanwhile the run keeps in memory what is done, and begins nothing more once that is much.
    """

    run_id: str
    seconds: float
    is_back: bool = False

    @property
    def what(self) -> str:
        """What happened, in words."""
        if self.is_back:
            return f"the database answers again, after {self.seconds:.0f} s"
        away = f"the database has not answered for {self.seconds:.0f} s"
        return f"{away}; what is done is kept in memory"


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step ended. ``duration_ms`` is in milliseconds, None where nothing ran.

    ``detail`` describes the value, or says why the step was skipped or failed; ``traceback``
    starts at the user's code. ``attempt`` is the number of the last attempt.
    """

    run_id: str
    asset: str
    ending: Ending
    duration_ms: float | None = None
    detail: str = ""
    traceback: str = ""
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run ended and everything about it is recorded.

    ``failed`` names the assets that failed, for those who are told nothing else.
    """

    run_id: str
    status: str
    counts: dict[str, int] = field(default_factory=dict)
    duration_ms: float = 0.0
    failed: tuple[str, ...] = ()


Event: TypeAlias = (
    RunStarted
    | StepWaiting
    | StepStarted
    | StepRetrying
    | LoopBlocked
    | DatabaseAway
    | StepFinished
    | RunFinished
)
Listener: TypeAlias = Callable[[Event], object]


class Listening:
    """A listener whose own error ends its listening, not the run.

    ``error`` is the first exception it raised; who started the run raises it when all is recorded.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.error: Exception | None = None

    def __call__(self, event: Event) -> None:
        """Tell the listener, unless it has raised before."""
        if self.error is None:
            try:
                self._listener(event)
            except Exception as error:  # noqa: BLE001 - the listener is the user's code
                self.error = error
