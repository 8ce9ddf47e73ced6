"""Flowstone: assets, ``InputPath`` for files, ``--set`` for config; run on the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.peers.project import RAN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.peers.project import Asset, Project

#: Removes what the embedded server of a home keeps elsewhere; run where Flowstone is installed.
CLEAN = """
import os, shutil, sys
from pathlib import Path
from flowstone.store.embedded import EmbeddedServer

server = EmbeddedServer(Path(sys.argv[1]))
server.stop()
if os.geteuid() == 0:
    shutil.rmtree(server.data.parent.parent, ignore_errors=True)
"""


def files(project: Project) -> dict[str, str]:
    """The pipeline, and a ``value.py`` that reads the value the run before it has made."""
    reads = any(asset.reads for asset in project.assets)
    imports = "from flowstone import asset"
    if reads:
        imports = "from pathlib import Path\n\nfrom flowstone import InputPath, asset"
    value = f"""import json

from flowstone import materialize

import pipeline

values = materialize(pipeline.{project.final.name}, config={dict(_config(project))!r})
with open("result.json", "w") as file:
    json.dump(values["{project.final.name}"], file)
"""
    pipeline = project.module(imports, map(_function, project.assets))
    return {**project.files, "ran.py": RAN, "pipeline.py": pipeline, "value.py": value}


def commands(project: Project) -> list[list[str]]:
    """What the interpreter is given, one process after the other."""
    config = [word for key, value in _config(project) for word in ("--set", f"{key}={value}")]
    return [["-m", "flowstone", "run", "pipeline.py", "--quiet", *config], ["value.py"]]


def environment(folder: Path, shared: Path) -> dict[str, str]:
    """One embedded server for all edits, a schema of its own for each."""
    schema = f"edit_{folder.name.replace('-', '_')}"
    return {"FLOWSTONE_HOME": str(shared / "flowstone-home"), "FLOWSTONE_SCHEMA": schema}


def _config(project: Project) -> Iterator[tuple[str, int]]:
    for asset in project.assets:
        if asset.config:
            yield f"{asset.name}.{asset.config}", project.config[asset.config]


def _function(asset: Asset) -> str:
    parameters = asset.typed_needs()
    if asset.config:
        parameters.append(f"{asset.config}: int = 0")
    first = []
    if asset.reads:
        parameters.append(f'source: InputPath = Path("{asset.reads}")')
        first = ["text = source.read_text()"]
    return asset.define(["@asset"], parameters, first)
