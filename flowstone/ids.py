"""Identifiers made by the writer, so that a batch can be written again without a duplicate."""

from __future__ import annotations

import os
import secrets
import threading
import time
import uuid


class _Clock:
    """The time in 4096ths of a millisecond, never the same twice in one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def tick(self) -> int:
        with self._lock:
            self._last = max((time.time_ns() << 12) // 1_000_000, self._last + 1)
            return self._last


_clock = _Clock()


def materialization_id() -> uuid.UUID:
    """A time-ordered UUID: new rows land at one end of an index, and sort as they were made.

    Version 7 of RFC 9562, with the twelve bits after the milliseconds as a finer clock (its
    section 6.2, method 3).
    """
    milliseconds, fraction = divmod(_clock.tick(), 4096)
    random = int.from_bytes(os.urandom(8), "big") >> 2
    return uuid.UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | random)


def run_id() -> str:
    """Sixteen random hexadecimal digits."""
    return secrets.token_hex(8)
