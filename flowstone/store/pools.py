"""How many steps may enter a pool that all runs share."""

from __future__ import annotations

import sys

#: Seconds of a pool's rate that may be caught up: nobody asks at the very moment.
CATCH_UP_SECONDS = 0.1


def admitted(size: int | None, within: int, interval: float | None, since: float) -> int:
    """How many may enter a pool: by its size, and by the rate.

    ``since`` is how many seconds ago the rate admitted the next one. This is the generic cell rate
    algorithm (ITU-T I.371) with a tolerance of ``CATCH_UP_SECONDS``.
    """
    room = sys.maxsize if size is None else max(size - within, 0)
    if not interval:
        return room
    if since < 0:
        return 0
    return min(room, 1 + int(min(since, CATCH_UP_SECONDS) / interval))
