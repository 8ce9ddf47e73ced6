"""Which process holds a lease, and whether another one on this machine is gone."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import NamedTuple

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE = Path("/proc/self/ns/pid")
#: Fields of ``/proc/<pid>/stat`` behind the name of the program: the state, the start in ticks.
_STATE, _START = 0, 19
_ENDED = frozenset("ZXx")


class Process(NamedTuple):
    """A process as others on its machine can look for it.

    ``boot`` is one boot of one machine, and of the pids one sees there; None where that can't be
    told. ``start`` is in clock ticks since that boot.
    """

    boot: str | None
    pid: int
    start: int | None


class Here:
    """The runs of this process that hold a lease.

    One that ended without giving it up, because the database was away, is ``over``: nobody waits
    for its lease to run out.
    """

    def __init__(self) -> None:
        self._holding: set[str] = set()
        self.over: set[str] = set()

    def began(self, run_id: str) -> None:
        """A run has taken its lease."""
        self._holding.add(run_id)
        self.over.discard(run_id)

    def gave_up(self, run_id: str) -> None:
        """The lease of a run is gone."""
        self._holding.discard(run_id)
        self.over.discard(run_id)

    def ended(self, run_id: str) -> None:
        """A run has ended, whether it gave up its lease or not."""
        if run_id in self._holding:
            self.over.add(run_id)


here = Here()


def this_process() -> Process:
    """The process that asks."""
    pid = os.getpid()
    return Process(_boot(), pid, _start_of(pid))


def is_gone(process: Process) -> bool:
    """Whether the process surely has ended; False where this machine can't tell.

    Pids are used again, so the moment it started counts too. A process that was killed and that
    its parent has not asked after (a zombie) has ended.
    """
    if process.boot is None or process.start is None or process.boot != _boot():
        return False
    return _start_of(process.pid) != process.start


@functools.cache
def _boot() -> str | None:
    try:
        return f"{_BOOT.read_text('ascii').strip()} {_NAMESPACE.readlink()}"
    except OSError:
        return None


def _start_of(pid: int) -> int | None:
    """When a process that lives started; None if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    # the name of the program may hold anything, parentheses too
    fields = text.rpartition(")")[2].split()
    return None if fields[_STATE] in _ENDED else int(fields[_START])
