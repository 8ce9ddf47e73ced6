"""The one place where a run's rows get their statuses, and where listeners are told of them."""

from __future__ import annotations

import datetime as dt
import functools
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

from flowstone.core.cause import Cause, in_words
from flowstone.core.ingredients import short
from flowstone.core.records import Decision, Draft
from flowstone.ids import materialization_id
from flowstone.runner.events import Ending, StepFinished, StepStarted
from flowstone.runner.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from flowstone.core.ingredients import Ingredients
    from flowstone.core.plan import Plan, Step
    from flowstone.core.records import DecisionKind, Materialization, Run
    from flowstone.runner.events import Event, Listener
    from flowstone.runner.journal import Journal
    from flowstone.runner.step import Made
    from flowstone.runner.versions import Read


class Ledger:
    """The rows of one run: each change goes to the journal, and to listeners once it is committed.

    ``endings`` says of each step how it ended, as far as it has.
    """

    def __init__(self, run: Run, journal: Journal, listener: Listener) -> None:
        self._run, self._journal, self._listener = run, journal, listener
        self._drafts: dict[str, Draft] = {}
        self._moved: set[str] = set()
        self.endings: dict[str, Ending] = {}

    def open(self, step: Step, causes: Sequence[Cause]) -> Draft:
        """The step's row, pending; made now if there is none yet."""
        if step.name not in self._drafts:
            self._drafts[step.name] = Draft(
                id=materialization_id(),
                asset_name=step.name,
                partition=self._run.partition,
                run_id=self._run.run_id,
                executor_node=self._run.executor_node,
                upstream_assets=list(step.asset.depends_on),
                code_version=step.code.version,
                code=step.code,
                causes=[cause.to_dict() for cause in causes],
                metadata=step.asset.metadata,
            )
        return self._drafts[step.name]

    def begun(self, name: str) -> Draft | None:
        """The row of a step that was started and has not ended."""
        draft = self._drafts.get(name)
        return draft if draft is not None and draft.status == "running" else None

    def reopen(self, name: str) -> None:
        """A step that was reused runs after all."""
        self.endings.pop(name, None)

    def running(self, draft: Draft, causes: Sequence[Cause]) -> None:
        """The step's function is about to be called."""
        draft.status, draft.started_at = "running", now()
        draft.causes = [cause.to_dict() for cause in causes]
        self._journal.put(draft)
        why = in_words(causes)
        self._tell(StepStarted(self._run.run_id, draft.asset_name, why, draft.attempt))

    def made(
        self,
        draft: Draft,
        made: Made,
        ingredients: Ingredients,
        read: Read,
        before: Materialization | None,
    ) -> None:
        """The step has its value, which is taken down; ``told`` comes after.

        ``read`` are the versions it took, by parameter and asset; ``before`` is what was current,
        and what its causes were told against.
        """
        draft.dependency_hash = ingredients.dependency_hash()
        draft.data_version = made.data_version
        draft.value = made.saved and made.saved.pointer
        draft.inputs = ingredients.recorded() | {"before": before and str(before.id)}
        draft.edges = [(version.id, parameter) for (parameter, _), version in read.items()]
        draft.status = "success"
        self._close(draft)
        self.endings[draft.asset_name] = "materialized"

    def told(self, draft: Draft, made: Made) -> None:
        """Listeners hear of the value that was taken down."""
        self._end(draft.asset_name, "materialized", draft.duration_ms, summary(made.value))

    def failed(self, draft: Draft, failure: Failure) -> None:
        """The step raised."""
        draft.error_type = failure.type
        draft.error_message = failure.message
        draft.error_traceback = failure.traceback
        draft.status = "failed"
        self._close(draft)
        detail, trace = failure.line, failure.traceback
        self._end(draft.asset_name, "failed", draft.duration_ms, detail, trace)

    def skipped(self, step: Step, why: str) -> None:
        """Something the step needs has no value."""
        draft = self.open(step, step.causes)
        draft.status, draft.error_message = "skipped", why
        self._close(draft)
        self._end(step.name, "skipped", detail=why)

    def cancelled(self, step: Step) -> None:
        """The run was stopped before the step had its value."""
        draft = self.open(step, step.causes)
        draft.status = "cancelled"
        self._close(draft)
        self._end(step.name, "cancelled")

    def stands(
        self, name: str, kind: DecisionKind, made: Materialization, causes: Sequence[Cause]
    ) -> None:
        """A recorded version stands in for the step, found out while running; there is no row."""
        if name not in self._moved:  # once, also if a step starts anew
            self._moved.add(name)
            self._journal.note(decided(self._run, name, kind, made, causes))

    def reused(self, name: str, detail: str) -> None:
        """The step ends with the version that stands in for it."""
        self._end(name, "reused", detail=detail)

    def comparing(self, step: Step) -> None:
        """A fresh step's function is about to be called, to compare what it makes."""
        self._tell(StepStarted(self._run.run_id, step.name, "to verify"))

    def compared(self, step: Step, outcome: Made | Failure) -> None:
        """A fresh step was executed to see whether it makes the same value again."""
        made = step.current
        if made is None:
            return
        ending, causes = _comparison(made, outcome)
        self._journal.note(decided(self._run, step.name, ending, made, causes))
        trace = outcome.traceback if isinstance(outcome, Failure) else ""
        self._end(step.name, ending, detail=in_words(causes), traceback=trace)

    def _close(self, draft: Draft) -> None:
        draft.completed_at = now()
        if draft.started_at is not None:
            elapsed = draft.completed_at - draft.started_at
            # The clock may have been set back meanwhile.
            draft.duration_ms = max(elapsed.total_seconds() * 1000, 0.0)
        self._journal.put(draft)

    def _end(
        self,
        name: str,
        ending: Ending,
        duration_ms: float | None = None,
        detail: str = "",
        traceback: str = "",
    ) -> None:
        self.endings[name] = ending
        run_id = self._run.run_id
        self._tell(StepFinished(run_id, name, ending, duration_ms, detail, traceback))

    def _tell(self, event: Event) -> None:
        self._journal.then(functools.partial(self._listener, event))


