"""What people do to what is recorded, and the audit that says who, when and why."""

from __future__ import annotations

import datetime as dt
import getpass
import platform
from typing import TYPE_CHECKING, Any, Literal

from flowstone.core.records import Act, Draft, Run
from flowstone.errors import AcceptError, StoreError
from flowstone.ids import materialization_id
from flowstone.ids import run_id as new_run_id
from flowstone.runner.ledger import moves

if TYPE_CHECKING:
    import uuid
    from collections.abc import Mapping

    from flowstone.core.plan import Plan, Step
    from flowstone.core.records import Materialization
    from flowstone.store.base import MaterializationStore


def who() -> str:
    """The user of this process, and the machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        user = "somebody"
    return f"{user}@{platform.node()}"


def act(
    actor: str,
    action: Literal["accept", "invalidate"],
    asset: str,
    partition: str | None,
    reason: str,
    **details: Any,
) -> Act:
    """An entry of the audit, of this moment.

    Raises:
        StoreError: if no reason is given.
    """
    if not reason.strip():
        raise StoreError(f"say why: {action} needs a reason")
    return Act(
        at=dt.datetime.now(dt.UTC),
        actor=actor,
        action=action,
        asset_name=asset,
        partition=partition,
        reason=reason,
        details=details,
    )


def cancelling(actor: str, run_id: str, reason: str | None = None) -> Act:
    """An entry of the audit: somebody asks a run to stop, now."""
    return Act(
        at=dt.datetime.now(dt.UTC),
        actor=actor,
        action="cancel",
        reason=reason,
        details={"run_id": run_id},
    )


async def accepted(plan: Plan, store: MaterializationStore, actor: str, reason: str) -> list[str]:
    """Record that the current versions of the plan's targets stand; the names that were not fresh.

    Raises:
        AcceptError: for the first target that can't be accepted.
    """
    targets = [plan[name] for name in plan.targets]
    for step in targets:
        if step.action != "reuse":
            raise AcceptError(f"{step.name!r} can't be accepted: {_hindrance(step)}")
    steps = [step for step in targets if step.origin == "accepted"]
    run = _run(plan, actor)
    ids = {step.name: materialization_id() for step in steps}
    texts = await store.inline_values([_made(step).id for step in steps])
    drafts = [_draft(step, plan, run, ids, texts) for step in steps]
    key = plan.request.partition
    acts = [
        act(actor, "accept", step.name, key, reason, of=str(_made(step).id), run_id=run.run_id)
        for step in steps
    ]
    if drafts:
        await store.record_run(run, drafts, moves(plan, run), acts)
    return [step.name for step in steps]


def _hindrance(step: Step) -> str:
    if step.current is None:
        return "it was never made; run it"
    waiting = [
        c.subject for c in step.causes if c.kind in ("upstream_will_run", "upstream_missing")
    ]
    if waiting:
        names = ", ".join(waiting)
        return f"what it takes of {names} is not settled; accept {names} too, or run it first"
    return f"{step.why}; run it"


def _run(plan: Plan, actor: str) -> Run:
    moment = dt.datetime.now(dt.UTC)
    return Run(
        run_id=new_run_id(),
        status="success",
        target=" ".join(plan.targets[:100]),
        partition=plan.request.partition,
        counts={"accepted": sum(step.origin == "accepted" for step in plan)},
        executor_node=actor,
        started_at=moment,
        completed_at=moment,
    )


def _made(step: Step) -> Materialization:
    if step.current is None:
        raise AcceptError(f"{step.name!r} was never made; run it")
    return step.current


def _draft(
    step: Step,
    plan: Plan,
    run: Run,
    ids: Mapping[str, uuid.UUID],
    texts: Mapping[uuid.UUID, bytes],
) -> Draft:
    """A success with the value of the current version, and the ingredients of now."""
    made, ingredients = _made(step), step.ingredients(plan.request.partition)
    value = made.value
    if value is not None and value.unread:
        value = value.model_copy(update={"inline": texts[made.id]})
    mine = ids[step.name]
    edges = [
        (ids[source] if source in ids else _made(plan[source]).id, parameter)
        for parameter, source in step.asset.edges
    ]
    return Draft(
        id=mine,
        asset_name=step.name,
        partition=run.partition,
        run_id=run.run_id,
        executor_node=run.executor_node,
        upstream_assets=step.asset.depends_on,
        status="success",
        started_at=run.started_at,
        completed_at=run.completed_at,
        duration_ms=0.0,
        dependency_hash=ingredients.dependency_hash(),
        code_version=step.code.version,
        data_version=made.data_version,
        inputs=ingredients.recorded_json(),
        causes=[{"kind": "accepted"}, *(cause.to_dict() for cause in step.causes)],
        value=value,
        metadata=step.asset.metadata,
        edges=edges,
        code=step.code,
    )
