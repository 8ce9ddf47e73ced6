"""Arrays, frames and containers of them, in all layouts, and an oracle that compares two."""

from __future__ import annotations

import datetime as dt
import decimal
import math
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

_EARLY, _LATE = dt.datetime(1900, 1, 1), dt.datetime(2100, 1, 1)  # noqa: DTZ001 - naive on purpose
_SPECS: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(["?", "i1", "<i4", ">i4", "u8", "f2", "<f8", ">f8", "c8", "S3", "<U2", "V2"]),
    st.sampled_from(["M8[D]", "M8[ns]", "m8[s]"]),
    st.just([("a", "<i2"), ("b", ">f4", (2,))]),
)
_DTYPES: st.SearchStrategy[Any] = _SPECS.map(lambda spec: np.dtype(spec))  # noqa: PLW0108 - the class is too generic for mypy


@st.composite
def arrays(draw: st.DrawFn) -> Any:
    """Of any plain dtype, 0 to 3 dimensions, and any layout."""
    dtype = draw(_DTYPES)
    shape = draw(st.lists(st.integers(0, 4), max_size=3).map(tuple))
    count = math.prod(shape)
    raw = draw(st.binary(min_size=count * dtype.itemsize, max_size=count * dtype.itemsize))
    flat = np.frombuffer(raw, dtype, count).copy()
    if dtype.kind == "b":
        flat = (flat.view("u1") % 2).astype("?")
    if dtype.kind == "U":
        flat = np.array([chr(97 + code % 3) for code in raw[:count]], dtype)
    array: Any = flat.reshape(shape)
    return draw(st.sampled_from([array, np.asfortranarray(array), array[::-1] if shape else array]))


def relaid(value: Any) -> Any:  # noqa: PLR0911 - one line for each kind of value
    """The same value in another layout."""
    if isinstance(value, np.ndarray):
        wide = np.empty((*value.shape, 2), value.dtype)
        wide[..., 0] = value
        return wide[..., 0]
    if isinstance(value, pl.DataFrame | pl.Series):
        half = len(value) // 2
        halves: list[Any] = [value[:half], value[half:]]
        return pl.concat(halves, rechunk=False) if half else value.clone()
    if isinstance(value, pa.Table):
        half = value.num_rows // 2
        return pa.concat_tables([value.slice(0, half), value.slice(half)])
    if isinstance(value, pa.ChunkedArray):
        return pa.chunked_array(
            [*value.slice(0, 1).chunks, *value.slice(1).chunks], type=value.type
        )
    if isinstance(value, pa.Array):
        return pa.concat_arrays([value, value]).slice(len(value))
    if isinstance(value, pd.DataFrame):
        return pd.DataFrame({name: value[name] for name in value.columns}, index=value.index.copy())
    if isinstance(value, pd.Series | pd.Index):
        return value.copy(deep=True)
    if isinstance(value, dict):
        return {key: relaid(item) for key, item in reversed(value.items())}
    return type(value)(map(relaid, value))


_COLUMNS: list[tuple[pl.DataType | type[pl.DataType], st.SearchStrategy[Any]]] = [
    (pl.Int8, st.integers(-128, 127)),
    (pl.UInt64, st.integers(0, 2**64 - 1)),
    (pl.Float64, st.floats()),
    (pl.Boolean, st.booleans()),
    (pl.String, st.text(max_size=4)),
    (pl.Binary, st.binary(max_size=4)),
    (pl.Date, st.dates(dt.date(1900, 1, 1))),
    (pl.Datetime("us"), st.datetimes(_EARLY)),
    (pl.Decimal(6, 2), st.integers(-999, 999).map(lambda n: decimal.Decimal(n).scaleb(-2))),
    (pl.List(pl.Int64), st.lists(st.integers(-3, 3) | st.none(), max_size=2)),
    (pl.Struct({"x": pl.Int8}), st.fixed_dictionaries({"x": st.integers(0, 3) | st.none()})),
    (pl.Enum(["a", "b"]), st.sampled_from(["a", "b"])),
]


