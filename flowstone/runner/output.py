"""What a step prints and logs, kept with it.

``sys.stdout`` and ``sys.stderr`` are replaced by proxies while anything runs: they pass everything
on to the streams they stand for, and what the code of a step writes is kept beside. Whose code it
is tells a context variable, so that steps in threads and on the event loop are told apart; threads
that a step starts by itself are not known, and neither is what C code and child processes write.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import re
import sys
import threading
import time
import traceback
from collections import deque
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TextIO

from flowstone.core.config import MASK, redact
from flowstone.core.records import StepLog
from flowstone.core.text import cap, clean, safe_str
from flowstone.log import keeping, unkept

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from contextvars import Token

#: Bytes that are kept of an attempt, and of one line of it.
TEXT_BYTES = 65_536
LINE_BYTES = 4_096
#: Bytes of the first lines; the last ones have the other half, but for the mark between them.
_HALF = TEXT_BYTES // 2 - 64
#: Characters of an unfinished line that are held until it ends.
_HELD = LINE_BYTES * 2
#: A line no longer than this is certainly not cut, whatever its characters.
_SHORT = LINE_BYTES // 8
_SHORTEST_SECRET = 4
#: Bytes that time, level and line feed take at most, for the usual levels.
_FRAME = 40

_COLOUR = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")

#: Reentrant: a signal handler that prints may interrupt the thread that holds it.
_lock = threading.RLock()


class _Line(NamedTuple):
    at: float
    level: str
    text: str
    size: int


class Output:
    """What one attempt of a step prints and logs, as far as it is kept: its first and last lines.

    Each line has its time and what it came from: ``out`` and ``err`` for the streams, else its
    level. Colours are left out, and so are passwords in addresses and the ``secrets`` given.
    ``left_out`` counts the bytes that are missing.
    """

    left_out = 0
    #: Whether nothing was told so far.
    is_empty = True
    _tail: deque[_Line] | None = None
    _room = _HALF
    # Most steps tell nothing: these are made for those that do.
    _head: list[_Line]
    _open: dict[str, tuple[float, str]]

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._secrets = secrets

    def line(self, level: str, text: str) -> None:
        """Keep a text, which may have several lines, as logged at that level."""
        now = time.time()
        with _lock:
            self._begin()
            for each in text.split("\n"):
                self._keep(now, level, each)

    def write(self, stream: Literal["out", "err"], text: str) -> None:
        """Keep what is written to a stream, a line once it is at its end."""
        with _lock:
            self._begin()
            if stream in self._open:
                began, held = self._open.pop(stream)
                text = held + text
            else:
                began = time.time()
            *lines, rest = text.split("\n")
            for each in lines:
                self._keep(began, stream, _seen(each))
            if rest:
                self._hold(began, stream, rest)

    @property
    def truncated(self) -> bool:
        """Whether some of it is missing."""
        return self.left_out > 0

    def text(self) -> str:
        """All that is kept: lines of a time (UTC), where it came from, and what was told."""
        if self.is_empty:
            return ""
        with _lock:
            for stream, (began, held) in self._open.items():
                self._keep(began, stream, _seen(held))
            self._open.clear()
            tail = list(self._tail or ())
            mark = [f"[... {self.left_out:,} bytes left out ...]"] if self.left_out else []
            lines = [*map(self._told, self._head), *mark, *map(self._told, tail)]
        return cap("\n".join(lines), TEXT_BYTES)

    def record(
        self, run_id: str, asset: str, partition: str | None = None, attempt: int = 1
    ) -> StepLog | None:
        """What the store keeps of it; None if nothing was told."""
        text = self.text()
        if not text:
            return None
        return StepLog(
            run_id=run_id,
            asset_name=asset,
            partition=partition,
            attempt=attempt,
            lines=text,
            left_out=self.left_out,
        )

    def _begin(self) -> None:
        if self.is_empty:
            self._head, self._open, self.is_empty = [], {}, False

    def _hold(self, began: float, stream: str, text: str) -> None:
        """An unfinished line: what is written over again and again does not grow."""
        if "\r" in text:
            text = _seen(text) + "\r" * text.endswith("\r")
        self.left_out += len(text[_HELD:])
        self._open[stream] = (began, text[:_HELD])

    def _keep(self, at: float, level: str, text: str) -> None:
        if len(text) > _SHORT:
            whole = self._clean(text)
            text = cap(whole, LINE_BYTES)
            self.left_out += len(whole) - len(text)
        size = (len(text) if text.isascii() else len(text.encode("utf-8", "replace"))) + _FRAME
        line = _Line(at, level, text, size)
        if self._tail is None:
            self._room -= size
            if self._room >= 0:
                self._head.append(line)
                return
            self._tail, self._room = deque(), _HALF
        self._tail.append(line)
        self._room -= size
        while self._room < 0:
            gone = self._tail.popleft()
            self._room += gone.size
            self.left_out += gone.size - _FRAME + 1

    def _told(self, line: _Line) -> str:
        at = dt.datetime.fromtimestamp(line.at, dt.UTC).isoformat(timespec="milliseconds")
        return f"{at[:-6]}Z {line.level} {self._clean(line.text)}"

    def _clean(self, text: str) -> str:
        text = clean(_COLOUR.sub("", text) if "\x1b" in text else text)
        for secret in self._secrets:
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, MASK)
        return redact(text)


def read(lines: str) -> Iterator[tuple[dt.datetime | None, str, str]]:
    """The lines of a recorded output: when, where it came from, and what was told.

    Of the mark that stands for what is missing, and of what can't be read, only the text is known.
    """
    for line in lines.split("\n"):
        at, _, rest = line.partition(" ")
        level, _, text = rest.partition(" ")
        try:
            yield dt.datetime.fromisoformat(at), level, text
        except ValueError:
            yield None, "", line


class capturing:  # noqa: N801 - a verb, and a function around it would cost as much again
    """What the code inside prints and logs is kept in an output, while anybody is ``watching``."""

    __slots__ = ("_output", "_token")

    def __init__(self, output: Output) -> None:
        self._output = output

    def __enter__(self) -> Output:
        self._token: Token[Any] = keeping.set(self._output)
        return self._output

    def __exit__(self, *_: object) -> None:
        try:  # noqa: SIM105 - half the time of a context manager
            keeping.reset(self._token)
        except ValueError:
            pass  # a coroutine that is thrown away is ended in whatever context does so


@contextlib.contextmanager
def watching() -> Iterator[None]:
    """Have the streams and the loggers watched; as often as one likes at once, in any thread."""
    _watch.begin()
    try:
        yield
    finally:
        _watch.end()


class _Proxy:
    """Stands for a stream: passes everything on, and gives what a step writes to its keeper."""

    def __init__(self, stream: TextIO, name: Literal["out", "err"]) -> None:
        self._stream, self._name = stream, name

    def write(self, text: str) -> int:
        keeper = keeping.get()
        if keeper is None:
            return self._stream.write(text)
        token = keeping.set(None)  # what the stream stands for may be another proxy
        try:
            written = self._stream.write(text)
        finally:
            keeping.reset(token)
        keeper.write(self._name, text)
        return written

    def writelines(self, lines: Iterable[str]) -> None:
        for each in lines:
            self.write(each)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __enter__(self) -> _Proxy:  # noqa: PYI034 - nobody derives from it
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.__exit__(*error)  # type: ignore[arg-type] # as the interpreter gave it


class _Watch:
    """Puts proxies in place for the first who wants them, and takes them away after the last.

    What somebody else has put in their place meanwhile is left alone; a proxy that comes back
    later goes on passing on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = 0
        self._unpatch: Callable[[], None] = _nothing

    def begin(self) -> None:
        with self._lock:
            self._wanted += 1
            if self._wanted == 1:
                sys.stdout, sys.stderr = _proxied(sys.stdout, "out"), _proxied(sys.stderr, "err")
                self._unpatch = _watch_loggers()

    def end(self) -> None:
        with self._lock:
            self._wanted -= 1
            if self._wanted == 0:
                sys.stdout, sys.stderr = _original(sys.stdout), _original(sys.stderr)
                self._unpatch()


