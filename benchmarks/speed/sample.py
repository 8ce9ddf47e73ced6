"""One measurement, in a process of its own: what is asked comes as JSON, and so does the answer."""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.speed import floors, graphs

if TYPE_CHECKING:
    from benchmarks.speed.graphs import Graph

_MB = 1 << 20


@dataclass(frozen=True)
class Task:
    """What one process does.

    ``what`` is the name of a function below, ``shape`` that of a graph with its sizes; ``changed``
    says how many of its sources return another value than usual.
    """

    what: str
    shape: tuple[Any, ...]
    url: str = ""
    home: str = ""
    body: str = "one"
    style: str = "async"
    changed: int = 0
    made: int = 0
    annotated: bool = True

    @property
    def graph(self) -> Graph:
        """The nodes and what each needs."""
        name, *sizes = self.shape
        found: Graph = getattr(graphs, name)(*sizes)
        return found

    def sources(self) -> list[str]:
        """The sources that changed, evenly apart."""
        every = graphs.sources(self.graph)
        return every[:: max(len(every) // self.changed, 1)] if self.changed else []


@dataclass(frozen=True)
class Sample:
    """Seconds, statements where they are counted, and peaks of memory in MiB before and after.

    ``stored`` are the seconds until all was durable, where that is later than the return.
    """

    seconds: float
    statements: int = 0
    before: float = 0.0
    peak: float = 0.0
    stored: float = 0.0


def bare(task: Task) -> float:
    """The queue alone."""
    run = floors.bare(task.graph, _body(task), in_threads=task.style == "def")
    return asyncio.run(run)


def floor(task: Task) -> float:
    """A run that is recorded by hand."""
    run = floors.recorded(task.url, task.graph, _body(task), in_threads=task.style == "def")
    return asyncio.run(run)


def copy(task: Task) -> float:
    """COPY of the rows of a run."""
    return floors.copied(task.url, task.graph)


def read(task: Task) -> float:
    """Reading the rows that are current."""
    return floors.read(task.url, task.graph)


def remake(task: Task) -> float:
    """Reading them, and making by hand what changed."""
    return asyncio.run(floors.remade(task.url, task.graph, _body(task), task.sources()))


def build_floor(task: Task) -> float:
    """A graph built with rustworkx."""
    return floors.built(task.graph)


def flowstone(task: Task) -> Sample:
    """A run of Flowstone, from open connection to result."""
    from benchmarks.speed import ours  # noqa: PLC0415 - the floors are measured without it

    assets = _written(task, decorated=True)
    before = _settled()
    run = ours.ran(task.url, Path(task.home), assets, task.made)
    return Sample(*asyncio.run(run), before)


def flowstone_build(task: Task) -> Sample:
    """Decorating functions, and building their graph."""
    from benchmarks.speed import ours  # noqa: PLC0415 - see above

    functions = _written(task, decorated=False)
    before = _settled()
    return Sample(ours.built(functions), before=before)


def _written(task: Task, *, decorated: bool) -> list[Any]:
    from benchmarks.speed import ours  # noqa: PLC0415 - see above

    folder = Path(task.home) / f"{task.body}_{task.style}_{decorated:d}{task.annotated:d}"
    folder.mkdir(parents=True, exist_ok=True)
    modules = ours.write(
        task.graph,
        folder,
        body=task.body,
        style=task.style,
        decorated=decorated,
        annotated=task.annotated,
        changed=set(task.sources()),
    )
    return ours.imported(folder, modules, task.graph)


def _body(task: Task) -> Any:
    return {
        ("one", "async"): _one,
        ("one", "def"): lambda *_: 1,
        ("sum", "async"): _sum,
        ("sleep", "async"): _sleep,
        ("sleep", "def"): _sleep_in_thread,
    }[task.body, task.style]


async def _one(*_: int) -> int:
    return 1


async def _sum(*inputs: int) -> int:
    return sum(inputs) + 1


async def _sleep(*_: int) -> int:
    await asyncio.sleep(0.05)
    return 1


def _sleep_in_thread(*_: int) -> int:
    time.sleep(0.05)
    return 1


def _settled() -> float:
    """The peak of memory so far; the garbage of the preparation is gone."""
    gc.collect()
    return peak()


def peak() -> float:
    """The peak of this process so far, in MiB.

    Not that of ``getrusage`` on Linux, which a process inherits from the one that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text(encoding="ascii").partition("VmHWM:")[2].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MB


def main(text: str) -> None:
    """Do what is asked, and print the sample."""
    asked = json.loads(text)
    task = Task(**asked | {"shape": tuple(asked["shape"])})
    before = peak()
    found = globals()[task.what](task)
    sample = found if isinstance(found, Sample) else Sample(found, before=before)
    print(json.dumps(asdict(replace(sample, peak=peak()))))
