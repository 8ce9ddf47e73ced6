"""Earlier successes that will do for a step, once its inputs are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.core.decide import Wanted, is_too_old, may_return
from flowstone.runner.together import Together

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping, Sequence

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
        self._find = Together(self._ask)

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
            wanted = Wanted(name, ingredients.dependency_hash(name))
            made = (await self._find([wanted])).get(wanted)
            if made and may_return(made, step.before) and not is_too_old(asset, made, self._now):
                return made, "history"
        return None, "history"

    async def _ask(self, wanted: Sequence[Wanted]) -> Mapping[Wanted, Materialization]:
        found = await self._store.history(wanted, self._partition)
        return {each: found[each] for each in wanted if each in found}
