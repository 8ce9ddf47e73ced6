"""Dagster's ``materialize`` in one process, on an instance in memory or in Postgres."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dagster as dg  # type: ignore[import-not-found] # in its own environment

from benchmarks.peers.speed.common import answer, asked, module

task = asked()
config = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
settings = "telemetry:\n  enabled: false\n"
if task.mode == "postgres":
    settings += f'storage:\n  postgres:\n    postgres_url: "{task.url}"\n'
os.environ["DAGSTER_HOME"] = task.folder
Path(task.folder, "dagster.yaml").write_text(settings, encoding="utf-8")
assets = dg.load_assets_from_modules([module(task, "from dagster import asset", "@asset")])


def made_by(instance: Any) -> None:
    def run() -> None:
        resources = {"io_manager": dg.mem_io_manager}
        found = dg.materialize(assets, instance=instance, resources=resources, run_config=config)
        assert found.success  # noqa: S101 - a program of the benchmark

    answer(run)


if task.mode == "postgres":
    with dg.DagsterInstance.get() as kept:
        made_by(kept)
else:
    with dg.DagsterInstance.ephemeral() as passing:
        made_by(passing)
