"""Looks for earlier successes while a run goes on: the questions of one moment in one statement."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from flowstone.core.decide import Wanted
    from flowstone.core.records import Materialization
    from flowstone.store.base import MaterializationStore


class History:
    """Earlier successes of one partition by asset and dependency hash."""

    def __init__(self, store: MaterializationStore, partition: str | None) -> None:
        self._store, self._partition = store, partition
        self._waiting: set[Wanted] = set()
        self._asking = anyio.Lock()
        self._found: dict[Wanted, Materialization | None] = {}

    async def find(self, wanted: Wanted) -> Materialization | None:
        """The newest success that fits, or None.

        Raises:
            StoreError: if the store fails.
        """
        self._waiting.add(wanted)
        async with self._asking:
            if wanted not in self._found:
                # all that have asked while the last statement was under way
                asked, self._waiting = self._waiting, set()
                found = await self._store.history(asked, self._partition)
                self._found.update((each, found.get(each)) for each in asked)
        return self._found[wanted]
