"""Data frames and series of polars and pandas as Parquet, when they come back exactly as they were.

They are written row group by row group and compared with what the file gives back in slices, so
that a large frame never stands in memory twice. Nothing is imported to look for one.
"""

from __future__ import annotations

import importlib
import io
import json
from typing import TYPE_CHECKING, Any

from flowstone.core.hashing import digest
from flowstone.errors import UnserializableValueError
from flowstone.values.arrow import column_form
from flowstone.values.sharing import copies_on_write, owner_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from flowstone.values.sink import Sink

# Pinned, so that equal frames give equal bytes whatever a library's defaults become.
_COMPRESSION = "zstd"
_ROWS_PER_GROUP = 131_072
# Rows compared at once: a few megabytes of a usual frame.
_SLICE = 2 * _ROWS_PER_GROUP
# What pandas objects have besides, and their metadata in Arrow lacks.
_BESIDES = b"flowstone"


def encode_polars(polars: Any, value: Any, sink: Sink) -> str | None:
    """Write a polars frame or series and give the codec's name, or None for what Parquet changes.

    Raises UnserializableValueError for a LazyFrame.
    """
    if isinstance(value, polars.LazyFrame):
        raise UnserializableValueError(
            "a polars LazyFrame is a query, not a value; return .collect() of it"
        )
    if type(value) not in (polars.DataFrame, polars.Series):
        return None
    frame = value.to_frame() if type(value) is polars.Series else value
    if polars.Object in frame.schema.dtypes() or not frame.width:
        return None
    try:
        frame.write_parquet(sink, compression=_COMPRESSION, row_group_size=_ROWS_PER_GROUP)
        same = _same_polars(polars, frame, sink)
    except Exception:  # noqa: BLE001 - whatever Parquet refuses is for the next codec
        return None
    kind = "polars.parquet" if frame is value else "polars.series"
    return kind if same else None


def _same_polars(polars: Any, frame: Any, sink: Sink) -> bool:
    with sink.reader() as file:
        lazy = polars.scan_parquet(_source(file))
        if lazy.collect_schema() != frame.schema:
            return False
        for start in range(0, max(frame.height, 1), _SLICE):
            part = frame.slice(start, _SLICE)
            if not lazy.slice(start, _SLICE).collect().equals(part):
                return False
        return bool(lazy.select(polars.len()).collect().item() == frame.height)


def _source(file: BinaryIO) -> Any:
    """What polars reads in pieces: the path of a real file, else the file."""
    name = getattr(getattr(file, "raw", None), "name", None)
    return name if isinstance(name, str) else io.BytesIO(file.read())


def decode_polars(file: BinaryIO) -> Any:
    """Give the polars DataFrame; ImportError without polars."""
    return importlib.import_module("polars").read_parquet(_source(file))


def polars_form(arrow: Any, polars: Any, value: Any) -> Iterator[bytes | memoryview] | None:
    """Give the canonical bytes of a polars frame or series, or None for anything else."""
    if type(value) not in (polars.DataFrame, polars.Series):
        return None
    series = [value] if type(value) is polars.Series else value.get_columns()
    if any(each.dtype == polars.Object for each in series):
        return None
    head = f"polars {type(value).__name__} {len(series)} {len(value)}\n".encode()
    return _polars_form(arrow, head, series)


def _polars_form(arrow: Any, head: bytes, columns: list[Any]) -> Iterator[bytes | memoryview]:
    yield head
    for column in columns:
        yield repr((column.name, str(column.dtype))).encode()
        yield digest(_categories(column.dtype)).encode()
        for start in range(0, len(column), _SLICE):
            yield from column_form(arrow, column.slice(start, _SLICE).to_arrow())


def _categories(dtype: Any) -> list[str]:
    """The categories of a polars Enum, which its name leaves out when they are many."""
    is_enum = type(dtype).__name__ == "Enum"
    return dtype.categories.to_list() if is_enum else []


