"""The thread that keeps a run's lease, however busy its event loop is."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg import sql

from flowstone.store.base import BEAT_SECONDS, CAUTION_SECONDS, LEASE_SECONDS
from flowstone.store.process import here
from flowstone.store.run_queries import CHANNEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg.abc import PQGen

    from flowstone.store.base import Told
    from flowstone.store.run_queries import RunQueries

T = TypeVar("T")

#: Seconds a run lives before its heart has a connection: most need none.
QUIET_SECONDS = 1.0
_AGAIN_SECONDS = 1.0
# A link that went dead, or is frozen, must be noticed before the lease has run out.
ANSWER_SECONDS = 8.0
# Laptops sleep: a clock that stands still meanwhile would trust a lease that has run out.
_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def ticking() -> float:
    """Seconds on a clock that is never set, and goes on while the machine sleeps."""
    return time.clock_gettime(_CLOCK)


class StillHeart:
    """The ``Heart`` of a run in a transaction that nobody else sees: nobody takes it for dead."""

    trusted = True

    def stop(self) -> None:
        """Do nothing."""


class PostgresHeart:
    """A ``Heart`` with a thread and a connection of its own.

    ``asked`` is when the lease was asked for, on the clock of ``ticking``.
    """

    def __init__(
        self,
        conninfo: str,
        queries: RunQueries,
        run_id: str,
        told: Callable[[Told], None],
        asked: float,
    ) -> None:
        self._conninfo, self._queries, self._run_id = conninfo, queries, run_id
        self._told, self._asked = told, asked
        self._lost = self._cancelled = False
        self._wake, self._waker = socket.socketpair()
        self._stopped = threading.Event()
        name = f"flowstone heart of {run_id}"
        threading.Thread(target=self._live, name=name, daemon=True).start()

    @property
    def trusted(self) -> bool:
        """Whether the lease is surely ours for some seconds yet."""
        return not self._lost and ticking() < self._asked + LEASE_SECONDS - CAUTION_SECONDS

    def stop(self) -> None:
        """Beat no more; the thread ends by itself."""
        self._stopped.set()
        self._waker.close()
        here.ended(self._run_id)

    def _live(self) -> None:
        with self._wake:
            self._stopped.wait(QUIET_SECONDS)
            while not self._stopped.is_set():
                with contextlib.suppress(psycopg.Error, OSError):
                    self._beat_on()
                self._stopped.wait(_AGAIN_SECONDS)

    def _beat_on(self) -> None:
        """Beat over one connection, until it breaks or the run is over."""
        with _Impatient.connect(
            self._conninfo,
            autocommit=True,
            prepare_threshold=None,
            connect_timeout=5,
            tcp_user_timeout=int(ANSWER_SECONDS * 1000),
        ) as conn:
            if _is_direct(conn):  # else renewing the lease tells
                conn.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
            while not self._stopped.is_set() and self._renew(conn):
                self._pause(conn)

    def _renew(self, conn: psycopg.Connection[Any]) -> bool:
        """Renew the lease, once; whether there is one."""
        asked = ticking()
        row = conn.execute(self._queries.renew_lease, [LEASE_SECONDS, self._run_id]).fetchone()
        if row is None:
            if not self._stopped.is_set():
                self._lost = True
                self._told("lost")
            self._stopped.set()
            return False
        self._asked = asked
        if row[0] and not self._cancelled:
            self._cancelled = True
            self._told("cancel")
        return True

    def _pause(self, conn: psycopg.Connection[Any]) -> None:
        """Wait for the next beat, or for word that the run is asked to stop."""
        until = time.monotonic() + BEAT_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(conn, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            while not self._stopped.is_set() and (left := until - time.monotonic()) > 0:
                ready = {key.fileobj for key, _ in selector.select(left)}
                if conn in ready and self._is_called(conn):
                    return

    def _is_called(self, conn: psycopg.Connection[Any]) -> bool:
        return any(note.payload == self._run_id for note in conn.notifies(timeout=0))


class _Impatient(psycopg.Connection[Any]):
    """A connection whose every answer must come in time: the driver itself waits for ever."""

    def wait(self, gen: PQGen[T], *how: Any, **further: Any) -> T:
        return super().wait(_limited(gen, time.monotonic() + ANSWER_SECONDS), *how, **further)


def _limited(gen: PQGen[T], until: float) -> PQGen[T]:
    """What the driver waits for, as long as it may take; it looks up every tenth of a second."""
    ready: Any = None
    while True:
        try:
            waits_for = gen.send(ready)
        except StopIteration as ended:
            result: T = ended.value
            return result
        ready = yield waits_for
        if time.monotonic() > until:
            msg = f"nothing heard for {ANSWER_SECONDS:.0f} s"
            raise psycopg.OperationalError(msg)


def _is_direct(conn: psycopg.Connection[Any]) -> bool:
    """Whether the server itself is at the other end, not a pooler: what is heard there is lost."""
    row = conn.execute("SELECT pg_backend_pid()").fetchone()
    return row is not None and row[0] == conn.info.backend_pid
