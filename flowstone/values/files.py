"""Bytes in files named by their digest: written once, never changed."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import tempfile
from pathlib import Path

from flowstone.core.hashing import content_digest
from flowstone.errors import ValueLostError, ValueStoreError

_DIGEST = re.compile(r"[0-9a-f]{40}")
_FILE_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO}
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class DigestFiles:
    """The files below ``root``: ``root/ab/<digest>``, readable by their owner only.

    A file appears whole or not at all: it is written aside, flushed to the disk and renamed. Any
    number of threads and processes may write the same bytes at once.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, digest: str, data: bytes) -> None:
        """Keep ``data``; when this returns they survive a crash.

        A file that holds the same bytes already is left alone, a damaged one is replaced. Raises
        ValueStoreError, naming the folder, if the disk refuses; no partial file stays.
        """
        path = self._path(digest)
        try:
            if not _holds(path, digest, len(data)):
                _make_folder(path.parent)
                _write_aside_and_rename(path, data)
            # On reuse too: the process that made the file may not have come this far.
            _flush_folder(path.parent)
            _flush_folder(self._root)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ValueStoreError(
                f"can't write to the value store {str(self._root)!r}: {reason}"
            ) from error

    def read(self, digest: str, size: int) -> bytes:
        """Give the bytes, checked against ``digest`` and ``size``.

        Raises ValueLostError if the file is missing, no regular file, or holds other bytes, and
        ValueStoreError if it can't be read.
        """
        path = self._path(digest)
        try:
            data = _read_regular(path, size)
        except OSError as error:
            if error.errno in _FILE_GONE:
                raise ValueLostError(
                    f"value {digest} is missing from {str(self._root)!r}"
                ) from None
            reason = error.strerror or type(error).__name__
            raise ValueStoreError(f"can't read value file {str(path)!r}: {reason}") from error
        if data is None or content_digest(data) != digest:
            raise ValueLostError(f"value file {str(path)!r} doesn't hold what was recorded")
        return data

    def has(self, digest: str, size: int) -> bool:
        """Say whether a regular file of this size is there, without reading it."""
        try:
            status = os.lstat(self._location(digest))
        except (OSError, ValueLostError):
            return False
        return stat.S_ISREG(status.st_mode) and status.st_size == size

    def _path(self, digest: str) -> Path:
        return Path(self._location(digest))

    def _location(self, digest: str) -> str:
        # A digest comes from the database; only one that is really one may become a path.
        if not _DIGEST.fullmatch(digest):
            raise ValueLostError(f"{digest[:80]!r} is no digest of a value")
        return f"{self._root}/{digest[:2]}/{digest}"


def _holds(path: Path, digest: str, size: int) -> bool:
    try:
        data = _read_regular(path, size)
    except OSError:
        return False
    return data is not None and content_digest(data) == digest


def _read_regular(path: Path, size: int) -> bytes | None:
    """Give the content of a regular file of exactly ``size`` bytes, or None if it isn't one."""
    descriptor = os.open(path, _READ)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            return None
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(size + 1)
    finally:
        os.close(descriptor)


def _write_aside_and_rename(path: Path, data: bytes) -> None:
    descriptor, aside = tempfile.mkstemp(prefix=".aside-", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - opened by its descriptor
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(aside).unlink()
        raise


def _make_folder(folder: Path) -> None:
    """Make a folder of the store, and flush each parent that a new folder appeared in."""
    missing = [folder, *folder.parents]
    missing = missing[: next((n for n, path in enumerate(missing) if path.exists()), None)]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
        _flush_folder(path.parent)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
