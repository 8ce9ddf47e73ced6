"""A run's progress in a notebook: one line of one height, renewed at most four times a second.

It is one display of its own, so that prints and logs of assets do not disturb it. A run that
executes nothing leaves none.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
import time
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from IPython import get_ipython
from IPython.display import DisplayHandle

from flowstone.notebook.markup import COLOURS, block, code, mark, quiet, text
from flowstone.notebook.states import of_outcome
from flowstone.runner.events import (
    DatabaseAway,
    RunFinished,
    RunStarted,
    StepFinished,
    StepRetrying,
    StepStarted,
    StepWaiting,
)
from flowstone.telling.words import counted, duration, outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from flowstone.runner.events import Event, Listener

T = TypeVar("T")

#: Shows a bundle in the place of the one before.
Show: TypeAlias = "Callable[[dict[str, str]], None]"

#: Seconds between two renewals.
PAUSE = 0.25
_NAMES_SHOWN = 3
_WAITS_SHOWN = 2
_BAR = 140
_LINE = "display:flex;align-items:center;gap:8px;height:22px;overflow:hidden;white-space:nowrap"


@contextlib.contextmanager
def shown() -> Iterator[Listener | None]:
    """A listener whose run is shown while it goes on; None where nothing can be renewed."""
    shell = get_ipython()
    if shell is None or not hasattr(shell, "kernel"):
        yield None
        return
    progress = Progress(_Place())
    with progress:
        yield progress


class _Place:
    """The one place in the output of a cell; it exists from the first showing on."""

    def __init__(self) -> None:
        self._handle: Any = None

    def __call__(self, bundle: dict[str, str]) -> None:
        if self._handle is None:
            self._handle = DisplayHandle()  # type: ignore[no-untyped-call]  # IPython leaves it bare
            self._handle.display(bundle, raw=True)
        else:
            self._handle.update(bundle, raw=True)


class Progress:
    """Listens to a run, and shows how far it is for the time of the block."""

    def __init__(self, show: Show, clock: Callable[[], float] = time.monotonic) -> None:
        self._show, self._clock = show, clock
        self._since: dict[str, float] = {}
        self._waits: dict[str, str] = {}
        self._done = self._failed = self._steps = 0
        self._has_run = self._is_shown = False
        self._finished: RunFinished | None = None
        self._ended = threading.Event()
        # With the context of the cell, so that what is shown appears below it.
        renew = contextvars.copy_context().run
        self._thread = threading.Thread(target=renew, args=(self._renew,), daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exc_info: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._has_run and self._finished is not None:
            self._tell(_final(self._finished))
        elif self._is_shown:
            self._tell({"text/html": "", "text/plain": ""})

    def __call__(self, event: Event) -> None:
        """Take in one event; nothing is shown before the next renewal."""
        match event:
            case RunStarted():
                self._steps, self._has_run = event.to_run, event.to_run > 0
            case StepStarted():
                # A new mapping each time: it is read from another thread.
                self._since = {**self._since, event.asset: self._clock()}
                self._waits = _without(self._waits, event.asset)
                self._has_run = True
            case StepWaiting():
                self._waits = {**self._waits, event.asset: f"{event.asset} waits for {event.what}"}
            case StepRetrying():
                self._since = _without(self._since, event.asset)
                again = f"{event.asset} is tried again: {event.detail}"
                self._waits = {**self._waits, event.asset: again}
            case DatabaseAway():
                away = {} if event.is_back else {"": event.what}
                self._waits = away | _without(self._waits, "")
            case StepFinished():
                self._since = _without(self._since, event.asset)
                self._waits = _without(self._waits, event.asset)
                self._done += 1
                self._failed += event.ending in ("failed", "differs")
            case RunFinished():
                self._finished = event

    def line(self) -> dict[str, str]:
        """How far the run is, in HTML and text."""
        steps = max(self._steps, self._done)
        now = self._clock()
        oldest = sorted(self._since.items(), key=lambda item: item[1])
        told = [f"{name} {duration((now - at) * 1000)}" for name, at in oldest[:_NAMES_SHOWN]]
        if len(oldest) > _NAMES_SHOWN:
            told.append(counted(len(oldest) - _NAMES_SHOWN, "other"))
        told += list(self._waits.values())[:_WAITS_SHOWN]
        count = f"{self._done} of {steps}" if steps else "planning"
        failed = f"{self._failed} failed" if self._failed else ""
        plain = "  ".join(filter(None, [count, failed, ", ".join(told)]))
        parts = [_bar(self._done / steps if steps else 0.0), f"<span>{text(count)}</span>"]
        parts += [f'<b style="color:{COLOURS["bad"]}">{text(failed)}</b>'] if failed else []
        parts += [f'<span class="fs-q">{code(", ".join(told))}</span>'] if told else []
        return _bundle("".join(parts), plain)

    def _tell(self, bundle: dict[str, str]) -> None:
        # A front end that has gone must not stop a run that is being recorded.
        with contextlib.suppress(Exception):
            self._show(bundle)

    def _renew(self) -> None:
        while not self._ended.wait(PAUSE):
            self._is_shown = True
            self._tell(self.line())


def _without(known: Mapping[str, T], name: str) -> dict[str, T]:
    """A mapping of its own: the one before is perhaps read by another thread."""
    return {each: value for each, value in known.items() if each != name}


def _bar(part: float) -> str:
    filled = min(max(part, 0.0), 1.0) * _BAR
    return (
        f'<svg width="{_BAR}" height="8" aria-hidden="true" style="flex:none">'
        f'<rect width="{_BAR}" height="8" rx="4" fill="currentColor" fill-opacity=".15"/>'
        f'<rect width="{filled:.0f}" height="8" rx="4" fill="{COLOURS["new"]}"/></svg>'
    )


def _final(finished: RunFinished) -> dict[str, str]:
    told = outcome(finished)
    state = of_outcome(finished.status, told)
    return _bundle(f"{mark(state)}{quiet(f'run {finished.run_id}')}", f"{state.mark} {told}")


def _bundle(line: str, plain: str) -> dict[str, str]:
    html = block(f'<div style="{_LINE}">{line}</div>', label=plain)
    return {"text/html": html, "text/plain": plain}
