"""What type checkers see of ``materialize`` and its like: keywords and results are typed.

The functions here are read by mypy, not run. Where a mistake must be refused, the ignore comment
is the check: mypy complains about one that is not needed.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, TypeVar, assert_type

import pytest

import flowstone
from flowstone import (
    AssetGraph,
    Context,
    Flowstone,
    From,
    Plan,
    RunResult,
    asset,
    materialize,
    materialize_async,
    plan,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.runner.events import Event

T = TypeVar("T")


@asset
def orders() -> list[int]:
    return [3, 4]


@asset
def revenue(rows: Annotated[list[int], From(orders)], ctx: Context, *, by: int = 2) -> float:
    return sum(rows) * by / ctx.attempt


@asset
def first(items: list[T]) -> T:
    return items[0]


def marked_and_generic_parameters_keep_their_types(ctx: Context) -> None:
    assert_type(revenue([1], ctx), float)
    assert_type(revenue(rows=[1], ctx=ctx, by=3), float)
    assert_type(first(["a"]), str)
    revenue(["a"], ctx)  # type: ignore[list-item]  # not a list of int
    revenue([1], None)  # type: ignore[arg-type]  # no context
    From(3)  # type: ignore[arg-type]  # no asset


def results_of_sync_calls_are_typed(listener: Callable[[Event], None]) -> None:
    result = materialize(
        orders,
        revenue,
        "tag:nightly",
        assets=[orders, revenue],
        exclude=["slow"],
        config={"revenue.by": 3},
        partition="2024-01-01",
        force=True,
        only=False,
        raise_on_error=False,
        max_concurrency=2,
        on_event=listener,
    )
    assert_type(result, RunResult)
    assert_type(result.run_id, str)
    assert_type(result.ok, bool)
    assert_type(plan(revenue, assets=AssetGraph([revenue]), config=None, force=True), Plan)


async def results_of_async_calls_are_typed() -> None:
    assert_type(await materialize_async(orders, force=True), RunResult)
    async with Flowstone() as fs:
        assert_type(fs, Flowstone)
        assert_type(await fs.materialize(orders, partition=("eu", 1)), RunResult)
        assert_type(await fs.plan("orders", assets=[orders], only=True), Plan)


async def wrong_keywords_are_refused(listener: Callable[[str], None]) -> None:
    materialize(orders, forse=True)  # type: ignore[call-arg]  # no such keyword
    materialize(orders, force=3)  # type: ignore[arg-type]  # no selection
    materialize(orders, config=[3])  # type: ignore[arg-type]  # not a mapping
    materialize(orders, on_event=listener)  # type: ignore[arg-type]  # takes events, not text
    materialize(orders, max_concurrency="2")  # type: ignore[arg-type]  # not a number
    materialize(3)  # type: ignore[arg-type]  # no target
    plan(orders, raise_on_error=False)  # type: ignore[call-arg]  # a plan runs nothing
    plan(orders, assets=[3])  # type: ignore[list-item]  # no asset
    await materialize_async(orders, forse=True)  # type: ignore[call-arg]  # no such keyword
    await materialize_async(orders, force=3)  # type: ignore[arg-type]  # no selection


@pytest.mark.parametrize("name", ["materialize", "materialize_async", "plan"])
def test_the_functions_show_the_parameters_of_the_methods(name: str) -> None:
    """Help and completion in a notebook read the signature, not the types."""
    shown = inspect.signature(getattr(flowstone, name))
    method = inspect.signature(getattr(Flowstone, name.removesuffix("_async")))
    assert list(shown.parameters) == [each for each in method.parameters if each != "self"]
