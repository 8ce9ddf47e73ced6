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
        self._chosen: dict[int, tuple[Loss, Callable[[], object]]] = {}
        self._acts: list[Callable[[], object]] = []

    @contextlib.contextmanager
    def opened(self) -> Iterator[Self]:
        """Serve for the time of the block."""
        with (
            self._folder_of_socket,
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(self.open()) as self.conninfo,
        ):
            yield self

    def lose(self, number: int, loss: Loss, act: Callable[[], object] = bool) -> None:
        """Cut the n-th request off, or its answer, and then do something."""
        self._chosen[number] = (loss, act)

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
        if loss == "request":
            act()
        elif loss == "reply":
            self._acts.append(act)
        return loss or await super().asked(data)

    def answered(self) -> None:
        """The answer that is to be lost has come."""
        if self._acts:
            self._acts.pop()()
