"""Frames as tables in Postgres: ``@asset(io=PostgresTables())``."""

from __future__ import annotations

import base64
import contextlib
import importlib
import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from flowstone.core.hashing import combine
from flowstone.errors import HashingError, UnserializableValueError, ValueLostError, ValueStoreError
from flowstone.store.connect import describe, reason
from flowstone.values import frame_digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from flowstone.values import Product

#: Bytes Postgres keeps of a name.
_NAME_BYTES = 63
_ROWS = 10_000
_SECONDS = 60
_MARK = "flowstone "
#: Column types by the Arrow type's name.
_TYPES = {
    "bool": "boolean",
    "int8": "smallint",
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
    "uint8": "smallint",
    "uint16": "integer",
    "uint32": "bigint",
    "uint64": "numeric(20)",
    "float": "real",
    "double": "double precision",
    "string": "text",
    "large_string": "text",
    "string_view": "text",
    "binary": "bytea",
    "large_binary": "bytea",
    "binary_view": "bytea",
    "date32[day]": "date",
    "time64[us]": "time",
    "time64[ns]": "time",
}


@dataclass(frozen=True)
class PostgresTables:
    """An ``IOManager`` that keeps data frames as tables, for SQL and for tools that speak it.

    Frames are of pandas, polars or pyarrow (``Table``), and need pyarrow. Each asset is a table of
    its name in ``schema``, each partition of it one of its own, ``name/partition``; longer names
    end in a digest. A table is written aside, read back and compared, then renamed in the same
    transaction: who reads sees the old one or the new one. Views on a table keep it from being
    replaced. The data version stands in the table's comment; whoever changes rows by hand
    without making the table anew is noticed when the table is loaded.

    ``dsn`` is a libpq connection string; None is the database of the metadata store.
    """

    dsn: str | None = field(default=None, repr=False)
    schema: str = "assets"

    def data_version(self, value: Any, product: Product) -> None:
        """The canonical digest will do."""

    def save(self, value: Any, product: Product) -> str:
        """Write a frame to its table, whole, and give the table's name.

        Raises:
            UnserializableValueError: for what is no frame, or a column that would come back
                changed; it names the column and what to do.
            ValueStoreError: if the database refuses.
        """
        table = _as_arrow(value)
        content = _digest(value)
        told = {
            "data_version": product.data_version,
            "content": content,
            "kind": _kind(value),
            "schema": base64.b64encode(table.schema.serialize()).decode(),
        }
        name = _table_name(product)
        with self._connection(product) as conn:
            self._make_schema(conn)
            aside = f"aside_{uuid.uuid4().hex}"
            _create(conn, self._named(aside), table)
            _copy(conn, self._named(aside), table)
            back = self._read(conn, aside, told)
            if _digest(back) != content:
                raise UnserializableValueError(_changed(value, back))
            comment = sql.Literal(_MARK + json.dumps(told))
            conn.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(self._named(aside), comment))
            self._swap(conn, aside, name)
        return name

    def load(self, product: Product) -> Any:
        """Give the frame of the class that was saved.

        Raises:
            ValueLostError: if the table is gone or does not hold what was saved.
            ValueStoreError: if the database refuses.
        """
        with self._connection(product) as conn:
            conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            told = self._told(conn, [product.address]).get(product.address)
            if told is None or told["data_version"] != product.data_version:
                raise ValueLostError(f"table {self._shown(product.address)} is not what was kept")
            frame = self._read(conn, product.address, told)
        if _digest(frame) != told["content"]:
            raise ValueLostError(f"table {self._shown(product.address)} was edited")
        return frame

    def exists(self, products: Sequence[Product]) -> list[bool]:
        """Say of each table whether it is there with that data version, in one statement."""
        with self._connection(products[0]) as conn:
            found = self._told(conn, [product.address for product in products])
        versions = {name: told.get("data_version") for name, told in found.items()}
        return [versions.get(each.address) == each.data_version for each in products]

    @contextlib.contextmanager
    def _connection(self, product: Product) -> Iterator[psycopg.Connection[Any]]:
        """A transaction, which ends with the block. The driver's errors become ours."""
        dsn = self.dsn or product.database_url
        if not dsn:
            raise ValueStoreError("PostgresTables has no database; give it a dsn")
        try:
            with psycopg.connect(dsn, prepare_threshold=None, client_encoding="utf8") as conn:
                yield conn
        except psycopg.Error as error:
            of_connection = isinstance(error, (psycopg.OperationalError, psycopg.ProgrammingError))
            unsaid = reason(error, dsn) if of_connection else type(error).__name__
            told = error.diag.message_primary or unsaid
            raise ValueStoreError(
                f"the database of tables at {describe(dsn)} refuses: {told}"
            ) from None

    def _told(self, conn: psycopg.Connection[Any], names: list[str]) -> dict[str, dict[str, Any]]:
        """What stands in the comments of those of our tables that are there."""
        rows = conn.execute(
            "SELECT relname, obj_description(c.oid, 'pg_class') FROM pg_class c"
            " JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname = %s AND relname = ANY(%s) AND relkind = 'r'",
            [self.schema, names],
        )
        comments = {name: comment or "" for name, comment in rows}
        found = {}
        for name, comment in comments.items():
            if comment.startswith(_MARK):
                try:
                    found[name] = json.loads(comment.removeprefix(_MARK))
                except ValueError:
                    continue
        return found

    def _make_schema(self, conn: psycopg.Connection[Any]) -> None:
        there = "SELECT FROM pg_namespace WHERE nspname = %s"
        if conn.execute(there, [self.schema]).fetchone() is None:
            conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [self.schema])
            name = sql.Identifier(self.schema)
            conn.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))

    def _swap(self, conn: psycopg.Connection[Any], aside: str, name: str) -> None:
        conn.execute("SELECT set_config('lock_timeout', %s, true)", [f"{_SECONDS}s"])
        lock = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
        try:
            conn.execute(lock, [f"{self.schema}.{name}"])
            self._check_ours(conn, name)
            conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(self._named(name)))
            renamed = sql.SQL("ALTER TABLE {} RENAME TO {}")
            conn.execute(renamed.format(self._named(aside), sql.Identifier(name)))
        except psycopg.errors.DependentObjectsStillExist:
            raise ValueStoreError(
                f"table {self._shown(name)} can't be replaced: a view depends on it; drop the view,"
                " or make it read a copy"
            ) from None
        except psycopg.errors.LockNotAvailable:
            raise ValueStoreError(
                f"table {self._shown(name)} can't be replaced: it was read for {_SECONDS} s"
            ) from None

    def _check_ours(self, conn: psycopg.Connection[Any], name: str) -> None:
        """A table that somebody else made is not dropped."""
        there = conn.execute(
            "SELECT FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname = %s AND relname = %s",
            [self.schema, name],
        )
        if there.fetchone() is not None and name not in self._told(conn, [name]):
            raise ValueStoreError(
                f"{self._shown(name)} is there and was not made by Flowstone; "
                "drop or rename it, or choose another schema"
            )

    def _read(self, conn: psycopg.Connection[Any], name: str, told: dict[str, Any]) -> Any:
        return _as_kind(told["kind"], self._arrow(conn, name, told))

    def _arrow(self, conn: psycopg.Connection[Any], name: str, told: dict[str, Any]) -> Any:
        arrow = importlib.import_module("pyarrow")
        raw = arrow.py_buffer(base64.b64decode(told["schema"]))
        schema = importlib.import_module("pyarrow.ipc").read_schema(raw)
        columns = sql.SQL(", ").join(map(sql.Identifier, schema.names))
        # The order of the rows is that of their places: nobody has moved them since.
        query = sql.SQL("SELECT {} FROM {} ORDER BY ctid").format(columns, self._named(name))
        batches = []
        with conn.cursor(name="rows", binary=True) as cursor:
            cursor.execute(query)
            while rows := cursor.fetchmany(_ROWS):
                batches.append(_batch(arrow, schema, rows))
        return arrow.Table.from_batches(batches, schema)

    def _named(self, table: str) -> sql.Identifier:
        return sql.Identifier(self.schema, table)

    def _shown(self, table: str) -> str:
        return f"{self.schema}.{table}"


