"""Runs the workloads and prints one table: see ``--help``.

Each sample is a process of its own; rounds go through all contestants in turn. After each sample
of Flowstone and of the floors that record, all rows, hashes, values and edges are looked for.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.speed import database, report
from benchmarks.speed.cases import cases
from benchmarks.speed.cold import GRAPH, Cold
from benchmarks.speed.graphs import below
from benchmarks.speed.peers import PEERS, Peers
from benchmarks.speed.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.speed.cases import Case, Contestant
    from benchmarks.speed.sample import Task

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "run.py"
SLOW = 20.0


class Bench:
    """The database and the folder that all samples of a session share."""

    def __init__(self, url: str, folder: Path, peers: Peers | None) -> None:
        self._url, self._folder, self._peers = url, folder, peers
        self._news = 0

    def measure(self, case: Case, rounds: int) -> dict[str, list[Sample]]:
        """The samples of each contestant, by name."""
        if case.is_start:
            return self._start(case, rounds)
        found: dict[str, list[Sample]] = {each.name: [] for each in case.contestants}
        if any(each.before == "made" for each in case.contestants):
            self._make(case)
        elif not case.is_trial:
            self._warm(case)
        for _ in range(min(rounds, case.rounds)):
            for each in case.contestants:
                if not any(sample.seconds > SLOW for sample in found[each.name]):
                    found[each.name].append(self._sample(each))
        return found

    def _start(self, case: Case, rounds: int) -> dict[str, list[Sample]]:
        found: dict[str, list[Sample]] = {each.name: [] for each in case.contestants}
        cold = Cold(self._url, self._home("cold"), environment())
        try:
            if not case.is_trial:
                cold.seconds("running")  # the code has been read before
            for _ in range(rounds):
                for each in case.contestants:
                    found[each.name].append(self._start_one(cold, each))
        finally:
            cold.dispose()
        return found

    def _start_one(self, cold: Cold, contestant: Contestant) -> Sample:
        if contestant.task.what == "peer" and self._peers is not None:
            return self._peers.sample(contestant.name, GRAPH, "one", whole=True)
        return Sample(cold.seconds(contestant.task.what))

    def _sample(self, contestant: Contestant) -> Sample:
        if contestant.task.what == "peer" and self._peers is not None:
            asked = contestant.task
            return self._peers.sample(contestant.name, asked.graph, asked.body)
        task = self._placed(contestant.task)
        if contestant.before in ("empty", "new", "remade"):
            database.forget(self._url, code=contestant.before == "new")
        if contestant.before == "new":
            self._news += 1
            task = replace(task, home=str(self._home(f"new_{self._news}")))
        if contestant.before == "remade":
            first = "floor" if task.what == "remake" else "flowstone"
            run(replace(task, what=first, changed=0, made=len(task.graph)))
        sample = run(task)
        if contestant.is_recorded:
            self._check(task)
        return sample

    def _check(self, task: Task) -> None:
        made = below(task.graph, task.sources()) if task.changed else set(task.graph)
        value = None if task.body == "sum" else "1"
        database.check(self._url, task.graph, made, value)

    def _make(self, case: Case) -> None:
        """What is current is there, as Flowstone has recorded it."""
        database.forget(self._url)
        [ours] = [each.task for each in case.contestants if each.task.what == "flowstone"]
        run(self._placed(replace(ours, made=len(ours.graph))))

    def _warm(self, case: Case) -> None:
        """The code has been read and recorded before, as between any two runs of a user."""
        for style in {each.task.style for each in case.contestants}:
            tasks = [each.task for each in case.contestants if each.task.style == style]
            for task in [each for each in tasks if each.what == "flowstone"][:1]:
                database.forget(self._url)
                run(self._placed(replace(task, changed=0, made=len(task.graph))))

    def _placed(self, task: Task) -> Task:
        return replace(task, url=self._url, home=str(self._home("home")))

    def _home(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        return folder


def run(task: Task) -> Sample:
    """Do a task in a process of its own.

    Raises:
        SystemExit: if it fails, with what it said.
    """
    words = [sys.executable, str(SCRIPT), "--sample", json.dumps(asdict(task))]
    done = subprocess.run(  # noqa: S603 - our own script
        words, capture_output=True, check=False, env=environment(), text=True, timeout=900
    )
    if done.returncode:
        raise SystemExit(f"{task}\n{done.stderr}")
    return Sample(**json.loads(done.stdout.splitlines()[-1]))


def environment() -> dict[str, str]:
    """That of a process which only knows this checkout."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "FLOWSTONE_"))}
    return kept | {"PYTHONPATH": str(ROOT)}


def main() -> int:
    """Measure what is asked for."""
    options = _options()
    begun = time.monotonic()
    chosen = [
        case
        for case in cases(smoke=options.smoke)
        if (not options.only or case.workload in options.only) and case.size <= options.largest
    ]
    with _folder() as folder, database.served(folder / "server", options.dsn) as url:
        database.prepare(url, folder / "server")
        peers = None
        if options.peers is not None:
            peers = Peers(options.peers, _kept(options.keep or folder / "env"), folder, url)
            chosen = [each.against(peers.of(each.workload, each.size)) for each in chosen]
        head = report.Head.of(database.described(url), peers.requirements if peers else [])
        print(head.text(), flush=True)
        bench, found = Bench(url, folder, peers), []
        for case in chosen:
            found.append(report.Result(case, bench.measure(case, options.rounds)))
            print(found[-1].text(), flush=True)
    print(f"\nall in {time.monotonic() - begun:.0f} s; load at the end {report.load()}")
    if options.json:
        options.json.write_text(json.dumps(report.to_json(head, found), indent=2) + "\n")
    if options.markdown:
        report.replace_table(options.markdown, head, found)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__)
    parser.add_argument("--only", type=_listed, metavar="W3,...", help="some of the workloads")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument(
        "--largest", type=int, default=1_000_000, metavar="N", help="leave out what is larger"
    )
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, one round")
    parser.add_argument(
        "--peers",
        type=_listed,
        nargs="?",
        const=[],
        metavar="doit,...",
        help=f"peers too, all or some of {', '.join(dict.fromkeys(p.program for p in PEERS))}",
    )
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep the peers' environments there"
    )
    parser.add_argument("--dsn", help="another Postgres; a schema is made and dropped there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all that was measured")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="renew the tables of a page")
    options = parser.parse_args()
    _check(parser, "workload", options.only, [f"W{number}" for number in range(1, 9)])
    _check(parser, "peer", options.peers, [peer.program for peer in PEERS])
    if options.markdown:
        try:
            report.around_table(options.markdown)
        except (OSError, ValueError) as error:
            parser.error(str(error))
    if options.smoke:
        options.rounds = 1
    return options


def _check(
    parser: argparse.ArgumentParser, what: str, named: list[str] | None, known: list[str]
) -> None:
    if unknown := set(named or ()) - set(known):
        there_are = ", ".join(dict.fromkeys(known))
        parser.error(f"no {what} {', '.join(sorted(unknown))}; there are {there_are}")


def _kept(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


def _listed(text: str) -> list[str]:
    return text.split(",")


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder for this session that other accounts may enter, as root's embedded server needs."""
    folder = Path(tempfile.mkdtemp(prefix="bench-")).resolve()
    try:
        folder.chmod(0o755)
        (folder / "server").mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
