"""The report: one HTML file that needs no other."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import polars as pl
from charts import draw_model, draw_year

if TYPE_CHECKING:
    from pathlib import Path

    from findings import Findings
    from model import Scores

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Late from New York, 2013</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 66rem;
         margin: 2rem auto; padding: 0 1rem; }}
  h1, h2 {{ line-height: 1.2; }}
  h2 {{ margin-top: 3rem; }}
  p {{ max-width: 46rem; }}
  .figures {{ display: flex; flex-wrap: wrap; gap: 1rem; padding: 0; list-style: none; }}
  .figures li {{ flex: 1 1 9rem; border: 1px solid #e4e7eb; border-radius: .5rem;
                 padding: .75rem 1rem; }}
  .figures b {{ display: block; font-size: 1.6rem; }}
  svg {{ width: 100%; height: auto; }}
  .tables {{ display: flex; flex-wrap: wrap; gap: 0 3rem; align-items: flex-start; }}
  .beside {{ flex: 0 1 30rem; }}
  table {{ border-collapse: collapse; margin: 1rem 0 1.5rem; font-size: .9rem; }}
  th, td {{ padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #e4e7eb;
            text-align: left; }}
  td.number, th.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
</style>
<h1>Late from New York, 2013</h1>
<p>Every flight that was to leave Newark, JFK or LaGuardia in 2013. A flight is late when it
arrives {late_from:.0f} minutes or more after its time.</p>
<ul class="figures">
  <li><b>{flights:,}</b> scheduled flights</li>
  <li><b>{cancelled:,}</b> cancelled</li>
  <li><b>{on_time:.1%}</b> of {completed:,} completed flights on time</li>
  <li><b>{mean_delay:.1f} min</b> mean delay at arrival</li>
</ul>
{year}
<h2 id="model">Which flights will be late?</h2>
<p>A logistic regression learned from the {train_flights:,} flights completed before
{tested_from}, and had to tell the chance of being late of the {test_flights:,} after. It knows
the airline, the airport, the hour, the day of the week, and what the airport saw earlier: the
weather, and how late other flights were leaving. Before, {train_late:.1%} were late; after,
{test_late:.1%}.</p>
<ul class="figures">
  <li><b>{top_late:.0%} late</b> among the tenth it holds most at risk</li>
  <li><b>{bottom_late:.0%} late</b> among the tenth it holds least at risk</li>
  <li><b>{gain:.0%}</b> less squared error than the same chance for all</li>
</ul>
{learned}
<div class="tables">
<div class="beside">{scores}
<p>Smaller is better for the squared error (Brier score) and the log loss. AUC is how often a late
flight was given a higher chance than one on time; 0.5 is guessing.</p>
<p>Cancelled and diverted flights are left out, before and after: of them nobody knows how late
they would have been.</p>
</div>
{risk_groups}
</div>
<h2>The figures behind the pictures</h2>
<div class="tables">
{tables}
</div>
</html>
"""
HEADS = {
    "airline": "Airline",
    "conditions": "Weather at departure",
    "origin": "From",
    "dest_name": "To",
    "group": "Tenth by risk",
    "model": "Model",
    "flights": "Flights",
    "mean_delay": "Mean delay, min",
    "foretold": "Foretold",
    "late": "Late",
    "lift": "Lift",
    "brier": "Squared error",
    "log_loss": "Log loss",
    "auc": "AUC",
}
FORMS = {
    "group": "{}",
    "flights": "{:,}",
    "mean_delay": "{:.1f}",
    "foretold": "{:.1%}",
    "late": "{:.1%}",
    "lift": "{:.2f}",
    "brier": "{:.4f}",
    "log_loss": "{:.4f}",
    "auc": "{:.3f}",
}


def write_page(findings: Findings, folder: Path) -> Path:
    """Write ``index.html`` into ``folder``, making it if need be; return the file's path."""
    groups, scores = findings.risk_groups, findings.scores
    text = PAGE.format(
        **findings.totals,
        year=draw_year(findings),
        tested_from=f"{scores.tested_from:%B} {scores.tested_from.day}",
        train_flights=scores.train_flights,
        test_flights=scores.test_flights,
        train_late=scores.train_late,
        test_late=scores.test_late,
        top_late=groups["late"][0],
        bottom_late=groups["late"][-1],
        gain=_gain(scores),
        learned=draw_model(findings),
        scores=_table(_as_table(scores)),
        risk_groups=_table(groups),
        tables="\n".join(
            _table(frame) for frame in (findings.by_carrier, findings.by_weather, findings.routes)
        ),
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    path.write_text(text, encoding="utf-8")
    return path


def _gain(scores: Scores) -> float:
    """By what share the last model's squared error is smaller than the first one's."""
    first, *_, last = scores.models.values()
    return 1 - last.brier / first.brier


def _as_table(scores: Scores) -> pl.DataFrame:
    rows = [{"model": name, **vars(score)} for name, score in scores.models.items()]
    return pl.DataFrame(rows)


def _table(frame: pl.DataFrame) -> str:
    columns = [column for column in frame.columns if column in HEADS]
    head = "".join(_cell("th", column, HEADS[column]) for column in columns)
    rows = [
        "".join(_cell("td", name, FORMS.get(name, "{}").format(row[name])) for name in columns)
        for row in frame.iter_rows(named=True)
    ]
    lines = "\n".join(f"<tr>{row}</tr>" for row in [head, *rows])
    return f"<table>\n{lines}\n</table>"


def _cell(tag: str, column: str, text: str) -> str:
    kind = ' class="number"' if column in FORMS else ""
    return f"<{tag}{kind}>{escape(text)}</{tag}>"
