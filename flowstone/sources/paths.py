"""What input files and folders hold, as digests of their content."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import anyio

from flowstone.core.hashing import combine, content_digest_of
from flowstone.sources.remembered import Remembered, mark
from flowstone.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

F = TypeVar("F", bound="_File | None")

_THREADS = 4
_WORTH_A_THREAD = 1 << 25
_TRIES = 5
_CHUNK = 1 << 20
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_GONE = (FileNotFoundError, NotADirectoryError)
_SHORT = 8


@dataclass(frozen=True, slots=True)
class Content:
    """What a path holds: its digest, and the path, size and short digest in words.

    ``error`` is empty, or says why there is no digest. ``size`` is in bytes, of all files together.
    """

    digest: str
    shown: str
    error: str = ""
    size: int = 0


async def contents(
    paths: Iterable[Path], cache: Path, *, clock: Callable[[], int] = time.time_ns
) -> dict[Path, Content]:
    """What each path holds now: a file its content, a folder the files in it, or nothing.

    A folder counts by the relative paths and contents of its regular files, at any depth, hidden
    ones too; links are followed, and a link to nothing counts as such. Empty folders, sockets and
    pipes don't count. A missing path has the digest of all missing ones. Each file is read once,
    by a few threads, and again if it changed meanwhile. Being cancelled, it leaves the threads to
    end by themselves, after the file they are at.

    Args:
        paths: relative ones start at the working folder.
        cache: the folder where digests are remembered; made if needed.
        clock: gives the time in nanoseconds since 1970.
    """
    wanted = list(dict.fromkeys(paths))
    if not wanted:
        return {}
    limiter = anyio.CapacityLimiter(_THREADS)
    remembered = await in_thread(Remembered, cache, clock, limiter=limiter)
    trees = await in_thread(_trees, wanted, limiter=limiter)
    reading = _Reading(remembered, {file for tree in trees for file in tree.files.values()})
    await in_thread(reading.recall, limiter=limiter)
    try:
        async with anyio.create_task_group() as group:
            for _ in range(reading.threads):
                group.start_soon(partial(in_thread, reading.work, limiter=limiter))
    finally:
        reading.todo.clear()
    await in_thread(remembered.save, limiter=limiter)
    return {tree.path: _content(tree, reading.found) for tree in trees}


def content(path: Path, remembered: Remembered) -> Content:
    """What one path holds now, as ``contents`` says it, read in the calling thread."""
    tree = _tree(path)
    reading = _Reading(remembered, tree.files.values())
    reading.recall()
    reading.work()
    return _content(tree, reading.found)


class _UnreadableError(Exception):
    """A path whose content can't be told; the message says which and why."""

    @classmethod
    def of(cls, location: str, error: OSError | ValueError) -> _UnreadableError:
        """The error with its path and reason."""
        reason = getattr(error, "strerror", None) or error
        return cls(f"can't read {location!r}: {reason}")


@dataclass(slots=True)
class _Tree:
    """A path and the files to be read for it, by relative path."""

    path: Path
    is_folder: bool = False
    files: dict[str, str] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class _File:
    """What was read of a file: no digest if there is none, or ``error``."""

    digest: str | None
    size: int = 0
    error: str = ""


