"""A traceback as the command line shows it: the user's frames, once, short."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from flowstone.runner.failure import CAUSED
from flowstone.sources import is_project

_FRAME = re.compile(r'  File "(?P<file>.+)", line (?P<line>\d+), in (?P<function>.+)')
_HEAD = "Traceback (most recent call last):"
_KEPT_FIRST, _KEPT_LAST = 2, 4
_MESSAGE_LINES = 8


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a traceback: its place, and the source below it."""

    file: str
    place: str
    source: tuple[str, ...] = ()

    @property
    def is_users(self) -> bool:
        """Whether it is the user's code; ours, libraries and the interpreter are not."""
        return not self.file.startswith("<frozen ") and is_project(Path(self.file))

    def lines(self) -> list[str]:
        """The frame as text."""
        return [f"  {self.place}", *self.source]


def shown(traceback: str, *, everything: bool = False) -> list[str]:
    """The lines of a recorded traceback worth showing below the error's own line.

    The rest of a message of several lines comes first, then the frames, then those of what
    caused the error. Frames of libraries are left out; with ``everything``, nothing is.
    """
    *causes, last = traceback.split(CAUSED)
    frames, message = _read(last)
    lines = [f"  {line}" for line in _middle(message[1:], everything=everything)]
    lines += _frames(frames, everything=everything)
    for cause in reversed(causes):
        frames, message = _read(cause)
        lines += [f"  caused by {message[0]}" if message else "  caused by another error"]
        lines += _frames(frames, everything=everything)
    return lines


def syntax(error: SyntaxError) -> list[str]:
    """The place of a syntax error, and the line that has it."""
    if not error.filename:
        return []
    line = (error.text or "").strip()
    return [f"  {error.filename}:{error.lineno or 1}", *([f"    {line}"] if line else [])]


def _read(part: str) -> tuple[list[Frame], list[str]]:
    """One exception's frames, and the lines of its type and message."""
    frames: list[Frame] = []
    lines = part.split("\n")
    if lines[0] != _HEAD:
        return frames, lines
    for number, line in enumerate(lines[1:], start=1):
        match = _FRAME.fullmatch(line)
        if match:
            place = f"{match['file']}:{match['line']} in {match['function']}"
            frames.append(Frame(match["file"], place))
        elif line.startswith("  ") and frames:
            frame = frames[-1]
            frames[-1] = Frame(frame.file, frame.place, (*frame.source, line))
        else:
            return frames, lines[number:]
    return frames, []


def _frames(frames: list[Frame], *, everything: bool) -> list[str]:
    kept = frames if everything else [frame for frame in frames if frame.is_users]
    if everything or len(kept) <= _KEPT_FIRST + _KEPT_LAST:
        return [line for frame in kept for line in frame.lines()]
    left_out = len(kept) - _KEPT_FIRST - _KEPT_LAST
    first = [line for frame in kept[:_KEPT_FIRST] for line in frame.lines()]
    last = [line for frame in kept[-_KEPT_LAST:] for line in frame.lines()]
    return [*first, f"  ... {left_out} more frames", *last]


def _middle(message: list[str], *, everything: bool) -> list[str]:
    if everything or len(message) <= _MESSAGE_LINES:
        return message
    left_out = len(message) - _MESSAGE_LINES
    return [*message[:_MESSAGE_LINES], f"... {left_out} more lines"]
