"""Earlier successes that will do for a step, once its inputs are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from flowstone.core.decide import Wanted, is_too_old, may_return

if TYPE_CHECKING:
    import datetime as dt

    from flowstone.core.ingredients import Ingredients
    from flowstone.core.plan import Step
    from flowstone.core.records import DecisionKind, Materialization
    from flowstone.store.base import MaterializationStore


class History:
    """Earlier successes of one partition, for a run whose ages count up to ``now``.

    The questions of one moment go into one statement.
    """

    def __init__(
        self, store: MaterializationStore, partition: str | None, now: dt.datetime | None
    ) -> None:
        self._store, self._partition, self._now = store, partition, now
        self._waiting: set[Wanted] = set()
        self._asking = anyio.Lock()
        self._found: dict[Wanted, Materialization | None] = {}

    async def earlier(
        self, step: Step, ingredients: Ingredients
    ) -> tuple[Materialization | None, DecisionKind]:
        """The success that was made of just these, unless it is too old, and which one it is.

        Raises:
            StoreError: if the store fails.
        """
        asset, made = step.asset, step.current
        if made is not None and made.status == "success" and ingredients.agree_with(made):
            if not is_too_old(asset, made, self._now):
                return made, "cut_off" if made.asset_name == step.name else "alias"
            return None, "history"
        for name in (asset.name, *asset.aliases):
            made = await self._find(Wanted(name, ingredients.dependency_hash(name)))
            if made and may_return(made, step.before) and not is_too_old(asset, made, self._now):
                return made, "history"
        return None, "history"

    async def _find(self, wanted: Wanted) -> Materialization | None:
        self._waiting.add(wanted)
        async with self._asking:
            if wanted not in self._found:
                # all that have asked while the last statement was under way
                asked, self._waiting = self._waiting, set()
                found = await self._store.history(asked, self._partition)
                self._found.update((each, found.get(each)) for each in asked)
        return self._found[wanted]
