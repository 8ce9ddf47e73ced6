"""The value store: what assets returned, kept so that later runs and consumers have it."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from flowstone.core.hashing import combine, content_digest, digest
from flowstone.core.records import ValuePointer
from flowstone.core.text import safe_str
from flowstone.errors import FlowstoneError, HashingError, ValueLostError
from flowstone.sources.remembered import Remembered
from flowstone.values import codecs, paths
from flowstone.values.bulk import canonical
from flowstone.values.files import DigestFiles
from flowstone.values.small import is_small
from flowstone.values.tagged import encode_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from collections.abc import Set as AbstractSet
    from typing import BinaryIO

INLINE_LIMIT = 65_536
"""Bytes up to which a value is kept in its pointer, so in Postgres."""

_REASON_LIMIT = 300
_NOWHERE = Path(os.devnull)


class Saved(NamedTuple):
    """A stored value: where it is, and its data version."""

    pointer: ValuePointer
    data_version: str


def _no_code(_classes: AbstractSet[type]) -> str:
    return ""


class ValueStore:
    """Values in pointers when small, else in files below ``root`` named by their digest.

    Bytes are checked against their digest before anything decodes them. ``root`` and its folders
    are made with the first file. ``inline_limit`` is in bytes. With ``pickle=False`` nothing is
    pickled or unpickled. Digests of files that are themselves the asset are remembered in the
    folder ``cache``. ``class_code`` gives a digest of the code of classes, or an empty text: an
    object of a user's class is another one for its consumers when its methods are edited. Whoever
    can write the store or the database can run code through pickle.

    An instance may be used by any number of threads.
    """

    def __init__(
        self,
        root: Path,
        *,
        inline_limit: int = INLINE_LIMIT,
        pickle: bool = True,
        cache: Path | None = None,
        class_code: Callable[[AbstractSet[type]], str] = _no_code,
    ) -> None:
        self._files = DigestFiles(Path(root).absolute())
        self._cache = cache or Path(root).absolute() / "cache"
        self._inline_limit = inline_limit
        self._pickle = pickle
        self._class_code = class_code

    def save(self, value: object, annotation: object = Any) -> Saved:
        """Keep ``value``; when this returns it survives a crash of anything.

        ``annotation`` is what the asset says it returns, evaluated. The data version is the same
        for equal values, except for pickled ones that have no canonical digest; there a rebuild
        can be one too many, never one too few. A ``pathlib.Path`` stands for the file at it: the
        pointer names it, and the data version follows its content; so for a folder.

        Raises UnserializableValueError if no codec takes the value, ValueStoreError if the disk
        refuses.
        """
        if isinstance(value, Path):
            return self._pointed(value)
        if (small := self.save_small(value)) is not None:
            return small
        noticed: set[type] = set()
        with self._files.sink(self._inline_limit) as sink:
            codec = codecs.encode(
                value, annotation, sink, allow_pickle=self._pickle, noticed=noticed
            )
            inline = sink.held
            if inline is None:
                self._files.keep(sink)
        pointer = ValuePointer.model_construct(
            codec=codec, size=sink.size, content_digest=sink.digest, inline=inline
        )
        version = _data_version(value, pointer, noticed)
        return Saved(pointer, self._of(version, noticed))

    def save_small(self, value: object) -> Saved | None:
        """Keep a value that is a few bytes of plain JSON; None for any other."""
        data = encode_json(value) if is_small(value) else None
        if data is None or len(data) > self._inline_limit:
            return None
        pointer = ValuePointer.trusted(
            {
                "codec": "json",
                "size": len(data),
                "content_digest": content_digest(data),
                "inline": data,
                "location": None,
            }
        )
        return Saved(pointer, digest(value))

    def version(self, value: object) -> str:
        """The data version of a value that is kept elsewhere; empty if it has no canonical form.

        That of a ``pathlib.Path`` follows the content of what is there.
        """
        if isinstance(value, Path):
            return self._pointed(value).data_version
        noticed: set[type] = set()
        try:
            version = digest(value, noticed, canonical)
        except HashingError:
            return ""
        return self._of(version, noticed)

    def _pointed(self, path: Path) -> Saved:
        """A pointer to a file or folder, which stays where it is."""
        remembered = Remembered(self._cache)
        pointer = paths.point_at(path, remembered)
        remembered.save()
        return Saved(pointer, combine("value", pointer.codec, pointer.content_digest))

    def _of(self, version: str, noticed: set[type]) -> str:
        """A version with the code of the classes in the value."""
        code = self._class_code(noticed)
        return combine("of", version, code) if code else version

    def load(self, pointer: ValuePointer, annotation: object = Any) -> object:
        """Give the value, decoded afresh; ``annotation`` is the one it was saved with.

        Raises ValueLostError if the bytes are missing or altered, or if what they need to be
        decoded (a class, a library, pickle) has changed or is gone; ValueStoreError if the disk
        can't be read.
        """
        if pointer.is_path:
            return paths.checked(pointer, Remembered(_NOWHERE))
        if not self._may_decode(pointer):
            raise ValueLostError(
                "the value was pickled, and pickle is off; allow it (FLOWSTONE_PICKLE=1) if you"
                " trust whoever can write the database and the value store"
            )
        if pointer.inline is None and codecs.is_streamed(pointer.codec):
            with self._files.open(pointer.content_digest, pointer.size) as file:
                return self._decoded(pointer, file, annotation)
        return self._decoded(pointer, io.BytesIO(self._checked_bytes(pointer)), annotation)

    def _decoded(self, pointer: ValuePointer, file: BinaryIO, annotation: object) -> object:
        try:
            return codecs.decode(pointer.codec, file, annotation)
        except (FlowstoneError, MemoryError):
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {safe_str(error, _REASON_LIMIT)}"
            raise ValueLostError(
                f"value {pointer.content_digest} ({pointer.codec}) can't be decoded: {reason}"
            ) from error

    def present(self, pointers: Sequence[ValuePointer]) -> list[bool]:
        """Say of each value whether it is there.

        Of stored bytes only the size is looked at, they are checked when they are loaded. A file
        that is itself the asset must hold what was recorded: others write it too.
        """
        remembered = Remembered(self._cache)
        there = [self._is_present(pointer, remembered) for pointer in pointers]
        remembered.save()
        return there

    def damage(self, pointer: ValuePointer) -> str:
        """What is wrong with the stored bytes of a value, empty if nothing is.

        They are read whole, and not decoded. Of files that are themselves the asset and of what
        an IO manager keeps nothing is said.

        Raises ValueStoreError if the disk can't be read.
        """
        if pointer.location is not None:
            return ""
        try:
            if pointer.inline is not None:
                self._checked_bytes(pointer)
            else:
                with self._files.open(pointer.content_digest, pointer.size):
                    pass
        except ValueLostError as error:
            return str(error)
        return ""

    def _is_present(self, pointer: ValuePointer, remembered: Remembered) -> bool:
        if pointer.is_path:
            return paths.is_unchanged(pointer, remembered)
        if not self._may_decode(pointer):
            return False
        if pointer.inline is not None:
            return pointer.unread or len(pointer.inline) == pointer.size
        return self._files.has(pointer.content_digest, pointer.size)

    def _may_decode(self, pointer: ValuePointer) -> bool:
        return self._pickle or pointer.codec != codecs.PICKLE

    def _checked_bytes(self, pointer: ValuePointer) -> bytes:
        data = pointer.inline
        if data is None:
            return self._files.read(pointer.content_digest, pointer.size)
        if len(data) != pointer.size or content_digest(data) != pointer.content_digest:
            raise ValueLostError(
                f"value {pointer.content_digest} in the database is not what was recorded"
            )
        return data


def _data_version(value: object, pointer: ValuePointer, noticed: set[type]) -> str:
    try:
        return digest(value, noticed, canonical)
    except HashingError:
        return combine("value", pointer.codec, pointer.content_digest)
