"""Smallest cases of what random histories of edits, losses and runs have found."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from flowstone import Asset, Flowstone
from flowstone.runner.events import StepFinished

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.core.asset import AnyAsset
    from flowstone.result import RunResult

pytestmark = pytest.mark.anyio

BIG = "x" * 100_000


def pinned(name: str, fn: Callable[..., Any], version: str = "1", **options: Any) -> AnyAsset:
    return Asset(fn, name=name, code_version=version, **options)


def lose(opened: Flowstone, result: RunResult, name: str) -> None:
    """The file of a value is gone."""
    (row,) = (row for row in result.rows if row.asset_name == name)
    assert row.value is not None
    digest = row.value.content_digest
    (opened.settings.values / digest[:2] / digest).unlink()


def kinds(result: RunResult, name: str) -> set[str]:
    """Why a step ran, as it was recorded."""
    (row,) = (row for row in result.rows if row.asset_name == name)
    return {cause["kind"] for cause in row.causes}


class TestLostValues:
    async def test_a_lost_target_whose_inputs_came_out_the_same_says_why_it_ran(
        self, opened: Flowstone
    ) -> None:
        assets = [
            pinned("source", lambda: 1),
            pinned("target", lambda source: f"{source}{BIG}"),
        ]
        first = await opened.materialize(assets=assets)
        lose(opened, first, "target")
        again = await opened.materialize("target", assets=assets, force="source")
        assert again.statuses["target"] == "materialized"
        assert kinds(again, "target") == {"value_lost"}

    async def test_a_revert_whose_value_was_lost_says_so(self, opened: Flowstone) -> None:
        def made(version: str) -> list[AnyAsset]:
            return [pinned("big", lambda: version + BIG, version)]

        first = await opened.materialize(assets=made("1"))
        await opened.materialize(assets=made("2"))
        lose(opened, first, "big")
        back = await opened.materialize(assets=made("1"))
        assert kinds(back, "big") == {"code_changed", "value_lost"}

    async def test_a_revert_below_a_step_that_ran_whose_value_was_lost_says_so(
        self, opened: Flowstone
    ) -> None:
        def made(version: str) -> list[AnyAsset]:
            return [
                pinned("source", lambda: 1),
                pinned("big", lambda source: f"{version}{source}{BIG}", version),
            ]

        first = await opened.materialize(assets=made("1"))
        await opened.materialize(assets=made("2"))
        lose(opened, first, "big")
        back = await opened.materialize(assets=made("1"), force="source")
        assert kinds(back, "big") == {"code_changed", "value_lost"}


class TestVerify:
    async def test_what_is_cut_off_while_running_is_verified_too(self, opened: Flowstone) -> None:
        calls: Counter[str] = Counter()

        def below(tick: int) -> int:
            calls["below"] += 1
            return tick

        assets = [pinned("tick", lambda: 1, always=True), pinned("below", below)]
        await opened.materialize(assets=assets)
        result = await opened.materialize(assets=assets, verify=True)
        assert result.statuses == {"tick": "materialized", "below": "verified"}
        assert calls["below"] == 2

    async def test_what_is_taken_from_history_is_verified_too(self, opened: Flowstone) -> None:
        def made(version: str) -> list[AnyAsset]:
            return [pinned("asset", lambda: version, version)]

        first = await opened.materialize(assets=made("1"))
        await opened.materialize(assets=made("2"))
        told: list[str] = []
        back = await opened.materialize(
            assets=made("1"),
            verify=True,
            on_event=lambda event: (
                told.append(event.ending) if isinstance(event, StepFinished) else None
            ),
        )
        assert (back["asset"], told) == ("1", ["verified"])
        current = await opened.store.current(["asset"])
        assert current["asset"].run_id == first.run_id
