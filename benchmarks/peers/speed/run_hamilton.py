"""Hamilton with its cache: code and data versions in SQLite, pickled results."""

from __future__ import annotations

from typing import Any

from hamilton import driver  # type: ignore[import-not-found] # in its own environment

from benchmarks.peers.speed.common import answer, asked, last, module

task = asked()
dag: Any = (
    driver.Builder().with_modules(module(task)).with_cache(path=f"{task.folder}/cache").build()
)


def run() -> None:
    found = dag.execute(last(task.graph))
    assert all(value == 1 for value in found.values())  # noqa: S101 - a program of the benchmark


answer(run)