def _proxied(stream: Any, name: Literal["out", "err"]) -> Any:
    """A program without a console has no streams."""
    return stream if stream is None or type(stream) is _Proxy else _Proxy(stream, name)


def _original(stream: Any) -> Any:
    return stream._stream if isinstance(stream, _Proxy) else stream  # noqa: SLF001 - it is ours


def _watch_loggers() -> Callable[[], None]:
    """Give the records of all loggers to the step's keeper; what comes back undoes it.

    A handler of ours would not do: a root logger that has one ignores ``logging.basicConfig``.
    """
    handle = logging.Logger.callHandlers

    def kept(logger: logging.Logger, record: logging.LogRecord) -> None:
        keeper = keeping.get()
        if keeper is None:
            handle(logger, record)
            return
        keeper.line(record.levelname.lower(), _worded(record))
        with unkept():
            handle(logger, record)

    def undo() -> None:
        if logging.Logger.callHandlers is kept:
            logging.Logger.callHandlers = handle  # type: ignore[method-assign] # as it was

    logging.Logger.callHandlers = kept  # type: ignore[assignment, method-assign] # all pass there
    return undo


def _worded(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except Exception:  # noqa: BLE001 - its arguments are the user's, and so is the mistake
        text = safe_str(record.msg)
    words = text if record.name == "root" else f"{record.name}: {text}"
    if not record.exc_info or record.exc_info[0] is None:
        return words
    return f"{words}\n{''.join(traceback.format_exception(*record.exc_info)).rstrip()}"


def _seen(line: str) -> str:
    """What is left of a line that carriage returns have written over."""
    return line.rstrip("\r").rpartition("\r")[2] if "\r" in line else line


def _nothing() -> None:
    """Nothing is to be undone."""


_watch = _Watch()
