"""Longer stories of one project: there and back again, through failures and config."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.integration.edits import Change, Edit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PIPELINE = """
    def fee(x):
        return x + 1

    @asset
    def price():
        return fee(1)

    @asset
    def total(price, rate: int = 2):
        return price * rate

    @asset
    def told(total):
        return f"{total} EUR"
    """
A: Mapping[str, Change] = {}
B: Mapping[str, Change] = {"pipeline.py": [("x + 1", "x + 2")]}
C: Mapping[str, Change] = {"pipeline.py": [("x + 1", "x + 3")]}
BROKEN: Mapping[str, Change] = {"pipeline.py": [("x + 1", "x + missing")]}
DEARER: Mapping[str, Change] = {"pipeline.py": [("price * rate", "price * rate + 100")]}
BOTH: Mapping[str, Change] = {"pipeline.py": [*B["pipeline.py"], *DEARER["pipeline.py"]]}  # type: ignore[misc]  # both are pairs
ALL = "price total told"


@dataclass(frozen=True)
class Leg:
    """The project with an edit (of its first state) and config; who runs, fails, is skipped."""

    edit: Mapping[str, Change]
    runs: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    fails: str = ""
    skips: str = ""


@dataclass(frozen=True)
class Journey:
    """Legs, one run after the other with one store; the first starts from nothing."""

    name: str
    legs: Sequence[Leg]

    def edits(self) -> list[Edit]:
        """Each leg as an edit of the first state."""
        files = {"pipeline.py": PIPELINE}
        return [
            Edit(self.name, files, leg.edit, edited_config=leg.config, why="told by its leg")
            for leg in self.legs
        ]


JOURNEYS = [
    Journey(
        "back and forth between three versions",
        [
            Leg(A, f"{ALL} bystander"),
            Leg(B, ALL),
            Leg(C, ALL),
            Leg(A),
            Leg(C),
            Leg(B),
            Leg(B),
            Leg(A),
        ],
    ),
    Journey(
        "a consumer is edited while its input is another one, which then comes back",
        [
            Leg(A, f"{ALL} bystander"),
            Leg(B, ALL),
            Leg(BOTH, "total told"),
            Leg(DEARER, "total told"),
            Leg(A),
            Leg(BOTH),
        ],
    ),
    Journey(
        "config from 1 to 2 and back to 1",
        [
            Leg(A, f"{ALL} bystander", {"total.rate": 1}),
            Leg(A, "total told", {"total.rate": 2}),
            Leg(A, "", {"total.rate": 1}),
            Leg(A),
            Leg(A, "total told", {"total.rate": 3}),
            Leg(B, ALL, {"total.rate": 3}),
            Leg(A, "", {"total.rate": 3}),
        ],
    ),
    Journey(
        "an edit that fails is not remembered, and its revert costs nothing",
        [
            Leg(A, f"{ALL} bystander"),
            Leg(BROKEN, fails="price", skips="total told"),
            Leg(BROKEN, fails="price", skips="total told"),
            Leg(A),
            Leg(BROKEN, fails="price", skips="total told"),
            Leg(B, ALL),
            Leg(A),
        ],
    ),
]
