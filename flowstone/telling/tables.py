"""A plan as a table, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowstone.telling.words import ago, duration, relative, up_to_date

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence
    from pathlib import Path

    from flowstone.core.code import Remark
    from flowstone.core.plan import Plan, Step
    from flowstone.runner.events import Ending

#: How a step ended, in one character.
ENDINGS: dict[Ending, str] = {
    "materialized": "✓",
    "reused": "=",
    "failed": "✗",
    "skipped": "-",
    "cancelled": "-",
    "verified": "=",
    "differs": "✗",
}
HEAD = (" ", "asset", "last ok", "est.", "why")

_WORTH_TELLING_MS = 100
_INPUTS_SHOWN = 3
_NAMES_SHOWN = 4
_LEVELS = {"unknown": "always runs", "assumed": "assumed"}


def document(plan: Plan) -> dict[str, Any]:
    """The plan as plain JSON, with when each asset was last made and how long that took.

    ``last_made_at`` is an ISO 8601 time and ``last_duration_ms`` is in milliseconds; both are
    None for an asset that was never made.
    """
    told = plan.to_dict()
    for entry, step in zip(told["steps"], plan, strict=True):
        made = step.current
        entry["last_made_at"] = (
            made.completed_at.isoformat() if made and made.completed_at else None
        )
        entry["last_duration_ms"] = made.duration_ms if made else None
    return told


def table(plan: Plan, now: dt.datetime, folder: Path) -> list[tuple[str, str]]:
    """The plan's lines as mark and text: a head, one for each step, and the counts."""
    rows = [HEAD, *(row(step, now) for step in plan)]
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[1:4]]
    lines = [
        (mark, f"{name:<{widths[0]}}  {last:<{widths[1]}}  {est:>{widths[2]}}  {why}")
        for mark, name, last, est, why in rows
    ]
    return [(mark, relative(text, folder)) for mark, text in lines] + [("", summary(plan))]


def summary(plan: Plan) -> str:
    """The counts of a plan, and how long its steps took when they last ran."""
    counts = plan.counts
    if not counts["materialize"] and not counts["blocked"]:
        history = f", {len(plan.moved)} of them from history" if plan.moved else ""
        return f"nothing to do: {up_to_date(len(plan))}{history}"
    told = [f"{counts['materialize']} to materialize"] if counts["materialize"] else []
    fresh, moved = counts["reuse"], len(plan.moved)
    told += [f"{fresh} up to date" + (f" ({moved} from history)" * bool(moved))] if fresh else []
    told += [f"{counts['blocked']} blocked"] if counts["blocked"] else []
    running = [step for step in plan if step.action == "materialize"]
    # What one function makes takes its time once.
    calls = {id(step.asset.maker or step): step for step in running}
    estimates = [_estimate(step) for step in calls.values()]
    known = [each for each in estimates if each is not None]
    sure = len(known) == len(estimates) and sum(known) >= _WORTH_TELLING_MS
    return ", ".join(told) + (f"; about {duration(sum(known))} of work" if sure else "")


def remarks(found: Sequence[tuple[str, Remark]], folder: Path) -> list[str]:
    """What is not sure about the code of assets: each once, with whom it concerns."""
    concerned: dict[Remark, list[str]] = {}
    for name, remark in found:
        concerned.setdefault(remark, []).append(name)
    return [
        relative(f"{_LEVELS[remark.level]}: {_some(names)}: {remark}", folder)
        for remark, names in sorted(concerned.items(), key=lambda item: item[0].level)
    ]


def _some(names: list[str]) -> str:
    if len(names) > _NAMES_SHOWN:
        return f"{', '.join(names[: _NAMES_SHOWN - 1])} and {len(names) - _NAMES_SHOWN + 1} others"
    return ", ".join(names)


def row(step: Step, now: dt.datetime) -> tuple[str, str, str, str, str]:
    """A step's mark, name, when it was last made, its estimated duration, and its causes."""
    made = step.current
    last = ago(made.completed_at, now) if made and made.completed_at else "-"
    estimate = _estimate(step)
    shown = duration(estimate) if estimate is not None else "?"
    return mark(step), step.name, last, shown if step.action == "materialize" else "-", why(step)


def mark(step: Step) -> str:
    """``+`` never made, ``~`` made again, ``<`` from history, ``=`` up to date, ``!`` blocked."""
    if step.action == "materialize":
        return "~" if step.current else "+"
    if step.origin == "history":
        return "<"
    return "=" if step.action == "reuse" else "!"


def why(step: Step) -> str:
    """The causes in words; a step that may yet be cut off runs only if an input changes."""
    if not step.may_cut_off:
        return step.why
    inputs = [cause.subject for cause in step.causes if cause.kind == "upstream_will_run"]
    others = [cause for cause in step.causes if cause.kind != "upstream_will_run"]
    if others:
        return step.why
    if len(inputs) > _INPUTS_SHOWN:
        inputs[_INPUTS_SHOWN - 1 :] = [f"{len(inputs) - _INPUTS_SHOWN + 1} others"]
    return f"only if {' or '.join(inputs)} {'changes' if len(inputs) == 1 else 'change'}"


def _estimate(step: Step) -> float | None:
    return step.current.duration_ms if step.current else None
