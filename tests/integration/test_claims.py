"""The promises of claims, leases, slots and hearts, for every store."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from flowstone.core.records import Decision, Draft, Run, StepLog
from flowstone.errors import NotFoundError, RunActiveError, RunEndedError, RunLostError
from flowstone.ids import materialization_id
from flowstone.store.memory import MemoryStore

if TYPE_CHECKING:
    from flowstone.store.base import MaterializationStore

pytestmark = pytest.mark.anyio


def run(run_id: str, partition: str | None = None) -> Run:
    moment = dt.datetime.now(dt.UTC)
    return Run(run_id=run_id, status="running", target="a", partition=partition, started_at=moment)


def ended(begun: Run) -> Run:
    done = {"status": "success", "completed_at": dt.datetime.now(dt.UTC)}
    return begun.model_copy(update=done)


def draft(name: str, run_id: str, **fields: Any) -> Draft:
    return Draft(
        id=materialization_id(),
        asset_name=name,
        partition=fields.pop("partition", None),
        run_id=run_id,
        executor_node="here",
        upstream_assets=[],
        **fields,
    )


def over(name: str, run_id: str, status: Any = "success", **fields: Any) -> Draft:
    moment = dt.datetime.now(dt.UTC)
    row = draft(name, run_id, status=status, completed_at=moment, **fields)
    row.started_at = moment
    return row


async def granted(store: MaterializationStore, run_id: str, *names: str) -> list[str]:
    return [each.asset_name for each in await store.claim(run_id, names, None) if each.granted]


class TestClaims:
    async def test_what_nobody_makes_is_granted_and_told_by_name(
        self, store: MaterializationStore
    ) -> None:
        claims = await store.start_run(run("r1"), [], claims=["b", "a"])
        assert [(c.asset_name, c.granted, c.holder, c.current) for c in claims] == [
            ("a", True, "r1", None),
            ("b", True, "r1", None),
        ]

    async def test_what_another_run_makes_is_refused_and_that_run_named(
        self, store: MaterializationStore
    ) -> None:
        await store.start_run(run("r1"), [], claims=["a", "b"])
        claims = await store.start_run(run("r2"), [], claims=["b", "c"])
        assert [(c.asset_name, c.granted, c.holder) for c in claims] == [
            ("b", False, "r1"),
            ("c", True, "r2"),
        ]

    async def test_partitions_are_claimed_apart(self, store: MaterializationStore) -> None:
        for number, partition in enumerate((None, "", "p")):
            claims = await store.start_run(run(f"r{number}", partition), [], claims=["a"])
            assert [each.granted for each in claims] == [True]

    async def test_a_run_may_claim_what_it_has(self, store: MaterializationStore) -> None:
        await store.start_run(run("r1"), [], claims=["a"])
        assert await granted(store, "r1", "a", "b") == ["a", "b"]

    @pytest.mark.parametrize("status", ["success", "failed", "skipped", "cancelled"])
    async def test_the_batch_that_records_a_steps_end_frees_its_claim(
        self, store: MaterializationStore, status: Any
    ) -> None:
        await store.start_run(run("r1"), [], claims=["a", "b"])
        await store.start_run(run("r2"), [])
        await store.write("r1", [over("a", "r1", status)])
        assert await granted(store, "r2", "a", "b") == ["a"]

    async def test_a_claim_says_what_is_current_and_how_often_it_was_granted(
        self, store: MaterializationStore
    ) -> None:
        await store.start_run(run("r1"), [], claims=["a"])
        row = over("a", "r1")
        await store.write("r1", [row])
        (claim,) = await store.start_run(run("r2"), [], claims=["a"])
        assert (claim.granted, claim.current, claim.fence) == (True, row.id, 2)
        await store.start_run(run("r3"), [])
        (refused,) = await store.claim("r3", ["a"], None)
        assert (refused.granted, refused.current, refused.fence) == (False, row.id, 2)

    async def test_a_step_that_needs_no_run_frees_its_claim(
        self, store: MaterializationStore
    ) -> None:
        await store.start_run(run("r0"), [])
        made = [over(name, "r0") for name in ("a", "b")]
        await store.write("r0", made)
        await store.start_run(run("r1"), [], claims=["a", "b", "c"])
        await store.start_run(run("r2"), [])
        kinds: Any = ("cut_off", "history")
        decisions = [
            Decision(run_id="r1", asset_name=m.asset_name, kind=kind, materialization_id=m.id)
            for m, kind in zip(made, kinds, strict=True)
        ]
        await store.write("r1", [], decisions)
        assert await granted(store, "r2", "a", "b", "c") == ["a", "b"]

    async def test_a_row_that_goes_on_keeps_its_claim(self, store: MaterializationStore) -> None:
        row = draft("a", "r1")
        await store.start_run(run("r1"), [row], claims=["a"])
        row.status, row.started_at = "running", dt.datetime.now(dt.UTC)
        await store.write("r1", [row])
        await store.start_run(run("r2"), [])
        assert await granted(store, "r2", "a") == []

    async def test_what_is_released_is_free_and_others_claims_are_not(
        self, store: MaterializationStore
    ) -> None:
        await store.start_run(run("r1"), [], claims=["a"])
        await store.start_run(run("r2"), [], claims=["b"])
        await store.release("r2", ["a", "b", "never claimed"], None)
        await store.start_run(run("r3"), [])
        assert await granted(store, "r3", "a", "b") == ["b"]
        assert await store.current(["a", "b", "never claimed"]) == {}

    async def test_the_end_of_a_run_frees_all_it_had(self, store: MaterializationStore) -> None:
        begun = run("r1")
        await store.start_run(begun, [], claims=["a"])
        await store.finish_run(ended(begun))
        await store.start_run(run("r2"), [])
        assert await granted(store, "r2", "a") == ["a"]

    async def test_a_run_that_is_over_can_claim_nothing(self, store: MaterializationStore) -> None:
        begun = run("r1")
        await store.start_run(begun, [])
        await store.finish_run(ended(begun))
        with pytest.raises(RunLostError):
            await store.claim("r1", ["a"], None)

    async def test_nobody_records_what_another_run_has_claimed(
        self, store: MaterializationStore
    ) -> None:
        await store.start_run(run("r1"), [], claims=["a"])
        await store.start_run(run("r2"), [])
        with pytest.raises(RunActiveError, match="'a' is being made by run r1"):
            await store.write("r2", [over("a", "r2"), over("b", "r2")])
        assert not await store.exists("b")

    async def test_a_claim_is_not_a_current_version(self, store: MaterializationStore) -> None:
        await store.start_run(run("r1"), [], claims=["a"])
        assert await store.current(["a"]) == {}
        await store.write("r1", [over("a", "r1", "failed")])
        assert await store.current(["a"]) == {}


class TestCancel:
    async def test_a_run_that_lives_is_asked_once_to_stop(
        self, store: MaterializationStore
    ) -> None:
        await store.start_run(run("r1"), [])
        assert not await store.beat("r1")
        await store.cancel_run("r1")
        assert await store.beat("r1")

    async def test_no_run_and_one_that_is_over_are_told(self, store: MaterializationStore) -> None:
        with pytest.raises(NotFoundError, match="'nothing'"):
            await store.cancel_run("nothing")
        begun = run("r1")
        await store.start_run(begun, [])
        await store.finish_run(ended(begun))
        with pytest.raises(RunEndedError, match="r1 is over: success"):
            await store.cancel_run("r1")

    async def test_a_heart_is_trusted_while_it_beats(self, store: MaterializationStore) -> None:
        await store.start_run(run("r1"), [])
        heart = store.heart("r1", lambda _: None)
        assert heart.trusted
        heart.stop()


class TestPools:
    async def test_a_pool_takes_its_size_over_all_runs(self, store: MaterializationStore) -> None:
        for run_id in ("r1", "r2"):
            await store.start_run(run(run_id), [])
        assert await store.take_slots("r1", "gpu", 2, ["a"], None) == ["a"]
        assert await store.take_slots("r2", "gpu", 2, ["b", "c"], None) == ["b"]
        assert await store.take_slots("r2", "gpu", 2, ["c"], None) == []
        assert await store.take_slots("r2", "cpu", 1, ["c"], None) == ["c"]

    async def test_who_is_in_may_start_and_takes_no_second_slot(
        self, store: MaterializationStore
    ) -> None:
        await store.start_run(run("r1"), [])
        for _ in range(2):
            assert await store.take_slots("r1", "gpu", 2, ["a"], None) == ["a"]
        assert await store.take_slots("r1", "gpu", 2, ["c", "a"], None) == ["c", "a"]

    async def test_the_end_of_a_step_frees_its_slot(self, store: MaterializationStore) -> None:
        await store.start_run(run("r1"), [])
        await store.take_slots("r1", "gpu", 1, ["a"], None)
        row = draft("a", "r1", status="running", started_at=dt.datetime.now(dt.UTC))
        await store.write("r1", [row])
        assert await store.take_slots("r1", "gpu", 1, ["b"], None) == []
        row.status, row.completed_at = "failed", dt.datetime.now(dt.UTC)
        await store.write("r1", [row])
        assert await store.take_slots("r1", "gpu", 1, ["b"], None) == ["b"]

    async def test_leaving_a_pool_and_ending_a_run_free_slots(
        self, store: MaterializationStore
    ) -> None:
        begun = run("r1")
        await store.start_run(begun, [])
        await store.take_slots("r1", "gpu", 1, ["a"], None)
        await store.free_slots("r1", "gpu", ["a"], None)
        assert await store.take_slots("r1", "gpu", 1, ["b"], None) == ["b"]
        await store.finish_run(ended(begun))
        await store.start_run(run("r2"), [])
        assert await store.take_slots("r2", "gpu", 1, ["c"], None) == ["c"]

    async def test_a_rate_lets_one_in_and_then_waits(self, store: MaterializationStore) -> None:
        await store.start_run(run("r1"), [])
        wanted = ["a", "b", "c"]
        assert await store.take_slots("r1", "api", None, wanted, None, interval=60) == ["a"]
        assert await store.take_slots("r1", "api", None, wanted, None, interval=60) == ["a"]

    async def test_a_run_that_is_over_enters_no_pool(self, store: MaterializationStore) -> None:
        begun = run("r1")
        await store.start_run(begun, [])
        await store.finish_run(ended(begun))
        with pytest.raises(RunLostError):
            await store.take_slots("r1", "gpu", 1, ["a"], None)


class TestJournal:
    async def test_batches_and_what_steps_printed_are_there_when_written(
        self, store: MaterializationStore
    ) -> None:
        await store.start_run(run("r1"), [])
        async with store.journal("r1") as session:
            for name in ("a", "b"):
                lines = f"of {name}\n\tand a nul \0\n"
                log = StepLog(run_id="r1", asset_name=name, lines=lines, left_out=3)
                await session.write([over(name, "r1")], logs=[log])
                assert await store.exists(name)
        assert [(log.asset_name, log.lines, log.left_out) for log in await store.logs("r1")] == [
            ("a", "of a\n\tand a nul \\x00\n", 3),
            ("b", "of b\n\tand a nul \\x00\n", 3),
        ]
        assert [log.asset_name for log in await store.logs("r1", "b")] == ["b"]

    async def test_a_second_session_of_a_run_goes_on(self, store: MaterializationStore) -> None:
        await store.start_run(run("r1"), [])
        for name in ("a", "b"):
            async with store.journal("r1") as session:
                await session.write([over(name, "r1")])
        assert len(await store.get_by_run_id("r1")) == 2

    async def test_after_the_end_nothing_is_written(self, store: MaterializationStore) -> None:
        begun = run("r1")
        await store.start_run(begun, [])
        async with store.journal("r1") as session:
            await session.write([over("a", "r1")])
            await store.finish_run(ended(begun))
            with pytest.raises(RunLostError):
                await session.write([over("b", "r1")])
        assert not await store.exists("b")


async def test_what_a_run_asks_for_twice_is_done_once(store: MaterializationStore) -> None:
    """The answer to the first time may have been lost."""
    begun, idle = run("r1"), ended(run("idle"))
    row = draft("a", "r1")
    for _ in range(2):
        claims = await store.start_run(begun, [row], claims=["a", "b"])
        assert [claim.granted for claim in claims] == [True, True]
    done = ended(begun)
    for _ in range(2):
        await store.finish_run(done)
        await store.record_run(idle, [over("a", "idle")])
    with pytest.raises(RunLostError):
        await store.start_run(begun, [])
    assert {each.status for each in await store.list_runs()} == {"success"}
    assert len(await store.get_by_run_id("r1")) == len(await store.get_by_run_id("idle")) == 1


async def test_in_memory_the_dead_are_taken_over_on_the_clock_that_is_given() -> None:
    moments = [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)]
    store = MemoryStore(clock=lambda: moments[-1])
    told: list[str] = []
    row = draft("a", "r1")
    await store.start_run(run("r1"), [row], claims=["a"])
    await store.start_run(run("alive"), [])
    store.heart("r1", told.append)
    heart = store.heart("alive", told.append)
    for seconds in (20, 31):
        moments.append(moments[0] + dt.timedelta(seconds=seconds))
        assert heart.trusted
        (claim,) = await store.claim("alive", ["a"], None)
        assert claim.granted == (seconds > 30)
    assert told == ["lost"]
    assert (await store.get("a")).status == "cancelled"
    with pytest.raises(RunLostError):
        await store.write("r1", [over("a", "r1")])
    await store.cancel_run("alive")
    assert told == ["lost", "cancel"]
