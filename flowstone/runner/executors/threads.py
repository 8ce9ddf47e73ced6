"""Functions called in threads of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.log import keeping
from flowstone.runner.executors.crew import Crew
from flowstone.runner.step import call_sync

if TYPE_CHECKING:
    from flowstone.runner.executors.base import Job
    from flowstone.runner.step import Awaited, Outcome

#: Jobs taken beyond those that run: enough that threads and loop meet seldom when calls are short.
AHEAD = 64


class Threads(Crew):
    """Calls functions in up to ``size`` daemon threads, which are started when they are needed.

    A call whose time is out can't be stopped: its thread is left to itself, another takes its
    place, and its result is not taken. What a function returns to be awaited is awaited on the
    loop.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size, _Here, name="flowstone", ahead=AHEAD)


class _Here:
    """Calls in the very thread."""

    ready = True

    def prepare(self) -> None:
        """There is nothing to prepare."""

    def call(self, job: Job) -> Outcome | Awaited:
        """Call the function."""
        # the context is the job's own; what is to be awaited goes on in it
        keeping.set(job.output)
        return call_sync(job.assets, job.arguments, job.values)

    def stop(self) -> bool:
        """No thread can be stopped."""
        return False

    def close(self) -> None:
        """There is nothing to close."""
