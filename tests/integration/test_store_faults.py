"""Claims and journals among many: racers, zombies, killed processes, broken connections."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio
import psycopg
import pytest

from flowstone.core.records import Draft, Run, ValuePointer
from flowstone.errors import DatabaseUnavailableError, RunLostError, StoreError
from flowstone.ids import materialization_id
from flowstone.store import heart as hearts
from flowstone.store import patience, schema
from flowstone.store.connect import CONNECTIONS, connect, open_store
from flowstone.store.process import Process, is_gone, this_process
from tests.integration.proxy import Loss, Proxy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from flowstone.store.base import Told
    from flowstone.store.postgres import PostgresStore

pytestmark = pytest.mark.anyio

T = TypeVar("T")

INLINE = ValuePointer(codec="json", size=1, content_digest="d" * 40, inline=b"7")


def run(run_id: str) -> Run:
    return Run(run_id=run_id, status="running", target="a", started_at=dt.datetime.now(dt.UTC))


def made(name: str, run_id: str, *edges: tuple[uuid.UUID, str]) -> Draft:
    moment = dt.datetime.now(dt.UTC)
    return Draft(
        id=materialization_id(),
        asset_name=name,
        partition=None,
        run_id=run_id,
        executor_node="here",
        upstream_assets=[],
        status="success",
        started_at=moment,
        completed_at=moment,
        value=INLINE,
        edges=list(edges),
    )


async def expire(database: str, run_id: str) -> None:
    """Let a run be silent for longer than its lease."""
    async with await connect(database) as conn:
        await conn.execute(
            "UPDATE flowstone_leases SET lease_until = now() - interval '1 second'"
            " WHERE run_id = %s",
            [run_id],
        )


class TestMany:
    async def test_of_fifty_that_claim_one_asset_one_wins(
        self, database_18: str, tmp_path: Path
    ) -> None:
        runs = [f"r{number}" for number in range(50)]
        winners: list[str] = []
        async with open_store(database_18, tmp_path) as store:

            async def race(run_id: str, name: str) -> None:
                winners.extend([name for c in await store.claim(run_id, [name], None) if c.granted])

            for run_id in runs:
                await store.start_run(run(run_id), [])
            for number in range(20):
                async with anyio.create_task_group() as group:
                    for run_id in runs:
                        group.start_soon(race, run_id, f"asset {number}")
        assert winners == [f"asset {number}" for number in range(20)]

    async def test_runs_that_want_the_same_in_any_order_wait_in_no_ring(
        self, database: str, tmp_path: Path
    ) -> None:
        names = [f"a{number}" for number in range(30)]
        async with open_store(database, tmp_path) as store:

            async def work(run_id: str, wanted: list[str]) -> None:
                claims = await store.start_run(run(run_id), [], claims=wanted)
                mine = [claim.asset_name for claim in claims if claim.granted]
                drafts = [made(name, run_id) for name in wanted if name in mine]
                await store.write(run_id, drafts[::2])
                await store.release(run_id, [draft.asset_name for draft in drafts], None)
                await store.claim(run_id, wanted, None)

            async with anyio.create_task_group() as group:
                for number in range(12):
                    wanted = names[number:] + names[:number]
                    group.start_soon(work, f"r{number}", wanted[:: 1 if number % 2 else -1])
            current = await store.current(names)
        assert current
        with psycopg.connect(database) as conn:
            fences = conn.execute("SELECT min(fence) FROM flowstone_current").fetchone()
        assert fences is not None
        assert fences[0] >= 1

    async def test_more_runs_than_connections_write_at_once(
        self, database_18: str, tmp_path: Path
    ) -> None:
        everybody = [anyio.Event() for _ in range(2 * CONNECTIONS)]
        async with open_store(database_18, tmp_path) as store:

            async def work(number: int) -> None:
                begun = run(f"r{number}")
                await store.start_run(begun, [], claims=[f"a{number}"])
                async with store.journal(begun.run_id) as session:
                    await session.write([made(f"a{number}", begun.run_id)])
                    everybody[number].set()
                    for each in everybody:
                        await each.wait()
                    await session.write([made(f"b{number}", begun.run_id)])
                    await store.claim(begun.run_id, [f"c{number}"], None)
                done = {"status": "success", "completed_at": dt.datetime.now(dt.UTC)}
                await store.finish_run(begun.model_copy(update=done))

            async with anyio.create_task_group() as group:
                for number in range(len(everybody)):
                    group.start_soon(work, number)
            assert {each.status for each in await store.list_runs()} == {"success"}

    async def test_a_pool_is_never_over_full(self, database: str, tmp_path: Path) -> None:
        entered: list[str] = []
        async with open_store(database, tmp_path) as store:

            async def enter(run_id: str) -> None:
                await store.start_run(run(run_id), [])
                entered.extend(await store.take_slots(run_id, "gpu", 3, ["a", "b"], None))

            async with anyio.create_task_group() as group:
                for number in range(12):
                    group.start_soon(enter, f"r{number}")
        assert len(entered) == 3


class TestDead:
    async def test_a_run_that_was_taken_over_writes_nothing(
        self, database: str, tmp_path: Path
    ) -> None:
        async with open_store(database, tmp_path) as store:
            row = made("a", "zombie")
            row.status, row.completed_at, row.value = "running", None, None
            await store.start_run(run("zombie"), [row], claims=["a", "b"])
            async with store.journal("zombie") as session:
                await session.write([made("done", "zombie")])
                await expire(database, "zombie")
                claims = await store.start_run(run("next"), [], claims=["a", "b"])
                assert [(each.granted, each.fence) for each in claims] == [(True, 2), (True, 2)]
                with pytest.raises(RunLostError):
                    await session.write([made("b", "zombie")])
            with pytest.raises(RunLostError):
                await store.claim("zombie", ["a"], None)
            await store.release("zombie", ["a"], None)
            assert [c.granted for c in await store.claim("next", ["a", "b"], None)] == [True] * 2
            rows = {row.asset_name: row.status for row in await store.get_by_run_id("zombie")}
            assert rows == {"a": "failed", "done": "success"}
            with pytest.raises(RunLostError):
                await store.finish_run(run("zombie"))

    async def test_a_lease_that_has_run_out_is_good_until_somebody_takes_it(
        self, database_18: str, tmp_path: Path
    ) -> None:
        async with open_store(database_18, tmp_path) as store:
            await store.start_run(run("slow"), [], claims=["a"])
            await expire(database_18, "slow")
            await store.write("slow", [made("a", "slow")])
            assert (await store.get("a")).status == "success"

    async def test_nobody_takes_over_a_run_in_the_middle_of_a_batch(
        self, database_18: str, tmp_path: Path
    ) -> None:
        async with open_store(database_18, tmp_path) as store:
            await store.start_run(run("busy"), [], claims=["a"])
            await expire(database_18, "busy")
            async with await connect(database_18) as writer, writer.transaction():
                await writer.execute(
                    "SELECT FROM flowstone_leases WHERE run_id = 'busy' FOR KEY SHARE"
                )
                (claim,) = await store.start_run(run("next"), [], claims=["a"])
                assert (claim.granted, claim.holder) == (False, "busy")
            (claim,) = await store.claim("next", ["a"], None)
            assert claim.granted

    async def test_a_killed_process_of_this_machine_is_taken_over_at_once(
        self, database: str, tmp_path: Path
    ) -> None:
        code = (
            "import anyio, sys, datetime as dt\n"
            "from pathlib import Path\n"
            "from flowstone.core.records import Run\n"
            "from flowstone.store.connect import open_store\n"
            "async def main():\n"
            "    async with open_store(sys.argv[1], Path('.')) as store:\n"
            "        now = dt.datetime.now(dt.UTC)\n"
            "        run = Run(run_id='killed', status='running', target='a', started_at=now)\n"
            "        await store.start_run(run, [], claims=['a'])\n"
            "        await store.take_slots('killed', 'gpu', 1, ['a'], None)\n"
            "        print('begun', flush=True)\n"
            "        await anyio.sleep_forever()\n"
            "anyio.run(main)\n"
        )
        process = subprocess.Popen(  # noqa: ASYNC220 - it takes a moment only
            [sys.executable, "-c", code, database], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        async with open_store(database, tmp_path) as store:
            (claim,) = await store.start_run(run("other"), [], claims=["a"])
            assert (claim.granted, claim.holder) == (False, "killed")
            assert await store.take_slots("other", "gpu", 1, ["a"], None) == []
            process.send_signal(signal.SIGKILL)
            if sys.platform != "linux":
                await expire(database, "killed")
            process.wait()
            assert await store.take_slots("other", "gpu", 1, ["a"], None) == ["a"]
            (claim,) = await store.claim("other", ["a"], None)
            assert (claim.granted, claim.fence) == (True, 2)
            assert (await store.get_run("killed")).status == "failed"
        process.stdout.close()

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of processes")
    def test_a_pid_that_was_used_again_is_another_process(self) -> None:
        mine = this_process()
        assert not is_gone(mine)
        assert mine.start is not None
        assert is_gone(mine._replace(start=mine.start - 1))
        assert not is_gone(mine._replace(boot="elsewhere", start=mine.start - 1))
        assert not is_gone(Process(None, 1, None))

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of processes")
    def test_a_process_whose_parent_has_not_asked_after_it_is_gone(self) -> None:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        stat = Path(f"/proc/{child.pid}/stat").read_text("utf-8")
        process = Process(this_process().boot, child.pid, int(stat.rpartition(")")[2].split()[19]))
        assert not is_gone(process)
        child.kill()
        assert child.stdin is not None
        while not is_gone(process):
            threading.Event().wait(0.01)
        assert child.wait() == -signal.SIGKILL
        child.stdin.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for a socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


class TestBroken:
    async def test_what_is_lost_at_a_commit_is_written_once(
        self, database: str, folder: Path
    ) -> None:
        """The word to commit, or the answer to it: no batch is missing, none is there twice."""
        proxy = Proxy(database, folder)
        losses: list[list[Loss]] = [["request"], ["reply"], ["request"] * 2, ["request", "reply"]]
        async with proxy.open() as through, open_store(through, folder) as store:
            await store.start_run(run("r"), [], claims=[f"a{n}" for n in range(30)])
            previous: list[tuple[uuid.UUID, str]] = []
            async with store.journal("r") as session:
                for number in range(30):
                    proxy.losses += losses[number % len(losses)]
                    row = made(f"a{number}", "r", *previous)
                    await session.write([row])
                    assert (row.recorded, proxy.losses) == ("success", [])
                    previous = [(row.id, "x")]
            proxy.losses.append("reply")
            done = {"status": "success", "completed_at": dt.datetime.now(dt.UTC)}
            await store.finish_run(run("r").model_copy(update=done))
            assert len(await store.get_by_run_id("r")) == 30
            assert len(await store.current([f"a{n}" for n in range(30)])) == 30
            assert (await store.get_run("r")).status == "success"
        with psycopg.connect(database) as conn:
            counts = conn.execute(
                "SELECT (SELECT count(*) FROM flowstone_lineage),"
                " (SELECT written FROM flowstone_runs),"
                " (SELECT count(claimed_by) FROM flowstone_current)"
            ).fetchone()
        assert counts == (29, 30, 0)

    @pytest.mark.parametrize("loss", ["request", "reply"])
    async def test_whatever_is_lost_at_a_commit_no_verb_of_a_run_does_anything_twice(
        self, database: str, folder: Path, loss: Loss
    ) -> None:
        proxy = Proxy(database, folder)
        ended = {"status": "success", "completed_at": dt.datetime.now(dt.UTC)}
        done = run("r").model_copy(update=ended)
        idle = run("idle").model_copy(update=ended)
        async with proxy.open() as through, open_store(through, folder) as store:

            async def lossy(asked: Awaitable[T]) -> T:
                proxy.losses.append(loss)
                answer = await asked
                assert proxy.losses == []
                return answer

            started = await lossy(store.start_run(run("r"), [made("a", "r")], claims=["b", "c"]))
            assert [claim.granted for claim in started] == [True, True]
            assert [c.granted for c in await lossy(store.claim("r", ["b", "d"], None))] == [
                True
            ] * 2
            assert await lossy(store.take_slots("r", "gpu", 1, ["b", "c"], None)) == ["b"]
            await lossy(store.free_slots("r", "gpu", ["b"], None))
            await lossy(store.release("r", ["c", "d"], None))
            await lossy(store.write("r", [made("b", "r")]))
            await lossy(store.finish_run(done))
            await lossy(store.record_run(idle, [made("b", "idle")]))
            assert {each.status for each in await store.list_runs()} == {"success"}
            rows = [*await store.get_by_run_id("r"), *await store.get_by_run_id("idle")]
            assert [row.asset_name for row in rows] == ["a", "b", "b"]
        with psycopg.connect(database) as conn:
            left = conn.execute(
                "SELECT (SELECT count(*) FROM flowstone_leases),"
                " (SELECT count(*) FROM flowstone_slots),"
                " (SELECT count(claimed_by) FROM flowstone_current)"
            ).fetchone()
        assert left == (0, 0, 0)

    async def test_what_a_person_asks_for_is_not_done_again_if_its_answer_is_lost(
        self, database_18: str, folder: Path
    ) -> None:
        """Done again, it would have found nothing to do, and said so."""
        proxy = Proxy(database_18, folder)
        async with proxy.open() as through, open_store(through, folder) as store:
            await store.create(asset_name="a", run_id="r", status="success")
            proxy.losses.append("reply")
            with pytest.raises(DatabaseUnavailableError):
                await store.invalidate(["a"], None, [])
            assert (await store.get("a")).status == "stale"

    async def test_a_row_goes_on_where_its_batch_was_cut_off(
        self, database_18: str, folder: Path
    ) -> None:
        proxy = Proxy(database_18, folder)
        async with proxy.open() as through, open_store(through, folder) as store:
            row = made("a", "r")
            ended, row.completed_at = row.completed_at, None
            row.status = "pending"
            await store.start_run(run("r"), [row])
            async with store.journal("r") as session:
                row.status = "running"
                proxy.losses.append("request")
                await session.write([row])
                assert (await store.get("a")).status == "running"
                row.status, row.completed_at = "success", ended
                proxy.losses.append("reply")
                await session.write([row])
                assert (await store.get("a")).status == "success"

    async def test_a_second_writer_of_a_run_is_refused_and_not_taken_for_an_answer_that_was_lost(
        self, database_18: str, tmp_path: Path
    ) -> None:
        async with open_store(database_18, tmp_path) as store:
            await store.start_run(run("r"), [], claims=["a", "b", "c"])
            async with store.journal("r") as one, store.journal("r") as other:
                await one.write([made("a", "r")])
                await other.write([made("b", "r")])
                with pytest.raises(StoreError, match="another writer"):
                    await one.write([made("c", "r")])

    async def test_connections_that_the_server_ends_are_replaced(
        self, database: str, tmp_path: Path
    ) -> None:
        async with open_store(database, tmp_path) as store:
            await store.start_run(run("r"), [])
            async with store.journal("r") as session:
                for number in range(5):
                    async with await connect(database) as conn:
                        await conn.execute(
                            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                        )
                    await session.write([made(f"a{number}", "r")])
                    await store.claim("r", [f"b{number}"], None)
            assert len(await store.get_by_run_id("r")) == 5

    async def test_a_database_that_stays_away_is_told_when_patience_is_over(
        self, database_18: str, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.0)
        proxy = Proxy(database_18, folder)
        async with proxy.open() as through, open_store(through, folder) as store:
            await store.start_run(run("r"), [])
            proxy.losses.append("request")
            async with store.journal("r") as session:
                with pytest.raises(DatabaseUnavailableError):
                    await session.write([made("a", "r")])


class TestHeart:
    @pytest.fixture(autouse=True)
    def restless(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Hearts that begin at once."""
        monkeypatch.setattr(hearts, "QUIET_SECONDS", 0.0)

    async def _heard(self, store: PostgresStore, act: str, database: str) -> Told:
        """What a heart tells of a run to which something is done."""
        told: list[Told] = []
        heard = threading.Event()

        def hear(word: Told) -> None:
            told.append(word)
            heard.set()

        await store.start_run(run("r"), [])
        heart = store.heart("r", hear)
        assert heart.trusted
        if act == "cancel":
            await store.cancel_run("r")
        else:
            async with await connect(database) as conn:
                await conn.execute("DELETE FROM flowstone_leases WHERE run_id = 'r'")
        assert await anyio.to_thread.run_sync(heard.wait, 20)
        assert heart.trusted == (act == "cancel")
        heart.stop()
        return told[0]

    async def test_it_hears_that_the_run_is_asked_to_stop(
        self, database: str, tmp_path: Path
    ) -> None:
        async with open_store(database, tmp_path) as store:
            assert await self._heard(store, "cancel", database) == "cancel"

    async def test_it_notices_that_the_run_was_taken_over(
        self, database_18: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hearts, "BEAT_SECONDS", 0.05)
        async with open_store(database_18, tmp_path) as store:
            assert await self._heard(store, "takeover", database_18) == "lost"

    async def test_a_lease_is_trusted_no_longer_than_it_was_taken_for(
        self, database_18: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A machine that slept, or a link that is dead."""
        monkeypatch.setattr(hearts, "QUIET_SECONDS", 60.0)
        async with open_store(database_18, tmp_path) as store:
            await store.start_run(run("r"), [])
            heart = store.heart("r", lambda _: None)
            moment = hearts.ticking()

            def trusted_after(seconds: float) -> bool:
                monkeypatch.setattr(hearts, "ticking", lambda: moment + seconds)
                return heart.trusted

            assert trusted_after(24)
            assert not trusted_after(25)
            heart.stop()


async def test_a_database_of_before_claims_is_brought_up_to_date(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = schema.migrations()[:2]
    row = uuid.uuid4()
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda: earlier)
        async with await connect(database) as conn:
            await schema.ensure(conn, None, migrate=True)
            await conn.execute(
                "INSERT INTO flowstone_materializations"
                " (id, asset_name, run_id, status, started_at, completed_at)"
                " VALUES (%s, 'a', 'r', 'success', now(), now())",
                [row],
            )
            await conn.execute(
                "INSERT INTO flowstone_current (asset_name, materialization_id) VALUES ('a', %s)",
                [row],
            )
    async with open_store(database, tmp_path) as store:
        assert (await store.current(["a"]))["a"].id == row
        (claim,) = await store.start_run(run("next"), [], claims=["a"])
        assert (claim.granted, claim.current, claim.fence) == (True, row, 1)
