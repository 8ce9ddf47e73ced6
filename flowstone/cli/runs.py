"""Recorded runs as the command line names them: by id, by the start of one, or as ``last``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowstone.errors import NotFoundError
from flowstone.telling.words import counted

if TYPE_CHECKING:
    from flowstone.core.records import Run
    from flowstone.store.base import MaterializationStore

argument = click.argument("run", metavar="RUN")
#: How many runs a part of an id is looked up in.
_NEWEST = 1_000
_SHOWN = 3


async def find(store: MaterializationStore, given: str) -> Run:
    """The run with that id, the newest (``last``), or the one of the newest that begins so.

    Raises:
        NotFoundError: if there is none.
        UsageError: if several begin so.
    """
    try:
        return await store.get_run(given)
    except NotFoundError:
        if given == "last":
            newest = await store.list_runs(limit=1)
            found = newest
        else:
            newest = await store.list_runs(limit=_NEWEST)
            found = [run for run in newest if given and run.run_id.startswith(given)]
    if len(found) == 1:
        return found[0]
    if found:
        named = ", ".join(run.run_id for run in found[:_SHOWN])
        raise click.UsageError(f"{counted(len(found), 'run')} begin with {given!r}: {named}, ...")
    if not newest:
        raise NotFoundError("no run is recorded yet")
    raise NotFoundError(
        f"no run {given!r} is recorded; name an id or its beginning, or 'last' for"
        f" {newest[0].run_id}"
    )
