"""The workloads, and who is measured on each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from benchmarks.speed.graphs import below
from benchmarks.speed.sample import Task

_MANY_ROUNDS = 100


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


def cases(*, smoke: bool = False) -> list[Case]:
    """All that is measured, with sizes for a trial if it is one."""
    small = {"chain": (20,), "fan": (20,), "layers": (3, 10), "apart": (4,)}

    def shaped(name: str, *sizes: int) -> tuple[Any, ...]:
        return (name, *(small[name] if smoke else sizes))

    wide, deep = shaped("layers", 10, 100), shaped("layers", 100, 100)
    sizes = (20,) if smoke else (300, 1_000, 10_000, 100_000)
    return [
        *(
            _recorded("W1", "chain", shaped("chain", n))
            for n in (sizes[:1] if smoke else sizes[:2])
        ),
        *(_recorded("W2", "one, many, one", shaped("fan", n)) for n in sizes[:3]),
        *([] if smoke else [_largest(sizes[3])]),
        _cold_code(_recorded("W3", "ten layers of 100", wide)),
        _unchanged(wide),
        *(_changed(wide, n) for n in ((1,) if smoke else (1, 10, 100))),
        _building(deep),
        *([] if smoke else [replace(_building(("layers", 1000, 100)), rounds=3)]),
        _sleeping(shaped("apart", 200)),
    ]


def _recorded(workload: str, title: str, shape: tuple[Any, ...], body: str = "one") -> Case:
    """A first run, with bodies on the loop and in threads."""
    size = len(Task("", shape).graph)
    found = [Contestant("copy", Task("copy", shape))]
    for style, where in (("async", ""), ("def", ", threads")):
        task = Task("", shape, body=body, style=style, made=size)
        found += [
            Contestant(f"bare queue{where}", replace(task, what="bare")),
            Contestant(f"floor+{where}", replace(task, what="floor"), "copy"),
            Contestant(f"Flowstone{where}", replace(task, what="flowstone"), f"floor+{where}"),
        ]
    return Case(workload, f"{title}: {size:,}", size, found)


def _largest(width: int) -> Case:
    case = _recorded("W2", "one, many, one", ("fan", width))
    few = [each for each in case.contestants if each.name in ("copy", "floor+", "Flowstone")]
    return replace(case, contestants=few, rounds=1)


def _cold_code(case: Case) -> Case:
    """Also with code that was never read before."""
    [ours] = [each for each in case.contestants if each.name == "Flowstone"]
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
    return Case("W5", f"W3, {changed} of its sources changed", affected, [floor, ours])


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
