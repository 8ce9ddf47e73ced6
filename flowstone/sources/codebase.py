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


def _modules(made_of: MadeOf) -> list[str]:
    """The modules of what an asset's function is made of."""
    return [node.module for _, node in made_of.code.edges if node.module]


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
        self._plain: dict[str, tuple[FunctionType, CodeType, Node]] = {}
        self._found: dict[str, tuple[MadeOf | Node, Code]] = {}
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
            made_of: dict[str, MadeOf | Node] = {"": MadeOf(found)}
            self._classes[classes] = self._look(made_of)[""] if found.edges else None
        return self._classes[classes]

    def _look(self, made_of: dict[str, MadeOf | Node]) -> dict[str, Code]:
        plain = {name: made for name, made in made_of.items() if isinstance(made, Node)}
        other = {name: made for name, made in made_of.items() if isinstance(made, MadeOf)}
        modules = {name: self._closure([name]) for name in {node.module for node in plain.values()}}
        closures = {name: self._closure(_modules(made)) for name, made in other.items()}
        every = sorted(set().union(*modules.values(), *closures.values()))
        known = filter(None, map(self._modules.module, every))
        graphs = _Graphs(self._expander, Influences(self._linker, self._expander.near, known))
        shared = {name: graphs.of(closure) for name, closure in modules.items()}
        for name, node in plain.items():
            shared[node.module].add_plain(name, node)
        for name, made in other.items():
            graphs.of(closures[name], made.without).add(name, made.code)
        return graphs.codes()

    def _made_of(self, asset: AnyAsset) -> MadeOf | Node:
        """What an asset's function is made of: of most, one text."""
        fn = _plain(asset)
        if fn is not None:
            known = self._plain.get(asset.name)
            if known is not None and known[0] is fn and known[1] is fn.__code__:
                return known[2]
            node = self._places.root_of(fn)
            if node is not None:
                self._plain[asset.name] = fn, fn.__code__, node
                return node
        found = self._live.follow_asset(asset) if asset.fn is not None else Extra()
        found.add(*tracked(asset))
        return MadeOf(found, ignored(asset, self._modules, self._places))

    def _closure(self, modules: Iterable[str]) -> frozenset[str]:
        """The modules that an asset's own ones import, however deeply, and those themselves."""
        starts = frozenset(modules)
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


class _Graphs:
    """Graphs of definitions: assets share one where the same modules influence them."""

    def __init__(self, expander: Expander, influences: Influences) -> None:
        self._expander, self._influences = expander, influences
        self._graphs: dict[tuple[tuple[Effect, ...], frozenset[Node]], Graph] = {}
        self._shared: dict[tuple[frozenset[str], frozenset[Node]], Graph] = {}

    def of(self, modules: frozenset[str], without: frozenset[Node] = frozenset()) -> Graph:
        """The graph of an asset whose modules, and all that they import, are these."""
        found = self._shared.get((modules, without))
        if found is None:
            found = self._shared[modules, without] = self._found(modules, without)
        return found

    def _found(self, modules: frozenset[str], without: frozenset[Node]) -> Graph:
        effects = self._influences.among(modules)
        found = self._graphs.get((effects, without))
        if found is None:
            influence = self._influences.influence(effects)
            found = self._graphs[effects, without] = Graph(self._expander, influence, without)
        return found

    def codes(self) -> dict[str, Code]:
        """The code of each asset."""
        found: dict[str, Code] = {}
        for graph in self._graphs.values():
            found |= graph.codes()
        return found


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
