"""A link to a server's socket that can be shut, frozen and slowed down."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from tests.integration.proxy import Relay

if TYPE_CHECKING:
    from pathlib import Path


class Valve(Relay):
    """Passes everything on, in the event loop it was opened in.

    ``delay`` is how many seconds each piece takes.
    """

    def __init__(self, conninfo: str, folder: Path) -> None:
        super().__init__(conninfo, folder)
        self._links: set[asyncio.StreamWriter] = set()
        self._frozen: set[asyncio.StreamWriter] = set()
        self._is_open = True
        self.delay = 0.0

    def shut(self) -> None:
        """End all connections, and let no other begin."""
        self._is_open = False
        for each in tuple(self._links):
            each.transport.abort()

    def freeze(self) -> None:
        """Let all connections be silent for ever, and no other begin."""
        self._is_open = False
        self._frozen |= self._links

    def restore(self) -> None:
        """Let connections begin again."""
        self._is_open = True

    async def _serve(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        if not self._is_open:
            back.transport.abort()
            return
        far, forth = await asyncio.open_unix_connection(self._server)
        self._links |= {back, forth}
        await asyncio.gather(self._pass_on(near, forth), self._pass_on(far, back))
        self._links -= {back, forth}

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                await asyncio.sleep(self.delay)
                if sink not in self._frozen:
                    sink.write(data)
                    await sink.drain()
        if sink not in self._frozen:
            sink.close()