def encode_pandas(pandas: Any, value: Any, sink: Sink) -> str | None:
    """Write a pandas frame, series or index and give the codec's name.

    None for what Parquet changes: Python objects in cells, an index with a frequency, repeated
    column names.
    """
    frame, kind, name = _as_frame(pandas, value)
    if frame is None or _has_objects(frame) or frame.attrs:
        return None
    try:
        _write_pandas(frame, name, sink)
        with sink.reader() as file:
            same = _same_pandas(pandas, frame, file)
    except Exception:  # noqa: BLE001 - whatever Parquet refuses is for the next codec
        return None
    return kind if same else None


def _as_frame(pandas: Any, value: Any) -> tuple[Any, str, str | int | None]:
    if type(value) is pandas.DataFrame:
        return value, "pandas.parquet", None
    if type(value) is pandas.Series and type(value.name) in (type(None), str, int):
        return value.to_frame("value"), "pandas.series", value.name
    if isinstance(value, pandas.Index) and owner_of(value) == "pandas":
        return pandas.DataFrame({"value": False}, index=value), "pandas.index", None
    return None, "", None


def _write_pandas(frame: Any, name: str | int | None, sink: Sink) -> None:
    arrow = importlib.import_module("pyarrow")
    parquet = importlib.import_module("pyarrow.parquet")
    whole = arrow.Schema.from_pandas(frame).metadata
    schema = arrow.Table.from_pandas(frame.iloc[:0]).schema
    besides = json.dumps({"name": name, "columns": _range(frame.columns)}).encode()
    schema = schema.with_metadata({**whole, _BESIDES: besides})
    with parquet.ParquetWriter(sink, schema, compression=_COMPRESSION) as writer:
        for start in range(0, max(len(frame), 1), _ROWS_PER_GROUP):
            table = arrow.Table.from_pandas(frame.iloc[start : start + _ROWS_PER_GROUP])
            writer.write_table(table.replace_schema_metadata(schema.metadata))


def decode_pandas(kind: str, file: BinaryIO) -> object:
    """Give the pandas object of this kind; ImportError without pandas or pyarrow."""
    pandas = importlib.import_module("pandas")
    parquet = importlib.import_module("pyarrow.parquet")
    # Pre-buffering would hold the whole file besides.
    source = parquet.ParquetFile(file, pre_buffer=False)
    if source.metadata.num_rows > _SLICE:
        frame = _by_column(pandas, source)
    else:
        frame = source.read().to_pandas()
    besides = _besides(source)
    _number_columns(pandas, frame, besides)
    if kind == "index":
        index: object = frame.index
        return index
    if kind == "series":
        series: Any = frame["value"]
        series.name = besides["name"]
        return series
    return frame


def _range(index: Any) -> list[Any] | None:
    """A RangeIndex as start, stop, step and name, or None for another index."""
    if not hasattr(index, "step"):
        return None
    return [index.start, index.stop, index.step, index.name]


