"""Asking again for what a recorded run was asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flowstone.core.repeat import Repeated, repeated
from flowstone.errors import ResumeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.store.base import MaterializationStore


async def resumed(run_id: str, config: Mapping[str, Any], store: MaterializationStore) -> Repeated:
    """What a run was asked for; what it was forced to make and has made is not forced again.

    Raises:
        NotFoundError: if there is no such run.
        ResumeError: if it is alive, or what it was asked for is not known or not whole.
    """
    run = await store.settled_run(run_id)
    if run.status == "running":
        raise ResumeError(
            f"run {run_id} is alive: it needs nobody to resume it; wait for it, or stop it with:"
            f" python -m flowstone cancel {run_id}"
        )
    asked = repeated(run, config)
    if not asked.force:
        return asked
    rows = await store.get_by_run_id(run_id)
    made = {row.asset_name for row in rows if row.status == "success"}
    return replace(asked, force=tuple(name for name in asked.force if name not in made))
