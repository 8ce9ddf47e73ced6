"""How long a call waits for a database that does not answer, and how it tries again."""

from __future__ import annotations

import random
import time

import anyio

#: Seconds a call waits for a database that went away; whoever has more to lose asks again.
PATIENCE_SECONDS = 9.0
_FIRST, _LONGEST = 0.02, 1.0


class Patience:
    """The time of one call: longer and longer waits between attempts, until there was enough."""

    def __init__(self) -> None:
        self._end = time.monotonic() + PATIENCE_SECONDS
        self._wait = _FIRST

    async def wait(self) -> bool:
        """Wait a little, not as long as others do; False, at once, when patience is over."""
        if time.monotonic() >= self._end:
            return False
        await anyio.sleep(self._wait * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        self._wait = min(self._wait * 2, _LONGEST)
        return True
