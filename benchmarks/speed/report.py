"""What was measured: for the terminal, as JSON, and as the tables of the docs."""

from __future__ import annotations

import os
import platform
import statistics
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.speed.cases import Case, Contestant
    from benchmarks.speed.sample import Sample

_BEGIN, _END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
_HEAD = ["", "median", "min to max", "k", "each", "against", "peak"]
_MS = 1e3
_US = 1e6


@dataclass(frozen=True)
class Head:
    """What it was measured on."""

    machine: str
    python: str
    versions: Mapping[str, str]
    database: Mapping[str, str]
    peers: Sequence[str]
    load: str

    @classmethod
    def of(cls, database: Mapping[str, str], peers: Sequence[str]) -> Head:
        """This machine, this process's versions, and what is installed of peers."""
        versions = {name: version(name) for name in ("flowstone", "psycopg", "rustworkx")}
        return cls(_machine(), platform.python_version(), versions, database, peers, load())

    def text(self) -> str:
        """A few lines."""
        versions = ", ".join(f"{name} {value}" for name, value in self.versions.items())
        settings = dict(self.database)
        postgres, commit = settings.pop("server_version"), settings.pop("commit")
        told = ", ".join(f"{name} {value}" for name, value in settings.items())
        peers = f"\npeers: {', '.join(self.peers)}" if self.peers else ""
        return (
            f"{self.machine}; load {self.load}\nPython {self.python}, {versions}\n"
            f"PostgreSQL {postgres}: {told}; a commit takes {commit}{peers}"
        )


@dataclass(frozen=True)
class Result:
    """A workload with the samples of its contestants, by name."""

    case: Case
    samples: Mapping[str, Sequence[Sample]]

    def median(self, name: str) -> float:
        """The median seconds of a contestant."""
        return statistics.median(sample.seconds for sample in self.samples[name])

    def rows(self) -> list[list[str]]:
        """A row for each contestant."""
        return [self._row(each) for each in self.case.contestants if self.samples[each.name]]

    def text(self) -> str:
        """The table for a terminal."""
        rows = [_HEAD, *self.rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(
                cell.rjust(width) if at else cell.ljust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join([f"\n{self.case.workload} {self.case.title}", *lines])

    def markdown(self) -> str:
        """The table for the docs."""
        rows = [_HEAD, ["---", *["---:"] * (len(_HEAD) - 1)], *self.rows()]
        table = [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join([f"### {self.case.workload} {self.case.title}", "", *table])

    def _row(self, contestant: Contestant) -> list[str]:
        samples = self.samples[contestant.name]
        seconds = [sample.seconds for sample in samples]
        median = self.median(contestant.name)
        return [
            contestant.name,
            _time(median),
            f"{_time(min(seconds))} to {_time(max(seconds))}",
            str(len(seconds)),
            f"{median / self.case.size * _US:,.1f} us" if not self.case.is_start else "",
            self._comparison(contestant, median),
            self._memory(samples),
        ]

    def _comparison(self, contestant: Contestant, median: float) -> str:
        words = []
        if contestant.against:
            other = self.median(contestant.against)
            words.append(f"{median / other:.2f} x {contestant.against}")
            if self.case.is_start:
                words.append(f"{median - other:+.2f} s")
        if any(sample.stored for sample in self.samples[contestant.name]):
            stored = statistics.median(each.stored for each in self.samples[contestant.name])
            words.append(f"stored after {_time(stored)}")
        if statements := self.samples[contestant.name][-1].statements:
            words.append(f"{statements} statements")
        return ", ".join(words)

    def _memory(self, samples: Sequence[Sample]) -> str:
        peak = statistics.median(sample.peak for sample in samples)
        if not peak:
            return ""
        more = statistics.median(sample.peak - sample.before for sample in samples)
        each = f", {more * 1024 / self.case.size:.1f} kB each" if self.case.size >= _LARGE else ""
        return f"{peak:.0f} MiB{each}"


_LARGE = 10_000


def to_json(head: Head, results: Sequence[Result]) -> dict[str, Any]:
    """Everything that was measured, as JSON takes it."""
    return {
        "head": asdict(head),
        "results": [
            {
                "workload": result.case.workload,
                "title": result.case.title,
                "size": result.case.size,
                "contestants": {
                    each.name: {
                        "against": each.against,
                        "samples": [asdict(sample) for sample in result.samples[each.name]],
                    }
                    for each in result.case.contestants
                },
            }
            for result in results
        ],
    }


def around_table(page: Path) -> tuple[str, str]:
    """What stands before and after the tables of a page, its marks included.

    Raises:
        ValueError: if the page lacks a mark.
    """
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not end:
        msg = f"{page.name} lacks {_END if begin else _BEGIN}"
        raise ValueError(msg)
    return before + begin, end + after


def replace_table(page: Path, head: Head, results: Sequence[Result]) -> None:
    """Write the tables between the page's two marks, and touch nothing else in it.

    Raises:
        ValueError: if the page lacks a mark.
    """
    before, after = around_table(page)
    parts = [f"```text\n{head.text()}\n```", *(result.markdown() for result in results)]
    page.write_text("\n\n".join([before, *parts, after]), encoding="utf-8")


def load() -> str:
    """The load of the machine over one minute."""
    return f"{os.getloadavg()[0]:.1f}"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * _MS:.1f} ms"


def _machine() -> str:
    info = Path("/proc/cpuinfo")
    model = platform.processor() or platform.machine()
    if info.exists():
        named = info.read_text(encoding="utf-8").partition("model name")[2]
        model = named.partition(":")[2].partition("\n")[0].strip() or model
    return f"{os.cpu_count()} cores, {model}, {platform.system()} {platform.release()}"
