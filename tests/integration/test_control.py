"""What users say about how assets are executed: retries, timeouts, pools, durability, stopping."""

from __future__ import annotations

import contextlib
import contextvars
import datetime as dt
import io
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import structlog
from anyio import to_thread

from flowstone import Asset, Context, Flowstone, InputPath
from flowstone.core.policy import Retry
from flowstone.core.records import Run
from flowstone.errors import (
    AssetTimeoutError,
    DefinitionError,
    PoolError,
    RunEndedError,
    RunFailedError,
    SettingsError,
)
from flowstone.runner.events import (
    Event,
    LoopBlocked,
    RunFinished,
    StepFinished,
    StepRetrying,
    StepStarted,
    StepWaiting,
)
from flowstone.runner.executors import loop as loop_module
from flowstone.runner.stopping import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from flowstone.core.asset import AnyAsset

pytestmark = pytest.mark.anyio

AT_ONCE = Retry(times=2, delay=0)
marker = contextvars.ContextVar("marker", default="as it was")


def pinned(name: str, fn: Callable[..., Any], **options: Any) -> AnyAsset:
    return Asset(fn, name=name, code_version="1", **options)


@pytest.fixture
def no_structlog() -> Iterator[None]:
    """Logs go where they go in a program that says nothing about them."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def prints_and_goes_on() -> int:
    for each in ("so far", "and on"):
        print(each, flush=True)  # noqa: T201 - it is what is kept
    threading.Event().wait()
    return 1


class TestRetries:
    async def test_a_failed_asset_is_tried_again_and_each_failure_is_kept(
        self, opened: Flowstone
    ) -> None:
        seen: list[int] = []
        told: list[Event] = []

        def shaky(context: Context) -> int:
            seen.append(context.attempt)
            if context.attempt < 3:
                raise ConnectionError(f"attempt {context.attempt}")
            return 7

        one = pinned("shaky", shaky, retries=AT_ONCE)
        result = await opened.materialize(one, on_event=told.append)
        assert (result["shaky"], seen) == (7, [1, 2, 3])
        row = await opened.store.get("shaky")
        assert (row.status, row.attempt) == ("success", 3)
        assert [each["error_message"] for each in row.attempts] == ["attempt 1", "attempt 2"]
        assert [each.attempt for each in told if isinstance(each, StepRetrying)] == [1, 2]
        assert [each.attempt for each in told if isinstance(each, StepStarted)] == [1, 2, 3]

    async def test_the_last_failure_is_the_one_that_counts(self, opened: Flowstone) -> None:
        def broken() -> int:
            raise LookupError("never")

        one = pinned("broken", broken, retries=AT_ONCE)
        with pytest.raises(RunFailedError, match="never"):
            await opened.materialize(one)
        row = await opened.store.get("broken")
        assert (row.status, row.attempt, len(row.attempts)) == ("failed", 3, 2)

    async def test_other_errors_are_not_tried_again(self, opened: Flowstone) -> None:
        calls: list[int] = []

        def broken() -> int:
            calls.append(1)
            raise LookupError("no")

        one = pinned("broken", broken, retries=Retry(delay=0, on=ConnectionError))
        with pytest.raises(RunFailedError):
            await opened.materialize(one)
        assert calls == [1]

    @pytest.mark.usefixtures("no_structlog")
    async def test_a_predicate_that_raises_is_told(
        self, opened: Flowstone, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def broken() -> int:
            raise LookupError("no")

        retry = Retry(on=lambda error: error.code > 3)
        await opened.materialize(pinned("broken", broken, retries=retry), raise_on_error=False)
        (told,) = capsys.readouterr().err.splitlines()
        assert "error" in told
        assert "on= of its Retry raised AttributeError" in told
        assert "asset=broken" in told

    async def test_an_attempt_does_not_see_what_another_did_to_its_input(
        self, opened: Flowstone
    ) -> None:
        def words() -> list[str]:
            return ["a"]

        def counted(words: list[str], context: Context) -> int:
            words.append("b")
            if context.attempt < 3:
                raise ConnectionError
            return len(words)

        assets = [pinned("words", words), pinned("counted", counted, retries=AT_ONCE)]
        result = await opened.materialize(assets=assets)
        assert result["counted"] == 2

    async def test_async_assets_too(self, opened: Flowstone) -> None:
        async def shaky(context: Context) -> int:
            await anyio.lowlevel.checkpoint()
            if context.attempt == 1:
                raise ConnectionError
            return 1

        assert (await opened.materialize(pinned("shaky", shaky, retries=AT_ONCE)))["shaky"] == 1


class TestTimeouts:
    async def test_an_async_function_is_cancelled(self, opened: Flowstone) -> None:
        ended: list[str] = []

        async def slow() -> int:
            try:
                await anyio.sleep_forever()
            finally:
                ended.append("slow")
            return 1

        with pytest.raises(RunFailedError) as caught:
            await opened.materialize(pinned("slow", slow, timeout=0.05))
        assert isinstance(caught.value.__cause__, AssetTimeoutError)
        assert ended == ["slow"]
        assert (await opened.store.get("slow")).error_type == "flowstone.errors.AssetTimeoutError"

    async def test_a_thread_is_left_to_itself_and_its_result_is_not_taken(
        self, opened: Flowstone
    ) -> None:
        release = threading.Event()

        def slow() -> int:
            release.wait()
            return 1

        try:
            with pytest.raises(RunFailedError, match="goes on"):
                await opened.materialize(pinned("slow", slow, timeout=0.05))
        finally:
            release.set()
        assert (await opened.store.get("slow")).status == "failed"

    async def test_what_is_quick_enough_is_not_touched(self, opened: Flowstone) -> None:
        assets = [pinned("a", lambda: 1, timeout=60), pinned("b", lambda a: a + 1, timeout=60)]
        assert (await opened.materialize(assets=assets))["b"] == 2


class TestPools:
    async def test_runs_share_the_places_of_a_pool(self, opened: Flowstone) -> None:
        inside: list[int] = []
        most: list[int] = []

        async def busy() -> int:
            inside.append(1)
            most.append(len(inside))
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            inside.pop()
            return 1

        def assets(kind: str) -> list[AnyAsset]:
            return [pinned(f"{kind}{n}", busy, pool="gpu") for n in range(4)]

        async with anyio.create_task_group() as group:
            for kind in ("a", "b"):
                group.start_soon(self._run, opened, assets(kind))
        assert len(most) == 8
        assert max(most) == 1

    @staticmethod
    async def _run(opened: Flowstone, assets: list[AnyAsset]) -> None:
        result = await opened.materialize(assets=assets, pools={"gpu": 1})
        assert result.ok

    async def test_waiting_for_a_place_is_told(self, opened: Flowstone) -> None:
        waiting: list[StepWaiting] = []
        heard = anyio.Event()

        async def busy() -> int:
            await heard.wait()
            return 1

        def listener(event: Event) -> None:
            if isinstance(event, StepWaiting):
                waiting.append(event)
                heard.set()

        assets = [pinned(f"a{n}", busy, pool="gpu") for n in range(2)]
        await opened.materialize(assets=assets, pools={"gpu": 1}, on_event=listener)
        assert [each.pool for each in waiting] == ["gpu"]

    async def test_a_pool_without_a_size_is_told_before_anything_runs(
        self, opened: Flowstone
    ) -> None:
        one = pinned("one", lambda: 1, pool="gpu")
        with pytest.raises(PoolError, match=r"'gpu'.*pools="):
            await opened.materialize(one, pools={"cpu": 1})
        assert await opened.store.list_runs() == []

    async def test_a_place_is_given_back_while_a_retry_waits(self, opened: Flowstone) -> None:
        order: list[str] = []

        async def shaky(context: Context) -> int:
            order.append(f"shaky {context.attempt}")
            if context.attempt == 1:
                raise ConnectionError
            return 1

        async def other() -> int:
            order.append("other")
            return 1

        retry = Retry(times=1, delay=0.2, jitter=False)
        assets = [
            pinned("shaky", shaky, pool="gpu", retries=retry),
            pinned("other", other, pool="gpu"),
        ]
        await opened.materialize(assets=assets, pools={"gpu": 1})
        assert order == ["shaky 1", "other", "shaky 2"]


class TestDurability:
    @pytest.mark.parametrize("by", ["asset", "run"])
    async def test_strict_records_each_end_before_what_follows(
        self, opened: Flowstone, by: str
    ) -> None:
        seen: dict[str, str] = {}
        strict: dict[str, Any] = {"durability": "strict"}
        of_asset, of_run = (strict, {}) if by == "asset" else ({}, strict)

        async def first() -> int:
            seen["at first"] = (await opened.store.get("first")).status
            return 1

        async def second(first: int) -> int:
            seen["at second"] = (await opened.store.get("first")).status
            return first

        assets = [pinned("first", first, **of_asset), pinned("second", second, **of_asset)]
        await opened.materialize(assets=assets, **of_run)
        assert seen == {"at first": "running", "at second": "success"}

    async def test_rows_of_what_waits_are_there_while_a_long_step_runs(
        self, opened: Flowstone
    ) -> None:
        seen: list[str] = []

        async def long() -> int:
            while len(seen) < 2:
                rows = await opened.store.list_by_status("pending")
                rows += await opened.store.list_by_status("running")
                seen[:] = sorted(f"{row.asset_name} {row.status}" for row in rows)
                await anyio.sleep(0.005)
            return 1

        await opened.materialize(assets=[pinned("long", long), pinned("next", lambda long: long)])
        assert seen == ["long running", "next pending"]


class TestStopping:
    async def test_gently_finishes_what_runs_and_begins_nothing(self, opened: Flowstone) -> None:
        stop = Stop()

        async def first() -> int:
            stop.gently()
            await anyio.lowlevel.checkpoint()
            return 1

        assets = [pinned("first", first), pinned("second", lambda first: first)]
        result = await opened.materialize(assets=assets, stop=stop, raise_on_error=False)
        assert result.statuses == {"first": "materialized", "second": "cancelled"}
        assert result.run.status == "cancelled"
        assert (await opened.store.get("first")).status == "success"
        again = await opened.materialize(assets=assets)
        assert again.statuses == {"first": "reused", "second": "materialized"}

    async def test_gently_waits_for_nothing_that_became_ready_at_the_end(
        self, opened: Flowstone, tmp_path: Path
    ) -> None:
        """What it was made of is looked at once more; what needs it would wait for a place."""
        began = dt.datetime.now(dt.UTC)
        holder = Run(run_id="x", status="running", target="", started_at=began)
        await opened.store.start_run(holder, [])
        await opened.store.take_slots("x", "gpu", 1, ["y"], None, interval=None)
        (tmp_path / "file").write_text("text")
        stop = Stop()

        async def first(source: InputPath = tmp_path / "file") -> int:
            stop.gently()
            return len(source.read_text())

        after = pinned("after", lambda first: first, pool="gpu")
        with anyio.fail_after(10):
            result = await opened.materialize(
                assets=[pinned("first", first), after],
                pools={"gpu": 1},
                stop=stop,
                raise_on_error=False,
            )
        assert result.statuses == {"first": "materialized", "after": "cancelled"}

    async def test_now_ends_what_runs_too(self, opened: Flowstone) -> None:
        stop = Stop()

        async def endless() -> int:
            stop.now()
            await anyio.sleep_forever()
            return 1

        assets = [pinned("endless", endless), pinned("fine", lambda: 1)]
        with pytest.raises(RunFailedError, match="cancelled: endless"):
            await opened.materialize(assets=assets, stop=stop)
        assert (await opened.store.get("endless")).status == "cancelled"

    async def test_from_another_thread(self, opened: Flowstone) -> None:
        stop = Stop()

        async def endless() -> int:
            await to_thread.run_sync(stop.now)
            await anyio.sleep_forever()
            return 1

        result = await opened.materialize(
            pinned("endless", endless), stop=stop, raise_on_error=False
        )
        assert result.statuses == {"endless": "cancelled"}

    async def test_a_run_can_be_cancelled_through_the_store(self, opened: Flowstone) -> None:
        begun = anyio.Event()
        runs: list[str] = []

        async def endless(context: Context) -> int:
            runs.append(context.run_id)
            begun.set()
            await anyio.sleep_forever()
            return 1

        async with anyio.create_task_group() as group:
            ended: list[str] = []

            async def run() -> None:
                one = pinned("endless", endless)
                result = await opened.materialize(one, raise_on_error=False)
                ended.append(result.run.status)

            group.start_soon(run)
            await begun.wait()
            await opened.store.cancel_run(runs[0])
        assert ended == ["cancelled"]
        with pytest.raises(RunEndedError):
            await opened.store.cancel_run(runs[0])


class TestExecutors:
    async def test_a_function_runs_where_its_asset_says(self, opened: Flowstone) -> None:
        def where() -> list[Any]:
            return [os.getpid(), threading.get_ident()]

        assets = [
            pinned("here", where, executor="loop"),
            pinned("beside", where, executor="thread"),
            pinned("elsewhere", where, executor="process"),
        ]
        result = await opened.materialize(assets=assets)
        assert result["here"] == [os.getpid(), threading.get_ident()]
        assert result["beside"][0] == os.getpid() != result["elsewhere"][0]
        assert result["beside"] != result["here"]

    async def test_all_of_a_run_in_processes(self, opened: Flowstone) -> None:
        def numbers() -> list[int]:
            return list(range(1_000))

        def total(numbers: list[int]) -> list[int]:
            return [sum(numbers), os.getpid()]

        assets = [pinned("numbers", numbers), pinned("total", total)]
        result = await opened.materialize(assets=assets, executor="process")
        assert result["total"][0] == 499_500
        assert result["total"][1] != os.getpid()

    async def test_what_needs_a_resource_is_refused_in_a_process(self, opened: Flowstone) -> None:
        def made(client: object) -> int:  # noqa: ARG001 - it is what is refused
            return 1

        one = pinned("made", made, executor="process")
        with pytest.raises(DefinitionError, match=r"'client'.*executor='thread'"):
            await opened.materialize(one, resources={"client": lambda: 1})

    async def test_who_blocks_the_event_loop_is_named(
        self, opened: Flowstone, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(loop_module, "BLOCKED_SECONDS", 0.01)
        told: list[Event] = []

        async def blocking() -> int:
            began = time.monotonic()
            while time.monotonic() - began < 0.02:
                pass
            return 1

        await opened.materialize(pinned("blocking", blocking), on_event=told.append)
        (blocked,) = (each for each in told if isinstance(each, LoopBlocked))
        assert blocked.asset == "blocking"
        assert blocked.seconds > 0.01

    async def test_context_variables_of_one_step_are_not_another_s(self, opened: Flowstone) -> None:
        seen: list[str] = []

        async def first() -> int:
            marker.set("changed")
            return 1

        async def second(first: int) -> int:
            seen.append(marker.get())
            return first

        await opened.materialize(assets=[pinned("first", first), pinned("second", second)])
        assert seen == ["as it was"]

    async def test_options_that_mean_nothing_are_told(self, opened: Flowstone) -> None:
        one = pinned("one", lambda: 1)
        with pytest.raises(SettingsError, match="executor"):
            await opened.materialize(one, executor="proces")  # type: ignore[arg-type]  # that is it
        with pytest.raises(TypeError, match="did you mean 'durability'"):
            await opened.materialize(one, durabilty="strict")  # type: ignore[call-arg]  # that is it


class TestOutput:
    async def test_what_a_step_prints_is_kept_with_its_attempt(self, opened: Flowstone) -> None:
        def loud(context: Context) -> int:
            print("hello from", context.attempt)  # noqa: T201 - it is what is kept
            context.logger.info("logged", rows=3)
            if context.attempt == 1:
                raise ConnectionError
            return 1

        async def whisper(loud: int) -> int:
            print("psst")  # noqa: T201 - it is what is kept
            return loud

        assets = [pinned("loud", loud, retries=AT_ONCE), pinned("whisper", whisper)]
        result = await opened.materialize(assets=assets)
        logs = await opened.store.logs(result.run_id)
        assert [(each.asset_name, each.attempt) for each in logs] == [
            ("loud", 1),
            ("loud", 2),
            ("whisper", 1),
        ]
        assert "hello from 1" in logs[0].lines
        assert "logged rows=3" in logs[0].lines
        assert "psst" in logs[2].lines

    @pytest.mark.parametrize("executor", ["loop", "thread", "process"])
    async def test_what_a_step_printed_that_is_stopped_is_kept(
        self, opened: Flowstone, executor: Any
    ) -> None:
        stop, printed, go_on = Stop(), threading.Event(), threading.Event()

        async def on_loop() -> int:
            print("so far")  # noqa: T201 - it is what is kept
            printed.set()
            await anyio.sleep_forever()
            return 1

        def in_thread() -> int:
            print("so far")  # noqa: T201 - it is what is kept
            printed.set()
            go_on.wait()
            return 1

        class Screen(io.StringIO):
            def write(self, text: str) -> int:
                if "and on" in text:
                    printed.set()
                return len(text)

        def listener(event: Event) -> None:
            if isinstance(event, StepStarted):
                printed.wait()
                stop.now()

        functions = {"loop": on_loop, "thread": in_thread, "process": prints_and_goes_on}
        one = pinned("one", functions[executor], executor=executor)
        with contextlib.redirect_stderr(Screen()):
            result = await opened.materialize(
                one, stop=stop, on_event=listener, raise_on_error=False
            )
        go_on.set()
        assert result.statuses == {"one": "cancelled"}
        (log,) = await opened.store.logs(result.run_id)
        assert log.asset_name == "one"
        assert "so far" in log.lines


class TestHooks:
    async def test_hooks_of_assets_and_of_the_call_hear_of_their_ends(
        self, opened: Flowstone
    ) -> None:
        told: list[tuple[str, str]] = []

        def of_asset(event: StepFinished) -> None:
            told.append((event.asset, event.ending))

        async def of_run(event: RunFinished) -> None:
            told.append(("run", event.status))

        def broken() -> int:
            raise LookupError("no")

        assets = [
            pinned("fine", lambda: 1, on_success=of_asset, on_failure=of_asset),
            pinned("broken", broken, on_success=of_asset, on_failure=of_asset),
        ]
        await opened.materialize(
            assets=assets, on_success=of_run, on_failure=of_run, raise_on_error=False
        )
        assert sorted(told) == [("broken", "failed"), ("fine", "materialized"), ("run", "failed")]

    async def test_a_hook_that_raises_fails_nothing(self, opened: Flowstone) -> None:
        def hook(_: object) -> None:
            raise LookupError("in the hook")

        result = await opened.materialize(pinned("one", lambda: 1), on_success=hook)
        assert result.ok
        assert "in the hook" in result.hook_errors[0]


class TestRacers:
    async def test_one_makes_it_and_all_have_it(self, opened: Flowstone) -> None:
        made: list[int] = []

        async def shared() -> int:
            made.append(1)
            await anyio.sleep(0.02)
            return 1

        ended: list[str] = []

        async def race() -> None:
            result = await opened.materialize(pinned("shared", shared))
            ended.append(result.statuses["shared"])
            assert result["shared"] == 1

        async with anyio.create_task_group() as group:
            for _ in range(12):
                group.start_soon(race)
        assert made == [1]
        assert sorted(ended) == ["materialized", *["reused"] * 11]

    async def test_who_waits_says_for_whom(self, opened: Flowstone) -> None:
        told: list[StepWaiting] = []
        begun, go_on = anyio.Event(), anyio.Event()

        async def shared() -> int:
            begun.set()
            await go_on.wait()
            return 1

        def listener(event: Event) -> None:
            if isinstance(event, StepWaiting):
                told.append(event)
                go_on.set()

        first: list[str] = []

        async def holder() -> None:
            first.append((await opened.materialize(pinned("shared", shared))).run_id)

        async with anyio.create_task_group() as group:
            group.start_soon(holder)
            await begun.wait()
            await opened.materialize(pinned("shared", shared), on_event=listener)
        assert [each.holder for each in told] == first

    @pytest.mark.usefixtures("no_structlog")
    async def test_where_nobody_listens_the_waiting_is_logged(self, opened: Flowstone) -> None:
        begun, go_on = anyio.Event(), anyio.Event()
        runs: list[str] = []

        async def shared() -> int:
            begun.set()
            await go_on.wait()
            return 1

        async def holder() -> None:
            runs.append((await opened.materialize(pinned("shared", shared))).run_id)

        class Screen(io.StringIO):
            def write(self, text: str) -> int:
                go_on.set()
                return super().write(text)

        with contextlib.redirect_stderr(Screen()) as screen:
            async with anyio.create_task_group() as group:
                group.start_soon(holder)
                await begun.wait()
                await opened.materialize(pinned("shared", shared))
        (told,) = screen.getvalue().splitlines()
        assert f"waits for run {runs[0]} " in told
        assert "asset=shared" in told

    async def test_nobody_is_said_to_wait_for_a_run_that_is_over(self, opened: Flowstone) -> None:
        stop, begun = Stop(), anyio.Event()
        told: list[StepWaiting] = []
        runs: list[str] = []

        async def first() -> int:
            if not begun.is_set():
                begun.set()
                await anyio.sleep_forever()
            return 1

        def listener(event: Event) -> None:
            if isinstance(event, StepWaiting):
                told.append(event)
                stop.now()

        assets = [pinned("first", first), pinned("second", lambda first: first)]

        async def holder() -> None:
            result = await opened.materialize(assets=assets, stop=stop, raise_on_error=False)
            runs.append(result.run_id)

        async with anyio.create_task_group() as group:
            group.start_soon(holder)
            await begun.wait()
            result = await opened.materialize(assets=assets, on_event=listener)
        assert result.statuses == {"first": "materialized", "second": "materialized"}
        assert [(each.asset, each.holder) for each in told] == [("first", *runs)]

    async def test_who_shares_a_result_says_whose_it_is(self, opened: Flowstone) -> None:
        begun, go_on = anyio.Event(), anyio.Event()
        told: list[str] = []
        runs: list[str] = []

        async def shared() -> int:
            begun.set()
            await go_on.wait()
            return 1

        def listener(event: Event) -> None:
            if isinstance(event, StepWaiting):
                go_on.set()
            elif isinstance(event, StepFinished):
                told.append(event.detail)

        async def holder() -> None:
            runs.append((await opened.materialize(pinned("shared", shared))).run_id)

        async with anyio.create_task_group() as group:
            group.start_soon(holder)
            await begun.wait()
            await opened.materialize(pinned("shared", shared), on_event=listener)
        assert told == [f"made meanwhile by run {runs[0]}"]

    async def test_different_code_has_both_histories_right(self, opened: Flowstone) -> None:
        async def shared() -> int:
            await anyio.sleep(0.005)
            return 1

        async def race(version: str) -> None:
            one = Asset(shared, name="shared", code_version=version)
            down = pinned("down", lambda shared: shared)
            result = await opened.materialize(assets=[one, down])
            assert result.ok

        async with anyio.create_task_group() as group:
            for version in ("1", "2", "3", "4"):
                group.start_soon(race, version)
        runs = await opened.store.list_runs()
        every = [row for run in runs for row in await opened.store.get_by_run_id(run.run_id)]
        rows = [row for row in every if row.status != "cancelled"]  # another's stands in for those
        versions = [row.code_version for row in rows if row.asset_name == "shared"]
        assert len(set(versions)) == len(versions) == 4
        assert {row.status for row in rows} == {"success"}
        told = [[c["kind"] for c in row.causes] for row in rows if row.asset_name == "shared"]
        assert sorted(told) == [["code_changed"]] * 3 + [["never_made"]]
        for row in rows:
            for edge in await opened.store.lineage(row.id):
                upstream = await opened.store.get_by_id(edge.upstream_id)
                assert row.inputs["upstream"] == {"shared": upstream.data_version}

    async def test_two_orders_of_the_same_assets_do_not_wait_for_each_other(
        self, opened: Flowstone
    ) -> None:
        """One needs a for b, the other b for a; both hold what the other waits for at first."""

        def chain(*names: str, version: str) -> list[AnyAsset]:
            needed: list[str] = []
            assets: list[AnyAsset] = []
            for name in names:
                assets.append(
                    Asset(slow, name=name, deps=list(needed), code_version=f"{version}{name}")
                )
                needed = [name]
            return assets

        async def slow() -> int:
            await anyio.sleep(0.01)
            return 1

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(_made, opened, chain("a", "b", "c", version="x"))
                    group.start_soon(_made, opened, chain("c", "b", "a", version="y"))


async def _made(opened: Flowstone, assets: list[AnyAsset]) -> None:
    assert (await opened.materialize(assets=assets)).ok
