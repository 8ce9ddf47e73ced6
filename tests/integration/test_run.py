"""The promises of a run: what is made, reused, recorded, blocked, and handed to whom."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import pytest

from flowstone import Asset, Context, Flowstone, From, RunResult, asset
from flowstone.errors import (
    DefinitionErrors,
    EmptySelectionError,
    RunFailedError,
    SelectionError,
    TargetError,
    UnknownDependencyError,
    ValueLostError,
)
from flowstone.testing import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.core.asset import AnyAsset

pytestmark = pytest.mark.anyio


def constant(name: str, value: Any, **options: Any) -> AnyAsset:
    """A source that returns ``value``."""
    return Asset(lambda: value, name=name, **options)


def made_of(name: str, inputs: list[str], fn: Callable[..., Any], **options: Any) -> AnyAsset:
    """An asset that calls ``fn`` with its inputs in order."""
    arguments = ", ".join(inputs)
    wrapper = eval(f"lambda {arguments}: fn({arguments})", {"fn": fn})  # noqa: S307 - test code
    return Asset(wrapper, name=name, code_version=options.pop("code_version", "1"), **options)


@asset
def orders() -> list[dict[str, int]]:
    return [{"eur": 3}, {"eur": 4}]


@asset
def revenue(orders: list[dict[str, int]]) -> int:
    return sum(row["eur"] for row in orders)


@asset
async def doubled(revenue: int) -> int:
    await anyio.lowlevel.checkpoint()
    return revenue * 2


class TestReuse:
    async def test_a_second_run_runs_nothing(self, opened: Flowstone) -> None:
        first = await opened.materialize(doubled)
        again = await opened.materialize(doubled)
        assert first["doubled"] == again["doubled"] == 14
        assert set(first.statuses.values()) == {"materialized"}
        assert set(again.statuses.values()) == {"reused"}
        assert again.rows == []
        assert (await opened.store.get_run(again.run_id)).counts == {"reused": 3}

    async def test_a_new_asset_runs_alone(self, opened: Flowstone) -> None:
        await opened.materialize(revenue)
        result = await opened.materialize(doubled)
        assert result.statuses == {
            "orders": "reused",
            "revenue": "reused",
            "doubled": "materialized",
        }

    async def test_changed_code_runs_and_equal_output_stops_there(self, opened: Flowstone) -> None:
        first = [constant("a", 1, code_version="1"), made_of("b", ["a"], lambda a: a)]
        await opened.materialize(assets=first)
        second = [constant("a", 1, code_version="2"), made_of("b", ["a"], lambda a: a)]
        plan = await opened.plan(assets=second)
        assert [(s.name, s.action, s.may_cut_off) for s in plan] == [
            ("a", "materialize", False),
            ("b", "materialize", True),
        ]
        result = await opened.materialize(assets=second)
        assert result.statuses == {"a": "materialized", "b": "reused"}
        assert [row.asset_name for row in result.rows] == ["a"]
        assert result["b"] == 1

    async def test_changed_output_goes_on(self, opened: Flowstone) -> None:
        down = made_of("b", ["a"], lambda a: a + 1)
        await opened.materialize(assets=[constant("a", 1, code_version="1"), down])
        result = await opened.materialize(assets=[constant("a", 5, code_version="2"), down])
        assert result["b"] == 6
        row = await opened.store.get("b")
        assert [cause["kind"] for cause in row.causes] == ["input_changed"]

    async def test_force_runs_the_targets_only(self, opened: Flowstone) -> None:
        await opened.materialize(revenue)
        result = await opened.materialize(revenue, force=True)
        assert result.statuses == {"orders": "reused", "revenue": "materialized"}

    async def test_a_failure_is_never_reused(self, opened: Flowstone) -> None:
        flaky = {"fail": True}

        def body() -> int:
            if flaky["fail"]:
                raise ValueError("not yet")
            return 1

        assets = [Asset(body, name="a", code_version="1")]
        with pytest.raises(RunFailedError, match="a \\(ValueError: not yet\\)"):
            await opened.materialize(assets=assets)
        flaky["fail"] = False
        assert (await opened.materialize(assets=assets))["a"] == 1

    async def test_each_partition_stands_for_itself(self, opened: Flowstone) -> None:
        seen: list[object] = []

        def body(ctx: Context) -> str:
            seen.append(ctx.partition)
            return str(ctx.partition)

        body.__annotations__["ctx"] = Context
        assets = [Asset(body, name="a", code_version="1")]
        for key in ("mon", ("de", 3), None, "mon"):
            result = await opened.materialize(assets=assets, partition=key)
            assert result["a"] == str(key)
        assert seen == ["mon", ("de", 3), None]
        assert (await opened.store.get("a", "mon")).partition == "mon"


class TestRecords:
    async def test_a_success_has_hashes_value_and_lineage(self, opened: Flowstone) -> None:
        result = await opened.materialize(revenue)
        up, down = await opened.store.get("orders"), await opened.store.get("revenue")
        assert {row.id for row in result.rows} == {up.id, down.id}
        assert down.status == "success"
        assert down.run_id == result.run_id
        assert down.upstream_assets == ["orders"]
        assert down.inputs["upstream"] == {"orders": up.data_version}
        for version in (down.dependency_hash, down.code_version, down.data_version):
            assert version is not None
            assert len(version) == 40
        assert down.started_at is not None
        assert down.completed_at is not None
        assert up.completed_at is not None
        assert up.completed_at <= down.started_at <= down.completed_at
        (edge,) = await opened.store.lineage(down.id)
        assert (edge.upstream_id, edge.parameter) == (up.id, "orders")

    async def test_lineage_points_at_the_version_that_was_reused(self, opened: Flowstone) -> None:
        await opened.materialize(orders)
        up = await opened.store.get("orders")
        await opened.materialize(revenue)
        (edge,) = await opened.store.lineage((await opened.store.get("revenue")).id)
        assert edge.upstream_id == up.id

    async def test_a_run_row_says_how_it_ended(self, opened: Flowstone) -> None:
        result = await opened.materialize(revenue)
        run = await opened.store.get_run(result.run_id)
        assert (run.status, run.counts, run.target) == ("success", {"materialized": 2}, "revenue")
        assert run.completed_at is not None

    async def test_metadata_of_the_asset_is_kept(self, opened: Flowstone) -> None:
        await opened.materialize(assets=[constant("a", 1, metadata={"unit": "EUR"})])
        assert (await opened.store.get("a")).metadata == {"unit": "EUR"}

    async def test_events_tell_the_whole_run(self, opened: Flowstone) -> None:
        told = Recorder()
        await opened.materialize(revenue, on_event=told)
        names = [type(event).__name__ for event in told.events]
        step = ["StepStarted", "StepFinished"]
        assert names == ["RunStarted", *step, *step, "RunFinished"]
        assert told.ran == ["orders", "revenue"]


class TestFailures:
    @staticmethod
    def diamond(error: BaseException) -> list[AnyAsset]:
        def broken(source: int) -> int:
            if source:
                raise error
            return source

        return [
            constant("source", 1),
            Asset(broken, name="broken"),
            made_of("after", ["broken"], lambda x: x),
            made_of("far", ["after", "fine"], lambda x, y: x + y),
            made_of("fine", ["source"], lambda x: x + 1),
        ]

    async def test_only_descendants_are_blocked(self, opened: Flowstone) -> None:
        result = await opened.materialize(
            assets=self.diamond(ValueError("bad luck")), raise_on_error=False
        )
        assert result.statuses == {
            "source": "materialized",
            "broken": "failed",
            "after": "skipped",
            "far": "skipped",
            "fine": "materialized",
        }
        rows = {row.asset_name: row for row in result.rows}
        assert {name: row.status for name, row in rows.items()} == {
            "source": "success",
            "broken": "failed",
            "after": "skipped",
            "far": "skipped",
            "fine": "success",
        }
        assert rows["after"].error_message == "broken has no value"
        assert (await opened.store.get_run(result.run_id)).status == "failed"

    async def test_the_traceback_starts_at_the_users_code(self, opened: Flowstone) -> None:
        result = await opened.materialize(
            assets=self.diamond(ValueError("bad luck")), raise_on_error=False
        )
        row = next(row for row in result.rows if row.asset_name == "broken")
        assert (row.error_type, row.error_message) == ("ValueError", "bad luck")
        assert row.error_traceback is not None
        lines = row.error_traceback.splitlines()
        assert lines[0] == "Traceback (most recent call last):"
        assert Path(__file__).name in lines[1]
        assert lines[-1] == "ValueError: bad luck"
        assert "flowstone/runner" not in row.error_traceback

    async def test_materialize_raises_with_the_users_exception_as_cause(
        self, opened: Flowstone
    ) -> None:
        error = ValueError("bad luck")
        with pytest.raises(RunFailedError, match="skipped for it: after, far") as caught:
            await opened.materialize(assets=self.diamond(error))
        assert caught.value.__cause__ is error
        assert isinstance(caught.value.result, RunResult)
        assert caught.value.result["fine"] == 2
        with pytest.raises(ValueLostError, match="'after' has no value: it is skipped"):
            caught.value.result["after"]

    @pytest.mark.parametrize(
        "error",
        [
            SystemExit(3),
            KeyboardInterrupt(),
            GeneratorExit(),
            StopIteration(1),
            anyio.EndOfStream(),
        ],
        ids=lambda error: type(error).__name__,
    )
    @pytest.mark.parametrize("asynchronous", [False, True])
    async def test_no_exception_of_an_asset_ends_the_run(
        self, opened: Flowstone, error: BaseException, asynchronous: bool
    ) -> None:
        def sync() -> int:
            raise error

        async def coroutine() -> int:
            await anyio.lowlevel.checkpoint()
            raise error

        broken = Asset(coroutine if asynchronous else sync, name="broken")
        assets: list[AnyAsset] = [broken, constant("fine", 1)]
        result = await opened.materialize(assets=assets, raise_on_error=False)
        assert result.statuses == {"broken": "failed", "fine": "materialized"}

    async def test_exceptions_that_can_not_be_shown_are_shown_all_the_same(
        self, opened: Flowstone
    ) -> None:
        class HostileError(Exception):
            def __str__(self) -> str:
                raise RuntimeError("no")

        huge = ValueError("x" * 50_000_000)
        cyclic = ValueError("nul \0 and lone \ud800")
        cyclic.__cause__ = cyclic
        for error in (HostileError(), huge, cyclic):
            result = await opened.materialize(assets=self.diamond(error), raise_on_error=False)
            row = next(row for row in result.rows if row.asset_name == "broken")
            assert row.status == "failed"
            assert row.error_message is not None
            assert row.error_traceback is not None
            assert len(row.error_message.encode()) <= 65_536
            assert len(row.error_traceback.encode()) <= 65_536

    async def test_a_value_no_codec_takes_fails_its_asset_and_names_the_cure(
        self, opened: Flowstone
    ) -> None:
        assets = [constant("lock", threading.Lock()), constant("fine", 1)]
        result = await opened.materialize(assets=assets, raise_on_error=False)
        assert result.statuses == {"lock": "failed", "fine": "materialized"}
        message = result.failures["lock"].message
        assert "'lock'" in message
        assert "keep=False" in message
        assert result.failures["lock"].traceback.count("\n") == 0


class TestConcurrency:
    @pytest.mark.parametrize("asynchronous", [False, True])
    async def test_independent_steps_run_at_once(
        self, opened: Flowstone, asynchronous: bool
    ) -> None:
        """Each waits for all others: one after the other they would wait for ever."""
        barrier, met = threading.Barrier(4, timeout=60), anyio.Event()
        waiting = []

        def sync() -> int:
            return barrier.wait() and 1

        async def coroutine() -> int:
            waiting.append(1)
            if len(waiting) == 4:
                met.set()
            await met.wait()
            return 1

        body = coroutine if asynchronous else sync
        assets: list[AnyAsset] = [Asset(body, name=f"a{n}", code_version="1") for n in range(4)]
        with anyio.fail_after(60):
            result = await opened.materialize(assets=assets, max_concurrency=4)
        assert result.ok

    async def test_no_more_threads_than_allowed(self, opened: Flowstone) -> None:
        lock, running, most = threading.Lock(), [0], [0]

        def body() -> int:
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            with lock:
                running[0] -= 1
            return 1

        assets = [Asset(body, name=f"a{n}", code_version="1") for n in range(20)]
        await opened.materialize(assets=assets, max_concurrency=1)
        assert most[0] == 1

    async def test_a_deep_and_wide_graph_is_made_once_each(self, opened: Flowstone) -> None:
        calls: list[str] = []

        def layer(depth: int, number: int) -> AnyAsset:
            inputs = [f"a{depth - 1}_{(number + k) % 8}" for k in range(3)] if depth else []

            def body(*values: int) -> int:
                calls.append(f"a{depth}_{number}")
                return sum(values) + 1

            return made_of(f"a{depth}_{number}", inputs, body)

        assets = [layer(depth, number) for depth in range(6) for number in range(8)]
        result = await opened.materialize(assets=assets)
        assert len(calls) == len(set(calls)) == len(result.rows) == 48
        assert result["a5_0"] == 364


class TestValues:
    async def test_no_consumer_sees_what_another_does_to_its_input(self, opened: Flowstone) -> None:
        def spoil(source: list[int]) -> int:
            source.append(99)
            return len(source)

        readers = [made_of(f"r{n}", ["source"], spoil) for n in range(5)]
        result = await opened.materialize(assets=[constant("source", [1, 2]), *readers])
        assert [result[f"r{n}"] for n in range(5)] == [3] * 5
        assert result["source"] == [1, 2]

    async def test_a_result_decodes_a_fresh_copy_each_time(self, opened: Flowstone) -> None:
        result = await opened.materialize(orders)
        result["orders"].append({"eur": 9})
        assert result["orders"] == [{"eur": 3}, {"eur": 4}]

    async def test_a_lost_value_that_is_asked_for_is_made_again(
        self, opened: Flowstone, tmp_path: Path
    ) -> None:
        assets = [constant("big", "x" * 100_000, code_version="1")]
        await opened.materialize(assets=assets)
        for file in (tmp_path / "home" / "values").rglob("*"):
            if file.is_file():
                file.unlink()
        assert (await opened.plan(assets=assets))["big"].why == "value lost"
        assert (await opened.materialize(assets=assets))["big"] == "x" * 100_000

    async def test_a_lost_value_nobody_needs_stays_lost(
        self, opened: Flowstone, tmp_path: Path
    ) -> None:
        big = constant("big", "x" * 100_000, code_version="1")
        assets = [big, made_of("size", ["big"], len)]
        await opened.materialize(assets=assets)
        for file in (tmp_path / "home" / "values").rglob("*"):
            if file.is_file():
                file.unlink()
        result = await opened.materialize("size", assets=assets)
        assert result.statuses == {"big": "reused", "size": "reused"}

    async def test_an_altered_value_is_found_out_and_made_again_in_the_same_run(
        self, opened: Flowstone, tmp_path: Path
    ) -> None:
        """Presence and size are as before, so planning can't see it."""
        big = constant("big", "x" * 100_000, code_version="1")
        await opened.materialize(assets=[big])
        (file,) = [f for f in (tmp_path / "home" / "values").rglob("*") if f.is_file()]
        file.chmod(0o600)
        file.write_bytes(b"y" * file.stat().st_size)
        assets = [
            big,
            made_of("one", ["big"], lambda big: big[:1]),
            made_of("two", ["big"], lambda big: big[-1:]),
        ]
        result = await opened.materialize("one", "two", assets=assets)
        assert result["one"] == result["two"] == "x"
        assert result.statuses["big"] == "materialized"
        assert (await opened.store.get("big")).causes == [{"kind": "value_lost"}]

    async def test_a_value_that_is_not_kept_lives_for_one_run(self, opened: Flowstone) -> None:
        lock = constant("lock", threading.Lock(), keep=False, code_version="1")
        user = made_of("user", ["lock"], lambda lock: type(lock).__name__)
        result = await opened.materialize(assets=[lock, user])
        assert result["user"] == "lock"
        assert isinstance(result["lock"], type(threading.Lock()))
        again = await opened.materialize("user", assets=[lock, user])
        assert again.statuses == {"lock": "reused", "user": "reused"}

    async def test_a_path_is_the_asset_itself(self, opened: Flowstone, tmp_path: Path) -> None:
        target = tmp_path / "report.txt"

        def report() -> Path:
            target.write_text("fine")
            return target

        assets = [
            Asset(report, name="report", code_version="1"),
            made_of("length", ["report"], lambda path: len(path.read_text())),
        ]
        result = await opened.materialize(assets=assets)
        assert (result["report"], result["length"]) == (target, 4)
        assert set((await opened.materialize(assets=assets)).statuses.values()) == {"reused"}
        target.write_text("edited by hand")
        again = await opened.materialize(assets=assets)
        assert again.statuses == {"report": "materialized", "length": "reused"}
        assert target.read_text() == "fine"


