"""Files that are themselves the asset: an asset that returns a ``pathlib.Path``."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from flowstone.core.hashing import content_digest_of
from flowstone.core.records import ValuePointer
from flowstone.errors import UnserializableValueError, ValueLostError, ValueStoreError
from flowstone.sources.remembered import mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.sources.remembered import Remembered

CODEC = "path"
_CHUNK = 1 << 20


def point_at(path: Path) -> ValuePointer:
    """Give the pointer to the file at ``path``, with the digest of what it holds now.

    Raises UnserializableValueError if there is no file, or something else than a file.
    """
    if type(path) is not type(Path()):
        raise UnserializableValueError(
            f"path {str(path)!r} is a {type(path).__name__}; return a plain pathlib.Path"
        )
    location = path.absolute()
    if not _is_utf8(str(location)):
        raise UnserializableValueError(
            f"path {str(path)!r} is not valid UTF-8, so it can't be recorded; rename the file"
        )
    try:
        status = location.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise UnserializableValueError(
                f"path {str(path)!r} is {kind}; return the path of a file"
            )
        content, size = _digest_and_size(location)
    except FileNotFoundError:
        raise UnserializableValueError(
            f"path {str(path)!r} was returned, but no such file exists; write it first"
        ) from None
    except (OSError, ValueError) as error:  # the latter for NUL
        raise UnserializableValueError(f"path {str(path)!r} can't be read: {error}") from error
    return ValuePointer(codec=CODEC, size=size, content_digest=content, location=str(location))


def is_present(pointer: ValuePointer) -> bool:
    """Say whether a file of the recorded size is there."""
    try:
        status = Path(pointer.location or "").stat()
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == pointer.size


def is_unchanged(pointer: ValuePointer, remembered: Remembered) -> bool:
    """Say whether the file still holds what was recorded; it is read unless that is remembered."""
    if not is_present(pointer):
        return False
    path = Path(pointer.location or "")
    try:
        status = path.stat()
        settled = remembered.is_settled(status)
        content = remembered.get(str(path), status)
        if content is None:
            content, _ = _digest_and_size(path)
            if settled and mark(path.stat()) == mark(status):
                remembered.add(str(path), status, content)
    except OSError:
        return False
    return content == pointer.content_digest


def checked(pointer: ValuePointer) -> Path:
    """Give the absolute path of a file that still has the recorded content.

    Raises ValueLostError if it is missing or edited, ValueStoreError if it can't be read.
    """
    if not pointer.location:
        raise ValueLostError("the pointer names no file")
    path = Path(pointer.location)
    if not is_present(pointer):
        raise ValueLostError(f"file {str(path)!r} is missing or has another size than recorded")
    try:
        content, _ = _digest_and_size(path)
    except FileNotFoundError:
        raise ValueLostError(f"file {str(path)!r} is missing") from None
    except OSError as error:
        raise ValueStoreError(f"can't read file {str(path)!r}: {error}") from error
    if content != pointer.content_digest:
        raise ValueLostError(f"file {str(path)!r} was edited since it was recorded")
    return path


def _digest_and_size(path: Path) -> tuple[str, int]:
    sizes: list[int] = []

    def chunks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                sizes.append(len(chunk))
                yield chunk

    content = content_digest_of(chunks())
    return content, sum(sizes)


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
