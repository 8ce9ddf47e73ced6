"""The report's pictures: SVG, the same bytes for the same findings."""

from __future__ import annotations

import io
from contextlib import contextmanager
from math import exp
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import polars as pl
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FuncFormatter, MultipleLocator, PercentFormatter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from findings import Findings
    from matplotlib.axes import Axes

BLUE, PALE, RED, INK, GREY = "#2b6cb0", "#c3d9ee", "#c53030", "#1f2933", "#7b8794"
STYLE: dict[Any, Any] = {
    "axes.edgecolor": "#cbd2d9",
    "axes.labelcolor": GREY,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "svg.hashsalt": "flights",  # else the ids inside the file are random
    "text.color": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
}
FEATURES = {
    "wait": "delays at the airport",
    "hour": "hour",
    "carrier": "airline",
    "conditions": "weather",
    "weekday": "day",
    "origin": "airport",
}
LONGEST_WAIT = 60  # minutes; the last category is open
BESIDE: dict[str, Any] = {"textcoords": "offset points", "va": "center", "color": INK}


def draw_year(findings: Findings) -> str:
    """Return the picture of the year's delays as an ``<svg>`` element."""
    with _figure(height=12) as figure:
        axes = figure.subplot_mosaic(
            [["days", "days"], ["hour", "weather"], ["carrier", "routes"]],
            height_ratios=[0.8, 0.9, 1.3],
        )
        _days(axes["days"], findings.days)
        _hours(axes["hour"], findings.by_hour)
        _weather(axes["weather"], findings.by_weather)
        _carriers(axes["carrier"], findings.by_carrier)
        _routes(axes["routes"], findings.routes)
        return _svg(figure)


def draw_model(findings: Findings) -> str:
    """Return the picture of what the model learned, and of how it did, as an ``<svg>`` element."""
    with _figure(height=4.6) as figure:
        groups, effects = figure.subplots(1, 2)
        _groups(groups, findings.risk_groups)
        names = dict(zip(findings.by_carrier["carrier"], _short(findings.by_carrier), strict=True))
        _effects(effects, findings.model.effects, names)
        return _svg(figure)


@contextmanager
def _figure(height: float) -> Iterator[Figure]:
    # No pyplot: its figures belong to one thread, and assets may run in any.
    with mpl.rc_context(STYLE):
        layout = ConstrainedLayoutEngine(h_pad=0.15, w_pad=0.12)
        yield Figure(figsize=(11, height), layout=layout)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _days(axes: Axes, days: pl.DataFrame) -> None:
    axes.set_title("Late and cancelled flights, day by day")
    day = days["day"].to_numpy()
    week = days["late"].rolling_mean(7, center=True)
    axes.plot(day, days["late"], color=PALE, linewidth=1, label="late")
    axes.plot(day, week, color=BLUE, linewidth=2, label="late, mean of 7 days")
    axes.bar(day, days["cancelled"], width=1, color=RED, label="cancelled")
    worst = days.top_k(1, by="cancelled").row(0, named=True)
    axes.annotate(
        f"{worst['day']:%b} {worst['day'].day}: {worst['cancelled']:.0%} cancelled",
        (worst["day"], worst["cancelled"]),
        (6, 0),
        textcoords="offset points",
        color=RED,
    )
    axes.set_xlim(day[0], day[-1])
    axes.set_ylim(0, 0.8)
    firsts = days.filter(pl.col("day").dt.day() == 1)["day"]
    axes.set_xticks(firsts, firsts.dt.to_string("%b"))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.legend(frameon=False, ncols=3, loc="upper right")


def _hours(axes: Axes, hours: pl.DataFrame) -> None:
    axes.set_title("Share late by scheduled hour of departure")
    axes.bar(hours["hour"], hours["late"], color=BLUE, width=0.8)
    axes.set_xlim(4.2, 23.8)
    axes.xaxis.set_major_locator(MultipleLocator(3))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("hour, New York time")


