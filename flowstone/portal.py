"""The default connection on a thread of ours: what makes calls work in scripts and notebooks.

A notebook's own event loop is running already, so nothing can be run on it and waited for. The
thread is a daemon, and so are the threads it starts: a function that never returns does not keep
the program from ending.

Errors of ours are raised here without the frames they went through; IPython leaves out the
frames of this module too (``__tracebackhide__``).
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import inspect
import os
import sys
import threading
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from flowstone.api import Flowstone
from flowstone.errors import DatabaseUnavailableError, FlowstoneError
from flowstone.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator
    from concurrent.futures import Future

P = ParamSpec("P")
T = TypeVar("T")

#: Seconds after which a loop that waits for our thread wakes up to see whether it is interrupted.
_NAP = 0.25

F = TypeVar("F", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class _Job(Generic[T]):
    """Work under way on our thread. A cancelled future is done before its task has ended."""

    future: Future[T]
    ended: threading.Event

    def stop(self) -> None:
        """Cancel the work and wait until it has ended."""
        self.future.cancel()
        self.ended.wait()


class _Portal:
    """The thread, and the connections open on it, one for each settings in use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stack = contextlib.ExitStack()
        self._portal: BlockingPortal | None = None
        self._thread = 0
        self._opening = anyio.Lock()
        self._open: dict[Settings, Flowstone] = {}
        self._retired: list[Flowstone] = []

    def submit(self, work: Callable[[Flowstone], Awaitable[T]], **settings: Any) -> _Job[T]:
        """Begin ``work`` with the connection that the settings of now ask for."""
        wanted = Settings.load(**settings)
        ended = threading.Event()

        async def run() -> T:
            try:
                return await self._work(work, wanted)
            finally:
                ended.set()

        with self._lock:
            if self._portal is None:
                self._portal = self._stack.enter_context(start_blocking_portal(name="flowstone"))
                self._thread = self._portal.call(threading.get_ident)
            return _Job(self._portal.start_task_soon(run), ended)

    @property
    def is_here(self) -> bool:
        """Whether this is the portal's own thread: inside an async asset."""
        return self._thread == threading.get_ident()

    def has_open(self, settings: Settings) -> bool:
        """Whether a connection with these settings is open."""
        return settings in self._open

    async def run_here(self, work: Callable[[Flowstone], Awaitable[T]], **settings: Any) -> T:
        """Do ``work`` on the loop that runs already, the portal's own."""
        return await self._work(work, Settings.load(**settings))

    def close(self) -> None:
        """Close the connections and end the thread; the next call begins anew."""
        with self._lock:
            if self._portal is not None:
                self._portal.call(self._close_all)
                self._stack.close()
                self._portal, self._thread = None, 0

    async def _opened(self, settings: Settings) -> Flowstone:
        async with self._opening:
            if settings not in self._open:
                self._open[settings] = await Flowstone.of(settings).__aenter__()
            return self._open[settings]

    async def _work(self, work: Callable[[Flowstone], Awaitable[T]], settings: Settings) -> T:
        opened = await self._opened(settings)
        try:
            return await work(opened)
        except DatabaseUnavailableError:
            # The next call starts a server that died anew. Not closed: others may be at work on it.
            if self._open.get(settings) is opened:
                self._retired.append(self._open.pop(settings))
            raise

    async def _close_all(self) -> None:
        self._retired += self._open.values()
        self._open.clear()
        while self._retired:
            await self._retired.pop().__aexit__(None, None, None)


_portal = _Portal()


def _forget() -> None:
    """After a fork the thread exists in the parent only."""
    global _portal  # noqa: PLW0603 - the one there is
    _portal = _Portal()


os.register_at_fork(after_in_child=_forget)


def call(work: Callable[[Flowstone], Awaitable[T]], **settings: Any) -> T:
    """Run ``work`` on our thread, with an open connection, and wait for it.

    Being interrupted (Ctrl-C, a notebook's stop button), it cancels the work, waits until what
    was done is recorded, and lets the interrupt through; a second interrupt does not wait.
    """
    __tracebackhide__ = True
    if _portal.is_here:
        msg = "an async asset would wait for itself here; use: await materialize_async(...)"
        raise FlowstoneError(msg)
    job = _portal.submit(work, **settings)
    try:
        return job.future.result()
    except FlowstoneError as error:
        raise error.with_traceback(None)  # noqa: B904 - its cause is the user's own exception
    except BaseException:
        job.stop()
        raise


