"""The steps of a plan by number, and which of them one call of a function makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from flowstone.core.plan import Step


class Calls:
    """The steps of a plan, numbered in its order.

    ``number`` has the number of each asset's step. What one function makes together has a step
    for each asset; the first of them leads: it stands for the call, and takes its inputs.
    """

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps = list(steps)
        self.number = {step.asset.name: number for number, step in enumerate(self._steps)}
        self._by_maker: dict[int, list[int]] = {}
        for number, step in enumerate(self._steps):
            if step.asset.maker is not None:
                self._by_maker.setdefault(id(step.asset.maker), []).append(number)

    def along(self, number: int) -> list[int]:
        """The steps of all that the function of this one makes."""
        return self._by_maker.get(id(self._steps[number].asset.maker), [number])

    def leads(self, step: Step) -> bool:
        """Whether a step stands for the call that makes it, alone or along with others."""
        if step.asset.maker is None:
            return True
        number = self.number[step.name]
        return self.along(number)[0] == number

    def needs(self) -> list[list[int]]:
        """For each step the steps it needs; inputs outside of the plan are none."""
        number = self.number
        return [
            [number[name] for name in step.asset.direct if name in number] for step in self._steps
        ]

    def takers(self, *, verify: bool) -> Iterator[str]:
        """The assets that calls take, once for each call; ``verify`` calls fresh ones too."""
        for step in self._steps:
            if (verify or step.action != "reuse") and self.leads(step):
                for parameter, source in step.asset.edges:
                    if parameter:
                        yield source
