"""Logs: structlog, for people on a terminal or as JSON; always to stderr.

What a step logs is also given to whoever keeps it (``keeping``), with its level and without
colours. structlog is imported when a logger is wanted: it takes as long as the database driver,
and most runs log nothing.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, Protocol

from flowstone.core.config import MASK, is_secret, redact

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping
    from types import ModuleType

    from flowstone.core.context import Logger

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}
_ALIKE = {"warn": "warning", "exception": "error", "fatal": "critical", "msg": "info"}


class Keeper(Protocol):
    """Keeps what a step tells."""

    def line(self, level: str, text: str) -> None:
        """Keep what was logged."""


#: Who keeps what the running step tells, if anybody does.
keeping: ContextVar[Any] = ContextVar("flowstone_keeping", default=None)


@contextlib.contextmanager
def unkept() -> Iterator[None]:
    """What is written in here is kept already."""
    token = keeping.set(None)
    try:
        yield
    finally:
        keeping.reset(token)


def _structlog() -> ModuleType:
    return import_module("structlog")


def configure(
    form: Literal["human", "json"] = "human", level: Literal["debug", "info", "warning"] = "info"
) -> None:
    """Set structlog up for a program of ours; a library's user configures it instead."""
    structlog = _structlog()
    structlog.configure(
        processors=_processors(form),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=_Stderr,
        cache_logger_on_first_use=False,
    )


def step_logger(run_id: str, asset: str, partition: str | None) -> Logger:
    """The logger an asset gets, bound to where it runs; without an asset, that of a run."""
    bound = {"run_id": run_id, "asset": asset} if asset else {"run_id": run_id}
    if partition is not None:
        bound["partition"] = partition
    structlog = _structlog()
    if structlog.is_configured():
        base = structlog.get_logger("flowstone")
    else:  # structlog's own default is stdout, which belongs to results
        base = structlog.wrap_logger(_Stderr(), processors=_processors("human"))
    logger: Logger = base.bind(**bound)
    return logger


def _processors(form: Literal["human", "json"]) -> list[Any]:
    """From the event to the line; secrets are gone before anybody sees them."""
    structlog = _structlog()
    found: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _masked,
        _kept,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if form == "json" else "%H:%M:%S", utc=False),
    ]
    if form == "json":
        return [*found, structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    return [*found, renderer]


def _masked(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Secrets by their names, and passwords in addresses, are left out of every line."""
    for name, value in event.items():
        if is_secret(name, value):
            event[name] = MASK
        elif isinstance(value, str):
            event[name] = redact(value)
    return event


def _kept(_: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Give the line to who keeps those of the step."""
    keeper: Keeper | None = keeping.get()
    if keeper is not None:
        keeper.line(_ALIKE.get(method, method), _told(event))
    return event


def _told(event: MutableMapping[str, Any]) -> str:
    fields = {name: value for name, value in event.items() if name not in _KNOWN}
    words = [str(event.get("event", "")), *(f"{name}={value!r}" for name, value in fields.items())]
    error = event.get("exc_info")
    if not error:
        return " ".join(words)
    trace = _structlog().processors.format_exc_info(None, "", {"exc_info": error})
    return "\n".join([" ".join(words), *map(str, trace.values())])


#: What the row of the step says, or what stands elsewhere in the line.
_KNOWN = frozenset({"event", "exc_info", "run_id", "asset", "partition"})


class _Stderr:
    """Prints to whatever ``sys.stderr`` is at the time of the line, which is kept already."""

    def __init__(self, *_: object) -> None:
        """Take what structlog gives to a logger it makes."""

    def msg(self, message: str) -> None:
        """Print the line."""
        with unkept():
            sys.stderr.write(f"{message}\n")
            sys.stderr.flush()

    log = debug = info = warn = warning = error = exception = err = fatal = failure = critical = msg
