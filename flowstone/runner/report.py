"""What a run says of itself: its row as it begins, and how it ended."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from flowstone.core.records import Draft, Materialization, Run
from flowstone.core.repeat import recorded as recorded_request
from flowstone.runner.ledger import now

if TYPE_CHECKING:
    from collections.abc import Collection

    from flowstone.core.plan import Plan
    from flowstone.errors import ResourceError
    from flowstone.runner.events import Ending
    from flowstone.runner.failure import Failure
    from flowstone.runner.versions import Version


@dataclass(slots=True)
class Report:
    """How a run ended: every step's ending, the versions that stand, and what failed.

    ``unclosed`` are the resources that could not be closed, ``drafts`` the run's rows.
    """

    run: Run
    endings: dict[str, Ending]
    versions: dict[str, Version] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    unclosed: list[ResourceError] = field(default_factory=list)
    drafts: Collection[Draft] = ()


def recorded(draft: Draft) -> Materialization:
    """A row as this process wrote it."""
    last = draft.completed_at or draft.started_at or now()
    known = {name: getattr(draft, name) for name in _SHARED}
    known |= {
        "inputs": json.loads(draft.inputs),
        "causes": list(draft.causes),
        "attempts": list(draft.attempts),
        "upstream_partitions": [draft.partition] * len(draft.upstream_assets),
    }
    return Materialization.model_construct(
        **known, inserted_at=draft.started_at or last, updated_at=last
    )


#: What a draft and the row have in common.
_SHARED = [f.name for f in fields(Draft) if f.name in Materialization.model_fields]


def new_run(plan: Plan, run_id: str) -> Run:
    """The run row as it is when the run begins."""
    config = {name: dict(each.shown) for name, each in plan.request.config.items() if each.shown}
    return Run.model_construct(
        run_id=run_id,
        status="running",
        target=" ".join(plan.targets[:100]),
        partition=plan.request.partition,
        config=config,
        executor_node=f"{platform.node()}:{os.getpid()}",
        started_at=now(),
        request=recorded_request(plan.request),
    )
