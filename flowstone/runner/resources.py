"""The resources of a run: each opened once, before its first use, and closed when the run ends.

A resource has a task of its own that opens it and closes it, and one that is not async a thread
of its own within that: cancel scopes, context variables and objects bound to a thread end where
they began.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio import from_thread

from flowstone.core.resources import is_manager
from flowstone.errors import ResourceError
from flowstone.runner.failure import describe
from flowstone.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from anyio.abc import TaskGroup

    from flowstone.core.resources import Provider

T = TypeVar("T")

#: Seconds that a run which is being cancelled waits for its resources to close, all together.
CLOSING_SECONDS = 10.0

_CLOSED = object()


class Resources:
    """The resources of one run. Leaving the block closes them, the last opened first.

    What can't be closed is added to ``unclosed``, which is not raised here.
    """

    def __init__(self, providers: Mapping[str, Provider], unclosed: list[ResourceError]) -> None:
        self._providers, self._unclosed = providers, unclosed
        self._kept: dict[str, _Kept] = {}
        self._opened: list[_Kept] = []
        self._tasks: TaskGroup

    async def __aenter__(self) -> None:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        try:
            await self._close()
        finally:
            self._unclosed += [each.unclosed for each in self._kept.values() if each.unclosed]
            suppressed = await self._tasks.__aexit__(kind, error, trace)
        return suppressed

    async def of(self, names: Iterable[str]) -> dict[str, Any]:
        """The objects by name; what is not open yet is opened, once.

        Raises:
            ResourceError: if one can't be opened; it is not tried again.
        """
        return {name: await self._one(name) for name in names}

    async def _one(self, name: str) -> Any:
        kept = self._kept.get(name)
        if kept is None:
            kept = self._kept[name] = _Kept(self._providers[name], self._opened.append)
            self._tasks.start_soon(kept.live, self.of)
        await kept.decided.wait()
        if kept.failed is not None:
            # Each of those who wait raises one of its own: raising adds to a traceback.
            raise ResourceError(str(kept.failed)) from kept.failed.__cause__
        return kept.value

    async def _close(self) -> None:
        try:
            await self._end_all()
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(CLOSING_SECONDS, shield=True):
                await self._end_all()
            for each in self._kept.values():
                each.leave()
            raise

    async def _end_all(self) -> None:
        opening = [each for each in self._kept.values() if each not in self._opened]
        for each in [*opening, *reversed(self._opened)]:
            each.end()
            await each.ended.wait()


class _Kept:
    """One resource, from its opening to its end."""

    def __init__(self, provider: Provider, opened: Callable[[_Kept], None]) -> None:
        self._provider, self._tell = provider, opened
        self._scope = anyio.CancelScope(shield=True)
        self._end = anyio.Event()
        self._end_in_thread = threading.Event()
        self._in_thread = False
        #: Set when it is open, or can't be opened.
        self.decided = anyio.Event()
        self.ended = anyio.Event()
        self.value: Any = None
        self.failed: ResourceError | None = None
        self.unclosed: ResourceError | None = None

    async def live(self, others: Callable[[Iterable[str]], Any]) -> None:
        """Open it, wait for the run's end, close it; nothing is raised."""
        with self._scope:
            try:
                await self._hold(await others(self._provider.needs))
            except BaseException as error:
                if self._scope.cancel_called and _is_cancelled(error):
                    raise
                self._fail(error)
            finally:
                self._end_in_thread.set()  # however this task ended, its thread goes on
        self.decided.set()
        self.ended.set()

    def end(self) -> None:
        """Close it; what is being opened on the loop is given up."""
        self._end.set()
        self._end_in_thread.set()
        if not self.decided.is_set() and not self._in_thread:
            self._scope.cancel()

    def leave(self) -> None:
        """Wait for it no longer, if it has not ended yet."""
        if not self.ended.is_set():
            self._scope.cancel()
            seconds = f"{CLOSING_SECONDS:.0f} seconds"
            msg = f"resource {self._provider.name!r} was not closed within {seconds}; it is left"
            self.unclosed = ResourceError(msg)

    async def _hold(self, needs: Mapping[str, Any]) -> None:
        provider = self._provider.make
        make = functools.partial(_made, provider, needs)
        if _belongs_to_loop(provider):
            made = make()
        else:
            made = await self._thread(lambda: self._hold_here(make(), provider))
        if inspect.isawaitable(made) and not _is_scope(made, provider):
            made = await made
            if _is_scope(made, provider) and not _is_async(made):
                made = await self._thread(lambda: self._hold_here(made, provider))
        if made is _CLOSED or self._end.is_set():
            return
        if not _is_scope(made, provider):
            self._open(made)
            return
        async with made as value:
            self._open(value)
            await self._end.wait()

    def _hold_here(self, made: Any, provider: Any) -> Any:
        """Open and close it in this thread, if that is how it is done; else it is given back."""
        if not _is_scope(made, provider) or _is_async(made):
            return made
        with made as value:
            from_thread.run_sync(self._open, value)
            self._end_in_thread.wait()
        return _CLOSED

    async def _thread(self, work: Callable[[], T]) -> T:
        self._in_thread = True
        try:
            return await in_thread(work)
        finally:
            self._in_thread = False

    def _open(self, value: Any) -> None:
        self.value = value
        self._tell(self)
        self.decided.set()

    def _fail(self, error: BaseException) -> None:
        name = self._provider.name
        is_open = self.decided.is_set()
        if isinstance(error, ResourceError) and not is_open:  # of what it needs
            told, cause = f"resource {name!r} can't be opened: {error}", error.__cause__
        else:
            act = "closed" if is_open else "opened"
            told, cause = f"resource {name!r} can't be {act}: {describe(error).line}", error
        failure = ResourceError(told)
        failure.__cause__ = cause
        if is_open:
            self.unclosed = failure
        else:
            self.failed = failure


def _made(provider: Any, needs: Mapping[str, Any]) -> Any:
    """What a provider gives when it is called; a generator function as the scope it stands for."""
    if not isinstance(provider, type) and is_manager(provider):
        return provider
    if inspect.isasyncgenfunction(provider):
        return contextlib.asynccontextmanager(provider)(**needs)
    if inspect.isgeneratorfunction(provider):
        return contextlib.contextmanager(provider)(**needs)
    return provider(**needs)


def _belongs_to_loop(provider: Any) -> bool:
    """Whether calling a provider takes the event loop, or does not run its code yet."""
    kind = provider if isinstance(provider, type) else type(provider)
    is_lazy = inspect.isasyncgenfunction(provider) or inspect.iscoroutinefunction(provider)
    return is_lazy or hasattr(kind, "__aenter__")


def _is_scope(made: Any, provider: Any) -> bool:
    """Whether what a provider gave is to be entered.

    Classes and ready context managers say so themselves; of what a function returns, only what
    was made with ``contextlib``: it may well return a lock, or a pool that others close.
    """
    by_itself = isinstance(provider, type) or made is provider
    return is_manager(made) and (by_itself or type(made).__module__ == "contextlib")


def _is_async(made: Any) -> bool:
    return hasattr(type(made), "__aenter__")


def _is_cancelled(error: BaseException) -> bool:
    return isinstance(error, anyio.get_cancelled_exc_class())
