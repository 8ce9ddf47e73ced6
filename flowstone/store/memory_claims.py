"""Leases, claims, slots and hearts in memory: what ``MemoryStore`` knows of who may record."""

from __future__ import annotations

import datetime as dt
import functools
from collections import Counter
from typing import TYPE_CHECKING, TypeAlias

from flowstone.core.records import Claim
from flowstone.errors import RunLostError
from flowstone.store.base import LEASE_SECONDS
from flowstone.store.pools import CATCH_UP_SECONDS, admitted

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable, Sequence

    from flowstone.store.base import Told
    from flowstone.store.rows import Key

Slot: TypeAlias = "tuple[str, str, str, str | None]"


class MemoryClaims:
    """Who may record what, on one clock."""

    def __init__(self, clock: Callable[[], dt.datetime]) -> None:
        self._clock = clock
        self._leases: dict[str, dt.datetime] = {}
        self._cancelled: set[str] = set()
        self._hearts: dict[str, Callable[[Told], object]] = {}
        self._claims: dict[Key, str] = {}
        self._fences: Counter[Key] = Counter()
        self._slots: dict[Slot, None] = {}
        self._next_at: dict[str, dt.datetime] = {}

    def lease(self, run_id: str) -> None:
        """Give a run its lease, or renew it."""
        self._leases[run_id] = self._clock() + dt.timedelta(seconds=LEASE_SECONDS)

    def renew(self, run_id: str) -> bool:
        """Renew a run's lease; whether it has one."""
        if run_id not in self._leases:
            return False
        self.lease(run_id)
        return True

    def is_alive(self, run_id: str) -> bool:
        """Whether a run's lease has not run out."""
        return run_id in self._leases and self._leases[run_id] > self._clock()

    def require(self, run_id: str) -> None:
        """Raise ``RunLostError`` for a run without a lease."""
        if run_id not in self._leases:
            msg = f"run {run_id} was taken for dead by another process; run again"
            raise RunLostError(msg)

    def bury(self, but: str) -> list[str]:
        """Take their leases from the dead, apart from one run; which these are."""
        moment = self._clock()
        dead = [r for r, until in self._leases.items() if until < moment and r != but]
        for run_id in dead:
            self.give_up(run_id)
            self._hearts.pop(run_id, _nobody)("lost")
        return dead

    def give_up(self, run_id: str) -> None:
        """Take all from a run that it had."""
        del self._leases[run_id]
        self._cancelled.discard(run_id)
        self._slots = {slot: None for slot in self._slots if slot[1] != run_id}

    def cancel(self, run_id: str) -> bool:
        """Ask a run to stop; whether it is alive."""
        if run_id not in self._leases:
            return False
        self._cancelled.add(run_id)
        self._hearts.get(run_id, _nobody)("cancel")
        return True

    def is_cancelled(self, run_id: str) -> bool:
        """Whether a run is asked to stop."""
        return run_id in self._cancelled

    def heart(self, run_id: str, told: Callable[[Told], object]) -> MemoryHeart:
        """A heart for a run."""
        self._hearts[run_id] = told
        forget = functools.partial(self._hearts.pop, run_id, None)
        return MemoryHeart(functools.partial(self.renew, run_id), forget)

    def claim(self, run_id: str, key: Key, current: uuid.UUID | None) -> Claim:
        """The answer to a run that asks for a claim."""
        holder = self.holder(key)
        granted = holder in (None, run_id)
        if granted:
            self._claims[key] = holder = run_id
            self._fences[key] += 1
        return Claim(key[0], holder, current, self._fences[key], granted=granted)

    def holder(self, key: Key) -> str | None:
        """The run that has a claim."""
        holder = self._claims.get(key)
        return holder if holder in self._leases else None

    def free(self, run_id: str, key: Key) -> None:
        """Free a run's claim, if it has it."""
        if self._claims.get(key) == run_id:
            del self._claims[key]

    def leave(self, run_id: str, key: Key, pool: str | None = None) -> None:
        """Free a step's slots, in one pool or all."""
        for slot in [slot for slot in self._slots if slot[1:] == (run_id, *key)]:
            if pool in (None, slot[0]):
                del self._slots[slot]

    def enter(
        self, pool: str, size: int | None, wanted: Sequence[Slot], interval: float | None
    ) -> list[Slot]:
        """Take slots of a pool, as many as there is room and time for; those that are taken."""
        within = sum(slot[0] == pool for slot in self._slots)
        asked = [slot for slot in wanted if slot not in self._slots]
        since = self._since(pool)
        entering = asked[: admitted(size, within, interval, since)]
        if entering and interval:
            ahead = interval * len(entering) - min(since, CATCH_UP_SECONDS)
            self._next_at[pool] = self._clock() + dt.timedelta(seconds=ahead)
        self._slots |= dict.fromkeys(entering)
        return [slot for slot in wanted if slot in self._slots]

    def _since(self, pool: str) -> float:
        next_at = self._next_at.get(pool)
        return CATCH_UP_SECONDS if next_at is None else (self._clock() - next_at).total_seconds()


class MemoryHeart:
    """A ``Heart`` without a thread: who asks whether it is trusted renews the lease."""

    def __init__(self, renew: Callable[[], bool], forget: Callable[[], object]) -> None:
        self._renew, self._forget = renew, forget

    @property
    def trusted(self) -> bool:
        """Whether the run has its lease, which is renewed."""
        return self._renew()

    def stop(self) -> None:
        """Hear nothing more."""
        self._forget()


def _nobody(told: Told) -> None:
    """There is no heart to tell."""
