"""Durations, moments, counts and paths as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping
    from pathlib import Path

    from flowstone.runner.events import RunFinished

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_KILO = 1000


def duration(milliseconds: float) -> str:
    """A duration: ``4 ms``, ``1.0 s``, ``2 min 5 s``, ``1 h 3 min``."""
    if round(milliseconds) < 100:  # noqa: PLR2004 - from a tenth of a second on, in seconds
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if round(seconds, 1) < _MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"


def ago(moment: dt.datetime, now: dt.datetime) -> str:
    """How long ago a moment was, in its largest unit."""
    seconds = int((now - moment).total_seconds())
    for size, unit in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now"


def size(number: int) -> str:
    """A number of bytes: ``12 B``, ``3.4 kB``, ``1.2 GB``."""
    if number < _KILO:
        return f"{number} B"
    shown = float(number)
    for unit in ("kB", "MB", "GB"):
        shown /= _KILO
        if round(shown, 1) < _KILO:
            return f"{shown:.1f} {unit}"
    return f"{shown / _KILO:,.1f} TB"


def counted(number: int, noun: str) -> str:
    """``1 asset``, ``8 assets``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def up_to_date(number: int) -> str:
    """``1 asset is up to date``, ``8 assets are up to date``."""
    return f"{counted(number, 'asset')} {'is' if number == 1 else 'are'} up to date"


def describe_counts(counts: Mapping[str, int]) -> str:
    """``"2 materialized, 1 reused"``, or that there was nothing to do."""
    order = ("materialized", "reused", "verified", "differs", "failed", "skipped", "cancelled")
    told = [f"{counts[name]} {name}" for name in order if counts.get(name)]
    return ", ".join(told) or "nothing to do"


def outcome(finished: RunFinished) -> str:
    """How a run ended that had something to do: its counts, and how long it took."""
    told, time_taken = describe_counts(finished.counts), duration(finished.duration_ms)
    if finished.status == "cancelled":
        return f"interrupted after {time_taken}: {told}, all recorded"
    return f"{told} in {time_taken}"


def relative(text: str, folder: Path) -> str:
    """The text with paths inside ``folder`` written from there."""
    return text if folder == folder.parent else text.replace(f"{folder}/", "")


def printable(text: str) -> str:
    """The text without control characters, so that no message can steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
