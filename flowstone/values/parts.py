"""Containers of arrays and frames: each of these by its own codec, the rest as tagged JSON behind.

The bytes are the parts, one after the other; then JSON with codec, start and size of each part;
then the tagged form; then the lengths of these two in eight bytes each.
"""

from __future__ import annotations

import json
import os
import struct
from typing import TYPE_CHECKING, Any

from flowstone.values.bulk import DECODERS, encode_bulk, is_bulk
from flowstone.values.sink import reading
from flowstone.values.tagged import decode_tagged, encode_tagged

if TYPE_CHECKING:
    from typing import BinaryIO

    from flowstone.values.classes import KnownClasses
    from flowstone.values.sink import Sink

_LENGTHS = struct.Struct(">QQ")
_LARGE = 65_536


def encode_parts(value: object, classes: KnownClasses, sink: Sink) -> str | None:
    """Write a container of large parts, or a tagged form if there is none; give the codec's name.

    None, with whatever written, for what neither holds.
    """
    parts: list[Any] = []

    def part(item: object) -> int | None:
        if is_bulk(item) or (type(item) is bytes and len(item) > _LARGE):
            parts.append(item)
            return len(parts) - 1
        return None

    found = encode_tagged(value, classes, part)
    if found is None:
        return None
    codec, form = found
    if not parts:
        sink.write(form)
        return codec
    table = [_write(item, sink) for item in parts]
    if None in table:
        return None
    places = json.dumps(table).encode()
    for tail in (places, form, _LENGTHS.pack(len(places), len(form))):
        sink.write(tail)
    return "parts"


def _write(item: Any, sink: Sink) -> tuple[str, int, int] | None:
    sink.begin()
    start = sink.size
    if type(item) is bytes:
        sink.write(item)
        return "bytes", start, len(item)
    codec = encode_bulk(item, sink)
    return None if codec is None else (codec, start, sink.size - start)


def decode_parts(file: BinaryIO, classes: KnownClasses) -> object:
    """Give the container that ``encode_parts`` wrote.

    Raises what its parts and its form raise.
    """
    file.seek(-_LENGTHS.size, os.SEEK_END)
    lengths = _LENGTHS.unpack(file.read(_LENGTHS.size))
    file.seek(-_LENGTHS.size - sum(lengths), os.SEEK_END)
    table = json.loads(file.read(lengths[0]))
    form = file.read(lengths[1])

    def part(number: int) -> object:
        codec, start, size = table[number]
        with reading(file, start, size) as region:
            return region.read() if codec == "bytes" else DECODERS[codec](region)

    return decode_tagged(form, classes, part)
