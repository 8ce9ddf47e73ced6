"""Nothing that a user's code gives can keep a batch from being recorded.

A row that the database refuses would take all others of its batch with it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from flowstone import AssetGraph, Context, asset
from flowstone.errors import DefinitionError

if TYPE_CHECKING:
    from flowstone.api import Flowstone
    from flowstone.core.asset import AnyAsset
    from flowstone.values import Product

pytestmark = pytest.mark.anyio

#: NUL, half a character, what COPY and arrays have their own meaning for.
EVIL = "\0 \ud800 \\N \\. {\"'\t\r\n"
LONG = "x" * 512


class EvilAddresses:
    """An IO manager whose addresses would not come back as they are."""

    version = EVIL

    def save(self, _value: Any, _product: Product) -> str:
        return EVIL

    def load(self, _product: Product) -> Any:
        return "a"

    def exists(self, products: Any) -> list[bool]:
        return [True] * len(products)

    def data_version(self, _value: Any, _product: Product) -> str | None:
        return None


def one() -> int:
    return 1


def evil() -> str:
    return EVIL


def configured(
    text: str = EVIL,
    numbers: dict[str, float] = {EVIL: math.inf, "": math.nan},  # noqa: B006 - it is read only
) -> str:
    return f"{text} {numbers}"


def failing() -> str:
    raise type("A\ud800", (Exception,), {})(EVIL)


def telling(context: Context) -> str:
    print(EVIL)  # noqa: T201 - what it prints is recorded
    context.logger.info(EVIL, evil=EVIL, number=math.nan)
    return EVIL


def _evil() -> list[AnyAsset]:
    return [
        asset(name="configured")(configured),
        asset(name="failing")(failing),
        asset(name="telling")(telling),
        asset(name=LONG)(evil),
        asset(name="below", deps=[LONG, "configured"])(evil),
        asset(name="elsewhere", io=EvilAddresses())(evil),
        asset(name="metadata", metadata={EVIL: [EVIL, math.nan, -math.inf, 10**400]})(one),
        asset(name="much", metadata={str(n): "é" * 30_000 for n in range(200)})(one),
        asset(name="versioned", code_version=EVIL)(one),
    ]


async def test_whatever_texts_a_run_meets_all_of_it_is_recorded(opened: Flowstone) -> None:
    assets = _evil()
    result = await opened.materialize(
        *assets, partition="é" * 250, config={"configured.text": EVIL * 2}, raise_on_error=False
    )
    assert result.run.counts == {"materialized": len(assets) - 2, "failed": 2}
    rows = await opened.store.get_by_run_id(result.run_id)
    assert sorted(row.asset_name for row in rows) == sorted(each.name for each in assets)
    again = await opened.materialize(
        *assets, partition="é" * 250, config={"configured.text": EVIL * 2}, raise_on_error=False
    )
    assert again.run.counts == {"reused": len(assets) - 2, "failed": 2}
    assert await opened.store.logs(result.run_id)


@pytest.mark.parametrize("name", [LONG + "x", "a\0", "\ud800"])
def test_names_that_can_not_be_recorded_are_refused(name: str) -> None:
    with pytest.raises(DefinitionError):
        AssetGraph([asset(name=name)(one)])
