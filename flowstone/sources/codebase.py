"""All that is known of the project's code at one time, and the codes of assets from it."""

from __future__ import annotations

import inspect
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from flowstone.core.fingerprint.expand import Expander, Extra
from flowstone.core.fingerprint.graph import Graph
from flowstone.core.fingerprint.influence import Influence, Influences
from flowstone.core.fingerprint.link import Linker, Module, Node
from flowstone.sources.cache import Summaries
from flowstone.sources.cells import listen
from flowstone.sources.live import LiveObjects
from flowstone.sources.modules import ProjectModules
from flowstone.sources.project import home, is_project, resolved
from flowstone.sources.rules import ignored, is_covered, tracked

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
        self._influences = Influences(self._linker, self._expander.reach)
        self._imports: dict[str, list[str]] = {}

    def codes(self, assets: list[AnyAsset]) -> dict[str, Code]:
        groups: dict[tuple[frozenset[str], frozenset[Node]], list[tuple[str, Extra]]]
        groups = defaultdict(list)
        for asset in assets:
            made_of = self._live.follow_asset(asset) if asset.fn is not None else Extra()
            made_of.add(*tracked(asset))
            starts = {node.module for _, node in made_of.edges if node.module}
            key = self._closure(starts), ignored(asset, self._modules, self._live)
            groups[key].append((asset.name, made_of))
        found: dict[str, Code] = {}
        for (closure, without), members in groups.items():
            graph = Graph(
                self._expander,
                self._influence(closure),
                lambda node, without=without: is_covered(node, without),  # type: ignore[misc]  # bound now
            )
            for name, made_of in members:
                graph.add(name, made_of)
            found |= graph.codes()
        return {asset.name: found[asset.name] for asset in assets}

    def _influence(self, closure: frozenset[str]) -> Influence:
        modules = [self._modules.module(name) for name in sorted(closure)]
        return self._influences.among([each for each in modules if each is not None])

    def _closure(self, starts: set[str]) -> frozenset[str]:
        """The modules that the given ones import, however deeply."""
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