class TestParameters:
    async def test_context_config_and_from_are_passed(self, opened: Flowstone) -> None:
        def body(
            rows: Annotated[Any, From("orders")], ctx: Context, limit: int = 1, word: str = "w"
        ) -> list[Any]:
            ctx.logger.debug("called")
            return [len(rows), ctx.asset, ctx.run_id, ctx.attempt, limit, word]

        body.__annotations__ |= {"rows": Annotated[Any, From("orders")], "ctx": Context}
        body.__annotations__ |= {"limit": int, "word": str}
        assets: list[AnyAsset] = [orders, Asset(body, name="a", code_version="1")]
        result = await opened.materialize("a", assets=assets, config={"a": {"limit": "7"}})
        assert result["a"] == [2, "a", result.run_id, 1, 7, "w"]
        row = await opened.store.get("a")
        assert row.inputs["config"]["limit"]["shown"] == "7"

    async def test_changed_config_runs_and_is_named(self, opened: Flowstone) -> None:
        def body(limit: int = 1) -> int:
            return limit

        body.__annotations__ |= {"limit": int}
        assets = [Asset(body, name="a", code_version="1")]
        await opened.materialize(assets=assets)
        plan = await opened.plan(assets=assets, config={"a.limit": 2})
        assert plan["a"].why == "config limit changed 1 -> 2"

    async def test_secrets_are_passed_and_neither_recorded_nor_hashed(
        self, opened: Flowstone
    ) -> None:
        seen: list[str] = []

        def body(api_key: str = "none") -> int:
            seen.append(api_key)
            return 1

        assets = [Asset(body, name="a", code_version="1")]
        result = await opened.materialize(assets=assets, config={"a.api_key": "hush"})
        assert seen == ["hush"]
        run = await opened.store.get_run(result.run_id)
        assert "hush" not in (await opened.store.get("a")).model_dump_json() + str(run.config)
        again = await opened.materialize(assets=assets, config={"a.api_key": "other"})
        assert again.statuses == {"a": "reused"}

    async def test_dependencies_that_are_not_passed_order_and_count(
        self, opened: Flowstone
    ) -> None:
        order: list[str] = []
        first = Asset(lambda: order.append("first"), name="first", code_version="1")
        second = Asset(
            lambda: order.append("second"), name="second", deps=[first], code_version="1"
        )
        result = await opened.materialize(second)
        assert order == ["first", "second"]
        (edge,) = await opened.store.lineage((await opened.store.get("second")).id)
        assert edge.parameter == ""
        assert result.ok


