"""Bytes in files named by their digest: written once, never changed."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from flowstone.core.hashing import content_digest, content_digest_of
from flowstone.errors import ValueLostError, ValueStoreError
from flowstone.sources.remembered import mark
from flowstone.values.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_DIGEST = re.compile(r"[0-9a-f]{40}")
_FILE_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.EISDIR}
_CHUNK = 1 << 20
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class DigestFiles:
    """The files below ``root``: ``root/ab/<digest>``, readable by their owner only.

    A file appears whole or not at all: it is written aside, flushed to the disk and renamed. Any
    number of threads and processes may write the same bytes at once.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def aside(self) -> Path:
        """The folder for files that are being written, made if needed.

        Raises ValueStoreError, naming the folder, if the disk refuses.
        """
        with self._told():
            _make_folder(self._root)
        return self._root

    @contextlib.contextmanager
    def sink(self, limit: int) -> Iterator[Sink]:
        """What takes a value's bytes: up to ``limit`` in memory, more in a file aside.

        Raises ValueStoreError if the disk refuses; no partial file stays.
        """
        with self._told(), Sink(limit, self.aside) as sink:
            yield sink

    def keep(self, sink: Sink) -> None:
        """Keep what was written to a file aside; when this returns it survives a crash.

        A file that holds the same bytes already is left alone, a damaged one is replaced. Raises
        ValueStoreError, naming the folder, if the disk refuses.
        """
        path = self._path(sink.digest)
        with self._told():
            sink.settle()
            if sink.aside is not None and not _holds(path, sink.digest, sink.size):
                _make_folder(path.parent)
                _moved(sink.aside, path)
            # On reuse too: the process that made the file may not have come this far.
            _flush_folder(path.parent)
            _flush_folder(self._root)

    @contextlib.contextmanager
    def open(self, digest: str, size: int) -> Iterator[BinaryIO]:
        """Open a file for the time of the block, when its bytes are checked.

        Raises ValueLostError if the file is missing, no regular file, holds other bytes, or is
        changed within the block; ValueStoreError if it can't be read.
        """
        path = self._path(digest)
        try:
            file = _opened(path)
        except OSError as error:
            if error.errno in _FILE_GONE:
                raise ValueLostError(
                    f"value {digest} is missing from {str(self._root)!r}"
                ) from None
            raise self._unreadable(path, error) from error
        with file:
            before = os.fstat(file.fileno())
            if not self._is_whole(file, before, digest, size):
                raise ValueLostError(f"value file {str(path)!r} doesn't hold what was recorded")
            yield file
            if mark(os.fstat(file.fileno())) != mark(before):
                raise ValueLostError(f"value file {str(path)!r} was changed while it was read")

    def read(self, digest: str, size: int) -> bytes:
        """Give the bytes, checked once they are in memory; raises what ``open`` does."""
        with self.open(digest, size) as file:
            data = file.read()
        if content_digest(data) != digest:
            raise ValueLostError(f"value {digest} was changed while it was read")
        return data

    def _is_whole(self, file: BinaryIO, status: os.stat_result, digest: str, size: int) -> bool:
        try:
            return _is_regular(status, size) and _digest_of(file) == digest
        except OSError as error:
            raise self._unreadable(Path(file.name), error) from error

    def _unreadable(self, path: Path, error: OSError) -> ValueStoreError:
        reason = error.strerror or type(error).__name__
        return ValueStoreError(f"can't read value file {str(path)!r}: {reason}")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ValueStoreError(
                f"can't write to the value store {str(self._root)!r}: {reason}"
            ) from error

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
        with _opened(path) as file:
            return _is_regular(os.fstat(file.fileno()), size) and _digest_of(file) == digest
    except OSError:
        return False


def _opened(path: Path) -> BinaryIO:
    with _entered(path.parent) as folder:
        return open(path, "rb", opener=lambda _, __: os.open(path.name, _READ, dir_fd=folder))


def _moved(aside: Path, path: Path) -> None:
    with _entered(path.parent) as folder:
        os.replace(aside, path.name, dst_dir_fd=folder)


@contextlib.contextmanager
def _entered(folder: Path) -> Iterator[int]:
    """A folder of the store; not one that a link leads to, for that may lie anywhere."""
    descriptor = os.open(folder, _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is_regular(status: os.stat_result, size: int) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_size == size


def _digest_of(file: BinaryIO) -> str:
    """The digest of a file from its start, to which it returns."""
    file.seek(0)
    digest = content_digest_of(iter(partial(file.read, _CHUNK), b""))
    file.seek(0)
    return digest


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
