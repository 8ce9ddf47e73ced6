"""A run goes on over whatever happens to its database, and says so if that takes long."""

from __future__ import annotations

import signal
import tempfile
import threading
from functools import partial
from inspect import isawaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import psycopg
import pytest
from anyio import to_thread

from flowstone import asset
from flowstone.api import Flowstone
from flowstone.errors import DatabaseUnavailableError
from flowstone.runner import journal, outage
from flowstone.runner.events import DatabaseAway
from flowstone.runner.stopping import Stop
from flowstone.store import connect as connecting
from flowstone.store import heart as hearts
from flowstone.store import link, patience
from flowstone.store.connect import connect, open_store
from flowstone.testing import Recorder
from tests.integration.servers import running_server
from tests.integration.test_store_faults import run
from tests.integration.valve import Valve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from psycopg import AsyncConnection

    from flowstone.core.asset import AnyAsset
    from flowstone.runner.events import Event

pytestmark = [pytest.mark.anyio, pytest.mark.once]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for a socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def chain(acts: Mapping[str, Callable[[], object]], ran: list[str]) -> list[AnyAsset]:
    """Assets of these names, each made after the one before, that do these things meanwhile."""
    return [
        made(name, act, ran, [before] if before else [])
        for before, (name, act) in zip([None, *acts], acts.items(), strict=False)
    ]


def made(name: str, act: Callable[[], object], ran: list[str], deps: list[str]) -> AnyAsset:
    """An asset that does something while it is made."""

    async def make() -> str:
        ran.append(name)
        doing = act()
        if isawaitable(doing):
            await doing
        return name

    return asset(name=name, deps=deps, code_version="1")(make)


class TestServer:
    async def test_a_run_goes_on_when_its_server_is_restarted_or_killed(
        self, tmp_path: Path
    ) -> None:
        ran: list[str] = []
        with running_server() as server:
            acts: dict[str, Callable[[], object]] = {
                "first": lambda: None,
                "a_backend_killed": partial(to_thread.run_sync, server.kill_backend),
                "restarted": partial(to_thread.run_sync, server.end, signal.SIGINT),
                "killed": partial(to_thread.run_sync, server.end, signal.SIGKILL),
                "last": lambda: None,
            }
            async with Flowstone(database_url=server.url, home=tmp_path) as fs:
                result = await fs.materialize(*chain(acts, ran))
                assert result.ok
                rows = await fs.store.get_by_run_id(result.run_id)
                assert {row.asset_name: row.status for row in rows} == dict.fromkeys(
                    acts, "success"
                )
                again = await fs.materialize(*chain(acts, ran))
                assert again.run.counts == {"reused": len(acts)}
        assert ran == list(acts)

    async def test_a_run_goes_on_while_its_connections_are_ended_all_the_time(
        self, database_18: str, tmp_path: Path
    ) -> None:
        ran: list[str] = []
        over = threading.Event()

        def end_all() -> None:
            with psycopg.connect(database_18, autocommit=True) as conn:
                while not over.wait(0.05):
                    conn.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )

        acts = {f"a{number}": lambda: None for number in range(10)}
        async with Flowstone(database_url=database_18, home=tmp_path) as fs:
            for_ever = threading.Thread(target=end_all)
            for_ever.start()
            try:
                result = await fs.materialize(*chain(acts, ran))
            finally:
                over.set()
                for_ever.join()
            assert len(await fs.store.get_by_run_id(result.run_id)) == len(acts)
        assert ran == list(acts)

    async def test_a_connection_for_two_hundred_tasks_leaves_the_heart_its_own(
        self, database_18: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connecting, "CONNECTIONS", 1)
        monkeypatch.setattr(hearts, "QUIET_SECONDS", 0.0)
        monkeypatch.setattr(hearts, "BEAT_SECONDS", 0.02)
        async with open_store(database_18, tmp_path) as store:
            await store.start_run(run("r"), [])
            heart = store.heart("r", lambda _: None)
            async with await connect(database_18) as conn, anyio.create_task_group() as group:
                before = await beats(conn)
                for number in range(200):
                    group.start_soon(store.claim, "r", [f"a{number}"], None)
                for number in range(5):
                    while await beats(conn) < before + number:
                        pass
            heart.stop()


