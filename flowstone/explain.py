"""Answers "why": follows the causes of a step, or of a recorded run's row, to their roots."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from flowstone.core.cause import Cause
from flowstone.core.changes import difference
from flowstone.core.decide import input_name
from flowstone.core.reason import Explanation, Reason
from flowstone.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from flowstone.core.plan import Action, Origin, Plan, Step
    from flowstone.core.records import DecisionKind, Materialization
    from flowstone.store.base import MaterializationStore

_WOULD: dict[Action, str] = {
    "materialize": "would run:",
    "reuse": "is up to date",
    "blocked": "is blocked:",
}
_FOLLOWED = ("upstream_will_run", "input_changed", "upstream_missing", "made_together")
_MOVED: dict[Origin, str] = {
    "": "is up to date",
    "history": "would be taken from history, without running:",
    "alias": "is up to date: it was made under a former name",
    "accepted": "is accepted as it is:",
}
_DECIDED: dict[DecisionKind, str] = {
    "cut_off": "did not run: what it takes came out the same",
    "history": "was taken from history, without running:",
    "alias": "did not run: what was made under a former name stands",
    "verified": "was executed again and gave the same value",
    "differs": "was executed again, to verify it:",
}


async def next_run(name: str, plan: Plan, store: MaterializationStore) -> Explanation:
    """Why the plan would run an asset, or would not."""
    step = plan[name]
    headline = _MOVED[step.origin] if step.action == "reuse" else _WOULD[step.action]
    if step.action == "reuse" and not step.origin and step.current is not None:
        headline += f", made by run {step.current.run_id}"
    if step.may_cut_off:
        headline = "would run, unless what it takes comes out as it was:"
    reasons = await _Hops(store, plan).of_step(step)
    return Explanation(step.name, plan.request.partition, headline, reasons)


async def recorded_run(
    name: str, partition: str | None, run_id: str, store: MaterializationStore
) -> Explanation:
    """Why a recorded run made an asset, or what else it did about it.

    Raises:
        NotFoundError: if there is no such run.
    """
    run = await store.get_run(run_id)
    when = f"in run {run_id} ({run.started_at:%Y-%m-%d %H:%M})"
    key = (name, partition)
    for row in await store.get_by_run_id(run_id):
        if (row.asset_name, row.partition) == key:
            reasons = await _Hops(store).of_row(row)
            return Explanation(name, partition, f"{_happened(row)} {when}:", reasons)
    for each in await store.decisions(run_id):
        if (each.asset_name, each.partition) == key:
            reasons = tuple(Reason(Cause.of(cause)) for cause in each.causes)
            return Explanation(name, partition, f"{_DECIDED[each.kind]} ({when})", reasons)
    headline = f"was not made {when}: it was fresh, or not part of that run"
    return Explanation(name, partition, headline)


def _happened(row: Materialization) -> str:
    if row.causes[:1] == [{"kind": "accepted"}]:
        return "was accepted as it was"
    return {"success": "ran", "failed": "ran and failed", "stale": "ran"}.get(
        row.status, f"was {row.status}"
    )


class _Hops:
    """Goes from causes to what is behind them; each asset and each diff is told once."""

    def __init__(self, store: MaterializationStore, plan: Plan | None = None) -> None:
        self._store, self._plan = store, plan
        self._seen: set[str] = set()
        self._told: set[tuple[str, str]] = set()

    async def of_step(self, step: Step) -> tuple[Reason, ...]:
        """Reasons of a step that is planned."""
        self._seen.add(step.name)
        inputs = {input_name(*edge): edge[1] for edge in step.asset.edges}
        now = {each.name: (each.digest, each.source) for each in step.code.definitions}
        before = await self._definitions(step.before)
        reasons = []
        for cause in step.causes:
            source = inputs.get(cause.subject, cause.subject)
            if cause.kind == "code_changed":
                reasons.append(Reason(cause, await self._diff(cause, before, now)))
            elif cause.kind in _FOLLOWED:
                reasons.append(Reason(cause, (), source, await self._of_source(source)))
            else:
                reasons.append(Reason(cause))
        return tuple(reasons)

    async def _of_source(self, name: str) -> tuple[Reason, ...]:
        """Reasons behind the version of an upstream asset that the plan has, or will make."""
        if self._plan is None or name in self._seen:
            return ()
        planned = {step.name for step in self._plan}
        if name in planned:
            step = self._plan[name]
            if step.action != "reuse" or step.origin:
                return await self.of_step(step)
            made = step.current
        else:
            made = self._plan.given.get(name)
        return await self.of_row(await self._store.since(made)) if made else ()

    async def of_row(self, row: Materialization) -> tuple[Reason, ...]:
        """Reasons of a materialization that is recorded."""
        self._seen.add(row.asset_name)
        before = await self._definitions(await self._before(row))
        now = await self._definitions(row)
        read = await self._read(row)
        reasons = []
        for cause in (Cause.of(each) for each in row.causes if each["kind"] != "accepted"):
            if cause.kind == "code_changed":
                reasons.append(Reason(cause, await self._diff(cause, before, now)))
            elif cause.kind == "input_changed" and cause.subject in read:
                made = read[cause.subject]
                because = await self._of_read(made)
                reasons.append(Reason(cause, (), made.asset_name, because))
            elif cause.kind == "made_together":
                reasons.append(Reason(cause, (), cause.subject, await self._of_twin(row, cause)))
            else:
                reasons.append(Reason(cause))
        return tuple(reasons)

    async def _read(self, row: Materialization) -> dict[str, Materialization]:
        """The versions a materialization read, by input name."""
        edges = await self._store.lineage(row.id)
        made = [await self._store.get_by_id(edge.upstream_id) for edge in edges]
        pairs = zip(edges, made, strict=True)
        return {input_name(edge.parameter, each.asset_name): each for edge, each in pairs}

    async def _of_read(self, made: Materialization) -> tuple[Reason, ...]:
        if made.asset_name in self._seen:
            return ()
        return await self.of_row(await self._store.since(made))

    async def _of_twin(self, row: Materialization, cause: Cause) -> tuple[Reason, ...]:
        """Reasons of what the same call made, and was made for."""
        for each in await self._store.get_by_run_id(row.run_id):
            twin = (each.asset_name, each.partition) == (cause.subject, row.partition)
            if twin and each.asset_name not in self._seen:
                return await self.of_row(each)
        return ()

    async def _before(self, row: Materialization) -> Materialization | None:
        """What was current when the causes of a row were told."""
        known = row.inputs.get("before")
        try:
            return await self._store.get_by_id(uuid.UUID(known)) if known else None
        except NotFoundError:
            return None

    async def _definitions(self, row: Materialization | None) -> Mapping[str, tuple[str, str]]:
        """Digest and source of what a materialization's code was, by name."""
        if row is None or row.code_version is None:
            return {}
        found = await self._store.definitions([row.code_version])
        return {name: (digest, "") for name, (digest, _) in found.get(row.code_version, {}).items()}

    async def _diff(
        self,
        cause: Cause,
        before: Mapping[str, tuple[str, str]],
        now: Mapping[str, tuple[str, str]],
    ) -> tuple[str, ...]:
        """How the definition that a cause is about changed; told once."""
        old, new = before.get(cause.subject), now.get(cause.subject)
        if old is None or new is None or (old[0], new[0]) in self._told:
            return ()
        self._told.add((old[0], new[0]))
        texts = await self._texts([old, new])
        if old[0] not in texts or not (new[1] or new[0] in texts):
            return ()
        return tuple(difference(texts[old[0]], new[1] or texts[new[0]]))

    async def _texts(self, definitions: Iterable[tuple[str, str]]) -> Mapping[str, str]:
        return await self._store.sources([digest for digest, source in definitions if not source])
