"""redun, staged by level, which is its best: nested calls are hashed with all they contain."""

from __future__ import annotations

from typing import Any

from redun import Scheduler  # type: ignore[import-not-found] # in its own environment
from redun.config import Config  # type: ignore[import-not-found] # in its own environment

from benchmarks.peers.speed.common import answer, asked, levels, module

task = asked()
functions = vars(module(task, 'from redun import task\n\nredun_namespace = "bench"', "@task()"))
scheduler: Any = Scheduler(
    config=Config({"backend": {"db_uri": f"sqlite:///{task.folder}/redun.db"}})
)
scheduler.load()


def run() -> None:
    values: dict[str, int] = {}
    for level in levels(task.graph):
        calls = [functions[n](*[values[each] for each in task.graph[n]]) for n in level]
        values.update(zip(level, scheduler.run(calls), strict=True))


answer(run)
