"""Why flights from New York were late in 2013: 336,776 flights and the weather they met.

Run it with ``python -m flowstone run examples/flights/pipeline.py``.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
from findings import Findings
from nycdata import read_table
from page import write_page

from flowstone import Context, asset

OWNERS = ["flights@example.com"]
HEAVY_RAIN = 0.1  # inches an hour
FOG = 2  # miles of sight
STRONG_WIND = 25  # miles an hour
FROST = 32  # degrees Fahrenheit


@asset(group="raw", tags=["source"], owners=OWNERS)
def raw_flights() -> pl.DataFrame:
    """Every scheduled departure from EWR, JFK and LGA, as published."""
    return read_table("flights")


@asset(group="raw", tags=["source"], owners=OWNERS)
def raw_weather() -> pl.DataFrame:
    """Hourly observations at the three airports, as published."""
    return read_table("weather")


@asset(group="raw", tags=["source"], owners=OWNERS)
def raw_planes() -> pl.DataFrame:
    """The register of aircraft, as published."""
    return read_table("planes")


@asset(group="raw", tags=["source"], owners=OWNERS)
def airports() -> pl.DataFrame:
    """Code and name of every airport: ``dest``, ``dest_name``."""
    return read_table("airports").select(dest="faa", dest_name="name")


@asset(group="raw", tags=["source"], owners=OWNERS)
def airlines() -> pl.DataFrame:
    """Code and name of every carrier: ``carrier``, ``airline``."""
    return read_table("airlines").select("carrier", airline="name")


@asset(group="clean", description="Flights with local and UTC times, cancelled ones marked.")
def flights(raw_flights: pl.DataFrame) -> pl.DataFrame:
    """One row per scheduled flight.

    ``scheduled`` is New York's local time, ``time_hour`` the scheduled hour in UTC; delays are
    in minutes. A flight without a departure time was ``cancelled``.
    """
    return raw_flights.select(
        "carrier",
        "tailnum",
        "origin",
        "dest",
        "distance",
        "dep_delay",
        "arr_delay",
        pl.datetime("year", "month", "day", "hour", "minute").alias("scheduled"),
        _utc_hour(),
        cancelled=pl.col("dep_time").is_null(),
    )


@asset(group="clean")
def weather(raw_weather: pl.DataFrame) -> pl.DataFrame:
    """One ``conditions`` word per airport and hour: the worst thing the sky did."""
    conditions = (
        pl.when(pl.col("precip") >= HEAVY_RAIN).then(pl.lit("heavy rain"))
        .when(pl.col("precip") > 0).then(pl.lit("light rain"))
        .when(pl.col("visib") < FOG).then(pl.lit("fog"))
        .when(pl.col("wind_speed") >= STRONG_WIND).then(pl.lit("strong wind"))
        .when(pl.col("temp") <= FROST).then(pl.lit("frost"))
        .otherwise(pl.lit("fair"))
    )  # fmt: skip
    return raw_weather.select("origin", _utc_hour(), conditions=conditions)


@asset(group="clean")
def planes(raw_planes: pl.DataFrame) -> pl.DataFrame:
    """Year of construction and seats of every aircraft, by tail number."""
    return raw_planes.select("tailnum", "seats", built="year")


@asset(group="clean", tags=["knob"])
def late_threshold(minutes: int = 15) -> int:
    """From how many minutes of delay at arrival a flight counts as late."""
    return minutes


@asset(group="joined", metadata={"rows": "one per completed flight"})
def journeys(
    flights: pl.DataFrame,
    weather: pl.DataFrame,
    planes: pl.DataFrame,
    airports: pl.DataFrame,
    airlines: pl.DataFrame,
    late_threshold: int,
) -> pl.DataFrame:
    """Every flight that left and arrived, with weather at departure, aircraft and full names."""
    completed = flights.drop_nulls(["dep_delay", "arr_delay"])
    return (
        completed.join(weather, on=["origin", "time_hour"], how="left", maintain_order="left")
        .join(planes, on="tailnum", how="left", maintain_order="left")
        .join(airports, on="dest", how="left", maintain_order="left")
        .join(airlines, on="carrier", how="left", maintain_order="left")
        .with_columns(late=pl.col("arr_delay") >= late_threshold)
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


@asset(group="answers", tags=["delay"])
def delay_by_age(journeys: pl.DataFrame) -> pl.DataFrame:
    """Flights, mean arrival delay and share late by age of the aircraft in steps of 5 years."""
    age = ((pl.col("scheduled").dt.year() - pl.col("built")) // 5 * 5).alias("age")
    return journeys.drop_nulls("built").group_by(age).agg(*_delays()).sort("age")


@asset(group="answers")
def busiest_routes(journeys: pl.DataFrame, top: int = 10) -> pl.DataFrame:
    """The routes with the most completed flights, the busiest first."""
    routes = journeys.group_by("origin", "dest", "dest_name").agg(*_delays())
    return routes.sort("flights", "origin", "dest", descending=[True, False, False]).head(top)


@asset(group="answers")
def days(flights: pl.DataFrame, late_threshold: int) -> pl.DataFrame:
    """Share of scheduled flights cancelled and late, for each day of the year."""
    return (
        flights.group_by(pl.col("scheduled").dt.date().alias("day"))
        .agg(
            flights=pl.len(),
            cancelled=pl.col("cancelled").mean(),
            late=(pl.col("arr_delay") >= late_threshold).fill_null(value=False).mean(),
        )
        .sort("day")
    )


@asset(group="answers")
def totals(flights: pl.DataFrame, journeys: pl.DataFrame, late_threshold: int) -> dict[str, float]:
    """The year in six figures; shares are between 0 and 1, delays in minutes."""
    on_time = 1 - journeys.select(pl.col("late").mean()).item()
    return {
        "flights": flights.height,
        "cancelled": flights.select(pl.col("cancelled").sum()).item(),
        "completed": journeys.height,
        "on_time": on_time,
        "mean_delay": journeys.select(pl.col("arr_delay").mean()).item(),
        "late_from": late_threshold,
    }


@asset(group="report", tags=["published"], owners=OWNERS)
def report(
    totals: dict[str, float],
    days: pl.DataFrame,
    delay_by_hour: pl.DataFrame,
    delay_by_carrier: pl.DataFrame,
    weather_effect: pl.DataFrame,
    delay_by_age: pl.DataFrame,
    busiest_routes: pl.DataFrame,
    context: Context,
    folder: str = "flights-report",
) -> Path:
    """One HTML page with a picture and the tables behind it; the file itself is the asset."""
    findings = Findings(
        totals=totals,
        days=days,
        by_hour=delay_by_hour,
        by_carrier=delay_by_carrier,
        by_weather=weather_effect,
        by_age=delay_by_age,
        routes=busiest_routes,
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
