"""What a fault is, what its trials found, and the table of all of them."""

from __future__ import annotations

import random
import statistics
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.world import World

    Trials: TypeAlias = "Callable[[World, int, int], Iterator[Trial]]"


@dataclass
class Trial:
    """What one trial did and found.

    ``recovery`` is in seconds, from the fault to the end of the run that made up for it. ``again``
    counts functions that were called once more. ``figures`` are further numbers of this fault.
    """

    what: str = ""
    violations: list[str] = field(default_factory=list)
    recovery: float | None = None
    again: int = 0
    figures: dict[str, float] = field(default_factory=dict)

    def expect(self, kept: object, otherwise: str) -> None:
        """Note a violation unless a promise was kept."""
        if not kept:
            self.violations.append(otherwise)


@dataclass(frozen=True)
class Fault:
    """A fault by its number: ``run`` makes trials of it, always the same for one seed.

    Sweeps go through all there is once; how many trials are wanted is nothing to them. ``share`` is
    the part of the trials wanted that is made of a fault whose trials take long.
    """

    number: int
    name: str
    run: Trials
    share: float = 1.0
    is_sweep: bool = False


@dataclass
class Row:
    """All trials of one fault."""

    fault: Fault
    seed: int
    trials: list[Trial] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def violations(self) -> list[str]:
        """What went wrong, each with the number of its trial."""
        return [
            f"fault {self.fault.number}, trial {number} ({trial.what}): {violation}"
            for number, trial in enumerate(self.trials)
            for violation in trial.violations
        ]

    @property
    def cells(self) -> list[str]:
        """The row of the table."""
        taken = [trial.recovery for trial in self.trials if trial.recovery is not None]
        again = [trial.again for trial in self.trials]
        return [
            str(self.fault.number),
            self.fault.name,
            str(len(self.trials)),
            str(len(self.violations)),
            f"{statistics.median(taken):.2f} s" if taken else "",
            f"{max(taken):.2f} s" if taken else "",
            f"{sum(again)} / {max(again)}" if taken and again else "",
            self._figures(),
            str(self.seed),
        ]

    def _figures(self) -> str:
        names = dict.fromkeys(name for trial in self.trials for name in trial.figures)
        told = []
        for name in names:
            found = [trial.figures[name] for trial in self.trials if name in trial.figures]
            told.append(f"{name} {statistics.median(found):g} / {max(found):g}")
        return ", ".join(told)


HEADER = [
    "#",
    "fault",
    "trials",
    "violations",
    "recovery, median",
    "max",
    "executed again, all / max",
    "figures, median / max",
    "seed",
]


def carry_out(row: Row, world: World, trials: int) -> Iterator[Trial]:
    """Make the trials of a fault, and put each into its row."""
    began = time.monotonic()
    wanted = max(1, round(trials * row.fault.share))
    for trial in row.fault.run(world, wanted, row.seed):
        row.trials.append(trial)
        row.seconds = time.monotonic() - began
        yield trial


def repeated(one: Callable[[World, random.Random], Trial]) -> Trials:
    """Trials of a fault that comes at random."""

    def run(world: World, trials: int, seed: int) -> Iterator[Trial]:
        for number in range(trials):
            try:
                yield one(world, chance(seed, number))
            except Exception as error:  # noqa: BLE001 - the other trials are made all the same
                yield Trial("broke off", [f"{type(error).__name__}: {error}"])

    return run


def chance(seed: int, number: int) -> random.Random:
    """What is random about one trial."""
    return random.Random(f"{seed}/{number}")  # noqa: S311 - moments, not secrets


def markdown(rows: dict[int, list[str]]) -> str:
    """The table, for a page."""
    lines = [HEADER, ["---"] * len(HEADER), *rows.values()]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
