"""Opening the database: where it is, whether it answers, whether its schema fits."""

from __future__ import annotations

import contextlib
import functools
import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

import psycopg
from anyio import fail_after, sleep, to_thread
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool

from flowstone.errors import DatabaseUnavailableError
from flowstone.store import schema
from flowstone.store.faults import may_pass, translated
from flowstone.store.link import Link
from flowstone.store.patience import Patience
from flowstone.store.postgres import PostgresStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from psycopg import AsyncConnection

#: Seconds after which a server that does not answer is told as such.
PATIENCE = 9.0
#: Connections a run holds at most.
CONNECTIONS = 4
# A database of encoding SQL_ASCII would else answer with bytes.
_ENCODING = "utf8"
_POOLER = (
    "a pooler such as PgBouncer takes no such settings: leave them out of the connection string;"
    " FLOWSTONE_SCHEMA names the schema"
)
# What a server says that starts, recovers or shuts down; libpq gives the words only.
_NOT_YET = "FATAL:  the database system is "
_AGAIN_S = 0.05
# A pool waits ever longer before it connects again. This one soon leaves that to those who ask for
# connections, and they soon ask anew.
_RECONNECT_SECONDS, _POOL_SECONDS = 0.5, 2.0
#: Seconds without an answer after which a link counts as dead; for ``tcp_user_timeout``,
#: milliseconds. Sockets of this machine know by themselves.
_LIVELY = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}

# What the pool notices comes out as our errors; without a handler Python would print it too.
logging.getLogger("psycopg").addHandler(logging.NullHandler())


@contextlib.asynccontextmanager
async def open_store(
    database_url: str | None,
    home: Path,
    *,
    schema_name: str | None = None,
    auto_migrate: bool = True,
) -> AsyncIterator[PostgresStore]:
    """The store of one database, for the time of the block.

    Without ``database_url`` the embedded server of ``home`` is started, or shared if it runs.

    Raises:
        DatabaseUnavailableError: if there is no connection within nine seconds.
        SchemaError: if the schema is newer than this Flowstone, or older and
            ``auto_migrate`` is False.
    """
    async with _served(database_url, home) as (conninfo, revive):
        schema.check_name(schema_name)
        await _ensure_schema(conninfo, schema_name, migrate=auto_migrate)
        async with AsyncConnectionPool(
            lively(conninfo),
            min_size=1,
            max_size=CONNECTIONS,
            timeout=_POOL_SECONDS,
            reconnect_timeout=_RECONNECT_SECONDS,
            kwargs={"prepare_threshold": None, "autocommit": True, "client_encoding": _ENCODING},
            open=False,
        ) as pool:
            yield PostgresStore(Link(pool, revive), schema_name, conninfo)


async def _ensure_schema(conninfo: str, schema_name: str | None, *, migrate: bool) -> None:
    """See that the schema fits, over another connection if one breaks."""
    patience = Patience()
    while True:
        try:
            async with await connect(conninfo) as conn:
                await schema.ensure(conn, schema_name, migrate=migrate)
            return
        except psycopg.Error as error:
            if not may_pass(error) or not await patience.wait():
                raise translated(error) from error


@contextlib.asynccontextmanager
async def server(database_url: str | None, home: Path) -> AsyncIterator[str]:
    """The connection string of a server that runs for the time of the block."""
    async with _served(database_url, home) as (conninfo, _):
        yield conninfo


@contextlib.asynccontextmanager
async def _served(
    database_url: str | None, home: Path
) -> AsyncIterator[tuple[str, Callable[[], Awaitable[None]] | None]]:
    """The connection string, and what starts the server again if it is ours."""
    if database_url:
        yield database_url, None
        return
    # who has a server need not wait for the import of this one
    embedded = import_module("flowstone.store.embedded").EmbeddedServer(home)
    await to_thread.run_sync(embedded.start)
    revive = functools.partial(to_thread.run_sync, embedded.revive, abandon_on_cancel=True)
    try:
        yield embedded.conninfo(), revive
    finally:
        embedded.release()


def lively(conninfo: str) -> str:
    """The connection string with what makes a dead link known, where it says nothing of it."""
    return make_conninfo(conninfo, **(_LIVELY | conninfo_to_dict(conninfo)))


async def connect(conninfo: str) -> AsyncConnection[Any]:
    """One connection in autocommit mode; a server that starts or recovers is waited for.

    Raises:
        DatabaseUnavailableError: with the server's reason, never with a secret.
    """
    place = describe(conninfo)
    try:
        with fail_after(PATIENCE):
            return await _connected(conninfo)
    except TimeoutError:
        msg = f"no answer from the database at {place} within {PATIENCE:.0f} s"
    except psycopg.ProgrammingError:
        msg = "FLOWSTONE_DATABASE_URL is not a connection string; write postgresql://user@host/name"
    except psycopg.Error as error:
        msg = f"no connection to the database at {place}: {reason(error, conninfo)}"
        if "unsupported startup parameter" in msg:
            raise DatabaseUnavailableError(f"{msg}; {_POOLER}") from None
    raise DatabaseUnavailableError(f"{msg}; check that it runs and FLOWSTONE_DATABASE_URL")


async def _connected(conninfo: str) -> AsyncConnection[Any]:
    while True:
        try:
            return await psycopg.AsyncConnection.connect(
                conninfo, autocommit=True, prepare_threshold=None, client_encoding=_ENCODING
            )
        except psycopg.OperationalError as error:
            if _NOT_YET not in str(error):
                raise
        await sleep(_AGAIN_S)


def describe(conninfo: str) -> str:
    """Where a connection string points, without its secrets."""
    try:
        parts = conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        return "an unreadable connection string"
    shown = {name: parts[name] for name in ("host", "port", "dbname", "user") if name in parts}
    return make_conninfo("", **shown) or "libpq's defaults"


def reason(error: psycopg.Error, conninfo: str) -> str:
    """Why there is no connection, in one line without the password."""
    try:
        secret = conninfo_to_dict(conninfo).get("password")
    except psycopg.ProgrammingError:  # what libpq says of it may quote any part
        return "it can't be read"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("Is the server running")]
    text = lines[-1] if lines else type(error).__name__
    return text.replace(str(secret), "***") if secret else text
