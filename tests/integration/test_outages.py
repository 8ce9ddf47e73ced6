"""A run goes on over whatever happens to its database, and says so if that takes long."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from flowstone import asset
from flowstone.api import Flowstone
from tests.integration.servers import running_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


pytestmark = [pytest.mark.anyio, pytest.mark.once]

BACKENDS = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for a socket."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def chain(acts: dict[str, Callable[[], object]], ran: list[str]) -> list[AnyAsset]:
    """Assets of these names, each made after the one before, that do these things meanwhile."""
    return [
        made(name, act, ran, [before] if before else [])
        for before, (name, act) in zip([None, *acts], acts.items(), strict=False)
    ]


def made(name: str, act: Callable[[], object], ran: list[str], deps: list[str]) -> AnyAsset:
    """An asset that does something while it is made, on the event loop."""

    async def make() -> str:
        ran.append(name)
        act()
        return name

    return asset(name=name, deps=deps, code_version="1")(make)


def backends(url: str) -> list[int]:
    """The processes that serve somebody."""
    with psycopg.connect(url) as conn:
        return [pid for (pid,) in conn.execute(BACKENDS + " AND pid <> pg_backend_pid()")]


class TestServer:
    async def test_a_run_goes_on_when_its_server_is_restarted_or_killed(
        self, tmp_path: Path
    ) -> None:
        ran: list[str] = []
        with running_server() as server:
            acts = {
                "first": lambda: None,
                "a_backend_killed": lambda: os.kill(backends(server.url)[0], signal.SIGKILL),
                "restarted": lambda: os.kill(server.pid, signal.SIGINT),
                "killed": lambda: os.kill(server.pid, signal.SIGKILL),
                "stopped_at_once": lambda: os.kill(server.pid, signal.SIGQUIT),
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