class _Reading:
    """Files to be read, which several threads take one by one."""

    def __init__(self, remembered: Remembered, files: Iterable[str]) -> None:
        self._remembered = remembered
        self._size = 0
        self.todo = sorted(files, reverse=True)
        self.found: dict[str, _File] = {}

    @property
    def threads(self) -> int:
        """How many threads the rest is worth: reading small files, they hinder each other."""
        return min(len(self.todo), self._size // _WORTH_A_THREAD + 1, _THREADS)

    def recall(self) -> None:
        """Take what is remembered; only the rest is worth threads."""
        found = ((location, self._file(location, self._known)) for location in self.todo)
        self.found = {location: file for location, file in found if file is not None}
        self.todo = [location for location in self.todo if location not in self.found]

    def work(self) -> None:
        """Read files until none is left."""
        while True:
            try:
                location = self.todo.pop()
            except IndexError:
                return
            self.found[location] = self._file(location, self._read)

    def _file(self, location: str, look: Callable[[str], F]) -> F | _File:
        try:
            return look(location)
        except _GONE:
            return _File(None)
        except (OSError, ValueError) as error:
            return _File(None, error=str(_UnreadableError.of(location, error)))

    def _known(self, location: str) -> _File | None:
        status = os.stat(location)  # noqa: PTH116 - called for every file, and twice as fast
        digest = self._remembered.get(location, status)
        if digest is None:
            self._size += status.st_size
            return None
        return _File(digest, status.st_size)

    def _read(self, location: str) -> _File:
        for _ in range(_TRIES):
            with open(location, "rb", buffering=0, opener=_open) as file:
                before = os.fstat(file.fileno())
                if not stat.S_ISREG(before.st_mode):
                    return _File(None, error=f"{location!r} is neither a file nor a folder")
                settled = self._remembered.is_settled(before)
                digest = content_digest_of(iter(partial(file.read, _CHUNK), b""))
                after = os.fstat(file.fileno())
            if mark(before) == mark(after):
                if settled:
                    self._remembered.add(location, after, digest)
                return _File(digest, after.st_size)
        return _File(None, error=f"{location!r} keeps changing while it is read; try again later")


def _open(location: str, _flags: int) -> int:
    return os.open(location, _READ)  # does not wait for the writer of a pipe


def _trees(paths: list[Path]) -> list[_Tree]:
    return [_tree(path) for path in paths]


def _tree(path: Path) -> _Tree:
    location = str(path.absolute())
    try:
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode):
            return _Tree(path, files={"": location})
        return _Tree(path, is_folder=True, files=dict(_walk(location, status)))
    except _GONE:
        return _Tree(path)
    except _UnreadableError as error:
        return _Tree(path, error=str(error))
    except (OSError, ValueError) as error:
        return _Tree(path, error=str(_UnreadableError.of(location, error)))


#: A folder to look through: what comes before its names, its location, and it and those above it.
_Folder: TypeAlias = tuple[str, str, tuple[tuple[int, int], ...]]


def _walk(root: str, status: os.stat_result) -> Iterator[tuple[str, str]]:
    """The files below a folder: relative path with ``/``, and location."""
    todo: list[_Folder] = [("", root, (_identity(status),))]
    while todo:
        prefix, folder, above = todo.pop()
        for entry in _entries(folder):
            try:
                if entry.is_dir():
                    identity = _identity(entry.stat())
                    if identity in above:
                        raise _UnreadableError(f"folder {entry.path!r} contains itself; unlink it")
                    todo.append((f"{prefix}{entry.name}/", entry.path, (*above, identity)))
                elif entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists()):
                    yield prefix + entry.name, entry.path
            except FileNotFoundError:  # it went away meanwhile
                continue
            except OSError as error:
                raise _UnreadableError.of(entry.path, error) from None


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _UnreadableError.of(folder, error) from None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _content(tree: _Tree, found: dict[str, _File]) -> Content:
    files = {name: found[location] for name, location in sorted(tree.files.items())}
    error = tree.error or next((file.error for file in files.values() if file.error), "")
    if error:
        return Content("", f"{tree.path} (unreadable)", error)
    total = sum(file.size for file in files.values())
    size = f"{total:,} bytes"
    if tree.is_folder:
        digest = combine(
            "folder", *(p for name, file in files.items() for p in (name, file.digest))
        )
        return Content(
            digest, f"{tree.path} ({len(files):,} files, {size}, {digest[:_SHORT]})", size=total
        )
    found_digest = files[""].digest if files else None
    if found_digest is None:
        return Content(combine("absent"), f"{tree.path} (absent)")
    shown = f"{tree.path} ({size}, {found_digest[:_SHORT]})"
    return Content(combine("file", found_digest), shown, size=total)