def _comparison(
    made: Materialization, outcome: Made | Failure
) -> tuple[Literal["verified", "differs"], tuple[Cause, ...]]:
    if isinstance(outcome, Failure):
        return "differs", (Cause("value_differs", outcome.line),)
    if outcome.data_version == made.data_version:
        return "verified", ()
    versions = short(made.data_version), short(outcome.data_version)
    return "differs", (Cause("value_differs", "", *versions),)


def decided(
    run: Run, name: str, kind: DecisionKind, made: Materialization, causes: Iterable[Cause] = ()
) -> Decision:
    """A run's decision about a step that it does not materialize."""
    return Decision.model_construct(
        run_id=run.run_id,
        asset_name=name,
        partition=run.partition,
        kind=kind,
        causes=[cause.to_dict() for cause in causes],
        materialization_id=made.id,
    )


def moves(plan: Plan, run: Run) -> list[Decision]:
    """The versions that become current because the plan reuses them."""
    return [
        decided(run, step.name, step.origin, step.current, step.causes)
        for step in plan.moved
        if step.current is not None and step.origin in ("history", "alias")
    ]


def now() -> dt.datetime:
    """The time, with its zone."""
    return dt.datetime.now(dt.UTC)


def summary(value: object) -> str:
    """A value in a few characters: its type and its size where it has one; a path itself."""
    if isinstance(value, PurePath):
        return str(value)
    kind = type(value).__name__
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and all(isinstance(side, int) for side in shape):
        return f"{kind} {' x '.join(f'{side:,}' for side in shape)}"
    if isinstance(value, (list, tuple, dict, set, frozenset)):
        return f"{kind} of {len(value):,}"
    return kind
