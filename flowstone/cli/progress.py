"""A run as a person follows it: a line for every asset that ends, then what failed, then counts."""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from flowstone.runner.events import (
    DatabaseAway,
    LoopBlocked,
    RunFinished,
    StepFinished,
    StepRetrying,
    StepStarted,
    StepWaiting,
)
from flowstone.telling.frames import shown
from flowstone.telling.tables import ENDINGS
from flowstone.telling.words import ago, counted, duration, outcome, printable, relative, up_to_date

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from flowstone.core.plan import Plan
    from flowstone.runner.events import Ending, Event

_NAME_WIDTH = 40
_FRESH_SHOWN = 3
_CANCELLED_SHOWN = 3
_FAILURES_SHOWN = 10


class Line(NamedTuple):
    """One line: how the asset ended (None for other text), its name, duration, and the rest."""

    ending: Ending | None
    name: str
    time: str = ""
    rest: str = ""

    def plain(self) -> str:
        """The line without colours."""
        head = f"{ENDINGS[self.ending]} {self.name}" if self.ending else self.name
        return f"{head}  {self.time:>7}  {self.rest}".rstrip()


class Screen(Protocol):
    """Where lines go."""

    def line(self, line: Line) -> None:
        """Show a line for good."""

    def running(self, since: Mapping[str, float], done: int, steps: int) -> None:
        """What runs now, and since when on the monotonic clock; how many of the steps are done."""


