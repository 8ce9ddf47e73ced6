"""Content digests remembered from plan to plan, so that files that did not change aren't read."""

from __future__ import annotations

import contextlib
import functools
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from flowstone.core.hashing import content_digest

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

#: What a file looks like from outside: device, inode, size, and times of change in nanoseconds.
Mark: TypeAlias = tuple[int, ...]

#: Nanoseconds within which two changes may leave a file with the same times; FAT has the longest.
GRANULARITY = 2_000_000_000

_FILE = "inputs.json"
_FORM = 1
_MOST_ENTRIES = 250_000


class Remembered:
    """Digests of files by absolute path, kept in ``folder``; they hold as long as the mark does.

    A mark is proof only if the file had been left alone for longer than ``GRANULARITY`` when it
    was read: an edit in the same instant as the one before may leave the mark as it was. What is
    younger, or claims to be of the future, is not remembered. A damaged or unwritable file costs
    time, never more. Threads may share an instance.
    """

    def __init__(self, folder: Path, clock: Callable[[], int] = time.time_ns) -> None:
        self._file = folder / _FILE
        self._clock = clock
        self._new: dict[str, tuple[Mark, str]] = {}

    @functools.cached_property
    def _known(self) -> dict[str, tuple[Mark, str]]:
        return _read(self._file)

    def get(self, path: str, status: os.stat_result) -> str | None:
        """The digest of the file if it is known for certain."""
        known = self._known.get(path)
        return known[1] if known is not None and known[0] == mark(status) else None

    def is_settled(self, status: os.stat_result) -> bool:
        """Whether any edit from now on would show in the file's mark."""
        return max(status.st_mtime_ns, status.st_ctime_ns) + GRANULARITY < self._clock()

    def add(self, path: str, status: os.stat_result, digest: str) -> None:
        """Remember a digest of content read while the file was settled and kept its mark."""
        self._new[path] = (mark(status), digest)

    def save(self) -> None:
        """Write down what is new, beside what other processes have written meanwhile."""
        if not self._new:
            return
        merged = _read(self._file) | self._new
        if len(merged) > _MOST_ENTRIES:
            merged = self._new
        with contextlib.suppress(OSError):
            _replace(self._file, _written(merged))


def mark(status: os.stat_result) -> Mark:
    """A file's mark; any edit that the file system dates changes it."""
    changed = (status.st_mtime_ns, status.st_ctime_ns)
    return (status.st_dev, status.st_ino, status.st_size, *changed)


def _written(entries: dict[str, tuple[Mark, str]]) -> bytes:
    """A line with the digest of the next line, which holds the entries."""
    body = json.dumps(entries, separators=(",", ":")).encode()
    head = {"form": _FORM, "digest": content_digest(body)}
    return json.dumps(head).encode() + b"\n" + body


def _read(file: Path) -> dict[str, tuple[Mark, str]]:
    try:
        first, _, body = file.read_bytes().partition(b"\n")
        if json.loads(first) != {"form": _FORM, "digest": content_digest(body)}:
            return {}
        entries = json.loads(body).items()
        return {path: (tuple(numbers), digest) for path, (numbers, digest) in entries}
    except (OSError, ValueError, RecursionError):
        return {}


def _replace(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(prefix=".aside-", dir=file.parent)
    try:
        with open(descriptor, "wb") as written:  # noqa: PTH123 - opened by its descriptor
            written.write(data)
        Path(aside).replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(aside).unlink()
        raise
