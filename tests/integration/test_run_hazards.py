"""What a run survives: hostile listeners, cancellation from inside, lost values, clocks, scale."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
import gc
import sys
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from flowstone import Asset, Flowstone, asset, planning
from flowstone.core.decide import Drawn, draw
from flowstone.errors import ConfigError, RunFailedError, SettingsError, StoreError, TargetError
from flowstone.runner import journal, ledger
from flowstone.runner.events import Event, StepFinished
from flowstone.store.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from flowstone.core.asset import AnyAsset
    from flowstone.core.records import Decision, Draft, StepLog
    from flowstone.store.base import JournalSession

pytestmark = pytest.mark.anyio


@asset
def one() -> int:
    return 1


@asset
def two(one: int) -> int:
    return one + 1


def pinned(name: str, fn: Callable[..., Any], version: str = "1", **options: Any) -> AnyAsset:
    return Asset(fn, name=name, code_version=version, **options)


class TestListeners:
    async def test_a_listener_that_raises_is_told_of_when_all_is_recorded(
        self, opened: Flowstone
    ) -> None:
        told: list[Event] = []

        def listener(event: Event) -> None:
            told.append(event)
            if len(told) == 3:
                raise LookupError(type(event).__name__)

        with pytest.raises(LookupError, match="StepFinished"):
            await opened.materialize(two, on_event=listener)
        assert len(told) == 3
        (run,) = await opened.store.list_runs()
        assert run.status == "success"
        assert {row.status for row in await opened.store.get_by_run_id(run.run_id)} == {"success"}

    async def test_a_listener_may_raise_at_the_very_first_event(self, opened: Flowstone) -> None:
        def listener(event: Event) -> None:
            raise LookupError(type(event).__name__)

        for _ in range(2):
            with pytest.raises(LookupError, match="RunStarted"):
                await opened.materialize(two, on_event=listener)
        assert {run.status for run in await opened.store.list_runs()} == {"success"}

    async def test_listeners_hear_of_a_step_once_it_is_committed(self, tmp_path: Path) -> None:
        store = _Committing()
        told: list[tuple[str, str | None]] = []

        def listener(event: Event) -> None:
            if isinstance(event, StepFinished):
                told.append((event.asset, store.committed.get(event.asset)))

        async with Flowstone(store=store, home=tmp_path / "home") as fs:
            await fs.materialize(two, on_event=listener)
        assert told == [("one", "success"), ("two", "success")]

    async def test_listeners_hear_of_an_idle_run_once_it_is_committed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def refuse(*_: Any, **__: Any) -> None:
            raise StoreError("away")

        told: list[Event] = []
        async with Flowstone(store=MemoryStore(), home=tmp_path / "home") as fs:
            await fs.materialize(two)
            monkeypatch.setattr(fs.store, "record_run", refuse)
            with pytest.raises(StoreError, match="away"):
                await fs.materialize(two, on_event=told.append)
        assert told == []


class _Committing(MemoryStore):
    """A store that takes its time, and knows what it has written."""

    def __init__(self) -> None:
        super().__init__()
        self.committed: dict[str, str] = {}

    @contextlib.asynccontextmanager
    async def journal(self, run_id: str) -> AsyncIterator[Any]:
        async with super().journal(run_id) as session:
            yield _SlowSession(session, self.committed)


@dataclass
class _SlowSession:
    session: JournalSession
    committed: dict[str, str]

    async def write(
        self,
        drafts: Sequence[Draft],
        decisions: Sequence[Decision] = (),
        logs: Sequence[StepLog] = (),
    ) -> None:
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        await self.session.write(drafts, decisions, logs)
        self.committed.update({draft.asset_name: draft.status for draft in drafts})


class TestFunctions:
    async def test_a_cancellation_inside_an_asset_is_its_own_failure(
        self, opened: Flowstone
    ) -> None:
        @asset
        async def gives_up() -> None:
            inner = asyncio.ensure_future(asyncio.sleep(60))
            inner.cancel()
            await inner

        result = await opened.materialize(gives_up, two, raise_on_error=False)
        assert result.statuses == {
            "gives_up": "failed",
            "one": "materialized",
            "two": "materialized",
        }
        assert result.failures["gives_up"].type == "asyncio.exceptions.CancelledError"

    async def test_one_that_cancels_the_task_it_runs_in_fails_no_other(
        self, opened: Flowstone
    ) -> None:
        async def after() -> int:
            await anyio.lowlevel.checkpoint()
            return _cancelling()

        assets = [pinned("a", _cancels_itself), pinned("b", after)]
        result = await opened.materialize(assets=assets, raise_on_error=False, max_concurrency=1)
        assert result.statuses == {"a": "failed", "b": "materialized"}
        assert result.failures["a"].type == "asyncio.exceptions.CancelledError"
        assert result["b"] == 0

    async def test_a_cancellation_that_a_function_got_over_is_not_there_for_the_next(
        self, opened: Flowstone
    ) -> None:
        async def gets_over() -> int:
            await _cancels_itself()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            return 1

        async def after() -> int:
            return _cancelling()

        assets = [pinned("a", gets_over), pinned("b", after)]
        result = await opened.materialize(assets=assets, max_concurrency=1)
        assert (result["a"], result["b"]) == (1, 0)

    async def test_what_an_async_function_prints_is_kept_in_threads_too(
        self, opened: Flowstone
    ) -> None:
        async def talks() -> int:
            await anyio.lowlevel.checkpoint()
            sys.stdout.write("spoken\n")
            return 1

        result = await opened.materialize(assets=[pinned("talks", talks, executor="thread")])
        (log,) = await opened.store.logs(result.run_id)
        assert log.lines.endswith("out spoken")

    async def test_a_thread_holds_nothing_of_the_call_before(self, opened: Flowstone) -> None:
        """What a call made may be large, and the next one may take long."""
        made: list[weakref.ref[Any]] = []
        recorded = threading.Event()

        def large() -> set[int]:
            value = {1, 2}
            made.append(weakref.ref(value))
            return value

        def after() -> bool:
            assert recorded.wait(60)
            gc.collect()
            return made[0]() is None

        def listener(event: Event) -> None:
            if isinstance(event, StepFinished) and event.asset == "a":
                recorded.set()

        assets = [pinned("a", large), pinned("b", after)]
        result = await opened.materialize(assets=assets, max_concurrency=1, on_event=listener)
        assert result["b"] is True

    async def test_decorators_may_turn_sync_into_async_and_back(self, opened: Flowstone) -> None:
        def awaiting(fn: Callable[[], int]) -> Any:
            @functools.wraps(fn)
            async def wrapper() -> int:
                await anyio.lowlevel.checkpoint()
                return fn()

            return wrapper

        def blocking(fn: Callable[[], Any]) -> Any:
            @functools.wraps(fn)
            def wrapper() -> Any:
                return asyncio.run(fn())

            return wrapper

        def passing(fn: Callable[[], Any]) -> Any:
            @functools.wraps(fn)
            def wrapper() -> Any:
                return fn()

            return wrapper

        async def three() -> int:
            await anyio.lowlevel.checkpoint()
            return 3

        assets = [
            pinned("awaited", awaiting(lambda: 3)),
            pinned("blocked", blocking(three)),
            pinned("passed", passing(three)),
        ]
        result = await opened.materialize(assets=assets)
        assert [result[each.name] for each in assets] == [3, 3, 3]


async def _cancels_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


def _cancelling() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task else -1


class _Fragile:
    """A value that can be read back as long as ``broken`` is not set."""

    broken = False
    ended = threading.Event()

    def __reduce__(self) -> tuple[Any, ...]:
        return (_read_back, (type(self).__name__,))


class _Slow(_Fragile):
    """One whose reading takes until the step ``fragile`` has ended."""


def _read_back(kind: str) -> object:
    if kind == "_Slow":
        _Fragile.ended.wait(30)
    elif _Fragile.broken:
        raise LookupError("gone")
    return kind


@pytest.fixture
def breakable() -> Iterator[type[_Fragile]]:
    _Fragile.ended.clear()
    yield _Fragile
    _Fragile.broken = False


def watch(event: Event) -> None:
    """Let slow readers go on when ``fragile`` has been made again, or failed to be."""
    if isinstance(event, StepFinished) and event.asset == "fragile":
        _Fragile.ended.set()


def slow() -> object:
    return _Slow()


def sentinel() -> object:
    return object()


def repr_of(fragile: object) -> str:
    return type(fragile).__name__


class TestLostValues:
    @staticmethod
    def consumers(version: str) -> list[AnyAsset]:
        return [
            pinned("quick", repr_of, version),
            pinned("late", lambda slow, fragile: f"{slow} {fragile}", version),
        ]

    async def test_a_step_that_misses_a_value_later_takes_the_one_made_meanwhile(
        self, opened: Flowstone, breakable: type[_Fragile]
    ) -> None:
        def fragile() -> object:
            return 3 if _Fragile.broken else _Fragile()

        sources = [pinned("fragile", fragile), pinned("slow", slow)]
        await opened.materialize(assets=[*sources, *self.consumers("1")])
        breakable.broken = True
        changed = [*sources, *self.consumers("2")]
        result = await opened.materialize(assets=changed, on_event=watch)
        assert result.statuses == {
            "fragile": "materialized",
            "late": "materialized",
            "quick": "materialized",
            "slow": "reused",
        }

    async def test_a_value_that_can_not_be_made_again_fails_those_that_wait_for_it(
        self, opened: Flowstone, breakable: type[_Fragile]
    ) -> None:
        def fragile() -> object:
            if _Fragile.broken:
                raise ValueError("no more")
            return _Fragile()

        sources = [pinned("fragile", fragile), pinned("slow", slow)]
        await opened.materialize(assets=[*sources, *self.consumers("1"), one])
        breakable.broken = True
        result = await opened.materialize(
            assets=[*sources, *self.consumers("2"), one], raise_on_error=False, on_event=watch
        )
        assert result.statuses == {
            "fragile": "failed",
            "late": "failed",
            "one": "reused",
            "quick": "failed",
            "slow": "reused",
        }
        assert {row.status for row in result.rows} == {"failed"}
        assert "lost" in result.failures["quick"].message

    async def test_a_run_cancelled_while_making_a_value_again_leaves_no_open_row(
        self, opened: Flowstone, breakable: type[_Fragile]
    ) -> None:
        again = anyio.Event()

        async def fragile() -> object:
            if _Fragile.broken:
                again.set()
                await anyio.sleep_forever()
            return _Fragile()

        source = pinned("fragile", fragile)
        await opened.materialize(assets=[source, pinned("quick", repr_of)])
        breakable.broken = True
        changed = [source, pinned("quick", repr_of, "2")]
        async with anyio.create_task_group() as group:
            group.start_soon(functools.partial(opened.materialize, assets=changed))
            await again.wait()
            group.cancel_scope.cancel()
        run = (await opened.store.list_runs())[0]
        rows = await opened.store.get_by_run_id(run.run_id)
        assert {row.asset_name: row.status for row in rows} == {
            "fragile": "cancelled",
            "quick": "cancelled",
        }

    async def test_a_long_chain_of_values_not_kept_is_planned_in_one_pass(
        self, opened: Flowstone, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def chain(version: str) -> list[AnyAsset]:
            links = [pinned("k0", sentinel, keep=False)]
            for number in range(1, 150):
                passing = eval(f"lambda k{number - 1}: None")  # noqa: S307 - test code
                links.append(pinned(f"k{number}", passing, keep=False))
            return [*links, pinned("end", eval("lambda k149: 1"), version)]  # noqa: S307 - test code

        await opened.materialize(assets=chain("1"))
        looks: list[object] = []

        def counting(*args: Any) -> Drawn:
            looks.append(args)
            return draw(*args)

        monkeypatch.setattr(planning, "draw", counting)
        plan = await opened.plan("end", assets=chain("2"))
        assert len(plan.to_run) == 151
        assert len(looks) <= 4


class TestReading:
    async def test_a_path_is_handed_on_as_later_runs_will_find_it(
        self, opened: Flowstone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)

        def report() -> Path:
            Path("report.txt").write_text("three")
            return Path("report.txt")

        made = pinned("report", report)

        def named(report: Path) -> str:
            return str(report)

        first = await opened.materialize(assets=[made, pinned("named", named)])
        again = await opened.materialize(assets=[made, pinned("named", named, "2")])
        assert again.statuses["report"] == "reused"
        assert first["named"] == again["named"] == str(tmp_path / "report.txt")

    async def test_what_was_reused_on_the_way_can_be_read_too(self, opened: Flowstone) -> None:
        await opened.materialize(two)
        again = await opened.materialize(two)
        assert (again["one"], again["two"]) == (1, 2)

    async def test_a_stale_version_is_never_reused(self, opened: Flowstone) -> None:
        (row,) = (await opened.materialize(one)).rows
        await opened.store.update_status(row.id, "stale")
        assert (await opened.materialize(one)).statuses == {"one": "materialized"}


class TestScale:
    async def test_more_steps_than_the_journal_takes_at_once(self, opened: Flowstone) -> None:
        async def number() -> int:
            await anyio.lowlevel.checkpoint()
            return 1

        many = [pinned(f"a{n}", number) for n in range(journal.BACKLOG + 200)]
        with anyio.fail_after(60):
            result = await opened.materialize(assets=many)
        assert result.run.counts == {"materialized": len(many)}

    async def test_an_asset_of_very_many_inputs_is_reused(self, opened: Flowstone) -> None:
        inputs = {f"+{n}": "version" for n in range(12_000)}
        row = await opened.store.create(
            asset_name="sink", run_id="r", status="success", inputs={"upstream": inputs}
        )
        assert row.inputs["upstream"] == inputs

    async def test_a_clock_that_is_set_back_fails_nothing(
        self, opened: Flowstone, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ticks = iter(range(10**6))
        start = dt.datetime.now(dt.UTC)
        monkeypatch.setattr(ledger, "now", lambda: start - dt.timedelta(seconds=next(ticks)))
        (row,) = (await opened.materialize(one)).rows
        assert (row.status, row.duration_ms) == ("success", 0.0)


class TestMistakes:
    async def test_a_connection_that_is_not_open_says_so(self, tmp_path: Path) -> None:
        closed = Flowstone(store=MemoryStore(), home=tmp_path)
        with pytest.raises(StoreError, match="async with Flowstone"):
            await closed.materialize(one)
        async with closed:
            await closed.materialize(one)
        with pytest.raises(StoreError, match="not open"):
            await closed.materialize(one)

    async def test_wrong_arguments_are_named_with_their_cure(self, opened: Flowstone) -> None:
        def plain() -> int:
            return 1

        calls: list[tuple[tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
            ((plain,), {}, TargetError, "function plain; decorate it"),
            (([one],), {}, TargetError, "give several one by one"),
            ((one,), {"assets": one}, TargetError, r"write \[one\]"),
            ((one,), {"assets": "shop"}, TargetError, "assets= is a graph"),
            ((one,), {"config": ["x"]}, ConfigError, "config= is a mapping"),
            ((one,), {"max_concurrency": 0}, SettingsError, "at least 1"),
        ]
        for args, kwargs, kind, words in calls:
            with pytest.raises(kind, match=words):
                await opened.materialize(*args, **kwargs)

    async def test_exclude_takes_one_selection_too(self, opened: Flowstone) -> None:
        result = await opened.materialize("one", "two", assets=[one, two], exclude="two")
        assert set(result.statuses) == {"one"}

    async def test_what_is_blocked_says_why(self, opened: Flowstone) -> None:
        with pytest.raises(RunFailedError, match=r"two \(upstream one has no value"):
            await opened.materialize(two, only=True)