def _besides(source: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((source.schema_arrow.metadata or {}).get(_BESIDES, b"{}"))
    return found


def _number_columns(pandas: Any, frame: Any, besides: dict[str, Any]) -> None:
    """Give a frame its columns of the class RangeIndex, which come back as numbers only."""
    if besides.get("columns") is not None:
        start, stop, step, name = besides["columns"]
        frame.columns = pandas.RangeIndex(start, stop, step, name=name)


def _by_column(pandas: Any, source: Any) -> Any:
    """Read column by column, so that no more than one stands in memory twice."""
    schema = source.schema_arrow
    told = json.loads(schema.metadata[b"pandas"])
    labels = [label for label in told["index_columns"] if isinstance(label, str)]
    names = [name for name in schema.names if name not in labels]
    pieces = (source.read(columns=[name, *labels]).to_pandas() for name in names)
    return pandas.concat(pieces, axis=1, **({} if copies_on_write(pandas) else {"copy": False}))


def _has_objects(frame: Any) -> bool:
    """Say whether cells or row labels are Python objects, whose types Parquet would change."""
    index = frame.index
    levels = [index.get_level_values(number) for number in range(index.nlevels)]
    kinds = [*frame.dtypes, *(level.dtype for level in levels)]
    kinds += [kind.categories.dtype for kind in kinds if hasattr(kind, "categories")]
    return any(str(kind) == "object" for kind in kinds)


def _same_pandas(pandas: Any, frame: Any, file: BinaryIO) -> bool:
    """Compare a frame with what a file gives back; in slices unless these would lose categories."""
    dtypes = [*frame.dtypes, *getattr(frame.index, "dtypes", [frame.index.dtype])]
    if len(frame) <= _SLICE or any(hasattr(dtype, "categories") for dtype in dtypes):
        return _same_frames(pandas, frame, decode_pandas("frame", file))
    source = importlib.import_module("pyarrow.parquet").ParquetFile(file)
    ranged = type(frame.index) is pandas.RangeIndex
    start = 0
    for number in range(source.num_row_groups):
        part = source.read_row_group(number).to_pandas()
        expected = frame.iloc[start : start + len(part)]
        start += len(part)
        _number_columns(pandas, part, _besides(source))
        if ranged:
            part.index = expected.index
        if not _same_frames(pandas, expected, part):
            return False
    return start == len(frame) and (not ranged or _same_range(source, frame.index))


def _same_range(source: Any, index: Any) -> bool:
    """A RangeIndex is written in the metadata."""
    told = json.loads(source.schema_arrow.metadata[b"pandas"])["index_columns"]
    wanted = _range(index) or []
    found = [told[0][key] for key in ("start", "stop", "step", "name")] if len(told) == 1 else []
    return found == wanted and list(map(type, found)) == list(map(type, wanted))


def _same_frames(pandas: Any, value: Any, back: Any) -> bool:
    try:
        pandas.testing.assert_frame_equal(
            value, back, check_exact=True, check_index_type="exact", check_column_type="exact"
        )
    except AssertionError:
        return False
    return bool(
        type(value.index) is type(back.index)
        and value.index.identical(back.index)
        and value.columns.identical(back.columns)
        and list(map(type, value.columns)) == list(map(type, back.columns))
    )


def pandas_form(arrow: Any, pandas: Any, value: Any) -> Iterator[bytes | memoryview] | None:
    """Give the canonical bytes of a pandas frame, series or index, or None for anything else.

    None too for one with Python objects in it.
    """
    frame, kind, name = _as_frame(pandas, value)
    if frame is None or _has_objects(frame) or frame.attrs:
        return None
    return _pandas_form(arrow, frame, f"{kind} {name!r} {len(frame)}")


def _pandas_form(arrow: Any, frame: Any, head: str) -> Iterator[bytes | memoryview]:
    index, labels = frame.index, frame.columns
    yield head.encode()
    kind = type(labels).__name__
    yield digest([kind, labels.tolist(), str(labels.dtype), list(labels.names)]).encode()
    yield digest([type(index).__name__, list(index.names), len(index)]).encode()
    if hasattr(index, "step"):
        yield digest(_range(index)).encode()
    else:
        for number in range(index.nlevels):
            yield from _pandas_column(arrow, index.get_level_values(number).to_series())
    for number in range(frame.shape[1]):
        yield from _pandas_column(arrow, frame.iloc[:, number])


def _pandas_column(arrow: Any, column: Any) -> Iterator[bytes | memoryview]:
    dtype = column.dtype
    yield digest([str(dtype), str(getattr(dtype, "ordered", ""))]).encode()
    if hasattr(dtype, "categories"):
        yield from _pandas_column(arrow, dtype.categories.to_series())
    for start in range(0, len(column), _SLICE):
        yield from column_form(
            arrow, arrow.array(column.iloc[start : start + _SLICE], from_pandas=True)
        )
