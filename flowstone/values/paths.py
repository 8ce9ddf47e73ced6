"""Files and folders that are themselves the asset: one that returns a ``pathlib.Path``.

A folder counts by the relative paths and contents of the files in it, as an input path does: at
any depth, links followed, empty folders not counting.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from flowstone.core.hashing import content_digest_of
from flowstone.core.records import ValuePointer
from flowstone.core.text import safe_repr
from flowstone.errors import UnserializableValueError, ValueLostError, ValueStoreError
from flowstone.sources.paths import content
from flowstone.sources.remembered import mark

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.sources.remembered import Remembered

CODEC = "path"
FOLDER = "folder"
_SHOWN = 200
_CHUNK = 1 << 20


def point_at(path: Path, remembered: Remembered) -> ValuePointer:
    """Give the pointer to the file or folder at ``path``, with the digest of what it holds now.

    Raises UnserializableValueError if there is neither, or something in it can't be read.
    """
    if type(path) is not type(Path()):
        raise UnserializableValueError(
            f"path {_told(path)} is a {type(path).__name__}; return a plain pathlib.Path"
        )
    location = path.absolute()
    if not _is_utf8(str(location)):
        raise UnserializableValueError(
            f"path {_told(path)} is not valid UTF-8, so it can't be recorded; rename the file"
        )
    try:
        status = location.stat()
        if stat.S_ISDIR(status.st_mode):
            return _point_at_folder(location, remembered)
        if not stat.S_ISREG(status.st_mode):
            raise UnserializableValueError(
                f"path {_told(path)} is neither a file nor a folder; return the path of one"
            )
        digest, size = _digest_and_size(location)
    except FileNotFoundError:
        raise UnserializableValueError(
            f"path {_told(path)} was returned, but no such file exists; write it first"
        ) from None
    except (OSError, ValueError) as error:  # the latter for NUL
        raise UnserializableValueError(
            f"path {_told(path)} can't be read: {getattr(error, 'strerror', None) or error}"
        ) from error
    return ValuePointer(codec=CODEC, size=size, content_digest=digest, location=str(location))


def _point_at_folder(location: Path, remembered: Remembered) -> ValuePointer:
    held = content(location, remembered)
    if held.error:
        raise UnserializableValueError(f"folder {_told(location)}: {held.error[:_SHOWN]}")
    return ValuePointer(
        codec=FOLDER, size=held.size, content_digest=held.digest, location=str(location)
    )


def _told(path: Path) -> str:
    """A path in a message: not more of it than tells it apart."""
    return safe_repr(str(path), _SHOWN)


def is_present(pointer: ValuePointer) -> bool:
    """Say whether a file of the recorded size is there."""
    try:
        status = Path(pointer.location or "").stat()
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == pointer.size


def is_unchanged(pointer: ValuePointer, remembered: Remembered) -> bool:
    """Say whether the file still holds what was recorded; it is read unless that is remembered."""
    path = Path(pointer.location or "")
    if pointer.codec == FOLDER:
        return path.is_dir() and content(path, remembered).digest == pointer.content_digest
    if not is_present(pointer):
        return False
    try:
        status = path.stat()
        settled = remembered.is_settled(status)
        digest = remembered.get(str(path), status)
        if digest is None:
            digest, _ = _digest_and_size(path)
            if settled and mark(path.stat()) == mark(status):
                remembered.add(str(path), status, digest)
    except OSError:
        return False
    return digest == pointer.content_digest


def checked(pointer: ValuePointer, unknown: Remembered) -> Path:
    """Give the absolute path of a file or folder that still has the recorded content.

    ``unknown`` remembers nothing, so that all is read.

    Raises ValueLostError if it is missing or edited, ValueStoreError if it can't be read.
    """
    if not pointer.location:
        raise ValueLostError("the pointer names no file")
    path = Path(pointer.location)
    if pointer.codec == FOLDER:
        return _checked_folder(path, pointer, unknown)
    if not is_present(pointer):
        raise ValueLostError(f"file {_told(path)} is missing or has another size than recorded")
    try:
        digest, _ = _digest_and_size(path)
    except FileNotFoundError:
        raise ValueLostError(f"file {_told(path)} is missing") from None
    except OSError as error:
        raise ValueStoreError(f"can't read file {_told(path)}: {error.strerror}") from error
    if digest != pointer.content_digest:
        raise ValueLostError(f"file {_told(path)} was edited since it was recorded")
    return path


def _checked_folder(path: Path, pointer: ValuePointer, unknown: Remembered) -> Path:
    if not path.is_dir():
        raise ValueLostError(f"folder {_told(path)} is missing")
    held = content(path, unknown)
    if held.error:
        raise ValueStoreError(f"can't read folder {_told(path)}: {held.error[:_SHOWN]}")
    if held.digest != pointer.content_digest:
        raise ValueLostError(f"folder {_told(path)} was edited since it was recorded")
    return path


def _digest_and_size(path: Path) -> tuple[str, int]:
    sizes: list[int] = []

    def chunks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                sizes.append(len(chunk))
                yield chunk

    digest = content_digest_of(chunks())
    return digest, sum(sizes)


def _is_utf8(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
