"""Which steps may start: told what finished, it answers what is ready. No I/O, no clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WAITING, _OUT, _DONE, _BLOCKED = range(4)


class ReadyQueue:
    """Steps by number, each ready once the steps it needs are done.

    ``needs[step]`` lists the steps that ``step`` needs; those must have smaller numbers, so the
    order of the plan is one. Every step handed out comes back by exactly one of ``done``,
    ``failed`` and ``again``. The whole costs one visit per step and edge.
    """

    def __init__(self, needs: Sequence[Sequence[int]]) -> None:
        self._state = bytearray(len(needs))
        self._missing = [0] * len(needs)
        self._dependents: list[list[int]] = [[] for _ in needs]
        self._waiters: dict[int, list[int]] = {}
        self._made = bytearray(len(needs))
        for step, needed in enumerate(needs):
            unique = set(needed)
            self._missing[step] = len(unique)
            for each in unique:
                self._dependents[each].append(step)
        self.left = len(needs)

    def start(self) -> list[int]:
        """The steps that need nothing."""
        return self._hand_out(step for step, missing in enumerate(self._missing) if not missing)

    def done(self, step: int) -> list[int]:
        """``step`` has its result; the steps that may start now."""
        self._state[step] = _DONE
        self.left -= 1
        released = self._waiters.pop(step, [])
        if not self._made[step]:
            self._made[step] = True
            released = [*released, *self._dependents[step]] if released else self._dependents[step]
        ready = []
        missing, state = self._missing, self._state
        for each in released:
            missing[each] = left = missing[each] - 1
            if not left and state[each] == _WAITING:
                state[each] = _OUT
                ready.append(each)
        return ready

    def failed(self, step: int) -> list[int]:
        """``step`` will have no result; the steps that can't run for it, nearest first."""
        self._state[step] = _BLOCKED
        self.left -= 1
        blocked: list[int] = []
        front = [step]
        while front:
            reached = [
                each
                for done in front
                for each in (*self._dependents[done], *self._waiters.pop(done, ()))
            ]
            front = []
            for each in reached:
                if self._state[each] == _WAITING:
                    self._state[each] = _BLOCKED
                    self.left -= 1
                    front.append(each)
            blocked += front
        return blocked

    def again(self, step: int, needed: Sequence[int]) -> list[int]:
        """``step`` must wait until ``needed``, done before, are done again; those to start now."""
        self._state[step] = _WAITING
        for each in needed:
            self._waiters.setdefault(each, []).append(step)
            self._missing[step] += 1
        anew = [each for each in needed if self._state[each] == _DONE]
        self.left += len(anew)
        return self._hand_out(anew)

    def below(self, steps: Iterable[int]) -> set[int]:
        """All steps that need one of these, directly or not, and have yet to begin."""
        front, found = list(steps), set[int]()
        while front:
            for each in self._dependents[front.pop()]:
                if each not in found and self._state[each] == _WAITING:
                    found.add(each)
                    front.append(each)
        return found

    def _hand_out(self, steps: Iterable[int]) -> list[int]:
        handed = list(steps)
        for step in handed:
            self._state[step] = _OUT
        return handed
