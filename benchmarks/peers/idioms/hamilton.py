"""Hamilton: a driver with ``.with_cache()``; functions that load data are set to recompute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.peers.project import RAN

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.peers.project import Asset, Project


def files(project: Project) -> dict[str, str]:
    """The pipeline, and the driver's script."""
    reads = any(asset.reads for asset in project.assets)
    imports = "from pathlib import Path\n\nfrom hamilton.function_modifiers import cache"
    inputs: dict[str, Any] = dict(project.config)
    inputs |= [("source", asset.reads) for asset in project.assets if asset.reads]
    run = f"""import json

from hamilton import driver

import pipeline

built = driver.Builder().with_modules(pipeline).with_cache().build()
values = built.execute(["{project.final.name}"], inputs={inputs!r})
with open("result.json", "w") as file:
    json.dump(values["{project.final.name}"], file)
"""
    pipeline = project.module(imports if reads else "", map(_function, project.assets))
    return {**project.files, "ran.py": RAN, "pipeline.py": pipeline, "run.py": run}


def environment(folder: Path, shared: Path) -> dict[str, str]:
    """Nothing is reported home."""
    del folder, shared
    return {"HAMILTON_TELEMETRY_ENABLED": "false"}


def _function(asset: Asset) -> str:
    parameters = asset.typed_needs()
    if asset.config:
        parameters.append(f"{asset.config}: int")
    if not asset.reads:
        return asset.define([], parameters)
    read = ["text = Path(source).read_text()"]
    return asset.define(['@cache(behavior="recompute")'], [*parameters, "source: str"], read)