@st.composite
def polars_frames(draw: st.DrawFn) -> pl.DataFrame:
    rows = draw(st.integers(0, 5))
    columns = draw(st.lists(st.sampled_from(_COLUMNS), min_size=1, max_size=3))
    return pl.DataFrame(
        [
            pl.Series(
                f"c{n}", draw(st.lists(cells | st.none(), min_size=rows, max_size=rows)), kind
            )
            for n, (kind, cells) in enumerate(columns)
        ]
    )


_PANDAS = {
    "int32": st.integers(-5, 5),
    "float64": st.floats(width=64),
    "Int64": st.integers(-5, 5) | st.none(),
    "string": st.text(max_size=3) | st.none(),
    "bool": st.booleans(),
    "datetime64[ns]": st.datetimes(_EARLY, _LATE),
    "category": st.sampled_from(["x", "y"]),
}


@st.composite
def pandas_frames(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(st.integers(1, 5))
    kinds = draw(st.lists(st.sampled_from(sorted(_PANDAS)), min_size=1, max_size=3))
    columns = {
        f"c{n}": pd.Series(draw(st.lists(_PANDAS[kind], min_size=rows, max_size=rows)), dtype=kind)
        for n, kind in enumerate(kinds)
    }
    frame = pd.DataFrame(columns)
    if draw(st.booleans()):
        frame.index = pd.Index(draw(npst.arrays("i8", rows)), name="key")
    return frame


def _arrow(frame: pl.DataFrame) -> st.SearchStrategy[Any]:
    table = frame.to_arrow().replace_schema_metadata({"k": "v"})
    column = table.column(0)
    return st.sampled_from([table, column, column.combine_chunks()])


_flat = st.one_of(
    arrays(),
    polars_frames(),
    polars_frames().map(lambda frame: frame.to_series(0)),
    pandas_frames(),
    pandas_frames().map(lambda frame: frame["c0"]),
    pandas_frames().map(lambda frame: frame.index),
    polars_frames().flatmap(_arrow),
)
bulk = st.one_of(
    _flat,
    st.lists(_flat, min_size=1, max_size=2).map(tuple),
    st.dictionaries(st.text(max_size=3), _flat, min_size=1, max_size=2),
    st.lists(_flat, min_size=1, max_size=2),
)
"""Arrays, frames, series, Arrow's, and containers of them."""


def same(one: Any, other: Any) -> bool:  # noqa: PLR0911 - one line for each kind of value
    """Say whether two such values have the same types and content; NaN equals itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        alike: bool = one.dtype == other.dtype and one.shape == other.shape
        return alike and repr(one.tolist()) == repr(other.tolist())
    if isinstance(one, pl.DataFrame):
        return one.schema == other.schema and one.equals(other)
    if isinstance(one, pl.Series):
        return same(one.to_frame(), other.to_frame())
    if isinstance(one, pa.Table):
        return one.schema.equals(other.schema, check_metadata=True) and _cells(one) == _cells(other)
    if isinstance(one, pa.Array | pa.ChunkedArray):
        return bool(one.type == other.type) and _cells(one) == _cells(other)
    if isinstance(one, pd.DataFrame | pd.Series | pd.Index):
        return _same_pandas(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return len(one) == len(other) and all(map(same, one, other))


def _cells(value: Any) -> str:
    return repr(value.to_pylist())


def _same_pandas(one: Any, other: Any) -> bool:
    if isinstance(one, pd.Index):
        return bool(one.identical(other) and one.dtype == other.dtype)
    check = pd.testing.assert_frame_equal
    if isinstance(one, pd.Series):
        check = pd.testing.assert_series_equal
    try:
        check(one, other, check_exact=True)
    except AssertionError:
        return False
    return bool(one.index.identical(other.index))