class TestTargets:
    async def test_selections_name_targets_and_bring_what_they_need(
        self, opened: Flowstone
    ) -> None:
        assets: list[AnyAsset] = [orders, revenue, doubled, constant("other", 1, tags=["t"])]
        result = await opened.materialize("revenue tag:t", assets=assets)
        assert set(result.statuses) == {"orders", "revenue", "other"}

    async def test_only_makes_just_the_targets_from_what_is_recorded(
        self, opened: Flowstone
    ) -> None:
        old = constant("a", 1, code_version="1")
        down = made_of("b", ["a"], lambda a: a + 1)
        await opened.materialize(assets=[old])
        changed = [constant("a", 100, code_version="2"), down]
        result = await opened.materialize("b", assets=changed, only=True)
        assert result.statuses == {"b": "materialized"}
        assert result["b"] == 2

    async def test_only_without_recorded_inputs_is_blocked(self, opened: Flowstone) -> None:
        result = await opened.materialize(revenue, only=True, raise_on_error=False)
        assert result.statuses == {"revenue": "skipped"}
        assert "upstream orders" in (result.rows[0].error_message or "")

    async def test_exclude_leaves_targets_out(self, opened: Flowstone) -> None:
        assets: list[AnyAsset] = [orders, revenue, doubled]
        result = await opened.materialize(assets=assets, exclude=["doubled"])
        assert "doubled" not in result.statuses

    async def test_unknown_names_and_empty_patterns(self, opened: Flowstone) -> None:
        with pytest.raises(SelectionError, match="did you mean 'revenue'"):
            await opened.materialize("revenu", assets=[orders, revenue])
        with pytest.raises(EmptySelectionError):
            await opened.materialize("tag:none", assets=[orders, revenue])
        with pytest.raises(TargetError, match="not int"):
            await opened.materialize(3)  # type: ignore[arg-type]  # the point
        with pytest.raises(UnknownDependencyError, match="did you mean 'orders'"):
            (await opened.materialize(orders))["order"]

    async def test_definition_errors_come_all_at_once_and_nothing_runs(
        self, opened: Flowstone
    ) -> None:
        assets = [made_of("a", ["oders"], len), made_of("b", ["c"], len), made_of("c", ["b"], len)]
        with pytest.raises(DefinitionErrors) as caught:
            await opened.materialize(assets=[*assets, orders])
        assert "did you mean 'orders'" in str(caught.value)
        assert "b (" in str(caught.value)
        assert await opened.store.list_runs() == []


async def test_a_cancelled_run_records_what_is_done_and_closes_the_rest(
    opened: Flowstone,
) -> None:
    begun = anyio.Event()

    async def endless(done: int) -> int:
        begun.set()
        await anyio.sleep_forever()
        return done

    assets: list[AnyAsset] = [
        constant("done", 1, code_version="1"),
        Asset(endless, name="endless", code_version="1"),
        made_of("after", ["endless"], lambda x: x),
    ]
    async with anyio.create_task_group() as group:

        async def run() -> None:
            await opened.materialize(assets=assets)

        group.start_soon(run)
        await begun.wait()
        group.cancel_scope.cancel()
    (last,) = await opened.store.list_runs()
    assert last.status == "cancelled"
    rows = {row.asset_name: row.status for row in await opened.store.get_by_run_id(last.run_id)}
    assert rows == {"done": "success", "endless": "cancelled", "after": "cancelled"}
    again = await opened.plan(assets=assets)
    assert again["done"].action == "reuse"
