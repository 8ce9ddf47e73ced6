"""What a running asset may ask about its run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


class Logger(Protocol):
    """The part of a structlog logger that assets use: an event and its fields by keyword."""

    def debug(self, event: str, **fields: Any) -> Any:
        """Log what only its author wants to know."""

    def info(self, event: str, **fields: Any) -> Any:
        """Log what happened as it should."""

    def warning(self, event: str, **fields: Any) -> Any:
        """Log what somebody should look at."""

    def error(self, event: str, **fields: Any) -> Any:
        """Log what went wrong."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a running asset may ask about its run; taken by a parameter annotated ``Context``.

    ``asset`` is the name of the asset, or of the function that makes several. ``partition`` is the
    key as the caller gave it, or None. ``attempt`` counts from 1. ``logger``
    is a structlog logger bound to run, asset and partition.
    """

    run_id: str
    asset: str
    logger: Logger
    partition: object | None = None
    attempt: int = 1
