"""Bytes on their way into the store: digested as they are written, in a file once they are many."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from flowstone.core.hashing import content_hasher

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer


class Sink:
    """A file to be written from front to end, which no codec can close.

    Up to ``limit`` bytes are held in memory, more go to a file aside in ``folder()``. Leaving the
    ``with`` block removes that file, unless it has been moved. ``error`` is what stopped a write.
    """

    closed = False

    def __init__(self, limit: int, folder: Callable[[], Path]) -> None:
        self._limit, self._folder = limit, folder
        self._file: BinaryIO | None = None
        self.error: OSError | None = None
        self._hasher = content_hasher()
        self._held = bytearray()
        self._origin = 0
        self.aside: Path | None = None
        self.size = 0

    def begin(self) -> None:
        """A file of its own begins here: ``tell`` and ``reader`` know nothing of what is before."""
        self._origin = self.size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
        if self.aside is not None:
            with contextlib.suppress(OSError):
                self.aside.unlink()

    def clear(self) -> None:
        """Begin anew: another codec has its turn.

        Raises the OSError that stopped the one before, which it may have taken for its own.
        """
        if self.error is not None:
            raise self.error
        self._hasher = content_hasher()
        self._origin = 0
        self._held = bytearray()
        self.size = 0
        if self._file is not None:
            self._file.seek(0)
            self._file.truncate()

    @property
    def digest(self) -> str:
        """The content digest of what was written."""
        return self._hasher.hexdigest()

    @property
    def held(self) -> bytes | None:
        """The bytes, or None if they went to the file aside."""
        return None if self._file is not None else bytes(self._held)

    def write(self, data: Buffer) -> int:
        """Append bytes; gives how many."""
        view = memoryview(data).cast("B")
        self._hasher.update(view)
        self.size += len(view)
        try:
            if self._file is None and self.size > self._limit:
                self._spill()
            if self._file is not None:
                self._file.write(view)
            else:
                self._held += view
        except OSError as error:
            self.error = error
            raise
        return len(view)

    def tell(self) -> int:
        """How many bytes were written since ``begin``."""
        return self.size - self._origin

    def flush(self) -> None:
        """Have readers see all that was written."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Called by codecs when they are done; does nothing."""

    def writable(self) -> bool:
        """It is."""
        return True

    def readable(self) -> bool:
        """It is not; see ``reader``."""
        return False

    def seekable(self) -> bool:
        """It is not."""
        return False

    def reader(self) -> BinaryIO:
        """What was written since ``begin``, as a file to be closed."""
        self.flush()
        if self.aside is None:
            return io.BytesIO(bytes(self._held[self._origin :]))
        file = self.aside.open("rb")
        return reading(file, self._origin, self.tell(), owned=True) if self._origin else file

    def settle(self) -> None:
        """Have the file aside survive a crash of the machine."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def _spill(self) -> None:
        descriptor, aside = tempfile.mkstemp(prefix=".aside-", dir=self._folder())
        self.aside = Path(aside)
        self._file = open(descriptor, "wb")  # noqa: PTH123, SIM115 - by descriptor, closed at exit
        self._file.write(self._held)
        self._held = bytearray()


class Region(io.RawIOBase):
    """A part of a file as a file of its own, to be read; an ``owned`` file is closed with it."""

    def __init__(self, file: BinaryIO, start: int, size: int, *, owned: bool) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0
        self._owned = owned

    def close(self) -> None:
        """Close it, and the file if that is owned."""
        super().close()
        if self._owned:
            self._file.close()

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the region."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        """The place in the region."""
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        """Read on, to the end of the region at most."""
        view = memoryview(buffer).cast("B")
        self._file.seek(self._start + self._at)
        wanted = view[: max(self._size - self._at, 0)]
        read: int = cast("io.BufferedReader", self._file).readinto(wanted)
        self._at += read
        return read


def reading(file: BinaryIO, start: int, size: int, *, owned: bool = False) -> BinaryIO:
    """A part of an open file as a file; closing it leaves that open unless it is ``owned``."""
    return cast("BinaryIO", io.BufferedReader(Region(file, start, size, owned=owned)))
