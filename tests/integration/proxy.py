"""A proxy before a server's socket that loses what is said at a COMMIT."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Literal, TypeAlias

from psycopg.conninfo import conninfo_to_dict, make_conninfo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

#: What is lost: the word to commit, or the answer to it.
Loss: TypeAlias = Literal["request", "reply"]


class Relay:
    """Stands before a server's socket; what passes is up to ``_serve``."""

    def __init__(self, conninfo: str, folder: Path) -> None:
        self._conninfo, self._folder = conninfo, folder

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """The connection string that leads through it."""
        parts = conninfo_to_dict(self._conninfo)
        port = parts.get("port", 5432)
        self._server = f"{parts['host']}/.s.PGSQL.{port}"
        mine = str(self._folder / f".s.PGSQL.{port}")
        async with await asyncio.start_unix_server(self._serve, mine) as server:
            yield make_conninfo(self._conninfo, host=str(self._folder), requirepeer="")
            self.shut()
            server.close()

    def shut(self) -> None:
        """Nobody comes through any more."""

    async def _serve(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class Proxy(Relay):
    """Passes everything on; each loss in ``losses`` befalls one COMMIT and its connection."""

    def __init__(self, conninfo: str, folder: Path) -> None:
        super().__init__(conninfo, folder)
        self.losses: list[Loss] = []

    async def asked(self, data: bytes) -> Loss | None:
        """What is lost of this request."""
        return self.losses.pop(0) if b"COMMIT" in data and self.losses else None

    def answered(self) -> None:
        """An answer has come that gets lost."""

    async def _serve(self, near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        far, forth = await asyncio.open_unix_connection(self._server)
        answers = asyncio.ensure_future(_pass_on(far, back))
        try:
            while data := await near.read(65536):
                loss = await self.asked(data)
                if loss == "reply":
                    answers.cancel()
                    await asyncio.wait([answers])
                if loss != "request":
                    forth.write(data)
                    await forth.drain()
                if loss == "reply":
                    with contextlib.suppress(
                        asyncio.TimeoutError
                    ):  # a part of a COPY has no answer
                        await asyncio.wait_for(far.read(1), 2)
                    self.answered()
                if loss:
                    break
        finally:
            answers.cancel()
            forth.close()
            back.close()


async def _pass_on(far: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await far.read(65536):
            back.write(data)
            await back.drain()
    back.close()
