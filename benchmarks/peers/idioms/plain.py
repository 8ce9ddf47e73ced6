"""Without any framework: what each value is when everything is made from scratch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.peers.project import RAN

if TYPE_CHECKING:
    from benchmarks.peers.project import Asset, Project


def files(project: Project) -> dict[str, str]:
    """The project with a ``run.py`` that calls every function and writes all values."""
    pipeline = project.module("from pathlib import Path", map(_function, project.assets))
    calls = "".join(_call(asset, project) for asset in project.assets)
    run = f"import json\n\nimport pipeline\n\nvalues = {{}}\n{calls}"
    run += 'with open("result.json", "w") as file:\n    json.dump(values, file)\n'
    return {**project.files, "ran.py": RAN, "pipeline.py": pipeline, "run.py": run}


def _function(asset: Asset) -> str:
    first = [f'text = Path("{asset.reads}").read_text()'] if asset.reads else []
    config = [f"{asset.config}: int"] if asset.config else []
    return asset.define([], [*asset.typed_needs(), *config], first)


def _call(asset: Asset, project: Project) -> str:
    given = [f'values["{name}"]' for name in asset.needs]
    given += [str(project.config[asset.config])] if asset.config else []
    return f'values["{asset.name}"] = pipeline.{asset.name}({", ".join(given)})\n'
