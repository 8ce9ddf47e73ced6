"""What is observed of the world outside while planning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Observed:
    """What was observed for one asset.

    ``states`` are digests by observer or input path, ``shown`` the same for people; ``error`` is
    empty, or says what failed.
    """

    states: Mapping[str, str] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


NOTHING_OBSERVED = Observed()
