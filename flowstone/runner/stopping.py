"""Asking a run to stop: gently, so that what runs is finished first, or now."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

#: How a run is to stop; None is not at all.
How: TypeAlias = Literal["gently", "now"]


class Stop:
    """A wish that a run should stop; any thread may utter it, a signal handler too.

    ``gently`` begins nothing new and finishes what runs; ``now`` ends what runs as well. Either
    way all that is done is recorded. A wish is not taken back, ``now`` comes after ``gently``, and
    a wish that is uttered again says nothing new. ``how`` is the strongest wish so far.
    """

    def __init__(self) -> None:
        # Reentrant: a signal handler may interrupt the thread that holds it.
        self._lock = threading.RLock()
        self._listeners: list[Callable[[How], object]] = []
        self.how: How | None = None

    def gently(self) -> None:
        """Begin nothing new."""
        self._utter("gently")

    def now(self) -> None:
        """End what runs, too."""
        self._utter("now")

    def listen(self, listener: Callable[[How], object]) -> None:
        """Call the listener with each new wish, in whichever thread it is uttered.

        One uttered before is told at once.
        """
        with self._lock:
            self._listeners.append(listener)
            how = self.how
        if how is not None:
            listener(how)

    def forget(self, listener: Callable[[How], object]) -> None:
        """Call the listener no more."""
        with self._lock:
            self._listeners.remove(listener)

    def _utter(self, how: How) -> None:
        with self._lock:
            if self.how in (how, "now"):
                return
            self.how = how
            listeners = tuple(self._listeners)
        for each in listeners:
            each(how)
