"""Why an asset would run, or ran: causes with what is behind them, down to the root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowstone.core.display import Displayed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.core.cause import Cause


@dataclass(frozen=True, slots=True)
class Reason:
    """A cause, the lines that show it, and the reasons behind it in the asset it comes from.

    ``diff`` are lines of a unified diff, without comments, docstrings and layout. ``source`` is
    the asset that ``because`` is about.
    """

    cause: Cause
    diff: tuple[str, ...] = ()
    source: str = ""
    because: tuple[Reason, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The reason as plain JSON."""
        told = self.cause.to_dict()
        if self.diff:
            told["diff"] = list(self.diff)
        if self.source:
            told["source"] = self.source
            told["because"] = [reason.to_dict() for reason in self.because]
        return told

    def lines(self) -> Iterator[str]:
        """The reason as indented text."""
        yield str(self.cause)
        yield from (f"    {line}" for line in self.diff)
        for reason in self.because:
            first, *rest = reason.lines()
            yield f"  {self.source}: {first}"
            yield from (f"  {line}" for line in rest)


@dataclass(frozen=True, slots=True, repr=False)
class Explanation(Displayed):
    """The answer to "why": what would happen to an asset, or happened to it, and the reasons."""

    asset: str
    partition: str | None
    headline: str
    reasons: tuple[Reason, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The explanation as plain JSON."""
        return {
            "schema_version": 1,
            "asset": self.asset,
            "partition": self.partition,
            "headline": self.headline,
            "reasons": [reason.to_dict() for reason in self.reasons],
        }

    def __repr__(self) -> str:
        lines = [f"{self.asset} {self.headline}"]
        lines += [f"  {line}" for reason in self.reasons for line in reason.lines()]
        return "\n".join(lines)
