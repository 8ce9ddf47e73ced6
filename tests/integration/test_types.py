"""Types in a run: what is refused before it begins, and what a function must not return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from flowstone import Asset, DataVersion, Flowstone, asset
from flowstone.errors import EdgeTypeError, ReturnTypeError, RunFailedError

if TYPE_CHECKING:
    from flowstone.core.asset import AnyAsset

pytestmark = pytest.mark.anyio


def returning(annotation: Any, value: Any, **options: Any) -> AnyAsset:
    """An asset named ``made`` that returns a value under an annotation."""

    def made() -> Any:
        return value

    made.__annotations__["return"] = annotation
    return Asset(made, code_version="1", **options)


async def failure(opened: Flowstone, *assets: AnyAsset) -> RunFailedError:
    with pytest.raises(RunFailedError) as raised:
        await opened.materialize(assets=list(assets))
    return raised.value


async def test_a_mismatch_is_told_before_anything_runs(opened: Flowstone) -> None:
    ran = []

    @asset
    def orders() -> list[int]:
        ran.append("orders")
        return []

    @asset
    def report(orders: dict[str, int]) -> int:
        return len(orders)

    with pytest.raises(EdgeTypeError):
        await opened.materialize(assets=[orders, report])
    with pytest.raises(EdgeTypeError):
        await opened.plan(assets=[orders, report])
    assert ran == []


async def test_a_wrong_value_fails_its_asset_and_blocks_its_descendants_alone(
    opened: Flowstone,
) -> None:
    @asset
    def down(made: int) -> int:
        return made

    @asset
    def apart() -> int:
        return 1

    error = await failure(opened, returning(int, "hunter2"), down, apart)
    result: Any = error.result
    assert result.statuses == {"made": "failed", "down": "skipped", "apart": "materialized"}
    row = await opened.store.get("made")
    assert row.error_message is not None
    assert "the value is str, not int" in row.error_message
    assert "hunter2" not in row.error_message
    assert ReturnTypeError.__name__ in row.error_message or "ReturnTypeError" in str(error)


async def test_a_coroutines_result_is_the_value(opened: Flowstone) -> None:
    @asset
    async def later() -> int:
        await anyio.lowlevel.checkpoint()
        return "x"  # type: ignore[return-value]  # that is the point

    assert "the value is str, not int" in str(await failure(opened, later))


async def test_of_a_stated_version_the_value_inside_counts(opened: Flowstone) -> None:
    wrong = returning(int, DataVersion("1", value="x"))
    assert "the value is str, not int" in str(await failure(opened, wrong))
    result = await opened.materialize(assets=[returning(int, DataVersion("2", value=2))])
    assert result["made"] == 2


async def test_of_several_outputs_each_is_held_against_its_own_type(opened: Flowstone) -> None:
    @asset(outputs=["good", "bad"])
    def both() -> tuple[int, int]:
        return 1, "x"  # type: ignore[return-value]  # that is the point

    error = await failure(opened, both)
    result: Any = error.result
    assert result.statuses == {"good": "materialized", "bad": "failed"}


async def test_validate_changes_nothing_about_the_value(opened: Flowstone) -> None:
    result = await opened.materialize(assets=[returning(list[float], [1, 2.0], validate=True)])
    assert [type(each) for each in result["made"]] == [int, float]


async def test_validate_looks_at_all_of_it_or_at_nothing(opened: Flowstone) -> None:
    value: list[Any] = [1] * 100
    value[50] = "x"
    error = await failure(opened, returning(list[int], value, validate=True))
    assert "at [50]" in str(error)
    await opened.materialize(assets=[returning(list[int], value)])
    await opened.materialize(assets=[returning(int, value, validate=False)], force=True)
