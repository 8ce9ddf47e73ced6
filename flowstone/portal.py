"""The default connection on a thread of ours: what makes calls work in scripts and notebooks.

A notebook's own event loop is running already, so nothing can be run on it and waited for. The
thread is a daemon, and so are the threads it starts: a function that never returns does not keep
the program from ending.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from typing import TYPE_CHECKING, Any, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal

from flowstone.api import Flowstone, RunResult
from flowstone.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Future

    from flowstone.core.plan import Plan

T = TypeVar("T")


class _Default:
    """One open connection, made anew when the settings are other ones than before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()
        self._portal: BlockingPortal | None = None
        self._open: tuple[Settings, Flowstone] | None = None

    def submit(self, work: Callable[[Flowstone], Awaitable[T]]) -> Future[T]:
        """Begin ``work`` on our thread, with the connection the settings of now ask for."""
        with self._lock:
            settings = Settings.load()
            if self._portal is None:
                self._portal = self._stack.enter_context(start_blocking_portal(name="flowstone"))
            if self._open is None or self._open[0] != settings:
                self._close_connection(self._portal)
                opened = Flowstone()
                self._portal.call(opened.__aenter__)
                self._open = (settings, opened)
            fs = self._open[1]

            async def run() -> T:
                return await work(fs)

            return self._portal.start_task_soon(run)

    def close(self) -> None:
        """Close the connection and end the thread; the next call opens both again."""
        with self._lock:
            if self._portal is not None:
                self._close_connection(self._portal)
                self._stack.close()
                self._portal = None

    def _close_connection(self, portal: BlockingPortal) -> None:
        if self._open is not None:
            opened, self._open = self._open[1], None
            portal.call(opened.__aexit__, None, None, None)


_default = _Default()


def _forget() -> None:
    """After a fork the thread exists in the parent only."""
    global _default  # noqa: PLW0603 - the one default there is
    _default = _Default()


os.register_at_fork(after_in_child=_forget)


def call(work: Callable[[Flowstone], Awaitable[T]]) -> T:
    """Run ``work`` on the default connection and wait for it.

    Being interrupted (Ctrl-C, a notebook's stop button), it cancels the work, waits until what
    was done is recorded, and lets the interrupt through; a second interrupt does not wait.
    """
    future = _default.submit(work)
    try:
        return future.result()
    except BaseException:
        if future.cancel() or not future.done():
            with contextlib.suppress(BaseException):
                _settled(future)
        raise


def _settled(future: Future[Any]) -> None:
    """Wait for the end of a task that was cancelled: its future is done before it is."""
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    done.wait()
    close()


def close() -> None:
    """Close the default connection; the next call opens it again."""
    _default.close()


atexit.register(close)


def materialize(*targets: Any, **options: Any) -> RunResult:
    """Make the targets and all they need that is not fresh, and record it.

    Works in scripts and in notebook cells alike; arguments, result and errors are those of
    :meth:`flowstone.Flowstone.materialize`, on the default connection.
    """
    return call(lambda fs: fs.materialize(*targets, **options))


async def materialize_async(*targets: Any, **options: Any) -> RunResult:
    """:func:`materialize` for coroutines: the same engine, awaited."""
    return await asyncio.wrap_future(
        _default.submit(lambda fs: fs.materialize(*targets, **options))
    )


def plan(*targets: Any, **options: Any) -> Plan:
    """What :func:`materialize` would do with the same arguments, and why; nothing runs."""
    return call(lambda fs: fs.plan(*targets, **options))
