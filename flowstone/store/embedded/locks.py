"""The lock files as a user process holds them: never by a forked child, and told by pid."""

from __future__ import annotations

import os
import re
from pathlib import Path

from flowstone.store.embedded import guardian

_LOCKS = Path("/proc/locks")
_HELD = re.compile(r"\d+: FLOCK +\w+ +\w+ (\d+) (\w+):(\w+):(\d+) ")

_descriptors: set[int] = set()


def opened(base: str, name: str) -> int:
    """Open the lock file ``name`` of the folder ``base``, not for children, however made."""
    fd = guardian.open_lock(base, name)
    _descriptors.add(fd)
    return fd


def close(fd: int) -> None:
    """Close what ``opened`` gave, and let the lock go with it."""
    _descriptors.discard(fd)
    os.close(fd)


def close_all() -> None:
    """Close every lock file, in a forked child: it shares its parent's locks and may outlive it."""
    while _descriptors:
        os.close(_descriptors.pop())


def holders(path: Path) -> tuple[int, ...] | None:
    """The pids of the processes that hold the lock file; None if this machine can't tell."""
    try:
        lines = _LOCKS.read_text().splitlines()
    except OSError:
        return None
    try:
        found = path.stat()
    except OSError:
        return ()
    place = (os.major(found.st_dev), os.minor(found.st_dev), found.st_ino)
    held = [match.groups() for line in lines if (match := _HELD.match(line))]
    return tuple(sorted({int(pid) for pid, *file in held if _place(*file) == place}))


def _place(major: str, minor: str, inode: str) -> tuple[int, int, int]:
    return int(major, 16), int(minor, 16), int(inode)
