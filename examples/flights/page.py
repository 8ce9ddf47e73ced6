"""The report: one HTML file that needs no other."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from charts import draw

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl
    from findings import Findings

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Late from New York, 2013</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; color: #1f2933; max-width: 66rem;
         margin: 2rem auto; padding: 0 1rem; }}
  .figures {{ display: flex; flex-wrap: wrap; gap: 1rem; padding: 0; list-style: none; }}
  .figures li {{ flex: 1 1 9rem; border: 1px solid #e4e7eb; border-radius: .5rem;
                 padding: .75rem 1rem; }}
  .figures b {{ display: block; font-size: 1.6rem; }}
  svg {{ width: 100%; height: auto; }}
  table {{ border-collapse: collapse; margin: 1rem 0 2rem; }}
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
{picture}
{tables}
</html>
"""
HEADS = {
    "airline": "Airline",
    "conditions": "Weather at departure",
    "age": "Age of aircraft, years from",
    "origin": "From",
    "dest_name": "To",
    "flights": "Flights",
    "mean_delay": "Mean delay, min",
    "late": "Late",
}
FORMS = {"flights": "{:,}", "mean_delay": "{:.1f}", "late": "{:.1%}", "age": "{}"}


def write_page(findings: Findings, folder: Path) -> Path:
    """Write ``index.html`` into ``folder``, making it if need be; return the file's path."""
    tables = [findings.by_carrier, findings.by_weather, findings.by_age, findings.routes]
    text = PAGE.format(
        **findings.totals,
        picture=draw(findings),
        tables="\n".join(_table(frame) for frame in tables),
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    path.write_text(text, encoding="utf-8")
    return path


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
