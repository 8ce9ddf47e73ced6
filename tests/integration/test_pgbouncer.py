"""Everything works through PgBouncer in transaction mode, where no session is anybody's own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import anyio
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from flowstone.api import Flowstone
from flowstone.errors import DatabaseUnavailableError, RunLostError
from flowstone.store import heart as hearts
from flowstone.testing import Recorder
from tests.integration import pooler
from tests.integration.servers import running_server
from tests.integration.test_outages import chain, made
from tests.integration.test_store_faults import expire, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.once]


@pytest.fixture(scope="module")
def pooled() -> Iterator[str]:
    """A database behind PgBouncer."""
    pgbouncer = pooler.program()
    if pgbouncer is None:
        pytest.skip("no PgBouncer is installed")
    with running_server() as server, pooler.pooled(pgbouncer, server.url) as url:
        yield url


@pytest.fixture(autouse=True)
def restless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hearts that beat at once, and often."""
    monkeypatch.setattr(hearts, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(hearts, "BEAT_SECONDS", 0.05)


async def test_runs_plans_and_cancelled_runs(pooled: str, tmp_path: Path) -> None:
    ran: list[str] = []
    names = dict.fromkeys(["first", "second", "third"], lambda: None)
    async with Flowstone(database_url=pooled, schema="shop", home=tmp_path) as fs:
        assets = chain(names, ran)
        assert (await fs.plan(*assets)).counts["materialize"] == 3
        assert (await fs.materialize(*assets))["third"] == "third"
        assert (await fs.materialize(*assets)).run.counts == {"reused": 3}
        assert await fs.invalidate("second", assets=assets, reason="a test") == ["second"]

        async def cancel() -> None:
            (running,) = [r.run_id for r in await fs.store.list_runs() if r.status == "running"]
            await fs.store.cancel_run(running)
            await anyio.sleep_forever()

        endless = made("endless", cancel, ran, [])
        result = await fs.materialize(endless, raise_on_error=False)
        assert result.run.status == "cancelled"
        assert (await fs.materialize(*assets)).ok
    assert ran == ["first", "second", "third", "endless", "second"]


async def test_two_runs_of_the_same(pooled: str, tmp_path: Path) -> None:
    ran: list[str] = []
    assets = [made(f"a{number}", lambda: None, ran, []) for number in range(20)]
    async with (
        Flowstone(database_url=pooled, schema="race", home=tmp_path) as one,
        Flowstone(database_url=pooled, schema="race", home=tmp_path) as other,
    ):
        results = await asyncio.gather(one.materialize(*assets), other.materialize(*assets))
        assert all(result.ok for result in results)
    assert sorted(ran) == sorted(asset.name for asset in assets)


async def test_the_takeover_of_a_run_that_died(pooled: str, tmp_path: Path) -> None:
    async with Flowstone(database_url=pooled, home=tmp_path) as fs:
        await fs.store.start_run(run("dead"), [], claims=["a"])
        await expire(pooled, "dead")
        heard = Recorder()
        result = await fs.materialize(made("a", lambda: None, [], []), on_event=heard)
        assert (result.ok, heard.ran) == (True, ["a"])
        with pytest.raises(RunLostError):
            await fs.store.claim("dead", ["a"], None)


async def test_nothing_is_left_in_a_session(pooled: str, tmp_path: Path) -> None:
    """Others would find it there: what is set, who listens, what is prepared or locked."""
    async with Flowstone(database_url=pooled, schema="tidy", home=tmp_path) as fs:
        assert (await fs.materialize(*chain({"first": lambda: None}, []))).ok
    with psycopg.connect(pooled, autocommit=True, client_encoding="utf8") as conn:
        for _ in range(4):  # more than PgBouncer has connections
            left = conn.execute(
                "SELECT current_setting('lock_timeout'), current_setting('statement_timeout'),"
                " (SELECT count(*) FROM pg_listening_channels()),"
                " (SELECT count(*) FROM pg_prepared_statements),"
                " (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')"
            ).fetchone()
            assert left == ("0", "0", 0, 0, 0)


async def test_settings_that_it_refuses_are_told_with_the_cure(pooled: str, tmp_path: Path) -> None:
    url = make_conninfo(pooled, options="-c search_path=shop")
    with pytest.raises(DatabaseUnavailableError, match="FLOWSTONE_SCHEMA names the schema"):
        await Flowstone(database_url=url, home=tmp_path).__aenter__()
