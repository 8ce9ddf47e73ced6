"""A run's events for machines: JSON lines, and log entries."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import click
import structlog

from flowstone.runner.events import (
    DatabaseAway,
    LoopBlocked,
    RunFinished,
    RunStarted,
    StepFinished,
    StepRetrying,
    StepStarted,
    StepWaiting,
)

if TYPE_CHECKING:
    from typing import TextIO

    from flowstone.core.plan import Plan
    from flowstone.runner.events import Event

SCHEMA_VERSION = 1
_NAMES = {
    RunStarted: "run_started",
    StepWaiting: "step_waiting",
    StepStarted: "step_started",
    StepRetrying: "step_retrying",
    LoopBlocked: "loop_blocked",
    DatabaseAway: "database_away",
    StepFinished: "step_finished",
    RunFinished: "run_finished",
}


class JsonLines:
    """Writes each event as one line of JSON; steps that are fresh are told once the run began."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._fresh: list[tuple[str, str]] = []

    def planned(self, plan: Plan) -> None:
        """Take note of what the run finds fresh: the engine has no event for it."""
        fresh = [step for step in plan if step.action == "reuse" and not plan.request.verify]
        self._fresh = [(step.name, step.why) for step in fresh]

    def __call__(self, event: Event) -> None:
        """Write it."""
        self._write(event)
        if isinstance(event, RunStarted):
            for name, why in self._fresh:
                self._write(StepFinished(event.run_id, name, "reused", detail=why))

    def close(self) -> None:
        """Nothing: each line was written when it was told."""

    def _write(self, event: Event) -> None:
        now = dt.datetime.now(dt.UTC).isoformat()
        head = {"schema_version": SCHEMA_VERSION, "event": _NAMES[type(event)], "at": now}
        # A reader that has gone must not stop a run that is being recorded.
        with contextlib.suppress(BrokenPipeError):
            click.echo(json.dumps(head | dataclasses.asdict(event)), file=self._out)


class LogEntries:
    """Logs each event of a run: failures as errors, what went not well as warnings."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("flowstone")

    def planned(self, plan: Plan) -> None:
        """Nothing: the run's first event says as much."""

    def close(self) -> None:
        """Nothing: each entry was logged when it was told."""

    def say(self, text: str) -> None:
        """Log what the program itself has to say."""
        self._log.warning(text)

    def __call__(self, event: Event) -> None:
        """Log it."""
        fields: dict[str, Any] = dataclasses.asdict(event)
        tell = self._log.info
        if isinstance(event, StepFinished) and event.ending == "failed":
            tell = self._log.error
        elif isinstance(event, (StepRetrying, LoopBlocked)):
            tell = self._log.warning
        name = _NAMES[type(event)].replace("_", " ")
        tell(name, **{key: value for key, value in fields.items() if value not in ("", None, ())})
