"""Many histories, one after another, and what came of them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from tests.simulation.history import History, calm
from tests.simulation.network import Weather
from tests.simulation.world import ViolationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.simulation.history import Script
    from tests.simulation.network import Bad, Fault


@dataclass
class Trials:
    """How many histories there were, with how many functions called, and which went wrong.

    ``seconds`` are those of the processor, which others may want at the same time.
    ``violations`` has the history by its seed and, in a sweep, the number of the call that failed
    and how.
    """

    histories: int = 0
    calls: int = 0
    executed: int = 0
    recorded: int = 0
    seconds: float = 0.0
    violations: dict[str, History] = field(default_factory=dict)

    def add(self, label: str, history: History) -> bool:
        """Have a history happen; whether all was well."""
        began = time.process_time()
        try:
            history.run()
        except ViolationError:
            self.violations[label] = history
        self.seconds += time.process_time() - began
        self.histories += 1
        self.calls += history.network.calls
        self.executed += history.watch.count
        self.recorded += len(history.watch.truth)
        return label not in self.violations

    def __iadd__(self, other: Trials) -> Self:
        """These and those."""
        self.histories += other.histories
        self.calls += other.calls
        self.executed += other.executed
        self.recorded += other.recorded
        self.seconds += other.seconds
        self.violations |= other.violations
        return self

    def __str__(self) -> str:
        """The figures on one line."""
        rate = self.histories / self.seconds * 60 if self.seconds else 0.0
        return (
            f"histories={self.histories:,} violations={len(self.violations)}"
            f" store_calls={self.calls:,} executed={self.executed:,} recorded={self.recorded:,}"
            f" histories_per_minute={rate:,.0f}"
        )


def trials(seeds: Iterable[int], bad: Bad | None = None) -> Trials:
    """A history for each seed."""
    found = Trials()
    for seed in seeds:
        found.add(f"seed {seed}", History(seed, bad=bad))
    return found


def sweep(seed: int) -> Trials:
    """A calm history again and again, in which the n-th call fails: each n, in both ways."""
    found = Trials()
    whole = History(seed, calm(seed))
    found.add(f"seed {seed}", whole)
    for number, fault in _each(whole.network.calls):
        history = History(seed, _failing(calm(seed), number, fault))
        found.add(f"seed {seed}, call {number} fails {fault}", history)
    return found


def _each(calls: int) -> Iterator[tuple[int, Fault]]:
    for number in range(1, calls + 1):
        yield number, "before"
        yield number, "after"


def _failing(script: Script, number: int, fault: Fault) -> Script:
    return replace(script, weather=Weather(single=(number, fault)))
