"""Identifiers made by the writer, so that a batch can be written again without a duplicate."""

from __future__ import annotations

import os
import secrets
import time
import uuid


def materialization_id() -> uuid.UUID:
    """A time-ordered UUID (version 7, RFC 9562): new rows land at one end of an index."""
    milliseconds = time.time_ns() // 1_000_000
    bits = (milliseconds << 80) | int.from_bytes(os.urandom(10), "big")
    bits = bits & ~(0xF << 76) | (0x7 << 76)
    bits = bits & ~(0x3 << 62) | (0x2 << 62)
    return uuid.UUID(int=bits)


def run_id() -> str:
    """Sixteen random hexadecimal digits."""
    return secrets.token_hex(8)