class PlainScreen:
    """Writes lines one after the other, without colours and without a status line."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write

    def line(self, line: Line) -> None:
        """Write it."""
        self._write(line.plain())

    def running(self, since: Mapping[str, float], done: int, steps: int) -> None:
        """Nothing: what is written stays."""


@dataclass(frozen=True, slots=True)
class View:
    """How much a person wants to see: ``folder`` is the one paths are told from."""

    folder: Path
    verbose: bool = False
    quiet: bool = False


class Progress:
    """Listens to a run and puts it on a screen; quiet, it tells failures only."""

    def __init__(self, screen: Screen, view: View) -> None:
        self._screen, self._view = screen, view
        self._plan: Plan | None = None
        self._width = 0
        self._since: dict[str, float] = {}
        self._endings: dict[str, Ending] = {}
        self._failed: list[StepFinished] = []
        self._finished: RunFinished | None = None
        #: For which a step has waited: one line for each, however many wait.
        self._pools: set[str] = set()

    def planned(self, plan: Plan) -> None:
        """Tell what is fresh already."""
        self._plan = plan
        now = dt.datetime.now(dt.UTC)
        told = [s.name for s in plan if s.action != "reuse" or s.origin or self._view.verbose]
        self._width = min(max(map(len, told), default=0), _NAME_WIDTH)
        fresh = [] if plan.request.verify else [step for step in plan if step.action == "reuse"]
        for step in plan.moved if fresh else ():
            self._show(self._line("reused", step.name, None, step.why))
        fresh = [step for step in fresh if not step.origin]
        if len(fresh) == len(plan) and not self._view.verbose:
            return
        if len(fresh) > _FRESH_SHOWN and not self._view.verbose:
            self._show(Line("reused", up_to_date(len(fresh))))
            return
        self._width = max(self._width, *(min(len(s.name), _NAME_WIDTH) for s in plan))
        for step in fresh:
            made = step.current and step.current.completed_at
            rest = f"up to date ({ago(made, now)})" if made else "up to date"
            self._show(self._line("reused", step.name, None, rest))

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        if isinstance(event, StepStarted):
            # A new mapping each time: the screen reads it from another thread.
            self._since = {**self._since, event.asset: time.monotonic()}
        if isinstance(event, (StepFinished, StepRetrying)):
            self._since = {n: at for n, at in self._since.items() if n != event.asset}
        if isinstance(event, StepFinished):
            self._endings[event.asset] = event.ending
        if self._plan is not None:
            fresh = 0 if self._plan.request.verify else self._plan.counts["reuse"]
            steps = len(self._plan) - fresh
            self._screen.running(self._since, len(self._endings), steps)
        if isinstance(event, StepFinished):
            self._step(event)
        elif isinstance(event, RunFinished):
            self._finished = event
        elif not self._view.quiet and (told := self._remark(event)):
            self._text(self._clean(told))

    def say(self, text: str) -> None:
        """Show what the program itself has to say, above all that moves."""
        self._text(text)

    def close(self) -> None:
        """The run is over, however it ended: what failed, then the counts."""
        alike: dict[tuple[str, ...], list[StepFinished]] = {}
        for event in self._failed:
            alike.setdefault(self._what(event), []).append(event)
        failures = list(alike.values())
        for each in failures[:_FAILURES_SHOWN]:
            self._failure(each)
        if len(failures) > _FAILURES_SHOWN:
            more = counted(len(failures) - _FAILURES_SHOWN, "more failure")
            self._text(f"error: {more}; all of them are recorded")
        if self._finished is not None and not self._view.quiet:
            if self._failed:
                self._text("")
            self._text(self._summary(self._finished))

    def _remark(self, event: Event) -> str:
        """What a person wants to know while a step goes on."""
        match event:
            case StepRetrying():
                failed = f"{event.asset}: attempt {event.attempt} failed: {event.detail}"
                return f"retry: {failed}; again in {duration(event.delay * 1000)}"
            case StepWaiting() if self._view.verbose or event.pool not in self._pools:
                self._pools |= {event.pool} if event.pool else set()
                return f"waiting: {event.asset} for {event.what}"
            case DatabaseAway():
                return event.what if event.is_back else f"waiting: {event.what}"
            case LoopBlocked():
                long = duration(event.seconds * 1000)
                return (
                    f"warning: {event.asset} has kept the event loop busy for {long}: nothing else"
                    f" goes on meanwhile; write it as a plain function, or await"
                )
        return ""

    def _step(self, event: StepFinished) -> None:
        if event.ending in ("failed", "differs"):
            self._failed.append(event)
        if event.ending == "cancelled":
            cancelled = sum(ending == "cancelled" for ending in self._endings.values())
            if cancelled > _CANCELLED_SHOWN and not self._view.verbose:
                return
        rest = {
            "skipped": f"skipped: {event.detail}",
            "cancelled": "cancelled",
            "reused": event.detail or "its inputs came out the same",
            "verified": "gives the same value",
        }.get(event.ending, event.detail)
        self._show(self._line(event.ending, event.asset, event.duration_ms, rest))

    def _line(self, ending: Ending, name: str, milliseconds: float | None, rest: str) -> Line:
        shown_time = "" if milliseconds is None else duration(milliseconds)
        return Line(ending, f"{name:<{self._width}}", shown_time, self._clean(rest))

    def _what(self, event: StepFinished) -> tuple[str, ...]:
        """What failed: a call, which may have made several assets."""
        asset = self._plan.request.graph[event.asset] if self._plan is not None else None
        name = asset.maker.name if asset is not None and asset.maker is not None else event.asset
        return name, event.ending, event.detail, event.traceback

    def _failure(self, events: Sequence[StepFinished]) -> None:
        self._text("")
        event, names = events[0], " and ".join(each.asset for each in events)
        what = "failed" if event.ending == "failed" else "is not deterministic"
        self._text(f"error: {names} {what}: {self._clean(event.detail)}")
        lines = shown(event.traceback, everything=self._view.verbose)
        if not any(line.startswith("  ") for line in lines) and self._plan is not None:
            place = self._plan.request.graph[event.asset].place
            lines += [f"  {place}"] if place else []
        for line in lines:
            self._text(self._clean(line))

    def _summary(self, finished: RunFinished) -> str:
        run = f"run {finished.run_id}"
        counts = finished.counts
        if set(counts) <= {"reused"} and not self._endings:
            moved = len(self._plan.moved) if self._plan is not None else 0
            history = f", {moved} of them from history" if moved else ""
            return f"nothing to do: {up_to_date(counts.get('reused', 0))}{history}  {run}"
        return f"{outcome(finished)}  {run}"

    def _show(self, line: Line) -> None:
        if not self._view.quiet:
            self._screen.line(line)

    def _text(self, text: str) -> None:
        self._screen.line(Line(None, text))

    def _clean(self, text: str) -> str:
        return relative(printable(text), self._view.folder)
