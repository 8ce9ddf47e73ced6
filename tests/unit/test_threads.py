"""Functions in threads of our own: handed over in batches, given up when their time is out."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from flowstone import asset
from flowstone.runner.executors.threads import Threads
from flowstone.runner.failure import Failure
from flowstone.runner.step import Made
from flowstone.values import Keeper, ValueStore
from tests.unit.jobs import at_work, value

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

pytestmark = pytest.mark.anyio


def nothing() -> None:
    pass


#: Longer than any wait of these tests may take.
LONG = 60.0


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    return Keeper(ValueStore(tmp_path / "values"))


@pytest.fixture
def threads() -> Callable[[], set[threading.Thread]]:
    """The threads that were started since."""
    before = set(threading.enumerate())
    return lambda: set(threading.enumerate()) - before


async def test_what_a_function_returns_is_kept(keeper: Keeper) -> None:
    @asset
    def doubled(number: int) -> int:
        return 2 * number

    async with at_work(Threads(1), keeper) as desk:
        outcome = await desk.submit(doubled, number=4)
    assert isinstance(outcome, list)
    assert isinstance(outcome[0], Made)
    assert outcome[0].value == 8
    assert outcome[0].saved is not None
    assert keeper.load(doubled, outcome[0].saved.pointer) == 8


async def test_threads_begin_with_the_first_job_and_are_gone_after_close(
    keeper: Keeper, threads: Callable[[], set[threading.Thread]]
) -> None:
    async with at_work(Threads(3), keeper) as desk:
        assert not threads()
        await asyncio.gather(*(desk.submit(nothing) for _ in range(10)))
        assert 1 <= len(threads()) <= 3
        assert all(thread.daemon for thread in threads())
    assert not threads()


async def test_a_job_begins_once_and_then_ends_once(keeper: Keeper) -> None:
    async with at_work(Threads(2), keeper) as desk:
        await asyncio.gather(*(desk.submit(nothing) for _ in range(50)))
    for number in range(50):
        mine = [what for what, label in desk.told if label == f"made {number}"]
        assert mine == ["begun", "ended"]


async def test_as_many_run_at_once_as_there_may_be_and_no_more(keeper: Keeper) -> None:
    together, lock, running, most = threading.Barrier(3, timeout=LONG), threading.Lock(), 0, 0

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait()
        with lock:
            running -= 1

    async with at_work(Threads(3), keeper) as desk:
        await asyncio.gather(*(desk.submit(work) for _ in range(12)))
    assert most == 3


async def test_that_a_long_job_has_begun_is_told_while_it_runs(keeper: Keeper) -> None:
    go_on = threading.Event()
    async with at_work(Threads(1), keeper) as desk:
        ended = desk.submit(lambda: go_on.wait(LONG))
        await desk.begun("made 0")
        assert not ended.done()
        go_on.set()
        assert value(await ended) is True
    assert desk.told == [("begun", "made 0"), ("ended", "made 0")]


async def test_a_job_whose_time_is_out_is_given_up_and_another_thread_takes_over(
    keeper: Keeper,
) -> None:
    go_on, stuck = threading.Event(), list[threading.Thread]()

    def work() -> int:
        stuck.append(threading.current_thread())
        go_on.wait(LONG)
        return 1

    threads = Threads(1)
    async with at_work(threads, keeper) as desk:
        failure = await desk.failure(work, timeout=0.02)
        assert failure.type == "flowstone.errors.AssetTimeoutError"
        assert "made 0 took longer than its timeout of 0.02 s;" in failure.message
        assert "goes on" in failure.message
        assert isinstance(failure.exception, TimeoutError)
        assert list(threads.abandoned) == ["made 0"]
        assert "made 0" in stuck[0].name
        assert await desk.value(threading.current_thread) is not stuck[0]
        go_on.set()
        await asyncio.to_thread(stuck[0].join, LONG)
        assert not threads.abandoned
    assert desk.told.count(("ended", "made 0")) == 1


async def test_what_comes_too_late_to_be_awaited_is_closed(keeper: Keeper) -> None:
    go_on, stuck, given = threading.Event(), list[threading.Thread](), list[Any]()

    async def answer() -> None:
        pass

    def work() -> Coroutine[Any, Any, None]:
        stuck.append(threading.current_thread())
        go_on.wait(LONG)
        given.append(answer())
        return given[0]  # type: ignore[no-any-return]  # it was just put there

    async with at_work(Threads(1), keeper) as desk:
        await desk.failure(work, timeout=0.02)
        go_on.set()
        await asyncio.to_thread(stuck[0].join, LONG)
    assert inspect.getcoroutinestate(given[0]) == inspect.CORO_CLOSED


async def test_fewer_threads_do_when_the_system_has_no_more(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_work(Threads(4), keeper) as desk:
        await desk.value(nothing)

        def refuse(_: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse)
            await asyncio.gather(*(desk.submit(nothing) for _ in range(20)))


async def test_a_job_that_ends_in_time_is_no_timeout(keeper: Keeper) -> None:
    go_on = threading.Event()
    async with at_work(Threads(1), keeper) as desk:
        ended = desk.submit(lambda: go_on.wait(LONG), timeout=LONG)
        await desk.begun("made 0")
        go_on.set()
        assert value(await ended) is True


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration])
async def test_no_exception_ends_a_thread(keeper: Keeper, kind: type[BaseException]) -> None:
    def work() -> None:
        raise kind

    async with at_work(Threads(1), keeper) as desk:
        thread = await desk.value(threading.current_thread)
        failure = await desk.failure(work)
        assert failure.type == kind.__name__
        assert await desk.value(threading.current_thread) is thread


async def test_each_job_has_a_copy_of_the_context_it_was_submitted_in(keeper: Keeper) -> None:
    color = contextvars.ContextVar("color", default="none")

    def work() -> str:
        seen = color.get()
        color.set("changed")
        return seen

    async with at_work(Threads(1), keeper) as desk:
        color.set("red")
        first = desk.submit(work)
        color.set("blue")
        second = desk.submit(work)
        assert [value(await first), value(await second)] == ["red", "blue"]
    assert color.get() == "blue"


async def test_what_is_returned_to_be_awaited_is_awaited_on_the_loop(keeper: Keeper) -> None:
    color = contextvars.ContextVar("color", default="none")

    async def answer() -> tuple[int, str]:
        return threading.get_ident(), color.get()

    def work() -> Coroutine[Any, Any, tuple[int, str]]:
        color.set("red")
        return answer()

    async with at_work(Threads(1), keeper) as desk:
        assert await desk.value(work) == (threading.get_ident(), "red")
    assert desk.told == [("begun", "made 0"), ("ended", "made 0")]


async def test_what_is_awaited_is_cancelled_when_its_time_is_out(keeper: Keeper) -> None:
    ended = list[str]()

    async def answer() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    threads = Threads(1)
    async with at_work(threads, keeper) as desk:
        failure = await desk.failure(lambda: answer(), timeout=0.02)  # noqa: PLW0108 - a coroutine function would be called on the loop
        assert failure.type == "flowstone.errors.AssetTimeoutError"
        assert threads.abandoned == ()
        await desk.value(nothing)
    assert ended == ["cancelled"]


async def test_closing_leaves_running_calls_to_themselves(keeper: Keeper) -> None:
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    mine = list[threading.Thread]()

    def work() -> None:
        mine.append(threading.current_thread())
        begun.set()
        go_on.wait(LONG)
        ended.set()

    threads = Threads(2)
    async with at_work(threads, keeper) as desk:
        for _ in range(3):
            desk.submit(work)
        await asyncio.to_thread(begun.wait, LONG)
    assert "made 0" in threads.abandoned
    go_on.set()
    assert await asyncio.to_thread(ended.wait, LONG)
    for thread in mine:
        await asyncio.to_thread(thread.join, LONG)
    assert not [what for what, _ in desk.told if what == "ended"]
    assert threads.abandoned == ()


async def test_what_has_not_begun_can_be_taken_back(keeper: Keeper) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(LONG)

    async with at_work(Threads(1), keeper) as desk:
        first = desk.submit(work)
        await asyncio.to_thread(begun.wait, LONG)
        desk.submit(work)
        desk.submit(work)
        assert [job.label for job in desk.executor.withdraw()] == ["made 1", "made 2"]
        assert desk.executor.withdraw() == []
        go_on.set()
        await first
    assert {label for _, label in desk.told} == {"made 0"}


async def test_many_ends_are_told_in_one_turn_of_the_loop(keeper: Keeper) -> None:
    last = threading.Event()
    loop = asyncio.get_running_loop()
    async with at_work(Threads(1), keeper) as desk:
        ends = [desk.submit(nothing) for _ in range(20)]
        ends.append(desk.submit(last.set))
        last.wait(LONG)  # the loop stands still meanwhile
        turns = list[int]()
        ends[0].add_done_callback(lambda _: loop.call_soon(lambda: turns.append(len(desk.told))))
        await asyncio.gather(*ends)
    assert turns[0] >= 40


async def test_an_error_of_who_is_told_leaves_the_other_ends(keeper: Keeper) -> None:
    told = list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with at_work(Threads(1), keeper) as desk:
        broken = desk.submit(nothing)
        broken.cancel()  # so that its result can't be set
        assert await desk.value(nothing) is None
    assert isinstance(told[0]["exception"], asyncio.InvalidStateError)


async def test_a_waiting_thread_holds_nothing_of_its_last_job(keeper: Keeper) -> None:
    class Thing:
        pass

    async with at_work(Threads(1), keeper) as desk:
        made = weakref.ref(await desk.value(lambda: Thing()))  # noqa: PLW0108 - a class is no function
        taken = Thing()
        gone = weakref.ref(taken)
        await desk.value(lambda thing: thing is None, thing=taken)
        del taken
        desk._waiting.clear()
        await desk.value(nothing)
        gc.collect()
        assert made() is None
        assert gone() is None


async def test_what_can_t_be_described_still_ends(keeper: Keeper) -> None:
    class Hostile(Exception):  # noqa: N818 - it is one
        def __str__(self) -> str:
            raise SystemExit

    def work() -> None:
        raise Hostile

    async with at_work(Threads(1), keeper) as desk:
        assert isinstance(await desk.failure(work), Failure)
