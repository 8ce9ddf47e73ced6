"""A process that makes assets for a run: it is sent one call after the other."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import io
import os
import select
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from flowstone.errors import UnserializableValueError
from flowstone.runner.executors.texts import Comparison
from flowstone.runner.executors.wire import Packed, Wire, pack
from flowstone.runner.failure import Failure, describe
from flowstone.runner.ledger import summary
from flowstone.runner.step import Awaited, Lost, Made, awaited, call_sync
from flowstone.runner.versions import Input
from flowstone.values import handed_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import ReadableBuffer as Buffer

    from flowstone.core.asset import AnyAsset
    from flowstone.core.records import ValuePointer
    from flowstone.runner.step import Arguments, Outcome
    from flowstone.values import Keeper, Saved

#: Seconds that a process has to end by itself when its run is gone.
GRACE_SECONDS = 1.0


class Greeting(NamedTuple):
    """What a new process is told first."""

    argv: list[str]
    texts: dict[str, str]


class Request(NamedTuple):
    """One call: its ``keeper`` and the rest are packed apart, for many calls share a keeper."""

    keeper: Packed
    call: Packed


class Call(NamedTuple):
    """What is called, with what."""

    assets: Sequence[AnyAsset]
    arguments: Arguments


class Stored(NamedTuple):
    """An input that is loaded where it is taken."""

    asset: AnyAsset
    pointer: ValuePointer | None


class Held(NamedTuple):
    """An input whose object is sent along."""

    value: Any


Stream = Literal["out", "err"]


class Text(NamedTuple):
    """What the process has written to stdout (``out``) or stderr (``err``)."""

    stream: Stream
    text: str


class Logged(NamedTuple):
    """What an asset has logged."""

    method: str
    event: object
    fields: dict[str, Any]


class Kept(NamedTuple):
    """An asset was made; ``value`` is packed if it is not stored, else it stays here.

    ``what`` it is takes a few characters.
    """

    saved: Saved | None
    data_version: str
    value: Packed | None
    what: str


class Failed(NamedTuple):
    """A failure; ``exception`` is packed, unless it can't be."""

    type: str
    message: str
    traceback: str
    exception: Packed | None


#: How a call ended.
Answer: TypeAlias = list[Kept | Failed] | Lost | Failed


class _Here:
    """This process, if it is one of a run's."""

    wire: Wire | None = None
    comparison: Comparison


def is_worker() -> bool:
    """Whether this process makes assets for the run of another."""
    return _Here.wire is not None


def tell(message: Text | Logged) -> None:
    """Tell the run something; nothing happens if it is gone."""
    if _Here.wire is not None:
        try:
            _Here.wire.send(message)
        except OSError:
            return


@dataclass(frozen=True, slots=True)
class SentLogger:
    """A logger whose lines are logged by the run's own, in the run's process."""

    bound: dict[str, Any] = field(default_factory=dict)

    def bind(self, **fields: Any) -> SentLogger:
        """A logger that adds these fields to its lines."""
        return SentLogger(self.bound | fields)

    def debug(self, event: object, **fields: Any) -> None:
        """Log what only its author wants to know."""
        self._send("debug", event, fields)

    def info(self, event: object, **fields: Any) -> None:
        """Log what happened as it should."""
        self._send("info", event, fields)

    def warning(self, event: object, **fields: Any) -> None:
        """Log what somebody should look at."""
        self._send("warning", event, fields)

    def error(self, event: object, **fields: Any) -> None:
        """Log what went wrong."""
        self._send("error", event, fields)

    def _send(self, method: Literal["debug", "info", "warning", "error"], *said: Any) -> None:
        event, fields = said
        fields = {name: _plain(value) for name, value in (self.bound | fields).items()}
        tell(Logged(method, _plain(event), fields))


def _plain(value: object) -> object:
    """The value if it is a simple one, else its text: the run may not know its class."""
    kinds = (str, int, float, bool, type(None))
    return value if type(value) in kinds else repr(value)


class _Sent(io.RawIOBase):
    """Sends what is written to the run; who asks for its number gets stdout's own."""

    def __init__(self, stream: Stream) -> None:
        self._stream: Stream = stream

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Buffer, /) -> int:
        """Send the text."""
        text = bytes(data)
        tell(Text(self._stream, text.decode("utf-8", "replace")))
        return len(text)

    def fileno(self) -> int:
        """The number of stdout, which is the run's stderr."""
        return 1


