"""Identifiers made by the writer, so that a batch can be written again without a duplicate."""

from __future__ import annotations

import os
import random
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
        now = (time.time_ns() << 12) // 1_000_000
        with self._lock:
            if now <= self._last:
                now = self._last + 1
            self._last = now
        return now


_clock = _Clock()
# Numbers for ids are no secrets; a forked process must not go on with those of its parent.
_random = random.Random()  # noqa: S311
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)
_new, _set, _UNKNOWN = uuid.UUID.__new__, object.__setattr__, uuid.SafeUUID.unknown


def materialization_id() -> uuid.UUID:
    """A time-ordered UUID: new rows land at one end of an index, and sort as they were made.

    Version 7 of RFC 9562, with the twelve bits after the milliseconds as a finer clock (its
    section 6.2, method 3).
    """
    tick = _clock.tick()
    high = (tick & ~0xFFF) << 4 | 0x7000 | tick & 0xFFF
    made = _new(uuid.UUID)  # what UUID(int=...) does after it has looked at its arguments
    _set(made, "int", high << 64 | 2 << 62 | _random.getrandbits(62))
    _set(made, "is_safe", _UNKNOWN)
    return made


def run_id() -> str:
    """Sixteen random hexadecimal digits."""
    return secrets.token_hex(8)
