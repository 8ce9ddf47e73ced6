"""Arrow tables, batches and arrays as IPC streams, and the canonical form of all columns.

The form of a column is the same for equal values, however they are chunked, sliced or aligned,
and whatever lies below nulls.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from flowstone.errors import HashingError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from flowstone.values.sink import Sink

#: Rows that are looked at together: the form of a column is made window by window.
WINDOW = 65_536
_UINTS = {8: "uint8", 16: "uint16", 32: "uint32", 64: "uint64"}


def encode_arrow(arrow: Any, value: Any, sink: Sink) -> str | None:
    """Write what Arrow holds and give the codec's name, or None if IPC changes its type."""
    kind, table = _as_table(arrow, value)
    if kind is None:
        return None
    options = arrow.ipc.IpcWriteOptions(compression="zstd", unify_dictionaries=False)
    with arrow.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write(table)
    with sink.reader() as file, arrow.ipc.open_stream(file) as reader:
        same = reader.schema.equals(table.schema, check_metadata=True)
    return f"arrow.{kind}" if same else None


def _as_table(arrow: Any, value: Any) -> tuple[str | None, Any]:
    if type(value) in (arrow.Table, arrow.RecordBatch):
        return ("table" if type(value) is arrow.Table else "batch"), value
    if isinstance(value, arrow.ChunkedArray):
        return "chunked", arrow.table([value], names=[""])
    if isinstance(value, arrow.Array) and type(value).__module__.startswith("pyarrow."):
        return "array", arrow.record_batch([value], names=[""])
    return None, None


def decode_arrow(kind: str, file: BinaryIO) -> object:
    """Give what ``encode_arrow`` wrote as this kind; ImportError without pyarrow."""
    arrow = importlib.import_module("pyarrow")
    with importlib.import_module("pyarrow.ipc").open_stream(file) as reader:
        table: Any = reader.read_all()
    if kind == "table":
        return table
    if kind == "chunked":
        column: object = table.column(0)
        return column
    batches = table.to_batches()
    batch: Any = batches[0] if batches else arrow.RecordBatch.from_pylist([], schema=table.schema)
    found: object = batch if kind == "batch" else batch.column(0)
    return found


def arrow_form(arrow: Any, value: Any) -> Iterator[bytes | memoryview] | None:
    """Give the canonical bytes of a table, batch, array or chunked array, or None for another."""
    kind, table = _as_table(arrow, value)
    return None if kind is None else _table_form(arrow, kind, table)


def _table_form(arrow: Any, kind: str, table: Any) -> Iterator[bytes | memoryview]:
    yield f"arrow {kind} {table.num_columns} {table.num_rows}\n".encode()
    yield _metadata(table.schema.metadata)
    for number, field in enumerate(table.schema):
        yield repr((field.name, str(field.type), field.nullable)).encode()
        yield _metadata(field.metadata)
        yield from column_form(arrow, table.column(number))


def _metadata(metadata: Any) -> bytes:
    return repr(sorted((metadata or {}).items())).encode() + b"\n"


def column_form(arrow: Any, column: Any) -> Iterator[bytes | memoryview]:
    """Give the canonical bytes of the items of an array or chunked array.

    Raises HashingError for a type without such a form.
    """
    for start in range(0, len(column), WINDOW):
        part = column.slice(start, WINDOW)
        if isinstance(part, arrow.ChunkedArray):
            part = part.combine_chunks()
        if isinstance(part, arrow.ChunkedArray):  # what combining gives for extension types
            part = arrow.concat_arrays(part.chunks)
        yield from _items(arrow, part)


def _items(arrow: Any, array: Any) -> Iterator[bytes | memoryview]:
    types = arrow.types
    kind = array.type
    if isinstance(kind, arrow.BaseExtensionType):
        yield from _items(arrow, array.storage)
    elif types.is_dictionary(kind):
        yield from _items(arrow, array.dictionary_decode())
    else:
        yield b"%d %d\n" % (len(array), array.null_count)
        if array.null_count:
            yield _data(array.is_valid().cast("uint8"), 1)
        if types.is_struct(kind):
            for field in array.flatten():
                yield from _items(arrow, field)
        elif types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
            yield from _lists(arrow, array)
        elif not types.is_null(kind):
            yield from _scalars(arrow, array)


def _lists(arrow: Any, array: Any) -> Iterator[bytes | memoryview]:
    lengths = arrow.compute.list_value_length(array).cast("int64")
    yield _data(lengths.fill_null(0), 8)
    yield from _items(arrow, array.flatten())


def _scalars(arrow: Any, array: Any) -> Iterator[bytes | memoryview]:
    types, kind = arrow.types, array.type
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    if text or types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        yield from _texts(arrow, array.cast("large_string").cast("large_binary") if text else array)
    elif types.is_boolean(kind):
        yield _data(array.fill_null(fill_value=False).cast("uint8"), 1)
    elif types.is_decimal(kind) or types.is_fixed_size_binary(kind):
        yield from _texts(arrow, arrow.array(map(_raw, array.to_pylist()), "large_binary"))
    elif types.is_primitive(kind) and kind.bit_width in _UINTS:
        yield _numbers(arrow, array)
    else:
        raise HashingError(f"an Arrow column of type {kind} has no canonical form")


def _raw(value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    sign, digits, exponent = value.as_tuple()
    return f"{sign} {''.join(map(str, digits))} {exponent}".encode()


def _texts(arrow: Any, array: Any) -> Iterator[bytes | memoryview]:
    filled = array.cast("large_binary").fill_null(b"")
    yield _data(arrow.compute.binary_length(filled).cast("int64"), 8)
    _, offsets, data = filled.buffers()
    if data is None or not len(filled):
        return
    places = memoryview(offsets).cast("q")
    yield memoryview(data)[places[filled.offset] : places[filled.offset + len(filled)]]


def _numbers(arrow: Any, array: Any) -> memoryview:
    kind = array.type
    if arrow.types.is_floating(kind) and kind.bit_width > 16:  # noqa: PLR2004 - halves have no kernel
        odd = arrow.compute.is_nan(array)
        if odd.true_count:
            array = arrow.compute.if_else(odd, arrow.scalar(float("nan"), kind), array)
    return _data(array.view(_UINTS[kind.bit_width]).fill_null(0), kind.bit_width // 8)


def _data(array: Any, width: int) -> memoryview:
    """The items' bytes of an array of fixed width without nulls."""
    if not len(array):
        return memoryview(b"")
    start = array.offset * width
    return memoryview(array.buffers()[1])[start : start + len(array) * width]
