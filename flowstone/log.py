"""Logs: structlog, for people on a terminal or as JSON; always to stderr."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Literal

import structlog

if TYPE_CHECKING:
    from flowstone.core.context import Logger

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}


def configure(
    form: Literal["human", "json"] = "human", level: Literal["debug", "info", "warning"] = "info"
) -> None:
    """Set structlog up for a program of ours; a library's user configures it instead."""
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if form == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    processors: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso" if form == "json" else "%H:%M:%S", utc=False),
    ]
    if form == "json":
        processors.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=_StderrFactory(),
        cache_logger_on_first_use=False,
    )


def step_logger(run_id: str, asset: str, partition: str | None) -> Logger:
    """The logger an asset gets, bound to where it runs; without an asset, that of a run."""
    bound = {"run_id": run_id, "asset": asset} if asset else {"run_id": run_id}
    if partition is not None:
        bound["partition"] = partition
    if structlog.is_configured():
        base = structlog.get_logger("flowstone")
    else:  # structlog's own default is stdout, which belongs to results
        base = structlog.wrap_logger(structlog.PrintLogger(sys.stderr))
    logger: Logger = base.bind(**bound)
    return logger


class _StderrFactory:
    """Prints to whatever ``sys.stderr`` is at the time of the line."""

    def __call__(self, *_: Any) -> structlog.PrintLogger:
        return structlog.PrintLogger(sys.stderr)
