"""What type checkers see: the decorator keeps parameters and result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, assert_type

from flowstone import Asset, AssetGraph, Flowstone, Plan, RunResult, asset


@asset
def bare(orders: list[int], by: int = 2) -> float:
    return sum(orders) / by


@asset(name="called", tags=["x"], deps=[bare, "other"], keep=True)
def called(orders: list[int], *, by: int = 2) -> float:
    return sum(orders) / by


@asset
async def bare_async(orders: list[int]) -> str:
    return str(orders)


@asset(group="x", deps={"rows": bare}, validate=True)
async def called_async(rows: list[int]) -> str:
    return str(rows)


async def keeps_types() -> None:
    assert_type(bare([1], by=3), float)
    assert_type(called([1], by=3), float)
    begun = assert_type(bare_async([1]), Coroutine[Any, Any, str])
    assert_type(await begun, str)
    assert_type(await called_async([1]), str)


async def refuses_wrong_arguments() -> None:
    bare("x")  # type: ignore[arg-type]  # refused
    bare([1], to=3)  # type: ignore[call-arg]  # refused
    called([1], 3)  # type: ignore[call-arg]  # refused
    await called_async()  # type: ignore[call-arg]  # refused
    asset(3)  # type: ignore[call-overload]  # refused
    asset(nmae="x")  # type: ignore[call-overload]  # refused


def fits_callables() -> tuple[Callable[[list[int]], float], Callable[[list[int]], Awaitable[str]]]:
    return bare, bare_async


def graph_types(graph: AssetGraph) -> None:
    assert_type(graph.execution_order("a"), list[str])
    assert_type(graph.dependencies("a", transitive=True), list[str])
    assert_type(graph["a"], Asset[..., Any])
    plain: Asset[..., Any] = Asset(name="c", depends_on=["a", "b"])
    assert_type(AssetGraph([bare, bare_async, plain]), AssetGraph)


async def connection_types(fs: Flowstone) -> None:
    assert_type(await fs.materialize(bare), RunResult)
    assert_type(await fs.plan(bare, force=True), Plan)


def test_assets_are_what_they_seem() -> None:
    """The rest of this file is for the type checker; it runs with the others."""
    assert bare([1, 2]) == 1.5
    assert isinstance(called, Asset)