def _stream(stream: Stream) -> io.TextIOWrapper:
    """A stream whose lines go to the run."""
    buffer: Any = _Sent(stream)
    return io.TextIOWrapper(
        buffer, encoding="utf-8", errors="backslashreplace", line_buffering=True
    )


def main(descriptor: int) -> None:
    """Answer calls until the run closes its end or is gone."""
    faulthandler.enable(2)
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - the only form there is
    end = socket.socket(fileno=descriptor)
    threading.Thread(target=_watch, args=[descriptor], name="run gone", daemon=True).start()
    _Here.wire = wire = Wire(end)
    os.register_at_fork(after_in_child=_leave)
    try:
        greeting: Greeting = wire.receive().unpack()
        sys.argv, _Here.comparison = greeting.argv, Comparison(greeting.texts)
        sys.stdout, sys.stderr = _stream("out"), _stream("err")
        wire.send(os.getpid())
        while True:
            wire.send_packed(_answer(wire.receive().unpack()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        _Here.wire = None
    finally:
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__


def _leave() -> None:
    """A fork of this process has no part in the run; the end of this one must be noticed."""
    if _Here.wire is not None:
        _Here.wire.close()
        _Here.wire = None
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__


def _watch(descriptor: int) -> None:
    """End the process, and those it has started, some time after the run has gone."""
    hung_up = select.poll()
    hung_up.register(descriptor, 0)
    hung_up.poll()
    time.sleep(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)


_keepers: dict[bytes, Keeper] = {}


def _answer(request: Request) -> Packed:
    answer = _made(request)
    with contextlib.suppress(Exception):  # they may have been replaced or closed
        sys.stdout.flush()
        sys.stderr.flush()
    return pack(answer)


def _made(request: Request) -> Answer:
    try:
        keeper = _keepers.get(request.keeper.data)
        if keeper is None:
            keeper = _keepers[request.keeper.data] = request.keeper.unpack()
        call: Call = request.call.unpack()
        _Here.comparison.check()
        _stand_in_for_main(call.assets)
    except BaseException as error:  # noqa: BLE001 - the user's modules may raise anything
        return _failed(describe(error))
    outcome = _called(call, keeper)
    if isinstance(outcome, list):
        pairs = zip(call.assets, outcome, strict=True)
        return [_kept(asset, each) for asset, each in pairs]
    return _failed(outcome) if isinstance(outcome, Failure) else outcome


def _called(call: Call, keeper: Keeper) -> Outcome:
    for name, value in call.arguments.items():
        if isinstance(value, Stored):
            call.arguments[name] = Input(value.asset, value.pointer)
        elif isinstance(value, Held):
            call.arguments[name] = handed_out(value.value)
    outcome = call_sync(call.assets, call.arguments, keeper)
    if isinstance(outcome, Awaited):
        return asyncio.run(awaited(call.assets, outcome.result, keeper))
    return outcome


def _kept(asset: AnyAsset, made: Made | Failure) -> Kept | Failed:
    if isinstance(made, Failure):
        return _failed(made)
    if made.saved is not None:
        return Kept(made.saved, made.data_version, None, summary(made.value))
    try:
        return Kept(None, made.data_version, pack(made.value), summary(made.value))
    except Exception as error:  # noqa: BLE001 - whatever the value's methods raise
        msg = (
            f"asset {asset.name!r} returned a value that can't leave its process:"
            f" {describe(error).line}; keep it, or use executor='thread'"
        )
        return _failed(describe(UnserializableValueError(msg)))


def _failed(failure: Failure) -> Failed:
    try:
        packed = pack(failure.exception)
    except Exception:  # noqa: BLE001 - an exception may hold anything
        packed = None
    return Failed(failure.type, failure.message, failure.traceback, packed)


def _stand_in_for_main(assets: Sequence[AnyAsset]) -> None:
    """Let the names that functions of a script or notebook use be found in ``__main__`` here."""
    main_names = vars(sys.modules["__main__"])
    for asset in assets:
        names = getattr(asset.fn, "__globals__", {})
        if names.get("__name__") == "__main__" and names is not main_names:
            main_names.update({k: v for k, v in names.items() if not k.startswith("__")})
