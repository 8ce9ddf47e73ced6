"""Arrays and frames: which codec writes one to a sink, reads it back, and its canonical form.

A value can only be one of a library's if that is imported already, so nothing is imported to look.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from flowstone.core.hashing import digest
from flowstone.core.text import safe_str
from flowstone.errors import HashingError
from flowstone.values.arrays import array_form, decode_array, encode_array
from flowstone.values.arrow import arrow_form, decode_arrow, encode_arrow
from flowstone.values.frames import (
    decode_pandas,
    decode_polars,
    encode_pandas,
    encode_polars,
    pandas_form,
    polars_form,
)
from flowstone.values.sharing import owner_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import BinaryIO

    from flowstone.values.sink import Sink


_REASON_LIMIT = 300


def encode_bulk(value: object, sink: Sink) -> str | None:
    """Write an array or a frame and give the codec's name.

    None, with whatever written, for anything else and for what would come back changed. Raises
    UnserializableValueError for a query that only looks like a frame.
    """
    owner = owner_of(value)
    return _ENCODERS[owner](sys.modules[owner], value, sink) if owner else None


def is_bulk(value: object) -> bool:
    """Say whether ``encode_bulk`` may take the value; scalars are too small to be asked about."""
    owner = owner_of(value)
    return bool(owner) and not (owner == "numpy" and isinstance(value, sys.modules[owner].generic))


def canonical(value: object) -> Iterable[bytes | memoryview] | None:
    """Give the canonical bytes of an array or a frame, or None; for ``core.hashing.digest``.

    The same for equal values of one type, whatever their layout. Frames need pyarrow for it.
    Taking the bytes raises HashingError if a part has no such form.
    """
    form = _form(value)
    return None if form is None else _told(form)


def frame_digest(value: object) -> str:
    """Give the canonical digest of an array or a frame, or raise HashingError if it has none."""
    return digest(value, forms=canonical)


def _told(form: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    try:
        yield from form
    except (HashingError, MemoryError):
        raise
    except Exception as error:
        raise HashingError(f"no canonical form: {safe_str(error, _REASON_LIMIT)}") from error


def _form(value: object) -> Iterable[bytes | memoryview] | None:
    owner = owner_of(value)
    if not owner:
        return None
    module: Any = sys.modules[owner]
    if owner == "numpy":
        return array_form(module, value)
    try:
        arrow = importlib.import_module("pyarrow")
        importlib.import_module("pyarrow.compute")
    except ImportError:
        return None
    if owner == "pyarrow":
        return arrow_form(arrow, value)
    return (pandas_form if owner == "pandas" else polars_form)(arrow, module, value)


_ENCODERS: dict[str, Callable[[Any, Any, Sink], str | None]] = {
    "numpy": encode_array,
    "polars": encode_polars,
    "pandas": encode_pandas,
    "pyarrow": encode_arrow,
}

#: Readers that need no more memory than the value does, by codec.
DECODERS: dict[str, Callable[[BinaryIO], object]] = {
    "npy": decode_array,
    "polars.parquet": decode_polars,
    "polars.series": lambda file: decode_polars(file).to_series(),
    "pandas.parquet": lambda file: decode_pandas("frame", file),
    "pandas.series": lambda file: decode_pandas("series", file),
    "pandas.index": lambda file: decode_pandas("index", file),
    "arrow.table": lambda file: decode_arrow("table", file),
    "arrow.batch": lambda file: decode_arrow("batch", file),
    "arrow.array": lambda file: decode_arrow("array", file),
    "arrow.chunked": lambda file: decode_arrow("chunked", file),
}
