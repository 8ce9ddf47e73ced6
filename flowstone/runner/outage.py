"""A run whose database does not answer waits for it, says so, and can be told to stop waiting."""

from __future__ import annotations

import contextlib
import functools
import math
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio

from flowstone.errors import DatabaseUnavailableError
from flowstone.runner.events import DatabaseAway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from flowstone.runner.events import Listener
    from flowstone.store.base import JournalSession, MaterializationStore

T = TypeVar("T")

#: Seconds without an answer after which a run says that it waits; then after twice as long.
TELL_SECONDS = 10.0
_TELL_AGAIN_SECONDS = 600.0
#: Seconds that a run which is to stop leaves a database that was away already.
LAST_SECONDS = 5.0
# A store asks for some seconds itself before it gives up.
_PAUSE_SECONDS = 0.5


class Outage:
    """How long a run waits for its database: each call, until ``patience`` seconds are over."""

    def __init__(self, run_id: str, patience: float, tell: Listener) -> None:
        self._run_id, self._patience, self._tell = run_id, patience, tell
        self._asked: dict[anyio.CancelScope, float] = {}
        self._tell_after = TELL_SECONDS
        self._hurried = anyio.Event()

    async def over(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What is asked for, which may be asked for again and again.

        Raises:
            DatabaseUnavailableError: if the database stayed away for too long, or until the run
                was told to stop.
        """
        began = anyio.current_time()
        with anyio.CancelScope() as scope:
            self._asked[scope] = began
            try:
                answer = await self._insist(ask, began + self._patience)
            finally:
                del self._asked[scope]
            self._answered(began)
            return answer
        msg = "the run was told to stop while the database did not answer; what is recorded stays"
        raise DatabaseUnavailableError(msg)

    async def _insist(self, ask: Callable[[], Awaitable[T]], until: float) -> T:
        while True:
            try:
                return await ask()
            except DatabaseUnavailableError:
                if self._hurried.is_set() or anyio.current_time() >= until:
                    raise
            self.look()
            with anyio.move_on_after(_PAUSE_SECONDS):
                await self._hurried.wait()

    def look(self) -> None:
        """Say so if the database has not answered for long."""
        waited = self._waited
        if waited >= self._tell_after:
            self._tell_after = min(2 * waited, waited + _TELL_AGAIN_SECONDS)
            self._tell(DatabaseAway(self._run_id, waited))

    def hurry(self) -> None:
        """Wait no longer: the run is to stop."""
        self._hurried.set()
        if self._is_away:
            last = anyio.current_time() + LAST_SECONDS
            for scope in self._asked:
                scope.deadline = min(scope.deadline, last)

    @property
    def _waited(self) -> float:
        return anyio.current_time() - min(self._asked.values(), default=math.inf)

    @property
    def _is_away(self) -> bool:
        return self._tell_after > TELL_SECONDS

    def _answered(self, began: float) -> None:
        if self._is_away and self._waited < TELL_SECONDS:
            self._tell_after = TELL_SECONDS
            waited = anyio.current_time() - began
            self._tell(DatabaseAway(self._run_id, waited, is_back=True))


def patient(store: MaterializationStore, outage: Outage) -> MaterializationStore:
    """The store of a run that has begun: all it is asked for is asked for until it answers.

    Only what may be asked for again is to be asked of it: a run does nothing else.
    """
    return cast("MaterializationStore", _Patient(store, outage))


class _Patient:
    def __init__(self, store: MaterializationStore, outage: Outage) -> None:
        self._store, self._outage = store, outage
        self.conninfo, self.heart = store.conninfo, store.heart

    def __getattr__(self, verb: str) -> Callable[..., Awaitable[Any]]:
        ask = getattr(self._store, verb)

        async def insist(*args: Any, **kwargs: Any) -> Any:
            return await self._outage.over(functools.partial(ask, *args, **kwargs))

        return insist

    @contextlib.asynccontextmanager
    async def journal(self, run_id: str) -> AsyncIterator[JournalSession]:
        async with self._store.journal(run_id) as session:
            yield _PatientSession(session, self._outage)


class _PatientSession:
    def __init__(self, session: JournalSession, outage: Outage) -> None:
        self._session, self._outage = session, outage

    async def write(self, *batch: Any) -> None:
        await self._outage.over(functools.partial(self._session.write, *batch))
