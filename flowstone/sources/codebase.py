"""All that is known of the project's code at one time, and the codes of assets from it."""

from __future__ import annotations

import inspect
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from flowstone.core.fingerprint.expand import Expander, Extra
from flowstone.core.fingerprint.graph import Graph
from flowstone.core.fingerprint.influence import Effect, Influences
from flowstone.core.fingerprint.link import Linker, Node
from flowstone.sources.cache import Summaries
from flowstone.sources.cells import listen
from flowstone.sources.live import LiveObjects
from flowstone.sources.modules import ProjectModules
from flowstone.sources.project import home, is_project, resolved
from flowstone.sources.rules import ignored, tracked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowstone.core.asset import AnyAsset
    from flowstone.core.code import Code

listen()


class Codebase:
    """One look at the code. ``cache`` is a folder for summaries."""

    def __init__(self, cache: Path | None = None) -> None:
        listen()
        self._summaries = Summaries(cache)

    def codes(self, assets: Iterable[AnyAsset]) -> dict[str, Code]:
        """The code of each asset. An installed package is the project of its own assets."""
        found: dict[str, Code] = {}
        groups: dict[Path | None, list[AnyAsset]] = defaultdict(list)
        for asset in assets:
            groups[_installed(asset)].append(asset)
        for own, group in groups.items():
            found |= _View(ProjectModules(self._summaries, own)).codes(group)
        return found


class _View:
    """The code as some assets see it."""

    def __init__(self, modules: ProjectModules) -> None:
        self._modules = modules
        self._linker = Linker(modules)
        self._live = LiveObjects(modules)
        self._expander = Expander(self._linker, self._live)
        self._imports: dict[str, list[str]] = {}
        self._closures: dict[frozenset[str], frozenset[str]] = {}

    def codes(self, assets: list[AnyAsset]) -> dict[str, Code]:
        """The code of each asset.

        Assets whose modules import the same influences share a graph.
        """
        made_of = {asset.name: self._made_of(asset) for asset in assets}
        closures = {name: self._closure(extra) for name, extra in made_of.items()}
        every = sorted(frozenset[str]().union(*closures.values()))
        modules = filter(None, map(self._modules.module, every))
        influences = Influences(self._linker, self._expander.reach, modules)
        across = {each: influences.among(each) for each in set(closures.values())}
        graphs: dict[tuple[tuple[Effect, ...], frozenset[Node]], Graph] = {}
        for asset in assets:
            effects = across[closures[asset.name]]
            without = ignored(asset, self._modules, self._live)
            graph = graphs.get((effects, without))
            if graph is None:
                graph = Graph(self._expander, influences.influence(effects), without)
                graphs[effects, without] = graph
            graph.add(asset.name, made_of[asset.name])
        return {name: code for graph in graphs.values() for name, code in graph.codes().items()}

    def _made_of(self, asset: AnyAsset) -> Extra:
        found = self._live.follow_asset(asset) if asset.fn is not None else Extra()
        found.add(*tracked(asset))
        return found

    def _closure(self, made_of: Extra) -> frozenset[str]:
        """The modules that an asset's own ones import, however deeply, and those themselves."""
        starts = frozenset(node.module for _, node in made_of.edges if node.module)
        if starts not in self._closures:
            self._closures[starts] = self._imported_by(starts)
        return self._closures[starts]

    def _imported_by(self, starts: frozenset[str]) -> frozenset[str]:
        found = set(starts)
        todo = list(starts)
        while todo:
            for name in self._imported(todo.pop()):
                if name not in found:
                    found.add(name)
                    todo.append(name)
        return frozenset(found)

    def _imported(self, name: str) -> list[str]:
        if name not in self._imports:
            module = self._modules.module(name)
            refs = module.summary.imports if module is not None else []
            names = {each for ref in refs for each in self._linker.imported(module, ref)}
            self._imports[name] = sorted(names)
        return self._imports[name]


def _installed(asset: AnyAsset) -> Path | None:
    """The installed package an asset's function belongs to, if it is not the project's."""
    code = getattr(inspect.unwrap(asset.fn) if asset.fn is not None else None, "__code__", None)
    if code is None or not Path(code.co_filename).is_file():
        return None
    file = resolved(code.co_filename)
    return None if is_project(file) else home(file)
