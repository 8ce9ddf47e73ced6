"""A run: how each asset ended and when, the user's own line of what failed, and the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.core.text import cap
from flowstone.notebook import states
from flowstone.notebook.markup import (
    COLOURS,
    Column,
    State,
    block,
    code,
    folded,
    heading,
    lines,
    mark,
    quiet,
    scrolled,
    table,
    text,
)
from flowstone.notebook.picture import picture
from flowstone.notebook.places import readable
from flowstone.notebook.plans import MOST_ROWS, titled
from flowstone.telling.frames import shown
from flowstone.telling.words import (
    counted,
    describe_counts,
    duration,
    size,
    up_to_date,
)

if TYPE_CHECKING:
    import datetime as dt

    from flowstone.core.records import Materialization
    from flowstone.result import RunResult
    from flowstone.runner.failure import Failure

_FAILURES_SHOWN = 10
_LINE_BYTES = 400
_OPEN_UP_TO = 60
_BAR = 180
_COLUMNS = (
    Column("status"),
    Column("asset", "fs-a"),
    Column("time", "fs-n"),
    Column("timeline"),
    Column("value", "fs-w"),
)


def run(result: RunResult) -> dict[str, str]:
    """A run in HTML and text."""
    state, told = _headline(result)
    failed = list(result.failures.items())
    html = block(
        heading(titled("Run", result.run.partition), mark(state), quiet(result.run_id)),
        _table(result),
        "".join(_failure(*each) for each in failed[:_FAILURES_SHOWN]),
        _more(failed),
        _graph(result),
        label=f"Run {result.run_id}: {told}",
    )
    return {"text/html": html, "text/plain": _plain(result)}


def _headline(result: RunResult) -> tuple[State, str]:
    """How the run ended, in one line."""
    told = describe_counts(result.run.counts)
    if set(result.statuses.values()) <= {"reused"}:
        told = f"nothing to do: {up_to_date(len(result.statuses))}"
    elif result.run.completed_at:
        elapsed = result.run.completed_at - result.run.started_at
        told += f" in {duration(elapsed.total_seconds() * 1000)}"
    return states.of_outcome(result.run.status, told), told


def _listed(result: RunResult) -> list[str]:
    """The assets to show; of very many, without those that were reused."""
    if len(result.statuses) <= MOST_ROWS:
        return list(result.statuses)
    return [name for name, ending in result.statuses.items() if ending != "reused"]


def _table(result: RunResult) -> str:
    rows = {row.asset_name: row for row in result.rows}
    names = _listed(result)
    began, span = _span(result)
    cells = [
        [
            mark(states.of_ending(result.statuses[name])),
            code(name),
            text(_time(rows.get(name))),
            _bar(rows.get(name), result, began, span),
            text(_value(result, name, rows.get(name))),
        ]
        for name in names[:MOST_ROWS]
    ]
    more = [f"{len(names) - MOST_ROWS} more"] if len(names) > MOST_ROWS else []
    reused = len(result.statuses) - len(names)
    more += [f"{reused} reused"] if reused else []
    told = f"<div>{quiet('and ' + ', '.join(more))}</div>" if more else ""
    return (table(_COLUMNS, cells) if cells else "") + told


def _time(row: Materialization | None) -> str:
    return duration(row.duration_ms) if row and row.duration_ms is not None else ""


def _value(result: RunResult, name: str, row: Materialization | None) -> str:
    """Where nothing was made, why; else the kind and size of the value, without decoding it."""
    if name in result.failures:
        return cap(result.failures[name].line, _LINE_BYTES // 2)
    if row is not None and row.status == "skipped":
        return row.error_message or ""
    made = result.plan[name].current if row is None else row
    return kind(made) if made is not None else ""


def kind(made: Materialization) -> str:
    """How a value is kept and how large it is, or by which IO manager; it is not decoded."""
    if made.value is None:
        return ""
    if made.value.codec == "io":
        return (made.value.location or "").partition(" ")[0]
    return f"{made.value.codec}, {size(made.value.size)}"


def _span(result: RunResult) -> tuple[dt.datetime, float]:
    """When the first function started, and the seconds until the last ended."""
    began = [row.started_at for row in result.rows if row.started_at]
    ended = [row.completed_at for row in result.rows if row.started_at and row.completed_at]
    first = min(began, default=result.run.started_at)
    last = max(ended, default=first)
    return first, max((last - first).total_seconds(), 1e-6)


def _bar(row: Materialization | None, result: RunResult, began: dt.datetime, span: float) -> str:
    """When an asset's function ran, on the time of the run."""
    if row is None or row.started_at is None or row.completed_at is None:
        return ""
    start = max((row.started_at - began).total_seconds(), 0.0)
    took = max((row.completed_at - row.started_at).total_seconds(), 0.0)
    width = max(took / span * _BAR, 2.0)
    x = min(start / span * _BAR, _BAR - width)
    colour = COLOURS[states.of_ending(result.statuses[row.asset_name]).tone]
    told = text(f"started after {duration(start * 1000)}, took {duration(took * 1000)}")
    return (
        f'<svg width="{_BAR}" height="12" role="img" aria-label="{told}" '
        f'style="vertical-align:middle"><title>{told}</title>'
        f'<path d="M0 6h{_BAR}" stroke="currentColor" stroke-opacity=".18"/>'
        f'<rect x="{x:.1f}" y="1" width="{width:.1f}" height="10" rx="2" fill="{colour}"/></svg>'
    )


def _failure(name: str, failure: Failure) -> str:
    """An error, focused on the user's own lines; all of it can be unfolded."""
    brief, whole = _frames(failure), readable(failure.traceback)
    head = f'<b style="color:{COLOURS["bad"]}">error:</b> {code(name)} failed: '
    everything = folded("whole traceback", lines([whole])) if whole else ""
    told = f"{head}{text(readable(failure.line))}{lines(brief)}"
    return f'<div class="fs-e">{told}{everything}</div>'


def _frames(failure: Failure) -> list[str]:
    return [cap(readable(line), _LINE_BYTES) for line in shown(failure.traceback)]


def _more(failed: list[tuple[str, Failure]]) -> str:
    left_out = len(failed) - _FAILURES_SHOWN
    told = f"and {counted(left_out, 'more failure')}; all of them are recorded"
    return f"<div>{quiet(told)}</div>" if left_out > 0 else ""


def _graph(result: RunResult) -> str:
    names = list(result.statuses)
    if len(names) < 2:  # noqa: PLR2004 - a lone box says nothing
        return ""
    svg = picture(result.plan.request.graph, states.of_run(result), names)
    return folded("graph", scrolled(svg)) if svg else ""


def _plain(result: RunResult) -> str:
    rows = {row.asset_name: row for row in result.rows}
    names = _listed(result)
    width = max(map(len, names), default=0)
    told = []
    for name in names[:MOST_ROWS]:
        state = states.of_ending(result.statuses[name])
        took, value = _time(rows.get(name)), _value(result, name, rows.get(name))
        told.append(f"{state.mark} {name:<{width}}  {state.word:<12}  {took:>7}  {value}".rstrip())
    for name, failure in list(result.failures.items())[:_FAILURES_SHOWN]:
        told += ["", f"error: {name} failed: {failure.line}", *_frames(failure)]
    return "\n".join([*told, f"{_headline(result)[1]}  run {result.run_id}"])
