"""A plan as the table of the command line, and its graph coloured by state."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from flowstone.notebook import states
from flowstone.notebook.markup import (
    Column,
    block,
    code,
    folded,
    heading,
    mark,
    quiet,
    scrolled,
    table,
    text,
)
from flowstone.notebook.picture import picture
from flowstone.notebook.places import readable
from flowstone.telling import tables
from flowstone.telling.words import counted, up_to_date

if TYPE_CHECKING:
    from flowstone.core.plan import Plan, Step

#: Rows of a table; above that, what is fresh is left out first.
MOST_ROWS = 100
#: Assets up to which the graph is shown without being asked for.
_OPEN_UP_TO = 60
_COLUMNS = (
    Column("action"),
    Column("asset", "fs-a"),
    Column("last ok", "fs-n"),
    Column("est.", "fs-n"),
    Column("why", "fs-w"),
)


def plan(drawn: Plan) -> dict[str, str]:
    """A plan in HTML and text."""
    now, folder = dt.datetime.now(dt.UTC), Path.cwd()
    lines = [f"{sign} {told}" if sign else told for sign, told in tables.table(drawn, now, folder)]
    remarks = tables.remarks(drawn.remarks, folder)
    html = block(
        heading(titled("Plan", drawn.request.partition), text(tables.summary(drawn))),
        _table(drawn, now) if len(drawn) else "",
        "".join(f"<div>{quiet(readable(remark))}</div>" for remark in remarks),
        _graph(drawn),
        label="Plan",
    )
    return {"text/html": html, "text/plain": "\n".join([*lines, *remarks])}


def titled(what: str, partition: str | None) -> str:
    """What is shown, and for which partition."""
    return what if partition is None else f"{what} for {partition}"


def _table(drawn: Plan, now: dt.datetime) -> str:
    shown = list(drawn)
    if len(shown) > MOST_ROWS:
        shown = [step for step in shown if step.action != "reuse" or step.origin]
    fresh = len(drawn) - len(shown)
    left_out = len(shown[MOST_ROWS:])
    rows = (_row(step, now) for step in shown[:MOST_ROWS])
    more = [f"{counted(left_out, 'more step')} to come"] if left_out else []
    more += [up_to_date(fresh)] if fresh else []
    told = f"<div>{quiet('and ' + ', '.join(more))}</div>" if more else ""
    return (table(_COLUMNS, rows) if shown else "") + told


def _row(step: Step, now: dt.datetime) -> list[str]:
    _, name, last, estimate, why = tables.row(step, now)
    action = mark(states.of_step(step)._replace(word=step.action))
    return [action, code(name), text(last), text(estimate), text(readable(why))]


def _graph(drawn: Plan) -> str:
    if len(drawn) < 2:  # noqa: PLR2004 - a lone box says nothing
        return ""
    names = [step.name for step in drawn]
    svg = picture(drawn.request.graph, states.of_plan(drawn), names)
    is_open = len(drawn) <= _OPEN_UP_TO
    return folded("graph", scrolled(svg), is_open=is_open) if svg else ""
