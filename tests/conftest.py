"""Servers, databases and stores for all tests."""

from __future__ import annotations

import os
import shutil
import uuid
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from flowstone.api import Flowstone
from flowstone.settings import VARIABLES
from flowstone.store.embedded import EmbeddedServer
from flowstone.store.memory import MemoryStore
from flowstone.testing import rolled_back_store
from tests.integration.servers import debian_15

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from flowstone.store.base import MaterializationStore


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Root's servers keep their data outside of the tests' folders; nothing of it stays."""
    if not hasattr(session.config, "workerinput") and os.geteuid() == 0:
        factory: pytest.TempPathFactory = session.config._tmp_path_factory  # type: ignore[attr-defined]  # no public way
        for marker in factory.getbasetemp().rglob("postgres.id"):
            server = EmbeddedServer(marker.parent)
            server.stop()
            shutil.rmtree(server.data.parent.parent, ignore_errors=True)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test takes settings from outside; each has a home of its own."""
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("FLOWSTONE_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of this session share."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def worker_id(request: pytest.FixtureRequest) -> str:
    worker: str = getattr(request.config, "workerinput", {}).get("workerid", "master")
    return worker


@pytest.fixture(scope="session")
def postgres_18(shared: Path) -> Iterator[EmbeddedServer]:
    """The embedded server, one for all workers."""
    server = EmbeddedServer(shared / "server18")
    server.start()
    yield server
    server.release()


@pytest.fixture(scope="session")
def postgres_15(shared: Path) -> Iterator[EmbeddedServer]:
    """A server of Debian's PostgreSQL 15, one for all workers."""
    bindir = debian_15()
    if bindir is None:
        pytest.skip("no PostgreSQL 15 is installed")
    server = EmbeddedServer(shared / "server15", bindir=bindir)
    server.start()
    yield server
    server.release()


def new_database(server: EmbeddedServer) -> str:
    """The connection string of an empty database."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server.conninfo(), autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return server.conninfo(name)


@pytest.fixture(scope="session", params=["18", "15"])
def migrated(request: pytest.FixtureRequest) -> str:
    """A database of this worker, for tests that roll back what they write."""
    server: EmbeddedServer = request.getfixturevalue(f"postgres_{request.param}")
    return new_database(server)


@pytest.fixture(params=["18", "15"])
def database(request: pytest.FixtureRequest) -> str:
    """An empty database of this test's own, on either server."""
    server: EmbeddedServer = request.getfixturevalue(f"postgres_{request.param}")
    return new_database(server)


@pytest.fixture
def database_18(postgres_18: EmbeddedServer) -> str:
    """An empty database of this test's own, on the embedded server."""
    return new_database(postgres_18)


@pytest.fixture(params=["memory", "18", "15"])
async def store(
    request: pytest.FixtureRequest, worker_id: str
) -> AsyncIterator[MaterializationStore]:
    """Each store there is; what a test writes to Postgres is rolled back.

    Each worker has a schema of its own: two that claim the same names would wait for each other.
    """
    if request.param == "memory":
        yield MemoryStore()
        return
    server: EmbeddedServer = request.getfixturevalue(f"postgres_{request.param}")
    async with rolled_back_store(server.conninfo(), f"conformance_{worker_id}") as rolled_back:
        yield rolled_back


@pytest.fixture(params=["postgres", "memory"])
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Flowstone]:
    """An open connection over each store."""
    if request.param == "memory":
        async with Flowstone(store=MemoryStore(), home=tmp_path / "home") as opened:
            yield opened
        return
    database = request.getfixturevalue("database_18")
    async with Flowstone(database_url=database, home=tmp_path / "home") as opened:
        yield opened
