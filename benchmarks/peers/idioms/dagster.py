"""Dagster: unsynced assets are materialized until none is left, with or without versions."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.peers.project import RAN

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.peers.project import Asset, Project

_HOME = "dagster-home"

_VERSIONED = '''"""The digest of a value as its data version."""

from functools import wraps
from hashlib import sha256

import dagster as dg


def versioned(function):
    @wraps(function)
    def wrapper(*args, **kwargs):
        value = function(*args, **kwargs)
        digest = sha256(repr(value).encode()).hexdigest()
        return dg.Output(value, data_version=dg.DataVersion(digest))

    return wrapper
'''

# The web page's "Materialize unsynced" and RunRequest(stale_assets_only=True) ask the same class;
# neither it nor "Observe" has a public name. "Unsynced" isn't transitive, hence the loop.
_RUN = """import json

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.definitions.observe import observe
from dagster._core.loader import LoadingContextForTest

import pipeline

CONFIG = {config!r}
definitions = dg.Definitions(assets=dg.load_assets_from_modules([pipeline]))
assets = list(definitions.assets)
graph = AssetGraph.from_assets(assets)


def unsynced(instance):
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    wanted = (StaleStatus.STALE, StaleStatus.MISSING)
    return [key for key in graph.materializable_asset_keys if resolver.get_status(key) in wanted]


with dg.DagsterInstance.get() as instance:
    if {observed!r}:
        observe([getattr(pipeline, name) for name in {observed!r}], instance=instance)
    while keys := unsynced(instance):
        names = [key.to_user_string() for key in keys]
        config = {{"ops": {{name: each for name, each in CONFIG.items() if name in names}}}}
        dg.materialize(assets, selection=keys, instance=instance, run_config=config)
    value = definitions.load_asset_value("{final}", instance=instance)
with open("result.json", "w") as file:
    json.dump(value, file)
"""


def files(project: Project, *, versions: bool) -> dict[str, str]:
    """The pipeline, and a script that does what a patient user does in the web page.

    ``versions`` gives each asset a ``code_version`` that its author counts up, and each value a
    ``DataVersion`` of its own.
    """
    config = {
        asset.name: {"config": {asset.config: project.config[asset.config]}}
        for asset in project.assets
        if asset.config
    }
    observed = [_source(asset) for asset in project.assets if asset.reads]
    imports = "import dagster as dg"
    if observed:
        imports = f"from hashlib import sha256\nfrom pathlib import Path\n\n{imports}"
    if versions:
        imports += "\nfrom versioned import versioned"
    pipeline = project.module(imports, map(partial(_define, versions=versions), project.assets))
    run = _RUN.format(config=config, observed=observed, final=project.final.name)
    return {
        **project.files,
        "ran.py": RAN,
        "pipeline.py": pipeline,
        "run.py": run,
        **({"versioned.py": _VERSIONED} if versions else {}),
        f"{_HOME}/dagster.yaml": "telemetry:\n  enabled: false\n",
    }


def environment(folder: Path, shared: Path) -> dict[str, str]:
    """An instance of the edit's own, kept on disk."""
    del shared
    return {"DAGSTER_HOME": str(folder / _HOME)}


def _source(asset: Asset) -> str:
    return asset.reads.replace(".", "_")


def _define(asset: Asset, *, versions: bool) -> str:
    options, parameters, first, before = [], asset.typed_needs(), [], ""
    if versions:
        options.append(f'code_version="{asset.version}"')
        asset = replace(asset, returns=f"dg.Output[{asset.returns}]")
    if asset.reads:
        options.append(f"deps=[{_source(asset)}]")
        before += f"""@dg.observable_source_asset
def {_source(asset)}() -> dg.DataVersion:
    return dg.DataVersion(sha256(Path("{asset.reads}").read_bytes()).hexdigest())


"""
        first.append(f'text = Path("{asset.reads}").read_text()')
    if asset.config:
        settings = f"{asset.name.title()}Config"
        before += f"class {settings}(dg.Config):\n    {asset.config}: int\n\n\n"
        parameters.append(f"config: {settings}")
        first.append(f"{asset.config} = config.{asset.config}")
    decorators = [f"@dg.asset({', '.join(options)})", *(["@versioned"] if versions else [])]
    return before + asset.define(decorators, parameters, first)
