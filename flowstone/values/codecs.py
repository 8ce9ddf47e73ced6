"""Which codec takes a value, and how each one reads it back.

Each is asked in turn and takes a value only if it gives back the same value of the same type;
pickle, whose bytes are not canonical, comes last.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from flowstone.core.text import safe_str
from flowstone.errors import UnserializableValueError
from flowstone.values.bulk import DECODERS, encode_bulk
from flowstone.values.classes import KnownClasses
from flowstone.values.parts import decode_parts, encode_parts
from flowstone.values.tagged import decode_json, decode_tagged, encode_json

if TYPE_CHECKING:
    from typing import BinaryIO

    from flowstone.values.sink import Sink

PICKLE = "pickle"
_PICKLE_PROTOCOL = 5
_REASON_LIMIT = 300


def encode(
    value: object, annotation: object, sink: Sink, *, allow_pickle: bool, noticed: set[type]
) -> str:
    """Write ``value`` to an empty sink and give the name of the codec that took it.

    What is pickled adds the classes in it to ``noticed``.

    Dataclasses, NamedTuples, enums and models are written by field if ``annotation`` reaches
    their class, else pickled. Raises UnserializableValueError if no codec takes the value.
    """
    codec = encode_bulk(value, sink)
    if codec is not None:
        return codec
    sink.clear()
    plain = encode_json(value)
    if plain is not None:
        sink.write(plain)
        return "json"
    codec = encode_parts(value, KnownClasses(annotation), sink)
    if codec is not None:
        return codec
    sink.clear()
    _pickle(value, sink, noticed, allow_pickle=allow_pickle)
    return PICKLE


def decode(codec: str, file: BinaryIO, annotation: object) -> object:
    """Give the value that ``encode`` wrote. The caller has checked the digest of the file.

    Raises whatever reading raises: LookupError for an unknown codec or class, ImportError for an
    absent library, and for pickle anything at all.
    """
    if codec in DECODERS:
        return DECODERS[codec](file)
    if codec == "parts":
        return decode_parts(file, KnownClasses(annotation))
    if codec == "json":
        return decode_json(file.read())
    if codec in ("tagged", "object"):
        return decode_tagged(file.read(), KnownClasses(annotation))
    if codec == PICKLE:
        # Safe as far as the store and the database are: the digest of the bytes was checked.
        return pickle.load(file)  # noqa: S301 - see the line above
    raise LookupError(f"codec {codec!r} is unknown; a newer Flowstone may have written it")


def is_streamed(codec: str) -> bool:
    """Say whether a codec reads a file piece by piece; for others it is read whole first."""
    return codec in DECODERS or codec == "parts"


class _Noticing(pickle.Pickler):
    """A pickler that takes note of the classes it meets."""

    def __init__(self, file: Sink, noticed: set[type]) -> None:
        super().__init__(file, protocol=_PICKLE_PROTOCOL)
        self._noticed = noticed

    def reducer_override(self, value: object) -> Any:
        """Called for everything but the built-in types: note it, and pickle it as ever."""
        self._noticed.add(value if isinstance(value, type) else type(value))
        return NotImplemented


def _pickle(value: object, sink: Sink, noticed: set[type], *, allow_pickle: bool) -> None:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    cure = "return something else, or use @asset(keep=False)"
    if not allow_pickle:
        raise UnserializableValueError(
            f"a value of type {kind} can only be pickled, and pickle is off; {cure}, or allow it:"
            f" FLOWSTONE_PICKLE=1"
        )
    try:
        _Noticing(sink, noticed).dump(value)
    except MemoryError:
        raise
    except Exception as error:
        if error is sink.error:
            raise
        reason = safe_str(error, _REASON_LIMIT)
        raise UnserializableValueError(
            f"a value of type {kind} can't be stored ({reason}); {cure}"
        ) from error
