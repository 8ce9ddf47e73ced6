"""What the report is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Findings:
    """The answers of the pipeline; each frame has the columns its asset documents."""

    totals: dict[str, float]
    days: pl.DataFrame
    by_hour: pl.DataFrame
    by_carrier: pl.DataFrame
    by_weather: pl.DataFrame
    by_age: pl.DataFrame
    routes: pl.DataFrame