class TestLimits:
    """What a transaction sets for itself: it ends, and is tried again; no step is."""

    @pytest.fixture(autouse=True)
    def tight(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A quarter of a second for everything."""
        limits = link.LIMITS.replace(b"45000", b"250").replace(b"5000", b"250")
        monkeypatch.setattr(link, "LIMITS", limits)

    async def test_a_statement_that_takes_too_long_is_tried_again(
        self, database_18: str, tmp_path: Path
    ) -> None:
        ran: list[str] = []
        async with Flowstone(database_url=database_18, home=tmp_path) as fs:
            with psycopg.connect(database_18, autocommit=True) as conn:
                conn.execute("CREATE SEQUENCE times")
                conn.execute(
                    "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                    " IF nextval('times') = 1 THEN PERFORM pg_sleep(600); END IF;"
                    " RETURN NEW; END $$"
                )
                conn.execute(
                    "CREATE TRIGGER slow BEFORE INSERT ON flowstone_materializations"
                    " FOR EACH ROW EXECUTE FUNCTION slow()"
                )
            assert (await fs.materialize(*chain({"first": lambda: None}, ran))).ok
        assert ran == ["first"]

    async def test_a_lock_is_waited_for_again_and_again(
        self, database_18: str, tmp_path: Path
    ) -> None:
        async with open_store(database_18, tmp_path) as store:
            await store.start_run(run("r"), [])
            async with await connect(database_18) as other, anyio.create_task_group() as group:
                await other.execute("BEGIN; LOCK flowstone_current")
                group.start_soon(store.claim, "r", ["a"], None)
                async with await connect(database_18) as third:
                    seen: set[object] = set()
                    while len(seen) < 2:
                        waiting = await third.execute(
                            "SELECT pid, xact_start FROM pg_stat_activity"
                            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
                        )
                        seen.update(await waiting.fetchall())
                await other.execute("ROLLBACK")
            assert (await store.claim("r", ["a"], None))[0].granted

    async def test_who_stops_in_the_middle_keeps_nobody_out_for_long(
        self, database_18: str, tmp_path: Path
    ) -> None:
        """A laptop that was shut, or a process that was stopped, inside of a transaction."""
        async with (
            open_store(database_18, tmp_path) as stopped,
            open_store(database_18, tmp_path) as store,
        ):
            await store.start_run(run("r"), [])
            has_locked = anyio.Event()

            async def stop(conn: AsyncConnection[Any]) -> None:
                await conn.execute("LOCK flowstone_current")
                has_locked.set()
                await anyio.sleep_forever()

            async with anyio.create_task_group() as group:
                group.start_soon(stopped._link.transact, stop)
                await has_locked.wait()
                assert (await store.claim("r", ["a"], None))[0].granted
                group.cancel_scope.cancel()


async def beats(conn: AsyncConnection[Any]) -> int:
    """How often the leases were renewed: each time, the row has a newer version."""
    cursor = await conn.execute("SELECT sum(xmin::text::bigint) FROM flowstone_leases")
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


class TestAway:
    """A database behind a link that is shut, frozen or slow."""

    @pytest.fixture(autouse=True)
    def impatient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Waits of tests, which are short."""
        monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.1)
        monkeypatch.setattr(connecting, "_POOL_SECONDS", 0.1)
        monkeypatch.setattr(connecting, "_RECONNECT_SECONDS", 0.1)
        monkeypatch.setattr(link, "ANSWER_SECONDS", 0.5)
        monkeypatch.setattr(outage, "TELL_SECONDS", 0.2)
        monkeypatch.setattr(outage, "LAST_SECONDS", 0.2)

    async def test_it_is_waited_for_and_what_was_done_is_recorded_once(
        self, database_18: str, folder: Path
    ) -> None:
        ran: list[str] = []
        heard = Recorder()

        def hear(event: Event) -> None:
            heard(event)
            if isinstance(event, DatabaseAway):
                valve.restore()

        valve = Valve(database_18, folder)
        acts = {"before": lambda: None, "cut_off": valve.shut, "after": lambda: None}
        async with (
            valve.open() as url,
            Flowstone(database_url=url, home=folder) as fs,
        ):
            result = await fs.materialize(*chain(acts, ran), on_event=hear)
            rows = await fs.store.get_by_run_id(result.run_id)
        assert ran == list(acts)
        assert [row.status for row in rows] == ["success"] * 3
        told = [each.what for each in heard.events if isinstance(each, DatabaseAway)]
        assert told[0].endswith("; what is done is kept in memory")
        assert told[-1].startswith("the database answers again, after")

    async def test_a_link_that_is_frozen_is_given_up_for_another(
        self, database_18: str, folder: Path
    ) -> None:
        """Nobody says that it is: an answer that does not come is waited for only so long."""
        ran: list[str] = []
        valve = Valve(database_18, folder)

        def half_open() -> None:
            valve.freeze()
            valve.restore()

        acts = {"before": lambda: None, "frozen": half_open, "after": lambda: None}
        async with valve.open() as url, Flowstone(database_url=url, home=folder) as fs:
            result = await fs.materialize(*chain(acts, ran))
            assert len(await fs.store.get_by_run_id(result.run_id)) == 3
        assert ran == list(acts)

    async def test_a_slow_link_only_takes_its_time(self, database_18: str, folder: Path) -> None:
        valve = Valve(database_18, folder)
        async with valve.open() as url, Flowstone(database_url=url, home=folder) as fs:
            valve.delay = 0.02
            acts = {"first": lambda: None, "second": lambda: None}
            assert (await fs.materialize(*chain(acts, []))).ok

    async def test_as_long_as_it_is_away_only_so_much_begins(
        self, database_18: str, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is done is kept in memory, so there must be an end to it."""
        monkeypatch.setattr(journal, "BACKLOG", 10)
        ran: list[str] = []
        when_told: list[int] = []

        def hear(event: Event) -> None:
            if isinstance(event, DatabaseAway):
                when_told.append(len(ran))
                valve.restore()

        valve = Valve(database_18, folder)
        many = [made(f"a{n}", lambda: None, ran, ["first"]) for n in range(300)]
        async with valve.open() as url, Flowstone(database_url=url, home=folder) as fs:
            first = made("first", valve.shut, ran, [])
            result = await fs.materialize(first, *many, on_event=hear, max_concurrency=1)
            assert result.ok
        assert len(ran) == 301
        assert when_told[0] < 150  # and as many as the event loop had been given

    async def test_patience_has_an_end(self, database_18: str, folder: Path) -> None:
        valve = Valve(database_18, folder)
        async with valve.open() as url:
            fs = Flowstone(database_url=url, home=folder, database_patience=0.3)
            async with fs:
                with pytest.raises(DatabaseUnavailableError):
                    await fs.materialize(*chain({"cut_off": valve.shut}, []))

    @pytest.mark.parametrize("moment", ["shut", "freeze"])
    async def test_who_is_told_to_stop_waits_no_longer(
        self, database_18: str, folder: Path, moment: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(link, "ANSWER_SECONDS", 60.0)
        stop = Stop()

        def hear(event: Event) -> None:
            if isinstance(event, DatabaseAway):
                stop.now()

        valve = Valve(database_18, folder)
        async with valve.open() as url, Flowstone(database_url=url, home=folder) as fs:
            acts = {"cut_off": getattr(valve, moment)}
            with pytest.raises(DatabaseUnavailableError):
                await fs.materialize(*chain(acts, []), on_event=hear, stop=stop)

    async def test_a_run_that_is_cancelled_waits_no_longer(
        self, database_18: str, folder: Path
    ) -> None:
        """As Ctrl-C does in a script or a notebook."""
        valve = Valve(database_18, folder)
        with anyio.CancelScope() as scope:

            def hear(event: Event) -> None:
                if isinstance(event, DatabaseAway):
                    scope.cancel()

            async with valve.open() as url, Flowstone(database_url=url, home=folder) as fs:
                await fs.materialize(*chain({"cut_off": valve.shut}, []), on_event=hear)
        assert scope.cancelled_caught


async def test_a_heart_beats_again_after_its_link_was_frozen(
    database_18: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver would wait for ever, and the lease run out."""
    monkeypatch.setattr(hearts, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(hearts, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(hearts, "ANSWER_SECONDS", 0.3)
    valve = Valve(database_18, folder)
    async with (
        valve.open() as url,
        open_store(url, folder) as store,
        await connect(database_18) as conn,
    ):
        await store.start_run(run("r"), [])
        before = await beats(conn)
        heart = store.heart("r", lambda _: None)
        while await beats(conn) == before:
            pass
        valve.freeze()
        valve.restore()
        before = await beats(conn)
        while await beats(conn) <= before + 1:  # one may have been on its way
            pass
        heart.stop()
