"""Every call of the store fails once, and every request to the database."""

from __future__ import annotations

import contextlib
import functools
import inspect
import time
from typing import TYPE_CHECKING, Any

from flowstone.errors import DatabaseUnavailableError
from tests.faults.frame import Fault, Trial
from tests.faults.launcher import replaced
from tests.faults.racing import QUICK
from tests.faults.wire import Wire
from tests.faults.workload import Workload
from tests.faults.world import NOT_OURS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from flowstone.store.postgres import PostgresStore
    from tests.faults.world import World
    from tests.integration.proxy import Loss

SMALL = Workload(layers=3, width=3, seconds=0.0)


class Failing:
    """A store whose n-th call fails: before it does anything, or when all is done."""

    def __init__(self, store: PostgresStore, calls: list[str], number: int, *, after: bool) -> None:
        self._store, self._calls, self._number, self._after = store, calls, number, after

    def __getattr__(self, name: str) -> Any:
        of_store = getattr(self._store, name)
        if name == "journal":
            return self._journal
        if inspect.iscoroutinefunction(of_store):
            return functools.partial(self._call, name, of_store)
        return of_store

    async def _call(self, name: str, function: Any, *arguments: Any, **options: Any) -> Any:
        self._calls.append(name)
        fails = len(self._calls) == self._number
        error = DatabaseUnavailableError(f"{name} was made to fail")
        if fails and not self._after:
            raise error
        result = await function(*arguments, **options)
        if fails:
            raise error
        return result

    @contextlib.asynccontextmanager
    async def _journal(self, run_id: str) -> AsyncIterator[_Session]:
        async with self._store.journal(run_id) as session:
            yield _Session(functools.partial(self._call, "write", session.write))


class _Session:
    def __init__(self, write: Any) -> None:
        self.write = write


def store_calls(world: World) -> Iterator[Trial]:
    """The n-th call of the store fails, for every n a run comes to.

    Leases are short: one that a run does not know of has to run out.
    """
    with replaced(QUICK):
        yield from _store_calls(world)


def _store_calls(world: World) -> Iterator[Trial]:
    for after in (False, True):
        for number in range(1, 100):
            with world.job(SMALL) as job:
                trial = Trial(f"call {number} fails {'after' if after else 'before'}")
                calls: list[str] = []
                between = functools.partial(Failing, calls=calls, number=number, after=after)
                began = time.monotonic()
                _ended(trial, job.run(through=between))
                if len(calls) < number:
                    break
                trial.what += f": {calls[number - 1]}"
                job.make_up(trial, began)
                yield trial


def requests(world: World, every: int = 1) -> Iterator[Trial]:
    """The n-th request or its answer is lost with its connection, for each n a run comes to.

    A run that is under way goes on by itself.
    """
    losses: tuple[Loss, ...] = ("request", "reply")
    for loss in losses:
        for number in range(1, 200, every):
            with world.job(SMALL) as job, Wire(job).opened() as wire:
                trial = Trial(f"request {number}: {loss} lost")
                wire.lose(number, loss)
                began = time.monotonic()
                _ended(trial, job.run(database=wire.conninfo))
                if wire.requests < number:
                    break
                job.make_up(trial, began)
                yield trial


def _ended(trial: Trial, ended: str) -> None:
    """A run may fail, with an error of ours, or get over it."""
    kind, _, rest = ended.partition(":")
    trial.expect(ended != "a hang", "the run hangs")
    trial.expect(kind != NOT_OURS, ended.replace("\n", " "))
    trial.figures["failed"] = bool(rest)
    trial.what += f" ({kind})"


def every_call(world: World, _: int, __: int) -> Iterator[Trial]:
    """Both sweeps."""
    yield from store_calls(world)
    yield from requests(world)


FAULTS = [Fault(35, "n-th call of the store, n-th request fails", every_call, is_sweep=True)]
