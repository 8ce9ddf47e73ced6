"""The workloads, and who is measured on each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from benchmarks.speed.cold import GRAPH
from benchmarks.speed.graphs import below
from benchmarks.speed.sample import Task

_MANY_ROUNDS = 100
#: Sizes of a trial.
_TINY = {"chain": (20,), "fan": (20,), "layers": (3, 10), "apart": (4,)}


@dataclass(frozen=True)
class Contestant:
    """Somebody who does a workload.

    ``against`` names the contestant of the same workload that it is compared with. ``before`` is
    how the state is brought about: ``empty``, ``new`` (and no code was ever read), ``made`` (by
    the contestant itself, once for all samples) or ``remade`` (before each).
    """

    name: str
    task: Task
    against: str = ""
    before: str = "empty"

    @property
    def is_recorded(self) -> bool:
        """Whether rows are there to be checked after each sample."""
        return self.task.what in ("floor", "flowstone", "remake")


@dataclass(frozen=True)
class Case:
    """A workload in one size: ``W3`` and the like, in words, with how many nodes are made."""

    workload: str
    title: str
    size: int
    contestants: list[Contestant]
    rounds: int = _MANY_ROUNDS
    is_trial: bool = False

    @property
    def is_start(self) -> bool:
        """Whether whole processes are measured."""
        return self.workload == "W8"

    @property
    def asked(self) -> Task:
        """What its peers are asked for."""
        return self.contestants[0].task

    def against(self, peers: list[str]) -> Case:
        """Together with these, each a contestant that is compared with Flowstone."""
        ours = next(each.name for each in self.contestants if each.name.startswith("Flowstone"))
        more = [Contestant(name, replace(self.asked, what="peer"), ours) for name in peers]
        return replace(self, contestants=[*self.contestants, *more])


def cases(*, smoke: bool = False) -> list[Case]:
    """All that is measured, with sizes for a trial if it is one."""
    if not smoke:
        return _all({})
    first = {case.workload: case for case in reversed(_all(_TINY))}
    return [_small(case) for case in reversed(first.values())]


def _all(tiny: dict[str, tuple[int, ...]]) -> list[Case]:
    """All that is measured; graphs whose name is among ``tiny`` get those sizes."""

    def shaped(name: str, *sizes: int) -> tuple[Any, ...]:
        return (name, *tiny.get(name, sizes))

    wide, deep = shaped("layers", 10, 100), shaped("layers", 100, 100)
    return [
        _recorded("W1", "chain", shaped("chain", 300)),
        _recorded("W1", "chain", shaped("chain", 1_000)),
        _recorded("W2", "one, many, one", shaped("fan", 300)),
        _recorded("W2", "one, many, one", shaped("fan", 1_000)),
        _recorded("W2", "one, many, one", shaped("fan", 10_000)),
        _largest(shaped("fan", 100_000)),
        _cold_code(_recorded("W3", "ten layers of 100", wide)),
        _unchanged(wide),
        *(_changed(wide, n) for n in (1, 10, 100)),
        _building(deep),
        replace(_building(shaped("layers", 1_000, 100)), rounds=3),
        _sleeping(shaped("apart", 200)),
        _starting(),
    ]


def _small(case: Case) -> Case:
    """Without what costs seconds and shows little that is new."""
    left_out = ("Flowstone, by command line", "Flowstone, embedded server, at rest")
    threads = () if case.workload == "W2" else (", threads",)
    kept = [
        each
        for each in case.contestants
        if each.name not in left_out and not each.name.endswith((*threads, "never read", "warm"))
    ]
    return replace(case, contestants=kept, is_trial=True)


def _recorded(workload: str, title: str, shape: tuple[Any, ...], body: str = "one") -> Case:
    """A first run, with bodies on the loop and in threads."""
    size = len(Task("", shape).graph)
    found = [Contestant("copy", Task("copy", shape, body=body))]
    for style, where in (("async", ""), ("def", ", threads")):
        task = Task("", shape, body=body, style=style, made=size)
        found += [
            Contestant(f"bare queue{where}", replace(task, what="bare")),
            Contestant(f"floor+{where}", replace(task, what="floor"), "copy"),
            Contestant(f"Flowstone{where}", replace(task, what="flowstone"), f"floor+{where}"),
        ]
    return Case(workload, f"{title}: {size:,}", size, found)


def _largest(shape: tuple[Any, ...]) -> Case:
    case = _recorded("W2", "one, many, one", shape)
    few = [each for each in case.contestants if each.name in ("copy", "floor+", "Flowstone")]
    return replace(case, contestants=few, rounds=1)


def _cold_code(case: Case) -> Case:
    """Also with code that was never read before."""
    ours = next(each for each in case.contestants if each.name == "Flowstone")
    cold = replace(ours, name="Flowstone, code never read", before="new")
    return replace(case, contestants=[*case.contestants, cold])


def _unchanged(shape: tuple[Any, ...]) -> Case:
    size = len(Task("", shape).graph)
    task = Task("flowstone", shape)
    ours = Contestant("Flowstone", task, "read", before="made")
    # what is read is what Flowstone has recorded
    read = Contestant("read", replace(task, what="read"), before="made")
    return Case("W4", f"W3 again, nothing changed: {size:,}", size, [read, ours])


def _changed(shape: tuple[Any, ...], changed: int) -> Case:
    task = Task("flowstone", shape, body="sum", changed=changed)
    affected = len(below(task.graph, task.sources()))
    task = replace(task, made=affected)
    floor = Contestant("floor+", replace(task, what="remake"), before="remade")
    ours = Contestant("Flowstone", task, "floor+", before="remade")
    title = f"W3, {len(task.sources())} of its sources changed: {affected:,}"
    return Case("W5", title, affected, [floor, ours])


def _building(shape: tuple[Any, ...]) -> Case:
    size = len(Task("", shape).graph)
    task = Task("flowstone_build", shape, style="def")
    return Case(
        "W6",
        f"decorate and build: {size:,}",
        size,
        [
            Contestant("rustworkx", replace(task, what="build_floor"), before="nothing"),
            Contestant("Flowstone", task, "rustworkx", before="nothing"),
            Contestant(
                "Flowstone, no types",
                replace(task, annotated=False),
                "rustworkx",
                before="nothing",
            ),
        ],
    )


def _sleeping(shape: tuple[Any, ...]) -> Case:
    case = _recorded("W7", "50 ms each, 16 at once", shape, "sleep")
    found = [each for each in case.contestants if each.name != "copy"]
    return replace(case, contestants=[_against_bare(each) for each in found])


def _against_bare(contestant: Contestant) -> Contestant:
    where = ", threads" if contestant.task.style == "def" else ""
    is_bare = contestant.task.what == "bare"
    return replace(contestant, against="" if is_bare else f"bare queue{where}")


def _starting() -> Case:
    names = {
        "floor": "floor",
        "running": "Flowstone, running server",
        "command_line": "Flowstone, by command line",
        "embedded": "Flowstone, embedded server, warm",
        "stopped": "Flowstone, embedded server, at rest",
        "first": "Flowstone, the first time ever",
    }
    found = [
        Contestant(name, Task(what, ("given", GRAPH)), "" if what == "floor" else names["floor"])
        for what, name in names.items()
    ]
    return Case("W8", "cold start of a process for three assets", len(GRAPH), found)
