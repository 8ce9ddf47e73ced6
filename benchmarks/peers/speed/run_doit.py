"""doit, its records in JSON: it writes them at the end of a run."""

from __future__ import annotations

import os
from typing import Any

from doit.cmd_base import ModuleTaskLoader  # type: ignore[import-not-found] # its own environment
from doit.doit_cmd import DoitMain  # type: ignore[import-not-found] # in its own environment
from doit.tools import run_once  # type: ignore[import-not-found] # in its own environment

from benchmarks.peers.speed.common import WIDTH, answer, asked, module

task = asked()
functions = vars(module(task))
os.chdir(task.folder)


def made(name: str, needs: list[str]) -> dict[str, Any]:
    def act(**inputs: int) -> dict[str, int]:
        return {"value": functions[name](**inputs)}

    return {
        "basename": name,
        "actions": [act],
        "getargs": {each: (each, "value") for each in needs},
        "uptodate": [run_once],
        "io": {"capture": False},
    }


def task_all() -> Any:
    for name, needs in task.graph.items():
        yield made(name, needs)


def run() -> None:
    wide = [f"-n{WIDTH}", "-Pthread"] if task.body == "sleep" else []
    words = ["run", "--backend=json", "--db-file=doit.json", "--reporter=zero", *wide]
    if DoitMain(ModuleTaskLoader({"task_all": task_all})).run(words):
        raise SystemExit("doit failed")


answer(run)