def _weather(axes: Axes, weather: pl.DataFrame) -> None:
    axes.set_title("Mean delay by weather at departure, minutes")
    _ranking(axes, weather["conditions"], weather["mean_delay"], "{:.0f}")


def _carriers(axes: Axes, carriers: pl.DataFrame) -> None:
    axes.set_title("Mean delay by airline, minutes")
    _ranking(axes, _short(carriers), carriers["mean_delay"], "{:.1f}")


def _short(carriers: pl.DataFrame) -> pl.Series:
    return carriers["airline"].str.replace(r" (Inc\.|Co\.|Corporation).*$", "")


def _routes(axes: Axes, routes: pl.DataFrame) -> None:
    axes.set_title("Share late on the busiest routes")
    names = routes.select(pl.format("{} to {}", "origin", "dest")).to_series()
    _ranking(axes, names, routes["late"], "{:.0%}")


def _groups(axes: Axes, groups: pl.DataFrame) -> None:
    axes.set_title("Foretold and true share late, by tenth of risk")
    axes.bar(groups["group"], groups["late"], color=PALE, label="late")
    axes.plot(groups["group"], groups["foretold"], "o", color=BLUE, label="foretold")
    axes.set_xticks(groups["group"])
    axes.set_xlabel("tenth of the flights, the riskiest first")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.legend(frameon=False, loc="upper right")


def _effects(axes: Axes, effects: dict[str, dict[str, float]], airlines: dict[str, str]) -> None:
    """For each feature the categories with the lowest and the highest odds, the widest on top."""
    axes.set_title("What the odds of being late are multiplied by")
    known = {feature: _extremes(by_category) for feature, by_category in effects.items()}
    ranked = sorted(known, key=lambda feature: known[feature][1][0] - known[feature][0][0])
    for at, feature in enumerate(ranked):
        (low, least), (high, most) = known[feature]
        axes.plot([exp(low), exp(high)], [at, at], color=PALE, linewidth=4, zorder=1)
        axes.plot([exp(low), exp(high)], [at, at], "o", color=BLUE)
        least, most = (_word(feature, airlines.get(each, each)) for each in (least, most))
        axes.annotate(least, (exp(low), at), (-7, 0), ha="right", **BESIDE)
        axes.annotate(most, (exp(high), at), (7, 0), ha="left", **BESIDE)
    axes.set_yticks(range(len(ranked)), [FEATURES[feature] for feature in ranked], color=INK)
    axes.set_ylim(-0.6, len(ranked) - 0.3)
    axes.set_xscale("log", base=2)
    axes.set_xlim(0.08, 90)
    axes.set_xticks([0.25, 0.5, 1, 2, 4, 8, 16])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda factor, _: f"x {factor:g}"))
    axes.axvline(1, color="#cbd2d9", linewidth=0.8, zorder=0)
    axes.tick_params(axis="y", length=0)
    axes.spines[["left"]].set_visible(False)


def _extremes(effects: dict[str, float]) -> list[tuple[float, str]]:
    ranked = sorted((effect, name) for name, effect in effects.items() if name != "unknown")
    return [ranked[0], ranked[-1]]


def _word(feature: str, category: str) -> str:
    if feature == "wait":
        low = int(category)
        return f"{low} min or more" if low == LONGEST_WAIT else f"under {low + 5} min"
    return f"{category}:00" if feature == "hour" else category


def _ranking(axes: Axes, names: pl.Series, values: pl.Series, form: str) -> None:
    """Horizontal bars with their values written at the end; the first name at the top."""
    bars = axes.barh(range(len(names)), values, color=[_shade(value) for value in values])
    axes.set_yticks(range(len(names)), names.to_list(), color=INK)
    axes.invert_yaxis()
    axes.bar_label(bars, [form.format(value) for value in values], padding=4, color=INK)
    axes.margins(x=0.15, y=0.02)
    axes.axvline(0, color="#cbd2d9", linewidth=0.8)
    axes.xaxis.set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "bottom"]].set_visible(False)


def _shade(value: float) -> str:
    return BLUE if value >= 0 else PALE