def glance(work: Callable[[Flowstone], Awaitable[T]], seconds: float) -> T | None:
    """What ``work`` gives on the default connection, if that is open and answers in time.

    For displays: it opens no connection, starts no server, raises nothing and gives None instead.
    """
    with contextlib.suppress(Exception):
        if not _portal.is_here and _portal.has_open(Settings.load()):
            job = _portal.submit(work)
            try:
                return job.future.result(seconds)
            finally:
                job.future.cancel()
    return None


@contextlib.contextmanager
def _shortened() -> Iterator[None]:
    """Have IPython show an interrupt as one line, and an error of ours without our frames."""
    __tracebackhide__ = True
    try:
        yield
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        vars(error)["_render_traceback_"] = lambda: [_INTERRUPTED]
        raise
    except FlowstoneError as error:
        if "IPython" in sys.modules:
            module = import_module("flowstone.notebook.tracebacks")
            vars(error)["_render_traceback_"] = functools.partial(module.brief, error)
        raise


_INTERRUPTED = "interrupted: the work was cancelled, and what had been made is recorded"


@contextlib.contextmanager
def _followed(arguments: dict[str, Any]) -> Iterator[None]:
    """In a notebook, a run that nobody listens to shows its progress."""
    if arguments.get("on_event") is None and "ipykernel" in sys.modules:
        # By name: the arrows between our modules point the other way.
        with import_module("flowstone.notebook.progress").shown() as listener:
            arguments["on_event"] = listener
            yield
    else:
        yield


def close() -> None:
    """Close the default connections; the next call opens what it needs again."""
    _portal.close()


atexit.register(close)


def _blocking(
    method: Callable[Concatenate[Flowstone, P], Awaitable[T]], *, is_run: bool = False
) -> Callable[P, T]:
    """A method of the connection as a function that waits, with the same parameters."""

    def blocking(*args: P.args, **kwargs: P.kwargs) -> T:
        __tracebackhide__ = True
        with _shortened(), _followed(kwargs) if is_run else contextlib.nullcontext():
            return call(lambda fs: method(fs, *args, **kwargs))

    return _like(method, blocking)


def _awaiting(
    method: Callable[Concatenate[Flowstone, P], Awaitable[T]],
) -> Callable[P, Coroutine[Any, Any, T]]:
    """A method of the connection as a coroutine function, with the same parameters."""

    async def awaiting(*args: P.args, **kwargs: P.kwargs) -> T:
        __tracebackhide__ = True
        if _portal.is_here:
            return await _portal.run_here(lambda fs: method(fs, *args, **kwargs))
        with _shortened(), _followed(kwargs):
            job = _portal.submit(lambda fs: method(fs, *args, **kwargs))
            try:
                return await _waited(job.future)
            except FlowstoneError as error:
                raise error.with_traceback(None)  # noqa: B904 - its cause is the user's exception
            except asyncio.CancelledError:
                await asyncio.to_thread(job.stop)
                raise

    return _like(method, awaiting)


async def _waited(future: Future[T]) -> T:
    """The result of work on our thread; being cancelled leaves the work alone.

    ipykernel notices its stop button only when the loop it shares with us wakes up by itself.
    """
    waiting = asyncio.wrap_future(future)
    while not waiting.done():
        await asyncio.wait([waiting], timeout=_NAP)
    return waiting.result()


def _like(method: Callable[..., Any], function: F) -> F:
    """Give a function the documentation and the parameters of a method."""
    signature = inspect.signature(method)
    parameters = list(signature.parameters.values())[1:]
    function.__doc__ = method.__doc__
    function.__name__ = function.__qualname__ = method.__name__
    function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # functions take attributes
    return function


materialize = _blocking(Flowstone.materialize, is_run=True)
"""``Flowstone.materialize`` on a connection of the settings of now, in scripts and notebooks."""

materialize_async = _awaiting(Flowstone.materialize)
"""``materialize`` for coroutines: the same engine, awaited."""

resume = _blocking(Flowstone.resume, is_run=True)
"""Ask again for what a recorded run was asked for."""

plan = _blocking(Flowstone.plan)
"""What ``materialize`` would do with the same arguments, and why; nothing runs."""

why = _blocking(Flowstone.why)
"""Why an asset would run, or ran in a recorded run, down to the root."""

accept = _blocking(Flowstone.accept)
"""Let current versions stand for the code, inputs and config of now."""

invalidate = _blocking(Flowstone.invalidate)
"""Never reuse what is recorded so far."""
