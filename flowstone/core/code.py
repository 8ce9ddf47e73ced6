"""What an asset's code is: its version, the definitions it reaches, and what could not be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

#: ``unknown``: what can't be followed, so the asset always runs. ``assumed``: what counts by its
#: source alone, though it may hold more.
Level = Literal["unknown", "assumed"]


@dataclass(slots=True)
class Definition:
    """One piece of project code: a function, a class, or the statements that give a name a value.

    ``name`` is its module's name, a dot and its own, such as ``shop.rates.fee``; ``digest`` is of
    its own source alone, without comments, docstrings and layout; ``place`` is ``file:line``;
    ``source`` is its text.
    """

    name: str
    digest: str
    place: str
    source: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Remark:
    """Something about an asset's code that its version can't be sure of, and where it stands."""

    level: Level
    text: str
    place: str = ""

    def __str__(self) -> str:
        return f"{self.text} ({self.place})" if self.place else self.text


@dataclass(slots=True, unsafe_hash=True)
class Code:
    """An asset's code. It is never changed; to freeze it would make each cost thrice the time.

    ``version`` is the digest of the function and of all project code it reaches, or None where
    that can't be told: the asset then always runs. ``definitions`` are what went into it, sorted
    by name.
    """

    version: str | None
    definitions: tuple[Definition, ...] = ()
    remarks: tuple[Remark, ...] = ()


UNKNOWN_CODE = Code(None)
