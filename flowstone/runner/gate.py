"""Steps that wait for something other runs have, and ask for it again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

#: Seconds between two times of asking, at first and at last.
SOON, LATER = 0.02, 0.25


class Gate:
    """A gate that steps pass, by number, once ``ask`` grants them what they wait for.

    ``ask`` is given all that wait, and gives those that may pass; ``spawn`` has a coroutine run
    beside the rest of the run.
    """

    def __init__(
        self,
        ask: Callable[[Sequence[int]], Awaitable[Collection[int]]],
        passed: Callable[[int], None],
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
    ) -> None:
        self._ask, self._passed, self._spawn = ask, passed, spawn
        self._waiting: dict[int, None] = {}
        self._asking = False
        self._more = anyio.Event()

    def wait(self, number: int) -> None:
        """A step wants to pass."""
        self._waiting[number] = None
        self._more.set()
        if not self._asking:
            self._asking = True
            self._spawn(self._ask_on)

    def leave(self) -> None:
        """Nobody wants to pass any more."""
        self._waiting.clear()

    async def _ask_on(self) -> None:
        pause = SOON
        while self._waiting:
            self._more = anyio.Event()
            granted = await self._ask(list(self._waiting))
            for number in granted:
                if self._waiting.pop(number, 0) is None:
                    self._passed(number)
            pause = SOON if granted else min(pause * 1.5, LATER)
            if self._waiting:
                with anyio.move_on_after(pause):
                    await self._more.wait()
        self._asking = False
