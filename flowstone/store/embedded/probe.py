"""Asks a server whether it is there, in as much of the Postgres protocol as that takes.

A pid says little about a server and importing a driver costs tens of milliseconds; a start-up
handshake costs one and is answered only by a server that works.

Source: PostgreSQL documentation, "Frontend/Backend Protocol", message formats (protocol 3.0).
"""

from __future__ import annotations

import enum
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowstone.store.embedded.guardian import PORT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROLE = "flowstone"
_TIMEOUT_S = 5.0
_MAX_MESSAGE = 1 << 20


class State(enum.Enum):
    """How a server answered."""

    READY = "ready"
    NO_DATABASE = "no such database"
    BUSY = "starting, recovering or shutting down"
    REFUSED = "refused"
    SILENT = "no answer"


_STATES = {"57P03": State.BUSY, "3D000": State.NO_DATABASE, "53300": State.READY}


@dataclass(frozen=True)
class Answer:
    """A server's answer: its state, its version once it is ready, its words if it refused."""

    state: State
    version: str | None = None
    message: str = ""


def ask(folder: Path, database: str, statement: str = "") -> Answer:
    """Connect through the socket in ``folder``, run ``statement`` if one is given, and hang up.

    Waits at most 5 s for each message, without limit for the statement. Never raises: whatever
    can't be reached or understood is ``SILENT``. A server that only lacks a free connection is
    ``READY``.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(_TIMEOUT_S)
            link.connect(str(folder / f".s.PGSQL.{PORT}"))
            return _converse(link, database, statement)
    except (OSError, struct.error, UnicodeError, EOFError):
        return Answer(State.SILENT)


def _converse(link: socket.socket, database: str, statement: str) -> Answer:
    words = f"user\0{ROLE}\0database\0{database}\0\0".encode()
    link.sendall(struct.pack("!ii", len(words) + 8, 3 << 16) + words)
    answer = _until_ready(link)
    if answer.state is State.READY and answer.version and statement:
        link.settimeout(None)
        query = statement.encode() + b"\0"
        link.sendall(b"Q" + struct.pack("!i", len(query) + 4) + query)
        answer = _until_ready(link)
    return answer


def _until_ready(link: socket.socket) -> Answer:
    version = None
    for kind, body in _messages(link):
        if kind == b"S" and body.startswith(b"server_version\0"):
            # Debian's says more than the number
            version = body.split(b"\0")[1].decode().split()[0]
        elif kind == b"E":
            return _refusal(body)
        elif kind == b"R" and body[:4] != b"\0\0\0\0":
            return Answer(State.REFUSED, message="the server asks for a password")
        elif kind == b"Z":
            return Answer(State.READY, version)
    return Answer(State.SILENT)


def _messages(link: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    while True:
        head = _read(link, 5)
        size: int = struct.unpack("!i", head[1:])[0]
        # the size counts its own four bytes
        if not 0 <= size - 4 <= _MAX_MESSAGE:
            return
        yield head[:1], _read(link, size - 4)


def _read(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = link.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def _refusal(body: bytes) -> Answer:
    fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
    state = _STATES.get(fields.get(b"C", ""), State.REFUSED)
    return Answer(state, message=fields.get(b"M", ""))
