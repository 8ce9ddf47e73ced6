"""Ctrl-C and SIGTERM: the first ends a run gently, the second now."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flowstone.runner.stopping import Stop

INTERRUPTED, TERMINATED = 130, 143

#: Wrappers (``timeout``, ``uv run``, ``make``) pass on a signal the terminal has sent us already.
_ONE_WISH_S = 0.5
_GENTLY = (
    "interrupted: nothing new begins, what runs is finished and recorded; once more to stop now"
)
_NOW = "interrupted again: what runs is ended, what is done is recorded"


class Terminated(KeyboardInterrupt):
    """SIGTERM: the program ends as it does on Ctrl-C."""


class Interrupts:
    """The handler of SIGINT and SIGTERM: raises, or tells the run that heeds it to stop.

    Signals that follow each other at once mean one wish. ``code`` is the exit code that the first
    one asks for, 0 if there was none.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._last = clock, -_ONE_WISH_S
        self._stop: Stop | None = None
        self._say: Callable[[str], object] = print
        self.code = 0

    def install(self) -> None:
        """Handle the signals of this process, unless it was told to ignore Ctrl-C (``nohup``)."""
        signal.signal(signal.SIGTERM, self)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self)

    @contextlib.contextmanager
    def heeded(self, stop: Stop, say: Callable[[str], object]) -> Iterator[None]:
        """For the time of the block a signal is a wish for ``stop``, and ``say`` answers it.

        The first is to stop gently, the second to stop now; only a third raises.
        """
        self._stop, self._say = stop, say
        try:
            yield
        finally:
            self._stop = None

    def __call__(self, number: int, _frame: object) -> None:
        """Act on a signal, unless it was done just now."""
        before, self._last = self._last, self._clock()
        if self._last - before < _ONE_WISH_S:
            return
        self.code = self.code or (TERMINATED if number == signal.SIGTERM else INTERRUPTED)
        stop = self._stop
        if stop is None or stop.how == "now":
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
        if stop.how is None:
            stop.gently()
            self._say(_GENTLY)
        else:
            stop.now()
            self._say(_NOW)


#: Those of this process.
interrupts = Interrupts()