def _table_name(product: Product) -> str:
    """The asset, and the partition behind a slash; cut, with a digest, where it is too long."""
    partition = "" if product.partition is None else f"/{product.partition}"
    name = f"{product.asset}{partition}"
    if len(name.encode()) <= _NAME_BYTES:
        return name
    tail = f"-{combine('table', name)[:12]}"
    return name.encode()[: _NAME_BYTES - len(tail)].decode("utf-8", "ignore") + tail


def _kind(value: Any) -> str:
    return f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"


def _as_arrow(value: Any) -> Any:
    """The frame as an Arrow table that can become one of Postgres."""
    kind = _kind(value)
    if kind not in ("pandas.DataFrame", "polars.DataFrame", "pyarrow.Table"):
        raise UnserializableValueError(
            f"PostgresTables keeps frames of pandas, polars and pyarrow, not {kind};"
            " use @asset(io=None) for the value store"
        )
    arrow = importlib.import_module("pyarrow")
    if kind == "pandas.DataFrame":
        table = arrow.Table.from_pandas(value)
    else:
        table = value if kind == "pyarrow.Table" else value.to_arrow()
    _check_names(table.schema.names)
    for column in table.schema:
        _column_type(column)
    return table


def _check_names(names: list[str]) -> None:
    if not names:
        raise UnserializableValueError("a frame without columns can't be a table")
    for name in names:
        if not name or "\0" in name or len(name.encode()) > _NAME_BYTES:
            raise UnserializableValueError(
                f"column {name[:80]!r} can't be one of a table: names have 1 to {_NAME_BYTES} "
                "bytes; rename it"
            )
    if len(set(names)) < len(names):
        raise UnserializableValueError("a column name is there twice; rename one of them")


