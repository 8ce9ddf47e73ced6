"""Which codec takes a value, and how each one reads it back.

Each is asked in turn and takes a value only if it gives back the same value of the same type;
pickle, whose bytes are not canonical, comes last.
"""

from __future__ import annotations

import io
import pickle
from typing import TYPE_CHECKING, Any

from flowstone.core.text import safe_str
from flowstone.errors import UnserializableValueError
from flowstone.values.classes import KnownClasses
from flowstone.values.frames import decode_pandas, decode_polars, encode_frame
from flowstone.values.tagged import decode_json, decode_tagged, encode_json, encode_tagged

if TYPE_CHECKING:
    from collections.abc import Callable

PICKLE = "pickle"
_PICKLE_PROTOCOL = 5
_REASON_LIMIT = 300


def encode(
    value: object, annotation: object, *, allow_pickle: bool, noticed: set[type]
) -> tuple[str, bytes]:
    """Give the name of the codec that takes ``value``, and its bytes.

    What is pickled adds the classes in it to ``noticed``.

    Dataclasses, NamedTuples, enums and models are written by field if ``annotation`` reaches
    their class, else pickled. Raises UnserializableValueError if no codec takes the value.
    """
    frame = encode_frame(value)
    if frame is not None:
        return frame
    plain = encode_json(value)
    if plain is not None:
        return "json", plain
    tagged = encode_tagged(value, KnownClasses(annotation))
    return tagged or (PICKLE, _encode_pickle(value, noticed, allow_pickle=allow_pickle))


def decode(codec: str, data: bytes, annotation: object) -> object:
    """Give the value that ``encode`` wrote. The caller has checked the digest of ``data``.

    Raises whatever reading raises: LookupError for an unknown codec or class, ImportError for an
    absent library, and for pickle anything at all.
    """
    read = _DECODERS.get(codec)
    if read is None:
        raise LookupError(f"codec {codec!r} is unknown; a newer Flowstone may have written it")
    return read(data, annotation)


class _Noticing(pickle.Pickler):
    """A pickler that takes note of the classes it meets."""

    def __init__(self, file: io.BytesIO, noticed: set[type]) -> None:
        super().__init__(file, protocol=_PICKLE_PROTOCOL)
        self._noticed = noticed

    def reducer_override(self, value: object) -> Any:
        """Called for everything but the built-in types: note it, and pickle it as ever."""
        self._noticed.add(value if isinstance(value, type) else type(value))
        return NotImplemented


def _encode_pickle(value: object, noticed: set[type], *, allow_pickle: bool) -> bytes:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    cure = "return something else, or use @asset(keep=False)"
    if not allow_pickle:
        raise UnserializableValueError(
            f"a value of type {kind} can only be pickled, and pickle is off; {cure}"
        )
    try:
        file = io.BytesIO()
        _Noticing(file, noticed).dump(value)
        return file.getvalue()
    except MemoryError:
        raise
    except Exception as error:
        reason = safe_str(error, _REASON_LIMIT)
        raise UnserializableValueError(
            f"a value of type {kind} can't be stored ({reason}); {cure}"
        ) from error


def _decode_tagged(data: bytes, annotation: object) -> object:
    return decode_tagged(data, KnownClasses(annotation))


_DECODERS: dict[str, Callable[[bytes, object], object]] = {
    "json": lambda data, _: decode_json(data),
    "tagged": _decode_tagged,
    "object": _decode_tagged,
    "polars.parquet": lambda data, _: decode_polars(data),
    "pandas.parquet": lambda data, _: decode_pandas(data),
    # Safe as far as the store and the database are: the digest of the bytes was checked.
    PICKLE: lambda data, _: pickle.loads(data),  # noqa: S301 - see the line above
}
