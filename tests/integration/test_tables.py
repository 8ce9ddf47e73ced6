"""PostgresTables: frames as tables, whole or not at all, equal to what was saved or refused."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import psycopg
import pyarrow as pa
import pytest

from flowstone import Asset, Flowstone, Product
from flowstone.errors import UnserializableValueError, ValueLostError, ValueStoreError
from flowstone.tables import PostgresTables
from tests.property.sample_bulk import same

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from flowstone.core.asset import AnyAsset

_WHEN = dt.datetime(2025, 1, 15, 12, 30, 1, 5)  # noqa: DTZ001 - naive on purpose
_FRAMES: list[Any] = [
    pl.DataFrame(
        {
            "int": [1, None],
            "text": ["x'\\\t", None],
            "date": [_WHEN.date(), None],
            "money": [decimal.Decimal("1.50"), None],
            "naive": [_WHEN, None],
            "aware": pl.Series([_WHEN, None], dtype=pl.Datetime("us", "Europe/Berlin")),
            "bytes": [b"\0\xff", None],
            "bool": [True, None],
            "float": [1e300, float("nan")],
            "single": pl.Series([0.1, None], dtype=pl.Float32),
            "wide": pl.Series([2**64 - 1, None], dtype=pl.UInt64),
            "time": [_WHEN.time(), None],
            "kind": pl.Series(["a", "b"], dtype=pl.Categorical),
            'odd "name"; --': [1, 2],
        }
    ),
    pd.DataFrame(
        {"a": [1, 2], "s": ["x", "y"], "f": [1.5, np.nan], "c": pd.Categorical(["a", "b"])}
    ),
    pd.DataFrame({"t": pd.to_datetime(["2025-01-15", None])}, index=pd.Index([5, 7], name="key")),
    pa.table({"a": [1, None]}, metadata={"k": "v"}),
    pl.DataFrame({"a": pl.Series([], dtype=pl.Int64)}),
    pl.DataFrame({"n": np.arange(25_000)[::-1]}),
]


@pytest.fixture
def tables(database: str) -> PostgresTables:
    return PostgresTables(database)


def _product(name: str = "orders", partition: str | None = None, version: str = "v1") -> Product:
    return Product(name, partition, "run", data_version=version)


def _saved(tables: PostgresTables, value: Any, product: Product) -> Product:
    return dataclasses.replace(product, address=tables.save(value, product))


def _rows(database: str, query: Any) -> Sequence[Any]:
    with psycopg.connect(database, autocommit=True) as conn:
        return conn.execute(query).fetchall()


def _do(database: str, *statements: Any) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement)


def test_frames_come_back_as_they_were(tables: PostgresTables) -> None:
    for number, frame in enumerate(_FRAMES):
        product = _saved(tables, frame, _product(f"a{number}"))
        back = tables.load(product)
        assert same(back, frame), frame
        other = dataclasses.replace(product, data_version="v2")
        gone = dataclasses.replace(product, address="gone")
        assert tables.exists([product, other, gone]) == [True, False, False]


def test_a_table_is_there_for_everybody(tables: PostgresTables, database: str) -> None:
    tables.save(_FRAMES[1], _product())
    assert _rows(database, "SELECT a, s, c FROM assets.orders ORDER BY a") == [
        (1, "x", "a"),
        (2, "y", "b"),
    ]


_REFUSED: list[tuple[Any, str]] = [
    ([1], r"not builtins\.list; use @asset\(io=None\)"),
    (pl.DataFrame({"bad": [[1]]}), "column 'bad' of type large_list.* has no like"),
    (pl.DataFrame({"bad": ["a\0"]}), "column 'bad' has NUL"),
    (pl.DataFrame({"x" * 64: [1]}), "names have 1 to 63 bytes; rename it"),
    (pl.DataFrame({"bad": [dt.timedelta(1)]}), "column 'bad' of type duration"),
    (
        pd.DataFrame({"bad": pd.Series(pd.to_datetime([1], unit="ns")).astype("datetime64[ns]")}),
        "column 'bad' has nanoseconds",
    ),
    (
        pd.DataFrame({"bad": pd.Categorical(["b"], categories=["a", "b"])}),
        "column 'bad' would come",
    ),
    (pd.DataFrame([[1]]), "name its columns by text"),
    (pd.DataFrame({"bad": pd.Series([1, "a"], dtype=object)}), "bad"),
    (pd.DataFrame({"bad": pd.Series(["a", None], dtype=object)}), "give columns .* a type"),
    (pl.DataFrame(), "without columns"),
]


def test_what_would_not_come_back_is_refused_with_its_cure(
    database_18: str,
) -> None:
    tables = PostgresTables(database_18)
    tables.save(_FRAMES[3], _product())
    for value, reason in _REFUSED:
        with pytest.raises((UnserializableValueError, pa.ArrowInvalid), match=reason):
            tables.save(value, _product(version="v2"))
    assert _rows(database_18, "SELECT relname FROM pg_class WHERE relname LIKE 'aside%'") == []
    assert _rows(database_18, "SELECT a FROM assets.orders") == [(1,), (None,)]


def test_a_table_changed_by_hand_is_lost(tables: PostgresTables, database: str) -> None:
    product = _saved(tables, _FRAMES[3], _product())
    _do(database, "UPDATE assets.orders SET a = 2")
    with pytest.raises(ValueLostError, match=r"assets\.orders was edited"):
        tables.load(product)
    again = _saved(tables, _FRAMES[3], _product())
    assert same(tables.load(again), _FRAMES[3])
    _do(database, "DROP TABLE assets.orders")
    assert tables.exists([again]) == [False]
    with pytest.raises(ValueLostError, match="not what was kept"):
        tables.load(again)


def test_names_are_told_apart_however_long(tables: PostgresTables, database_18: str) -> None:
    names = [_product("x" * 500), _product("x" * 501), _product("é" * 40), _product("a", "b")]
    names += [_product("a/b", "c"), _product('a"; DROP TABLE x; --')]
    kept = [_saved(tables, pa.table({"n": [n]}), name) for n, name in enumerate(names)]
    assert all(len(each.address.encode()) <= 63 for each in kept)
    assert [tables.load(each).to_pydict() for each in kept] == [{"n": [n]} for n in range(6)]
    assert tables.exists(kept) == [True] * 6
    assert database_18


def test_readers_see_the_old_table_or_the_new(tables: PostgresTables, database: str) -> None:
    tables.save(pa.table({"a": [1]}), _product())
    with psycopg.connect(database) as reader:
        assert reader.execute("SELECT a FROM assets.orders").fetchall() == [(1,)]
        reader.commit()
        tables.save(pa.table({"a": [2], "b": [3]}), _product(version="v2"))
        assert reader.execute("SELECT * FROM assets.orders").fetchall() == [(2, 3)]


def test_what_is_not_ours_or_is_in_use_is_left_alone(tables: PostgresTables, database: str) -> None:
    tables.save(pa.table({"a": [1]}), _product())
    _do(
        database, "CREATE VIEW v AS SELECT a FROM assets.orders", "CREATE TABLE assets.mine (a int)"
    )
    with pytest.raises(ValueStoreError, match="a view depends on it; drop the view"):
        tables.save(pa.table({"a": [2]}), _product(version="v2"))
    with pytest.raises(ValueStoreError, match=r"assets\.mine is there and was not made by Flow"):
        tables.save(pa.table({"a": [2]}), _product("mine"))
    assert _rows(database, "SELECT a FROM v") == [(1,)]


def test_a_database_that_refuses_is_told_without_secrets() -> None:
    tables = PostgresTables("host=/nowhere user=me password=hush connect_timeout=1")
    at = "the database of tables at host=/nowhere .*refuses: .*No such file"
    with pytest.raises(ValueStoreError, match=at) as caught:
        tables.save(pa.table({"a": [1]}), _product())
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(tables)
    with pytest.raises(ValueStoreError, match=r"unreadable .*: it can't be read$"):
        PostgresTables("password=hush hush").save(pa.table({"a": [1]}), _product())
    with pytest.raises(ValueStoreError, match="give it a dsn"):
        PostgresTables().save(pa.table({"a": [1]}), _product())


def _sales() -> pl.DataFrame:
    return pl.DataFrame({"day": ["mon", "tue"], "eur": [3, 4]})


def _total(sales: pl.DataFrame) -> int:
    return int(sales["eur"].sum())


def _assets(code: str = "1") -> list[AnyAsset]:
    sales = Asset(_sales, name="sales", code_version="1", io=PostgresTables())
    return [sales, Asset(_total, name="total", code_version=code)]


@pytest.mark.anyio
async def test_a_frame_lives_in_the_database_of_the_store(database_18: str, tmp_path: Path) -> None:
    async with Flowstone(database_url=database_18, home=tmp_path) as fs:
        result = await fs.materialize(assets=_assets())
        assert result["total"] == 7
        assert same(result["sales"], _sales())
        assert _rows(database_18, "SELECT sum(eur) FROM assets.sales") == [(7,)]
        again = await fs.materialize(assets=_assets("2"))
        assert again.statuses == {"sales": "reused", "total": "materialized"}
        _do(database_18, "UPDATE assets.sales SET eur = 0")
        mended = await fs.materialize("total", assets=_assets("3"))
        assert mended.statuses == {"sales": "materialized", "total": "materialized"}
        assert mended["total"] == 7
        _do(database_18, "DROP TABLE assets.sales")
        remade = await fs.materialize(assets=_assets("3"))
        assert remade.statuses == {"sales": "materialized", "total": "reused"}


def _one() -> pl.DataFrame:
    return pl.DataFrame({"a": [1]})


@pytest.mark.anyio
async def test_planning_connects_once_for_many_tables(
    database_18: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: list[Any] = [PostgresTables, "flowstone.tables:PostgresTables"]
    many = [
        Asset(_one, name=f"a{n}", code_version="1", io=io)
        for n, io in enumerate([PostgresTables(), PostgresTables(), *kinds])
    ]
    async with Flowstone(database_url=database_18, home=tmp_path) as fs:
        await fs.materialize(assets=many)
        opened: list[str] = []
        connect = psycopg.connect

        def connecting(conninfo: str, **options: Any) -> Any:
            opened.append(conninfo)
            return connect(conninfo, **options)

        monkeypatch.setattr(psycopg, "connect", connecting)
        again = await fs.materialize(assets=many)
    assert set(again.statuses.values()) == {"reused"}
    assert len(opened) == 1


@pytest.mark.anyio
async def test_each_partition_is_a_table(database_18: str, tmp_path: Path) -> None:
    async with Flowstone(database_url=database_18, home=tmp_path) as fs:
        for day in ("mon", "tue"):
            await fs.materialize("sales", assets=_assets(), partition=day)
    found = "SELECT relname FROM pg_class WHERE relname LIKE 'sales%' ORDER BY 1"
    assert _rows(database_18, found) == [("sales/mon",), ("sales/tue",)]
