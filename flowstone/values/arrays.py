"""NumPy arrays as ``.npy``, and their canonical form; nothing is imported to look for one."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from flowstone.values.sink import Sink

_BLOCK = 1 << 22
_LONGEST_HEADER = 1 << 20
# Longer floats have bytes that mean nothing, and differ between machines.
_FLOAT_BYTES = {"f": 8, "c": 16}


def is_plain(dtype: Any) -> bool:
    """Say whether ``.npy`` holds this dtype whole: no Python objects, metadata or foreign types."""
    numpy = importlib.import_module("numpy")
    if dtype.hasobject or dtype.metadata or dtype.kind == "T":
        return False
    if dtype.names is not None:
        fields = [dtype.fields[name][0] for name in dtype.names]
        return all(map(is_plain, fields)) and _descr(numpy, dtype) is not None
    if dtype.subdtype is not None:
        return is_plain(dtype.base)
    too_long = dtype.itemsize > _FLOAT_BYTES.get(dtype.kind, dtype.itemsize)
    return not too_long and _descr(numpy, dtype) is not None


def _descr(numpy: Any, dtype: Any) -> object:
    """The dtype as ``.npy`` writes it, or None if that reads back as another."""
    descr = numpy.lib.format.dtype_to_descr(dtype)
    back = numpy.lib.format.descr_to_dtype(descr)
    return descr if back == dtype and back.fields == dtype.fields else None


def encode_array(numpy: Any, value: Any, sink: Sink) -> str | None:
    """Write an array and give the codec's name, or None for what ``.npy`` changes."""
    if type(value) is not numpy.ndarray or not is_plain(value.dtype):
        return None
    numpy.lib.format.write_array(sink, value, allow_pickle=False)
    return "npy"


def decode_array(file: BinaryIO) -> object:
    """Give the array, read into one buffer; ImportError without NumPy."""
    form = importlib.import_module("numpy").lib.format
    array: object = form.read_array(file, allow_pickle=False, max_header_size=_LONGEST_HEADER)
    return array


def array_form(numpy: Any, value: Any) -> Iterator[bytes | memoryview] | None:
    """Give the canonical bytes of an array or scalar: dtype, shape, and items in C order."""
    scalar = isinstance(value, numpy.generic)
    if not (scalar or type(value) is numpy.ndarray) or not is_plain(value.dtype):
        return None
    return _array_form(numpy, numpy.asarray(value), b"scalar" if scalar else b"ndarray")


def _array_form(numpy: Any, array: Any, head: bytes) -> Iterator[bytes | memoryview]:
    yield b"%s %s %s\n" % (
        head,
        repr(_descr(numpy, array.dtype)).encode(),
        repr(array.shape).encode(),
    )
    yield from _blocks(numpy, array)


def _blocks(numpy: Any, array: Any) -> Iterator[bytes | memoryview]:
    if array.dtype.names is not None:
        for name in array.dtype.names:
            yield from _blocks(numpy, array[name])
    elif array.flags.c_contiguous:
        flat = array.reshape(-1)
        rows = max(_BLOCK // max(array.itemsize, 1), 1)
        for start in range(0, len(flat), rows):
            yield _bytes(numpy, flat[start : start + rows])
    elif array.nbytes <= _BLOCK:
        yield _bytes(numpy, numpy.ascontiguousarray(array).reshape(-1))
    else:
        row = array.itemsize * math.prod(array.shape[1:])
        rows = _BLOCK // row
        for start in range(0, len(array), max(rows, 1)):
            part = array[start : start + rows] if rows else array[start]
            yield from _blocks(numpy, part)


def _bytes(numpy: Any, flat: Any) -> memoryview:
    """The bytes of a contiguous block; all NaNs become one."""
    if flat.dtype.kind in "fc":
        half = 2 if flat.dtype.kind == "c" else 1
        floats = flat.view(
            flat.dtype.str.replace("c", "f").replace(
                str(flat.dtype.itemsize), str(flat.dtype.itemsize // half)
            )
        )
        odd = numpy.isnan(floats)
        if odd.any():
            flat = numpy.where(odd, numpy.array(numpy.nan, floats.dtype), floats)
    return memoryview(flat.view(numpy.uint8)) if flat.itemsize else memoryview(b"")


def scalar_form(value: Any) -> list[str] | None:
    """Give dtype and bytes of a NumPy scalar as text, or None if they don't say all of it."""
    numpy = importlib.import_module("numpy")
    dtype = value.dtype
    lasting = dtype.names is None and is_plain(dtype)
    if not lasting or numpy.dtype(dtype.str).type is not type(value):
        return None
    return [dtype.str, numpy.asarray(value).tobytes().hex()]


def read_scalar(form: list[str]) -> object:
    """Give the scalar that ``scalar_form`` wrote; ImportError without NumPy."""
    numpy = importlib.import_module("numpy")
    dtype = numpy.dtype(form[0])
    scalar: object = numpy.ndarray((), dtype, bytes.fromhex(form[1]))[()]
    return scalar
