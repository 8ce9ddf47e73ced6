"""A link to the database that can be cut at any request, slow, or frozen."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from anyio.from_thread import start_blocking_portal

from tests.integration.proxy import Loss, Proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from tests.faults.world import Job


class Wire(Proxy):
    """A proxy with a thread of its own; what is said at once in one direction is one request."""

    def __init__(self, job: Job) -> None:
        self._folder_of_socket = tempfile.TemporaryDirectory()
        super().__init__(job.database, Path(self._folder_of_socket.name))
        self.conninfo = ""
        #: How many requests there were.
        self.requests = 0
        #: Seconds by which each request is late.
        self.delay = 0.0
        self._flowing = threading.Event()
        self._flowing.set()
        self._over = threading.Event()
        self._serving: set[asyncio.Task[None]] = set()
        self._chosen: dict[int, tuple[Loss, Callable[[], object]]] = {}
        self._acts: list[Callable[[], object]] = []
        self._commits = 0
        self._holding: tuple[int, Callable[[], object]] = (0, bool)
        self._after_copy: Callable[[], object] | None = None
        #: Set once a COMMIT was held back.
        self.held = threading.Event()

    @contextlib.contextmanager
    def opened(self) -> Iterator[Self]:
        """Serve for the time of the block."""
        with (
            self._folder_of_socket,
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(self.open()) as self.conninfo,
        ):
            try:
                yield self
            finally:
                self._over.set()
                self._flowing.set()
                portal.call(self._settle)

    async def _serve(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            with contextlib.suppress(ConnectionError):
                await super()._serve(near, back)
        finally:
            self._serving.discard(task)

    async def _settle(self) -> None:
        """Let all connections end, and see to it that they do."""
        if self._serving:
            _, left = await asyncio.wait(set(self._serving), timeout=1)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    def lose(self, number: int, loss: Loss, act: Callable[[], object] = bool) -> None:
        """Cut the n-th request off, or its answer, and then do something."""
        self._chosen[number] = (loss, act)

    def hold_commit(self, number: int, act: Callable[[], object]) -> None:
        """Do something when the n-th COMMIT comes, and never pass that on."""
        self._holding = (number, act)

    def at_copy(self, act: Callable[[], object]) -> None:
        """Do something when the first COPY comes, and pass that on: its rows are still to come."""
        self._after_copy = act

    def freeze(self) -> None:
        """Let nothing through any more."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let through what has come meanwhile too."""
        self._flowing.set()

    async def asked(self, data: bytes) -> Loss | None:
        """Count a request, and hold it back as long as it should be."""
        self.requests += 1
        loss, act = self._chosen.get(self.requests, (None, bool))
        while not self._flowing.is_set():  # noqa: ASYNC110 - it is set from another thread
            await asyncio.sleep(0.01)
        if self.delay:
            await asyncio.sleep(self.delay)
        if b"COPY " in data and self._after_copy is not None:
            self._after_copy()
            self._after_copy = None
            self.held.set()
        if b"COMMIT" in data and await self._is_held():
            return "request"
        if loss == "request":
            act()
        elif loss == "reply":
            self._acts.append(act)
        return loss or await super().asked(data)

    async def _is_held(self) -> bool:
        """Whether this COMMIT is the one to be held; then once it was held long enough."""
        self._commits += 1
        if self._commits != self._holding[0]:
            return False
        self._holding[1]()
        self.held.set()
        while not self._over.is_set():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        return True

    def answered(self) -> None:
        """The answer that is to be lost has come."""
        if self._acts:
            self._acts.pop()()
