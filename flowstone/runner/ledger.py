"""The one place where a run's rows get their statuses, and where listeners are told of them."""

from __future__ import annotations

import datetime as dt
import functools
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

from flowstone.core.cause import Cause, in_words
from flowstone.core.ingredients import short
from flowstone.core.records import Decision, Draft
from flowstone.core.status import OPEN
from flowstone.core.text import cap
from flowstone.ids import materialization_id
from flowstone.runner.events import Ending, StepFinished, StepRetrying, StepStarted
from flowstone.runner.failure import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from flowstone.core.ingredients import Ingredients
    from flowstone.core.plan import Plan, Step
    from flowstone.core.records import DecisionKind, Materialization, Run, StepLog
    from flowstone.runner.events import Event, Listener
    from flowstone.runner.journal import Journal
    from flowstone.runner.step import Made
    from flowstone.runner.versions import Read

_now, _UTC = dt.datetime.now, dt.UTC
#: Bytes of the message of a failed attempt that others came after.
_ATTEMPT_BYTES = 4_096


class Ledger:
    """The rows of one run: each change goes to the journal, and to a listener once it is committed.

    What speaks of no row goes to ``remark``. ``endings`` says of each step how it ended, as far as
    it has.
    """

    def __init__(
        self,
        run: Run,
        journal: Journal,
        listener: Listener | None,
        remark: Listener | None = None,
    ) -> None:
        self._run, self._journal, self._listener = run, journal, listener
        self._remark = remark
        self._drafts: dict[str, Draft] = {}
        self._moved: set[str] = set()
        self.endings: dict[str, Ending] = {}

    @property
    def rows(self) -> Collection[Draft]:
        """All rows so far, in the order they were opened."""
        return self._drafts.values()

    def open(self, step: Step, causes: Sequence[Cause]) -> Draft:
        """The step's row with its causes as they are known now; pending if there was none yet."""
        asset, run = step.asset, self._run
        draft = self._drafts.get(asset.name)
        if draft is None:
            draft = self._drafts[asset.name] = Draft(
                id=materialization_id(),
                asset_name=asset.name,
                partition=run.partition,
                run_id=run.run_id,
                executor_node=run.executor_node,
                upstream_assets=asset.depends_on,
                code_version=step.code.version,
                code=step.code,
                metadata=asset.metadata,
            )
        draft.causes = [cause.to_dict() for cause in causes]
        return draft

    def pending(self, steps: Iterable[Step]) -> Iterator[Draft]:
        """The rows of steps that are known to run, as long as they have not begun."""
        for step in steps:
            if step.name not in self._drafts:
                yield self.open(step, step.causes)

    def begun(self, name: str) -> Draft | None:
        """The row of a step that was started and has not ended."""
        draft = self._drafts.get(name)
        return draft if draft is not None and draft.status == "running" else None

    def reopen(self, name: str) -> None:
        """A step that was reused runs after all."""
        self.endings.pop(name, None)

    def running(
        self, draft: Draft, causes: Sequence[Cause], started_at: dt.datetime | None = None
    ) -> None:
        """The step's function is about to be called."""
        draft.status, draft.started_at = "running", started_at or now()
        self._journal.put(draft)
        if self._listener is not None:
            why = in_words(causes)
            self._tell_committed(
                StepStarted(self._run.run_id, draft.asset_name, why, draft.attempt)
            )

    def made(
        self,
        draft: Draft,
        made: Made,
        ingredients: Ingredients,
        read: Read,
        before: Materialization | None,
    ) -> None:
        """The step has its value, which is taken down; ``told`` comes after.

        ``read`` are the versions it took; ``before`` is what was current, and what its causes were
        told against.
        """
        draft.dependency_hash = ingredients.dependency_hash()
        draft.data_version = made.data_version
        draft.value = made.saved and made.saved.pointer
        draft.inputs = ingredients.recorded_json(str(before.id) if before else None)
        draft.edges = [(version.id, parameter) for parameter, version in read]
        draft.status = "success"
        self._close(draft)
        self.endings[draft.asset_name] = "materialized"

    def told(self, draft: Draft, made: Made) -> None:
        """Listeners hear of the value that was taken down."""
        if self._listener is not None:
            self._end(self._finished(draft, "materialized", made.what or summary(made.value)))

    def failed(self, draft: Draft, failure: Failure) -> None:
        """The step raised."""
        draft.error_type = failure.type
        draft.error_message = failure.message
        draft.error_traceback = failure.traceback
        draft.status = "failed"
        self._close(draft)
        self._end(self._finished(draft, "failed", failure.line, failure.traceback))

    def skipped(self, step: Step, why: str) -> None:
        """Something the step needs has no value."""
        draft = self.open(step, step.causes)
        draft.status, draft.error_message = "skipped", why
        self._close(draft)
        self._end(StepFinished(self._run.run_id, step.name, "skipped", detail=why))

    def cancelled(self, step: Step) -> None:
        """The run was stopped before the step had its value."""
        draft = self.open(step, step.causes)
        draft.status = "cancelled"
        self._close(draft)
        self._end(StepFinished(self._run.run_id, step.name, "cancelled"))

    def stands(
        self, name: str, kind: DecisionKind, made: Materialization, causes: Sequence[Cause]
    ) -> None:
        """A recorded version stands in for the step, found out while running; there is no row."""
        if name not in self._moved:  # once, also if a step starts anew
            self._moved.add(name)
            self._journal.note(decided(self._run, name, kind, made, causes))

    def reused(self, name: str, detail: str) -> None:
        """The step ends with the version that stands in for it.

        Its row, if it was expected to run, stays open: the value may turn out to be lost.
        """
        self._end(StepFinished(self._run.run_id, name, "reused", detail=detail))

    def close_rest(self) -> None:
        """The rows of steps that were expected to run and were not made are closed."""
        for draft in self._drafts.values():
            if draft.status in OPEN:
                draft.status, draft.error_message = "cancelled", "another run has made the same"
                self._close(draft)

    def comparing(self, step: Step) -> None:
        """A fresh step's function is about to be called, to compare what it makes."""
        self._tell_committed(StepStarted(self._run.run_id, step.name, "to verify"))

    def compared(self, step: Step, outcome: Made | Failure) -> None:
        """A fresh step was executed to see whether it makes the same value again."""
        made = step.current
        if made is None:
            return
        ending, causes = _comparison(made, outcome)
        self._journal.note(decided(self._run, step.name, ending, made, causes))
        trace = outcome.traceback if isinstance(outcome, Failure) else ""
        self._end(StepFinished(self._run.run_id, step.name, ending, None, in_words(causes), trace))

    def _close(self, draft: Draft) -> None:
        draft.completed_at = ended = now()
        if draft.started_at is not None:
            elapsed = ended - draft.started_at
            # The clock may have been set back meanwhile.
            draft.duration_ms = max(elapsed.total_seconds() * 1000, 0.0)
        self._journal.put(draft)

    def _finished(
        self, draft: Draft, ending: Ending, detail: str, traceback: str = ""
    ) -> StepFinished:
        run_id, name = self._run.run_id, draft.asset_name
        took, attempt = draft.duration_ms, draft.attempt
        return StepFinished(run_id, name, ending, took, detail, traceback, attempt)

    def _end(self, event: StepFinished) -> None:
        self.endings[event.asset] = event.ending
        self._tell_committed(event)

    def _tell_committed(self, event: Event) -> None:
        """Listeners hear of it once all that was taken down so far is committed."""
        if self._listener is not None:
            self._journal.then(functools.partial(self._listener, event))

    def remark(self, event: Event) -> None:
        """Listeners hear at once of what speaks of no row."""
        if self._remark is not None:
            self._remark(event)

    def keep(self, log: StepLog) -> None:
        """What an attempt of a step told is recorded with it."""
        self._journal.keep(log)

    def then(self, act: Callable[[], object]) -> None:
        """Do something once all that was taken down so far is committed."""
        self._journal.then(act)

    def again(self, draft: Draft, failure: Failure, delay: float) -> None:
        """An attempt failed, and the next one begins in so many seconds."""
        self._journal.put(draft)
        ended = now()
        failed = {
            "attempt": draft.attempt,
            "error_type": failure.type,
            "error_message": cap(failure.message, _ATTEMPT_BYTES),
            "started_at": draft.started_at and draft.started_at.isoformat(),
            "completed_at": ended.isoformat(),
        }
        draft.attempts = [*draft.attempts, failed]
        run_id, name, attempt = self._run.run_id, draft.asset_name, draft.attempt
        draft.attempt += 1
        told = StepRetrying(run_id, name, attempt, delay, failure.line, failure.traceback)
        self._tell_committed(told)


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
    return _now(_UTC)


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
