"""``python -m tests.faults``: all faults, or some, and the table of what came of them."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from tests.faults.catalogue import FAULTS
from tests.faults.frame import Fault, Row, carry_out, markdown
from tests.faults.world import World, opened

BEGIN, END = "<!-- faults: begin -->", "<!-- faults: end -->"


def main() -> int:
    """Make the trials the command line asks for; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--trials", type=int, default=10, help="trials of each fault, about")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", metavar="N,N", help="these faults only")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="a page with the markers")
    wanted = parser.parse_args()
    only = {int(number) for number in wanted.only.split(",") if number}
    chosen = [fault for fault in FAULTS if not only or fault.number in only]
    with opened() as world:
        rows = [_row(fault, world, wanted.trials, wanted.seed) for fault in chosen]
    cells = {row.fault.number: row.cells for row in rows}
    _say(markdown(cells))
    if wanted.markdown:
        write(wanted.markdown, cells)
    return any(row.violations for row in rows)


def _row(fault: Fault, world: World, trials: int, seed: int) -> Row:
    """Make the trials of one fault, and say what goes wrong at once."""
    row = Row(fault, seed)
    for trial in carry_out(row, world, trials):
        for violation in trial.violations:
            _say(f"fault {fault.number}, {trial.what}: {violation}")
    _say(f"{time.strftime('%H:%M:%S')} {' | '.join(row.cells)} ({row.seconds:.0f} s)")
    return row


def write(page: Path, cells: dict[int, list[str]]) -> None:
    """Put rows into the table between the markers of a page; those of other faults stay."""
    text = page.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    table, marker, after = rest.partition(END)
    if not marker:
        raise SystemExit(f"{page} has no {BEGIN} and {END}")
    found = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")]
    present = [[cell.strip() for cell in line] for line in found]
    rows = {int(line[0]): line for line in present if line[0].isdigit()} | cells
    known = {fault.number for fault in FAULTS}
    table = markdown({number: rows[number] for number in sorted(rows) if number in known})
    page.write_text(f"{before}{BEGIN}\n\n{table}\n\n{END}{after}", "utf-8")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - it prints its figures


if __name__ == "__main__":
    sys.exit(main())