def _column_type(field: Any) -> str:
    kind = field.type
    if str(kind).startswith("dictionary<"):
        kind = kind.value_type
    name = str(kind)
    if name.startswith("timestamp["):
        return "timestamp" if kind.tz is None else "timestamptz"
    if name.startswith(("decimal128(", "decimal256(")) and 0 <= kind.scale <= kind.precision:
        return f"numeric({kind.precision}, {kind.scale})"
    if name not in _TYPES:
        raise UnserializableValueError(
            f"column {field.name!r} of type {name} has no like in a table; "
            "cast it, or split it up into columns"
        )
    return _TYPES[name]


def _create(conn: psycopg.Connection[Any], name: sql.Identifier, table: Any) -> None:
    columns = [
        # The types are those of our own table.
        sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(_column_type(field)))
        for field in table.schema
    ]
    conn.execute(sql.SQL("CREATE TABLE {} ({})").format(name, sql.SQL(", ").join(columns)))


def _copy(conn: psycopg.Connection[Any], name: sql.Identifier, table: Any) -> None:
    with conn.cursor() as cursor:
        try:
            with cursor.copy(sql.SQL("COPY {} FROM STDIN").format(name)) as copy:
                for row in _rows(table):
                    copy.write_row(row)
        except (psycopg.DataError, OverflowError, ValueError) as error:
            reason = str(error).splitlines()[0][:200]
            raise UnserializableValueError(
                f"Postgres refuses a cell: {reason}; change it, or use @asset(io=None)"
            ) from None


def _rows(table: Any) -> Iterator[tuple[Any, ...]]:
    for batch in table.to_batches(max_chunksize=_ROWS):
        columns = map(_cells, batch.schema, batch.columns)
        yield from zip(*columns, strict=True)


def _cells(field: Any, column: Any) -> list[Any]:
    """The cells as psycopg takes them.

    Raises UnserializableValueError, naming the column, for nanoseconds and for NUL.
    """
    arrow = importlib.import_module("pyarrow")
    compute = importlib.import_module("pyarrow.compute")
    kind = str(field.type)
    try:
        if kind.startswith("timestamp["):
            column = column.cast(arrow.timestamp("us", field.type.tz))
        elif kind.startswith("time64["):
            column = column.cast(arrow.time64("us"))
    except arrow.ArrowInvalid:
        raise UnserializableValueError(
            f"column {field.name!r} has nanoseconds, and Postgres keeps microseconds; round it"
        ) from None
    text = _TYPES.get(kind) == "text"
    if text and compute.any(compute.match_substring(column, "\0")).as_py():
        raise UnserializableValueError(
            f"column {field.name!r} has NUL in a text, which Postgres refuses; replace it"
        )
    cells: list[Any] = column.to_pylist()
    return cells


def _batch(arrow: Any, schema: Any, rows: list[tuple[Any, ...]]) -> Any:
    columns = []
    for column, cells in zip(schema, zip(*rows, strict=True), strict=True):
        kind = column.type
        if str(kind).startswith("dictionary<"):
            plain = arrow.array(cells, kind.value_type).dictionary_encode()
            columns.append(plain.cast(kind))
        elif str(kind) == "uint64":
            columns.append(arrow.array([None if c is None else int(c) for c in cells], kind))
        else:
            columns.append(arrow.array(cells, kind))
    return arrow.RecordBatch.from_arrays(columns, schema=schema)


def _as_kind(kind: str, table: Any) -> Any:
    if kind == "pandas.DataFrame":
        return table.to_pandas()
    return (
        importlib.import_module("polars").from_arrow(table) if kind == "polars.DataFrame" else table
    )


def _digest(frame: Any) -> str:
    try:
        return frame_digest(frame)
    except HashingError as error:
        raise UnserializableValueError(
            f"PostgresTables can't compare this frame with its table: {error};"
            " give columns of Python objects a type"
        ) from None


def _changed(value: Any, back: Any) -> str:
    """Which column did not come back as it was."""
    for (name, one), (_, other) in zip(_columns(value), _columns(back), strict=True):
        if frame_digest(one) != frame_digest(other):
            return (
                f"column {name!r} would come back changed from a table; cast it, or use"
                " @asset(io=None)"
            )
    return (
        "the frame would come back with other labels; name its columns by text, or use"
        " @asset(io=None)"
    )


def _columns(frame: Any) -> list[tuple[str, Any]]:
    kind = _kind(frame)
    if kind == "pandas.DataFrame":
        columns = [(str(label), frame.iloc[:, n]) for n, label in enumerate(frame.columns)]
        return [*((name, each.rename(name)) for name, each in columns), ("index", frame.index)]
    if kind == "polars.DataFrame":
        return [(each.name, each) for each in frame.get_columns()]
    return list(zip(frame.column_names, frame.columns, strict=True))
