"""How assets stand, by a plan or by a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.notebook.markup import State
from flowstone.notebook.places import readable
from flowstone.telling import tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.core.plan import Plan, Step
    from flowstone.notebook.markup import Tone
    from flowstone.result import RunResult
    from flowstone.runner.events import Ending

_STEPS: dict[str, tuple[str, Tone]] = {
    "=": ("fresh", "good"),
    "<": ("from history", "good"),
    "~": ("outdated", "todo"),
    "+": ("never made", "new"),
    "!": ("blocked", "bad"),
}
_ENDINGS: dict[Ending, Tone] = {
    "materialized": "new",
    "reused": "good",
    "verified": "good",
    "failed": "bad",
    "differs": "bad",
    "skipped": "idle",
    "cancelled": "idle",
}

#: What is told of several that are drawn as one: the first of these that any of them is.
URGENCY: tuple[Tone, ...] = ("bad", "todo", "new", "maybe", "idle", "good", "plain")


def of_step(step: Step) -> State:
    """What a plan says of an asset."""
    mark = tables.mark(step)
    word, tone = _STEPS[mark]
    if mark == "~" and step.may_cut_off:
        word, tone = "perhaps outdated", "maybe"
    return State(mark, word, tone, readable(tables.why(step)))


def of_ending(ending: Ending, detail: str = "") -> State:
    """How an asset's step ended."""
    return State(tables.ENDINGS[ending], ending, _ENDINGS[ending], detail)


def of_outcome(status: str, told: str) -> State:
    """How a whole run ended."""
    tones: dict[str, tuple[str, Tone]] = {"success": ("✓", "good"), "cancelled": ("-", "idle")}
    mark, tone = tones.get(status, ("✗", "bad"))
    return State(mark, told, tone)


def of_plan(plan: Plan) -> Mapping[str, State]:
    """The states of all assets in a plan."""
    return {step.name: of_step(step) for step in plan}


def of_run(result: RunResult) -> Mapping[str, State]:
    """The states of all assets in a run."""
    told = {name: failure.line for name, failure in result.failures.items()}
    return {name: of_ending(ending, told.get(name, "")) for name, ending in result.statuses.items()}
