"""Several statements in one text, and rows for the COPY among them: what goes back and forth once.

Source: PostgreSQL documentation, "Frontend/Backend Protocol", message flow of a simple query;
libpq, "Asynchronous Command Processing" and "Functions Associated with the COPY Command".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg import AsyncClientCursor, generators
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, TransactionStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from psycopg import AsyncConnection
    from psycopg.abc import PQGen
    from psycopg.pq.abc import PGconn, PGresult

_FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE)


class Answer:
    """What a statement is answered; nothing before the exchange is over."""

    def __init__(self, conn: AsyncConnection[Any]) -> None:
        self._conn = conn
        self._result: PGresult

    @property
    def count(self) -> int:
        """How many rows it gave, or wrote."""
        return self._result.command_tuples or 0

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The rows it gave."""
        loading = Transformer(self._conn)
        loading.set_pgresult(self._result)
        return loading.load_rows(0, self._result.ntuples, tuple)

    def take(self, result: PGresult) -> None:
        """This is it."""
        self._result = result


class Exchange:
    """Collects statements that are sent together."""

    def __init__(self, conn: AsyncConnection[Any]) -> None:
        self.conn = conn
        self._merging = AsyncClientCursor(conn)
        self._said: list[str] = []
        self._copied: list[Iterable[str]] = []
        self._answers: list[Answer] = []

    def begin(self) -> None:
        """Begin a transaction, if there is none."""
        if self.conn.info.transaction_status == TransactionStatus.IDLE:
            self.say(b"BEGIN")

    def say(
        self, statement: bytes, parameters: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> Answer:
        """Add one statement."""
        self._said.append(self._merging.mogrify(statement, parameters))
        self._answers.append(Answer(self.conn))
        return self._answers[-1]

    def copy(self, statement: bytes, texts: Iterable[str]) -> None:
        """Add a COPY of rows; ``texts`` are asked for while it reads earlier ones."""
        self.say(statement)
        self._copied.append(texts)

    async def over(self) -> None:
        """Wait until all is said and answered.

        Raises:
            psycopg.Error: for the first statement that fails; those after it are not executed.
        """
        if self._said:
            text = ";\n".join(self._said).encode()
            results = await self.conn.wait(_results(self.conn.pgconn, text, iter(self._copied)))
            for answer, result in zip(self._answers, results, strict=True):
                answer.take(result)


def _results(
    pgconn: PGconn, statements: bytes, copied: Iterator[Iterable[str]]
) -> PQGen[list[PGresult]]:
    results = []
    pgconn.send_query(statements)
    yield from generators.send(pgconn)
    while (result := (yield from generators.fetch(pgconn))) is not None:
        if result.status == ExecStatus.COPY_IN:
            for text in next(copied):
                yield from generators.copy_to(pgconn, text.encode())
            pgconn.put_copy_end()
            yield from generators.send(pgconn)
        else:
            results.append(result)
    if results[-1].status in _FAILED:
        raise error_from_result(results[-1])
    return results
