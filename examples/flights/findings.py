"""What the report is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl
    from model import LateModel, Scores


@dataclass(frozen=True)
class Findings:
    """The answers of the pipeline; each frame has the columns its asset documents."""

    totals: dict[str, float]
    days: pl.DataFrame
    by_hour: pl.DataFrame
    by_carrier: pl.DataFrame
    by_weather: pl.DataFrame
    routes: pl.DataFrame
    model: LateModel
    scores: Scores
    risk_groups: pl.DataFrame
