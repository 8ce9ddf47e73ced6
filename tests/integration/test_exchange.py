"""Statements that go out together are answered one by one, or not executed."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from psycopg import errors as pg
from psycopg.pq import TransactionStatus

from flowstone.store.connect import connect
from flowstone.store.copytext import lines
from flowstone.store.exchange import Exchange

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from psycopg import AsyncConnection

pytestmark = pytest.mark.anyio

MANY = 3_000


@pytest.fixture
async def conn(database_18: str) -> AsyncIterator[AsyncConnection[Any]]:
    async with await connect(database_18) as conn:
        await conn.execute("CREATE TEMP TABLE t (n int PRIMARY KEY, a text)")
        yield conn


def rows() -> Iterator[tuple[str, str]]:
    """More than fits into the buffers of a connection."""
    for number in range(MANY):
        yield str(number), "ä%s\t" * 100


async def test_each_statement_has_its_answer_and_each_copy_its_rows(
    conn: AsyncConnection[Any],
) -> None:
    exchange, id_ = Exchange(conn), uuid.uuid4()
    exchange.begin()
    exchange.copy(b"COPY t FROM STDIN", lines(rows()))
    first = exchange.say(b"SELECT %s::uuid, NULL, '%%;' || %s", [id_, "';\\"])
    exchange.copy(b"COPY t FROM STDIN", lines([(str(MANY), None)]))
    changed = exchange.say(b"UPDATE t SET a = %(a)s WHERE n < 7", {"a": "x"})
    await exchange.over()
    assert first.rows == [(id_, None, "%;';\\")]
    assert changed.count == 7
    assert conn.info.transaction_status == TransactionStatus.INTRANS
    await conn.commit()
    found = await conn.execute("SELECT count(*), count(a), max(a) FROM t")
    assert await found.fetchone() == (MANY + 1, MANY, "ä%s\t" * 100)


@pytest.mark.parametrize("reason", ["a statement", "rows"])
async def test_after_a_failure_nothing_is_executed_and_the_connection_goes_on(
    conn: AsyncConnection[Any], reason: str
) -> None:
    exchange = Exchange(conn)
    exchange.begin()
    exchange.say(b"INSERT INTO t VALUES (1)")
    if reason == "rows":
        exchange.copy(b"COPY t FROM STDIN", lines([("2", "a"), ("1", "b"), *rows()]))
    else:
        exchange.say(b"SELECT 1 / 0")
    exchange.copy(b"COPY t FROM STDIN", lines([("3", "c")]))
    exchange.say(b"COMMIT")
    with pytest.raises(pg.UniqueViolation if reason == "rows" else pg.DivisionByZero):
        await exchange.over()
    await conn.rollback()
    found = await conn.execute("SELECT count(*) FROM t")
    assert await found.fetchone() == (0,)


async def test_a_connection_that_breaks_is_an_error_that_may_pass(
    conn: AsyncConnection[Any],
) -> None:
    exchange = Exchange(conn)
    exchange.begin()
    exchange.say(b"SELECT pg_terminate_backend(pg_backend_pid())")
    exchange.copy(b"COPY t FROM STDIN", lines(rows()))
    with pytest.raises(pg.OperationalError):
        await exchange.over()
