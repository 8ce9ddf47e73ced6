"""Data frames of polars and pandas as Parquet, when they come back exactly as they were.

A frame can only be met if its library is imported already, so nothing is imported to look.
"""

from __future__ import annotations

import importlib
import io
import sys
from typing import TYPE_CHECKING, Any

from flowstone.errors import UnserializableValueError

if TYPE_CHECKING:
    from collections.abc import Callable

# Pinned, so that equal frames give equal bytes whatever a library's defaults become.
_COMPRESSION = "zstd"
_ROWS_PER_GROUP = 131_072


def encode_frame(value: object) -> tuple[str, bytes] | None:
    """Give the codec's name and Parquet, or None for anything that isn't such a frame.

    None too for a frame that Parquet changes: Python objects in cells, an index with a frequency,
    repeated column names. Raises UnserializableValueError for a polars LazyFrame.
    """
    for library, encode in _ENCODERS.items():
        module = sys.modules.get(library)
        if module is not None and type(value).__module__.partition(".")[0] == library:
            data = encode(module, value)
            return None if data is None else (f"{library}.parquet", data)
    return None


def decode_polars(data: bytes) -> object:
    """Give the polars DataFrame; ImportError without polars."""
    frame: object = importlib.import_module("polars").read_parquet(io.BytesIO(data))
    return frame


def decode_pandas(data: bytes) -> object:
    """Give the pandas DataFrame; ImportError without pandas or pyarrow."""
    pandas = importlib.import_module("pandas")
    frame: object = pandas.read_parquet(io.BytesIO(data), engine="pyarrow")
    return frame


def _encode_polars(polars: Any, value: Any) -> bytes | None:
    if isinstance(value, polars.LazyFrame):
        raise UnserializableValueError(
            "a polars LazyFrame is a query, not a value; return .collect() of it"
        )
    if type(value) is not polars.DataFrame or polars.Object in value.schema.dtypes():
        return None
    buffer = io.BytesIO()
    try:
        value.rechunk().write_parquet(
            buffer, compression=_COMPRESSION, row_group_size=_ROWS_PER_GROUP
        )
        back: Any = decode_polars(buffer.getvalue())
    except Exception:  # noqa: BLE001 - whatever Parquet refuses is for the next codec
        return None
    same = back.schema == value.schema and back.shape == value.shape and back.equals(value)
    return buffer.getvalue() if same else None


def _encode_pandas(pandas: Any, value: Any) -> bytes | None:
    if type(value) is not pandas.DataFrame or _has_objects(value):
        return None
    buffer = io.BytesIO()
    try:
        arrow = importlib.import_module("pyarrow")
        parquet = importlib.import_module("pyarrow.parquet")
        table = arrow.Table.from_pandas(value).combine_chunks()
        parquet.write_table(table, buffer, compression=_COMPRESSION, row_group_size=_ROWS_PER_GROUP)
        back: Any = decode_pandas(buffer.getvalue())
        same = _same_pandas(pandas, value, back)
    except Exception:  # noqa: BLE001 - whatever Parquet refuses is for the next codec
        return None
    return buffer.getvalue() if same else None


def _has_objects(frame: Any) -> bool:
    """Say whether cells or row labels are Python objects, whose types Parquet would change."""
    index = frame.index
    levels = [index.get_level_values(number) for number in range(index.nlevels)]
    kinds = [*frame.dtypes, *(level.dtype for level in levels)]
    kinds += [kind.categories.dtype for kind in kinds if hasattr(kind, "categories")]
    return any(str(kind) == "object" for kind in kinds)


def _same_pandas(pandas: Any, value: Any, back: Any) -> bool:
    try:
        pandas.testing.assert_frame_equal(
            value, back, check_exact=True, check_index_type="exact", check_column_type="exact"
        )
    except AssertionError:
        return False
    return bool(
        value.attrs == back.attrs
        and type(value.index) is type(back.index)
        and value.index.identical(back.index)
        and value.columns.identical(back.columns)
        and list(map(type, value.columns)) == list(map(type, back.columns))
    )


_ENCODERS: dict[str, Callable[[Any, Any], bytes | None]] = {
    "polars": _encode_polars,
    "pandas": _encode_pandas,
}
