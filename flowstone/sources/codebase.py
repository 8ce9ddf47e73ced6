"""All that is known of the project's code at one time, and the codes of assets from it."""

from __future__ import annotations

import functools
import inspect
import threading
from collections import defaultdict
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

from flowstone.core.fingerprint.expand import Expander, Extra
from flowstone.core.fingerprint.graph import Graph
from flowstone.core.fingerprint.influence import Effect, Influences
from flowstone.core.fingerprint.link import Linker, Node
from flowstone.core.garbage import uncollected
from flowstone.sources.cache import Summaries
from flowstone.sources.cells import listen
from flowstone.sources.live import LiveObjects
from flowstone.sources.locate import Places
from flowstone.sources.modules import ProjectModules
from flowstone.sources.project import home, is_project, resolved
from flowstone.sources.rules import ignored, tracked

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import CodeType

    from flowstone.core.asset import AnyAsset
    from flowstone.core.code import Code

listen()

_lock = threading.Lock()
#: The last look at the project, and at each installed package that has assets.
_views: dict[Path | None, _View] = {}


def look(assets: Iterable[AnyAsset], cache: Path | None = None) -> dict[str, Code]:
    """The code of each asset. An installed package is the project of its own assets.

    ``cache`` is a folder for summaries. As long as neither files nor live objects have changed,
    what an earlier look found stands.
    """
    listen()
    found: dict[str, Code] = {}
    groups: dict[Path | None, list[AnyAsset]] = defaultdict(list)
    for asset in assets:
        groups[_installed(asset.fn)].append(asset)
    with _lock, uncollected():
        for own, group in groups.items():
            found |= _view(own, cache).codes(group)
    return found


def look_at_classes(classes: frozenset[type], cache: Path | None = None) -> Code | None:
    """The code of some classes together, or None if none of them is the project's."""
    with _lock, uncollected():
        return _view(None, cache).of_classes(classes)


def _view(own: Path | None, cache: Path | None) -> _View:
    """The last look, or a new one if anything has changed."""
    view = _views.get(own)
    if view is None or view.cache != cache or not view.is_current():
        view = _views[own] = _View(ProjectModules(Summaries(cache), own), cache)
    return view


class MadeOf(NamedTuple):
    """What an asset's function is made of, and what of it does not count."""

    code: Extra
    without: frozenset[Node] = frozenset()


class _View:
    """The code as some assets see it."""

    def __init__(self, modules: ProjectModules, cache: Path | None) -> None:
        self.cache = cache
        self._modules = modules
        self._linker = Linker(modules)
        self._places = Places(modules)
        self._live = LiveObjects(self._places)
        self._expander = Expander(self._linker, self._live)
        self._imports: dict[str, list[str]] = {}
        self._closures: dict[frozenset[str], frozenset[str]] = {}
        self._plain: dict[str, tuple[FunctionType, CodeType, MadeOf]] = {}
        self._found: dict[str, tuple[MadeOf, Code]] = {}
        self._classes: dict[frozenset[type], Code | None] = {}

    def is_current(self) -> bool:
        """Whether modules, files and live objects are as they were."""
        return self._modules.is_current() and self._expander.is_current()

    def codes(self, assets: list[AnyAsset]) -> dict[str, Code]:
        """The code of each asset.

        Assets whose modules import the same influences share a graph.
        """
        made_of = {asset.name: self._made_of(asset) for asset in assets}
        found = self._found
        if any(name not in found or found[name][0] != made for name, made in made_of.items()):
            codes = self._look(made_of)
            self._found = found = {name: (made, codes[name]) for name, made in made_of.items()}
        return {name: found[name][1] for name in made_of}

    def of_classes(self, classes: frozenset[type]) -> Code | None:
        """The code of some classes together, or None if none of them is the project's."""
        if classes not in self._classes:
            ordered = sorted(classes, key=lambda each: (each.__qualname__, each.__module__))
            found = self._live.follow(ordered)
            made_of = {"": MadeOf(found, frozenset())}
            self._classes[classes] = self._look(made_of)[""] if found.edges else None
        return self._classes[classes]

    def _look(self, made_of: dict[str, MadeOf]) -> dict[str, Code]:
        closures = {name: self._closure(made.code) for name, made in made_of.items()}
        every = sorted(frozenset[str]().union(*closures.values()))
        modules = filter(None, map(self._modules.module, every))
        influences = Influences(self._linker, self._expander.near, modules)
        graphs: dict[tuple[tuple[Effect, ...], frozenset[Node]], Graph] = {}
        shared: dict[tuple[frozenset[str], frozenset[Node]], Graph] = {}
        for name, made in made_of.items():
            key = closures[name], made.without
            graph = shared.get(key)
            if graph is None:
                effects = influences.among(key[0])
                graph = graphs.get((effects, made.without))
                if graph is None:
                    graph = Graph(self._expander, influences.influence(effects), made.without)
                    graphs[effects, made.without] = graph
                shared[key] = graph
            graph.add(name, made.code)
        found: dict[str, Code] = {}
        for graph in graphs.values():
            found |= graph.codes()
        return found

    def _made_of(self, asset: AnyAsset) -> MadeOf:
        fn = _plain(asset)
        if fn is not None:
            known = self._plain.get(asset.name)
            if known is not None and known[0] is fn and known[1] is fn.__code__:
                return known[2]
            text = self._live.follow_plain(fn)
            if text is not None:
                made = MadeOf(text)
                self._plain[asset.name] = fn, fn.__code__, made
                return made
        found = self._live.follow_asset(asset) if asset.fn is not None else Extra()
        found.add(*tracked(asset))
        return MadeOf(found, ignored(asset, self._modules, self._places))

    def _closure(self, made_of: Extra) -> frozenset[str]:
        """The modules that an asset's own ones import, however deeply, and those themselves."""
        starts = frozenset([node.module for _, node in made_of.edges if node.module])
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
            names: set[str] = set()
            if module is not None:
                names.update(
                    *(self._linker.imported(module, ref) for ref in module.summary.imports)
                )
            self._imports[name] = sorted(names)
        return self._imports[name]


def _plain(asset: AnyAsset) -> FunctionType | None:
    """The function of an asset without decorators, closure and options about its code."""
    fn = asset.fn
    if type(fn) is not FunctionType or fn.__closure__ or fn.__dict__:
        return None
    return None if asset.track or asset.ignore else fn


def _installed(fn: Any) -> Path | None:
    """The installed package an asset's function belongs to, if it is not the project's."""
    if type(fn) is not FunctionType or fn.__dict__:
        fn = None if fn is None else inspect.unwrap(fn)
    code = getattr(fn, "__code__", None)
    return None if code is None else _installed_in(code.co_filename)


@functools.lru_cache(maxsize=4096)
def _installed_in(name: str) -> Path | None:
    if not Path(name).is_file():
        return None
    file = resolved(name)
    return None if is_project(file) else home(file)
