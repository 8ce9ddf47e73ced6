"""Reverts, ages, outside state, renames, verification and acts of people, on both stores."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from flowstone import Asset, Context, DataVersion, Flowstone, InputPath
from flowstone.errors import AcceptError, NotFoundError, RunFailedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flowstone.core.asset import AnyAsset

pytestmark = pytest.mark.anyio

CALLS: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


def told(name: str, value: Any) -> Any:
    """``value``, and a note that ``name`` was executed."""
    CALLS[name] += 1
    return value


def pinned(name: str, fn: Callable[..., Any], version: str = "1", **options: Any) -> AnyAsset:
    return Asset(fn, name=name, code_version=version, **options)


def pipeline(factor: int = 2, tail: str = "1") -> list[AnyAsset]:
    """Numbers, their scaled sum, and a text of it; the factor is part of the code."""
    return [
        pinned("numbers", lambda: told("numbers", [1, 2, 3])),
        pinned("total", lambda numbers: told("total", sum(numbers) * factor), str(factor)),
        pinned("text", lambda total: told("text", f"{total}"), tail),
    ]


async def executed(opened: Flowstone, assets: list[AnyAsset], **options: Any) -> dict[str, int]:
    """How often each function was called by one run."""
    CALLS.clear()
    await opened.materialize(assets=assets, **options)
    return dict(CALLS)


class TestReverts:
    async def test_a_revert_runs_nothing_and_gives_the_earlier_values(
        self, opened: Flowstone
    ) -> None:
        first = await opened.materialize(assets=pipeline(2))
        await opened.materialize(assets=pipeline(5))
        CALLS.clear()
        back = await opened.materialize(assets=pipeline(2))
        assert not CALLS
        assert set(back.statuses.values()) == {"reused"}
        assert (back["total"], back["text"]) == (first["total"], first["text"]) == (12, "12")

    async def test_the_current_version_moves_back_and_that_is_recorded(
        self, opened: Flowstone
    ) -> None:
        first = await opened.materialize(assets=pipeline(2))
        await opened.materialize(assets=pipeline(5))
        back = await opened.materialize(assets=pipeline(2))
        current = await opened.store.current(["total", "text"])
        assert {made.run_id for made in current.values()} == {first.run_id}
        decisions = {each.asset_name: each for each in await opened.store.decisions(back.run_id)}
        assert {name: each.kind for name, each in decisions.items()} == {
            "total": "history",
            "text": "history",
        }
        assert decisions["total"].causes[0]["kind"] == "code_changed"
        assert decisions["total"].materialization_id == current["total"].id
        assert (await executed(opened, pipeline(2))) == {}

    async def test_back_and_forth_any_number_of_times(self, opened: Flowstone) -> None:
        for factor in (2, 5, 7):
            await opened.materialize(assets=pipeline(factor))
        for factor in (5, 2, 7, 2, 5):
            assert await executed(opened, pipeline(factor)) == {}

    async def test_config_back_and_forth(self, opened: Flowstone) -> None:
        def scaled(by: int = 1) -> int:
            return int(told("scaled", by * 10))

        assets = [pinned("scaled", scaled)]
        for by in (1, 2):
            await opened.materialize(assets=assets, config={"scaled.by": by})
        CALLS.clear()
        back = await opened.materialize(assets=assets, config={"scaled.by": 1})
        assert (back["scaled"], dict(CALLS)) == (10, {})

    async def test_history_is_found_while_running_too(self, opened: Flowstone) -> None:
        """The inputs of ``text`` are known only once ``total`` was made again."""
        for factor in (2, 5):
            await opened.materialize(assets=pipeline(factor))
        again = await opened.materialize(assets=pipeline(2), force=["total"])
        assert again.statuses == {"numbers": "reused", "total": "materialized", "text": "reused"}
        assert again["text"] == "12"
        (decision,) = await opened.store.decisions(again.run_id)
        assert (decision.asset_name, decision.kind) == ("text", "history")
        assert await executed(opened, pipeline(2)) == {}

    async def test_what_is_cut_off_is_recorded(self, opened: Flowstone) -> None:
        await opened.materialize(assets=pipeline(2))
        again = await opened.materialize(assets=pipeline(2), force="numbers")
        decisions = await opened.store.decisions(again.run_id)
        assert {each.asset_name: each.kind for each in decisions} == {
            "total": "cut_off",
            "text": "cut_off",
        }

    async def test_an_earlier_success_whose_value_is_gone_is_made_again(
        self, opened: Flowstone
    ) -> None:
        def big(version: str) -> list[AnyAsset]:
            return [pinned("big", lambda: told("big", version * 100_000), version)]

        first = await opened.materialize(assets=big("a"))
        await opened.materialize(assets=big("b"))
        pointer = first.rows[0].value
        assert pointer is not None
        for file in opened.settings.values.rglob(f"*{pointer.content_digest[4:]}*"):
            file.unlink()
        assert await executed(opened, big("a")) == {"big": 1}

    async def test_partitions_have_histories_of_their_own(self, opened: Flowstone) -> None:
        await opened.materialize(assets=pipeline(2), partition="x")
        await opened.materialize(assets=pipeline(5), partition="x")
        assert await executed(opened, pipeline(2), partition="y") != {}
        assert await executed(opened, pipeline(2), partition="x") == {}


class TestAges:
    async def test_always_and_max_age(self, opened: Flowstone) -> None:
        always = [pinned("now", lambda: told("now", 1), always=True)]
        young = [pinned("young", lambda: told("young", 1), max_age=dt.timedelta(hours=1))]
        old = [pinned("old", lambda: told("old", 1), max_age=dt.timedelta(microseconds=1))]
        for assets in (always, young, old):
            await opened.materialize(assets=assets)
        assert await executed(opened, always) == {"now": 1}
        assert await executed(opened, young) == {}
        assert await executed(opened, old) == {"old": 1}

    async def test_what_an_always_asset_feeds_is_cut_off(self, opened: Flowstone) -> None:
        assets = [
            pinned("tick", lambda: told("tick", 1), always=True),
            pinned("after", lambda tick: told("after", tick)),
        ]
        await opened.materialize(assets=assets)
        assert await executed(opened, assets) == {"tick": 1}


class TestOutside:
    async def test_what_is_observed_decides(self, opened: Flowstone) -> None:
        etag = "one"

        async def table() -> str:
            return etag

        def loaded() -> str:
            return str(told("loaded", etag))

        assets = [pinned("loaded", loaded, observe=table)]
        await opened.materialize(assets=assets)
        assert await executed(opened, assets) == {}
        etag = "two"
        plan = await opened.plan(assets=assets)
        assert plan["loaded"].why == "table changed outside 'one' -> 'two'"
        assert await executed(opened, assets) == {"loaded": 1}
        etag = "one"
        assert await executed(opened, assets) == {}

    async def test_what_can_not_be_observed_blocks_only_what_needs_it(
        self, opened: Flowstone
    ) -> None:
        def broken() -> str:
            raise ConnectionError("no route to host")

        assets = [
            pinned("table", lambda: 1, observe=broken),
            pinned("below", lambda table: table),
            pinned("beside", lambda: told("beside", 2)),
        ]
        with pytest.raises(RunFailedError, match="no route to host"):
            await opened.materialize(assets=assets)
        assert CALLS == {"beside": 1}

    async def test_an_observe_function_may_ask_for_context_and_config(
        self, opened: Flowstone
    ) -> None:
        seen: list[Any] = []

        def state(context: Context, url: str) -> str:
            seen.append((context.asset, context.partition, url))
            return url

        def page(url: str = "a") -> str:
            return url

        await opened.materialize(assets=[pinned("page", page, observe=state)], partition="p")
        assert seen == [("page", "p", "a")]

    async def test_an_input_file_counts_by_what_it_holds(
        self, opened: Flowstone, tmp_path: Path
    ) -> None:
        file = tmp_path / "orders.csv"
        file.write_text("1,2")

        def rows(source: InputPath = file) -> str:
            return str(told("rows", source.read_text()))

        assets = [pinned("rows", rows)]
        await opened.materialize(assets=assets)
        assert await executed(opened, assets) == {}
        file.write_text("3,4")
        assert await executed(opened, assets) == {"rows": 1}
        file.write_text("1,2")
        assert await executed(opened, assets) == {}
        moved = file.rename(tmp_path / "elsewhere.csv")
        assert await executed(opened, assets, config={"rows.source": moved}) == {}

    async def test_a_file_that_changes_while_it_is_read_is_read_again_by_the_next_run(
        self, opened: Flowstone, tmp_path: Path
    ) -> None:
        file = tmp_path / "orders.csv"
        file.write_text("before")

        def rows(source: InputPath = file) -> str:
            if CALLS["rows"] == 0:
                source.write_text("during")
            read = source.read_text()
            file.write_text("before")
            file.write_text("after")
            return str(told("rows", read))

        assets = [pinned("rows", rows)]
        await opened.materialize(assets=assets)
        file.write_text("before")
        plan = await opened.plan(assets=assets)
        assert plan["rows"].action == "materialize"
        assert "changed while it was read" in plan["rows"].why

    async def test_a_stated_version_decides_for_what_depends_on_it(self, opened: Flowstone) -> None:
        def pipeline(etag: str, version: str) -> list[AnyAsset]:
            return [
                pinned("table", lambda: DataVersion(etag, value="shop.orders"), version),
                pinned("below", lambda table: told("below", table)),
            ]

        first = await opened.materialize(assets=pipeline("a", "1"))
        assert (first["table"], first["below"]) == ("shop.orders", "shop.orders")
        assert await executed(opened, pipeline("a", "2")) == {}
        assert await executed(opened, pipeline("b", "3")) == {"below": 1}


class TestRenames:
    async def test_a_renamed_asset_keeps_its_history(self, opened: Flowstone) -> None:
        def named(name: str, version: str = "1", **options: Any) -> list[AnyAsset]:
            return [
                pinned(name, lambda: told("source", 1), version, **options),
                pinned("below", lambda x: told("below", x), deps={"x": name}),
            ]

        for version in ("1", "2"):
            await opened.materialize(assets=named("old", version))
        assert await executed(opened, named("new", "2", aliases=["old"])) == {}
        current = await opened.store.current(["new"])
        assert current["new"].asset_name == "old"
        assert await executed(opened, named("new", "2", aliases=["old"])) == {}
        assert await executed(opened, named("new", "1", aliases=["old"])) == {}
        assert await executed(opened, named("new", "3", aliases=["old"])) == {"source": 1}
        assert (await opened.store.get("new")).asset_name == "new"


class TestVerify:
    async def test_what_makes_the_same_again_is_verified(self, opened: Flowstone) -> None:
        await opened.materialize(assets=pipeline())
        CALLS.clear()
        result = await opened.materialize(assets=pipeline(), verify=True)
        assert set(result.statuses.values()) == {"verified"}
        assert CALLS == {"numbers": 1, "total": 1, "text": 1}
        assert result.rows == []
        assert result["total"] == 12

    async def test_what_makes_another_value_is_told_and_the_recorded_one_stands(
        self, opened: Flowstone
    ) -> None:
        assets = [
            pinned("random", lambda: told("random", CALLS["random"])),
            pinned("below", lambda random: random),
        ]
        first = await opened.materialize(assets=assets)
        with pytest.raises(RunFailedError, match="not deterministic: random"):
            await opened.materialize(assets=assets, verify=True)
        result = await opened.materialize(assets=assets, verify=True, raise_on_error=False)
        assert result.statuses == {"random": "differs", "below": "verified"}
        assert result["random"] == first["random"]
        assert result.run.status == "failed"
        decisions = {each.asset_name: each for each in await opened.store.decisions(result.run_id)}
        assert decisions["random"].kind == "differs"
        assert (await opened.store.current(["random"]))["random"].run_id == first.run_id

    async def test_what_raises_is_told_too(self, opened: Flowstone) -> None:
        def flaky() -> int:
            if CALLS["flaky"]:
                raise ValueError("not again")
            return int(told("flaky", 1))

        assets = [pinned("flaky", flaky)]
        await opened.materialize(assets=assets)
        result = await opened.materialize(assets=assets, verify=True, raise_on_error=False)
        assert result.statuses == {"flaky": "differs"}
        assert "not again" in result.failures["flaky"].message


class TestActs:
    async def test_an_accepted_version_stands_for_the_code_of_now(self, opened: Flowstone) -> None:
        await opened.materialize(assets=pipeline(2))
        accepted = await opened.accept("total", assets=pipeline(3), reason="same thing")
        assert accepted == ["total"]
        assert await executed(opened, pipeline(3)) == {}
        (act,) = await opened.store.acts("total")
        assert (act.action, act.reason) == ("accept", "same thing")
        assert "@" in act.actor
        row = await opened.store.get("total")
        assert row.causes[0] == {"kind": "accepted"}
        assert {edge.parameter for edge in await opened.store.lineage(row.id)} == {"numbers"}

    async def test_accepting_a_chain_at_once(self, opened: Flowstone) -> None:
        await opened.materialize(assets=pipeline(2))
        changed = pipeline(3, "2")
        assert await opened.accept("total", "text", assets=changed, reason="r") == ["total", "text"]
        result = await opened.materialize(assets=changed)
        assert set(result.statuses.values()) == {"reused"}
        assert result["text"] == "12"

    async def test_what_can_not_be_accepted_is_told(self, opened: Flowstone) -> None:
        with pytest.raises(AcceptError, match="'total' can't be accepted: it was never made"):
            await opened.accept("total", assets=pipeline(), reason="r")
        await opened.materialize(assets=pipeline(2))
        with pytest.raises(AcceptError, match="accept total too, or run it first"):
            await opened.accept("text", assets=pipeline(3, "2"), reason="r")
        with pytest.raises(StoreError, match="needs a reason"):
            await opened.accept("total", assets=pipeline(3), reason=" ")
        assert await opened.accept("total", assets=pipeline(2), reason="r") == []

    async def test_what_is_invalidated_is_never_reused(self, opened: Flowstone) -> None:
        for factor in (2, 5):
            await opened.materialize(assets=pipeline(factor))
        gone = await opened.invalidate("total", assets=pipeline(), reason="a bad machine")
        assert gone == ["total"]
        (act,) = await opened.store.acts("total")
        assert (act.action, act.reason) == ("invalidate", "a bad machine")
        plan = await opened.plan("total", assets=pipeline(5))
        assert plan["total"].why == "invalidated"
        assert await executed(opened, pipeline(5)) == {"total": 1}
        assert await executed(opened, pipeline(2)) == {"total": 1}

    async def test_downstream_too(self, opened: Flowstone) -> None:
        await opened.materialize(assets=pipeline())
        gone = await opened.invalidate(
            "numbers", assets=pipeline(), reason="r", downstream=True, actor="me"
        )
        assert gone == ["numbers", "total", "text"]
        assert [act.actor for act in await opened.store.acts("text")] == ["me"]
        assert await executed(opened, pipeline()) == {"numbers": 1, "total": 1, "text": 1}
        again = await opened.invalidate(
            "numbers", assets=[pinned("numbers", lambda: 1)], reason="r"
        )
        assert again == ["numbers"]


class TestWhy:
    async def test_the_next_run_is_explained_down_to_the_root(self, opened: Flowstone) -> None:
        await opened.materialize(assets=pipeline(2))
        told = await opened.why("text", assets=pipeline(5))
        assert str(told).splitlines() == [
            "text would run, unless what it takes comes out as it was:",
            "  upstream total will run",
            "    total: code changed",
        ]

    async def test_an_input_that_changed_is_followed_into_the_run_that_changed_it(
        self, opened: Flowstone
    ) -> None:
        assets = pipeline(2)
        await opened.materialize(assets=assets)
        await opened.materialize("total", assets=pipeline(5))
        lines = str(await opened.why("text", assets=pipeline(5))).splitlines()
        assert lines[0] == "text would run:"
        assert lines[1].startswith("  input total changed ")
        assert lines[2] == "    total: code changed"

    async def test_a_recorded_run_is_explained(self, opened: Flowstone) -> None:
        first = await opened.materialize(assets=pipeline(2))
        second = await opened.materialize(assets=pipeline(5))
        back = await opened.materialize(assets=pipeline(2))
        lines = str(await opened.why("text", run=first.run_id)).splitlines()
        assert lines[0].startswith(f"text ran in run {first.run_id}")
        assert lines[1:] == ["  never made"]
        lines = str(await opened.why("text", run=second.run_id)).splitlines()
        assert lines[1].startswith("  input total changed ")
        assert lines[2] == "    total: code changed"
        assert "was taken from history" in str(await opened.why("text", run=back.run_id))
        assert "was not made" in str(await opened.why("numbers", run=back.run_id))

    async def test_what_is_up_to_date_says_who_made_it(self, opened: Flowstone) -> None:
        first = await opened.materialize(assets=pipeline(2))
        told = await opened.why("text", assets=pipeline(2))
        assert str(told) == f"text is up to date, made by run {first.run_id}"
        assert told.to_dict()["reasons"] == []

    async def test_an_unknown_run_is_told(self, opened: Flowstone) -> None:
        with pytest.raises(NotFoundError, match="no run 'nope'"):
            await opened.why("text", run="nope")
