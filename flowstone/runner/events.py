"""What a run tells while it goes on; progress and logs draw from it.

Each event is told once the rows it speaks of are committed.
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
class StepFinished:
    """A step ended. ``duration_ms`` is in milliseconds, None where nothing ran.

    ``detail`` describes the value, or says why the step was skipped or failed; ``traceback``
    starts at the user's code.
    """

    run_id: str
    asset: str
    ending: Ending
    duration_ms: float | None = None
    detail: str = ""
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class RunFinished:
    """A run ended and everything about it is recorded."""

    run_id: str
    status: str
    counts: dict[str, int] = field(default_factory=dict)
    duration_ms: float = 0.0


Event: TypeAlias = RunStarted | StepStarted | StepFinished | RunFinished
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
