"""What is kept of an exception: its type, its message, and a traceback of the user's code."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowstone.core.config import redact
from flowstone.core.text import cap, clean, safe_str

if TYPE_CHECKING:
    from types import TracebackType

_OURS = str(Path(__file__).parents[1])
_LIBRARIES = ("anyio", "asyncio", "concurrent", "contextlib", "threading")
_MESSAGE_BYTES = 65_536
_FRAMES = 60

#: Stands between an exception and the one it led to, in a traceback's text.
CAUSED = "\n\nThe above exception led to this one:\n\n"
_CAUSES = 10


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception an asset raised, as text that can be stored and shown."""

    type: str
    message: str
    traceback: str
    exception: BaseException

    @property
    def line(self) -> str:
        """Type and first line of the message."""
        first = self.message.strip().partition("\n")[0]
        return f"{self.type}: {cap(first, 300)}" if first else self.type


def describe(error: BaseException) -> Failure:
    """Take down an exception; never raises, whatever the exception does when asked.

    The traceback starts at the first frame outside Flowstone, and the exception is given the
    same one, so that raising it again shows no frame of ours. Passwords in addresses and connection
    strings are left out of the text. Of an exception group, the members are told too.
    """
    # Not by assignment: a frozen dataclass may be an exception, and refuses it.
    BaseException.with_traceback(error, user_frames(error.__traceback__))
    message = cap(redact(clean(safe_str(error))), _MESSAGE_BYTES)
    name = type(error).__qualname__
    if type(error).__module__ not in ("builtins", "__main__"):
        name = f"{type(error).__module__}.{name}"
    text = cap(redact(clean(_formatted(error, name, message))))
    return Failure(clean(name), message, text, error)


def user_frames(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame of the user's code on; None if there is none."""
    while trace is not None and _is_plumbing(trace):
        trace = trace.tb_next
    return trace


def _is_plumbing(trace: TracebackType) -> bool:
    module = trace.tb_frame.f_globals.get("__name__", "").partition(".")[0]
    return trace.tb_frame.f_code.co_filename.startswith(_OURS) or module in _LIBRARIES


def _formatted(error: BaseException, name: str, message: str) -> str:
    """The traceback of ``error``, and of what caused it, in Python's own layout."""
    parts = []
    for each in reversed(_chain(error)):
        frames = traceback.StackSummary.extract(
            traceback.walk_tb(user_frames(each.__traceback__)), limit=-_FRAMES
        )
        last = f"{name}: {cap(message, 4096)}" if each is error else _one_line(each)
        head = ["Traceback (most recent call last):\n", *frames.format()] if frames else []
        parts.append("".join([*head, last, *_members(each)]))
    return CAUSED.join(parts)


def _members(error: BaseException, depth: int = 0) -> list[str]:
    """What an exception group holds, as text, a line before each member."""
    if not isinstance(error, BaseExceptionGroup) or depth >= _CAUSES:
        return []
    told: list[str] = []
    for number, member in enumerate(error.exceptions[:_CAUSES], 1):
        frames = traceback.StackSummary.extract(
            traceback.walk_tb(user_frames(member.__traceback__)), limit=-_FRAMES
        )
        told.append(f"\n\nMember {number} of {len(error.exceptions)}:\n\n")
        told += [*frames.format(), _one_line(member), *_members(member, depth + 1)]
    return told


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what it was raised from, without going round in a circle."""
    chain: list[BaseException] = []
    at: BaseException | None = error
    while at is not None and all(at is not each for each in chain) and len(chain) < _CAUSES:
        chain.append(at)
        at = at.__cause__ or (None if at.__suppress_context__ else at.__context__)
    return chain


def _one_line(error: BaseException) -> str:
    return f"{type(error).__qualname__}: {cap(clean(safe_str(error)), 4096)}"
