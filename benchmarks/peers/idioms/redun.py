"""redun: tasks and a scheduler over a SQLite file, with or without ``hash_includes``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.peers.project import RAN

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.peers.project import Asset, Project


def files(project: Project, *, listed: bool) -> dict[str, str]:
    """The pipeline with a main task, and the scheduler's script.

    ``listed`` puts into ``hash_includes`` what a task's body uses, and takes files as
    ``ContentFile``, which is hashed by content.
    """
    kind = "ContentFile" if listed else "File"
    imports = f'from redun import task\nfrom redun.file import {kind}\n\nredun_namespace = "shop"\n'
    given = [f'{kind}("{asset.reads}")' for asset in project.assets if asset.reads]
    given += [str(project.config[asset.config]) for asset in project.assets if asset.config]
    run = f"""import json

from redun import Scheduler
from redun.config import Config
from redun.file import {kind}

import pipeline

scheduler = Scheduler(config=Config({{"backend": {{"db_uri": "sqlite:///redun.db"}}}}))
scheduler.load()
value = scheduler.run(pipeline.main({", ".join(given)}))
with open("result.json", "w") as file:
    json.dump(value, file)
"""
    definitions = map(partial(_function, kind=kind, listed=listed), project.assets)
    pipeline = project.module(imports, [*definitions, _main(project, kind)])
    return {**project.files, "ran.py": RAN, "pipeline.py": pipeline, "run.py": run}


def environment(folder: Path, shared: Path) -> dict[str, str]:
    """Nothing but the defaults."""
    del folder, shared
    return {}


def _function(asset: Asset, *, kind: str, listed: bool) -> str:
    parameters = [*asset.typed_needs(), *_outside(asset, kind)]
    first = ["text = source.read()"] if asset.reads else []
    lists = asset.lists if listed else ()
    task = f"@task(hash_includes=[{', '.join(lists)}])" if lists else "@task()"
    return asset.define([task], parameters, first)


def _outside(asset: Asset, kind: str) -> list[str]:
    """Parameters that no other task gives."""
    source = [f"source: {kind}"] if asset.reads else []
    return source + ([f"{asset.config}: int"] if asset.config else [])


def _main(project: Project, kind: str) -> str:
    outside = [parameter for asset in project.assets for parameter in _outside(asset, kind)]
    lines = [f"@task()\ndef main({', '.join(outside)}) -> {project.final.returns}:"]
    for asset in project.assets:
        given = [f"{name}_made" for name in asset.needs]
        given += [parameter.partition(":")[0] for parameter in _outside(asset, kind)]
        lines.append(f"    {asset.name}_made = {asset.name}({', '.join(given)})")
    return "\n".join([*lines, f"    return {project.final.name}_made\n"])
