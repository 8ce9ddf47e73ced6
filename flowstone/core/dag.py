"""The assets and their dependencies: a directed graph without cycles."""

from __future__ import annotations

import functools
import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import rustworkx as rx

from flowstone.core.asset import AnyAsset, Asset
from flowstone.core.display import Displayed
from flowstone.core.edges import mismatches
from flowstone.core.resources import OF_CALL, OF_CONNECTION, Offered, bind, gather, unusable
from flowstone.core.selection import select
from flowstone.errors import (
    CycleError,
    DefinitionError,
    DefinitionErrors,
    DuplicateAssetError,
    UnknownDependencyError,
    did_you_mean,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flowstone.core.resources import Provider, Providers

#: How many names are compared, in all, to find the nearest of unknown ones.
_COMPARISONS = 500_000
#: Under what names a notebook keeps what its cells showed.
_OUTPUTS = re.compile(r"_{1,3}|_\d+")


class AssetGraph(Displayed):
    """Assets and their dependencies, checked: every name known and unique, no cycle.

    ``rx`` is the graph itself, a ``rustworkx.PyDiGraph`` whose nodes are the assets and whose
    edges run from an asset to its dependents, each labelled with the parameter that takes it.
    Assets that a dependency refers to as objects (``From(other)``, ``deps=[other]``) belong to
    the graph without being listed.

    ``resources`` maps names to providers; what the modules that the assets live in have under
    that name comes after it. Of an asset that takes one, the graph holds a copy that says so.

    Raises:
        DefinitionError: if something is wrong; ``DefinitionErrors`` holds them all when
            there are several.
    """

    def __init__(
        self, assets: Iterable[AnyAsset], *, resources: Providers | Offered | None = None
    ) -> None:
        self._assets, problems = _by_name(assets)
        self._offered = Offered.of(resources)
        #: What provides each resource there is, by name.
        self.resources: Mapping[str, Provider]
        self.resources, told = gather(self._assets, self._offered)
        problems += told
        if self.resources:
            problems += bind(self._assets, self.resources)
        for asset in self._assets.values():
            problems += asset.problems
        for asset in _definitions(self._assets):
            if asset.config:
                problems += _clashes(asset, self._assets)
        self._makers, wrong = _makers(self._assets)
        problems += wrong
        problems += _Unknown(self._assets, self._makers.values(), self.resources).problems
        self.rx, self._index = _build(self._assets)
        problems += _cycles(self.rx)
        problems += mismatches(self._assets)
        DefinitionErrors.raise_any(problems)

    @classmethod
    def from_module(
        cls, *modules: object, resources: Providers | Offered | None = None
    ) -> AssetGraph:
        """The graph of all assets in modules' namespaces, imported ones included.

        A dependency of an imported asset is looked up in the module that defines it.
        """
        spaces = tuple(map(vars, modules))
        found = [asset for space in spaces for asset in defined_in(space)]
        offered = replace(Offered.of(resources), namespaces=spaces)
        return cls(_with_ancestors(found), resources=offered)

    @classmethod
    def from_targets(
        cls, targets: Iterable[AnyAsset], *, resources: Providers | Offered | None = None
    ) -> AssetGraph:
        """The graph of some assets and all they need, found in the namespaces they live in."""
        return cls(_with_ancestors(targets), resources=resources)

    def providing(self, resources: Providers, standing: Providers) -> AssetGraph:
        """This graph with other providers: ``resources`` before its own, ``standing`` after."""
        if not resources and not standing:
            return self
        DefinitionErrors.raise_any(
            [*unusable(OF_CALL, resources), *unusable(OF_CONNECTION, standing)]
        )
        mine = self._offered
        offered = Offered(
            {**mine.given, **resources}, {**standing, **mine.standing}, mine.namespaces
        )
        return AssetGraph([asset.original for asset in self], resources=offered)

    def part(self, names: Iterable[str]) -> AssetGraph:
        """The graph of some assets and all they need."""
        needed = [self[name].original for name in self.execution_order(*names)]
        return AssetGraph(needed, resources=self._offered)

    @staticmethod
    def check_cycles(assets: Iterable[AnyAsset]) -> None:
        """Raise ``CycleError`` if the assets depend on each other in a ring."""
        graph, _ = _build(_by_name(assets)[0])
        DefinitionErrors.raise_any(_cycles(graph))

    def __len__(self) -> int:
        return len(self._assets)

    def __iter__(self) -> Iterator[AnyAsset]:
        return iter(self._assets.values())

    def __contains__(self, name: object) -> bool:
        return name in self._assets

    def __getitem__(self, name: str) -> AnyAsset:
        """The asset of that name.

        Raises:
            UnknownDependencyError: if there is none; it names the nearest.
            TypeError: for anything but a name.
        """
        try:
            return self._assets[name]
        except (KeyError, TypeError):
            _check_name(name)
            several = self.made_by(name)
            hint = f"; {name} makes several: take {' or '.join(several)}" if several else ""
            msg = f"no asset named {name!r}" + (hint or did_you_mean(name, self._assets))
            raise UnknownDependencyError(msg) from None

    def made_by(self, name: str) -> list[str]:
        """The names of the assets that a function with several outputs makes; empty for others."""
        maker = self._makers.get(name)
        return [] if maker is None else [each for each in maker.outputs if each in self._assets]

    def together(self, name: str) -> list[str]:
        """The names of all that the function of an asset makes, its own among them."""
        maker = self[name].maker
        return [name] if maker is None else self.made_by(maker.name)

    def __repr__(self) -> str:
        return f"<AssetGraph of {len(self)} assets, {self.rx.num_edges()} dependencies>"

    @property
    def names(self) -> list[str]:
        """All names, in the order the assets were given."""
        return list(self._assets)

    def dependencies(self, name: str, *, transitive: bool = False) -> list[str]:
        """The assets ``name`` needs: directly, in signature order; or all, dependencies first."""
        if not transitive:
            return list(self[name].depends_on)
        return self._in_order(self._needed([name]) - {name})

    def dependents(self, name: str, *, transitive: bool = False) -> list[str]:
        """The assets that need ``name``: directly or all of them, dependencies first."""
        node = self._index[self[name].name]
        found = rx.descendants(self.rx, node) if transitive else self.rx.successor_indices(node)
        return self._in_order(self.rx[each].name for each in found)

    def execution_order(self, *targets: str) -> list[str]:
        """The targets and all they need, dependencies first; ties go by name.

        Without targets, the whole graph.
        """
        return self._in_order(self._needed(targets)) if targets else list(self._ranks)

    def select(self, *selections: str, exclude: Iterable[str] = ()) -> list[str]:
        """The assets that any of the selections names, in execution order.

        See ``flowstone.core.selection`` for the language.

        Raises:
            SelectionError: for an expression that can't be read or names an unknown asset.
            EmptySelectionError: when a valid pattern matches nothing.
        """
        chosen = select(self, selections, tuple(exclude))
        return self._in_order(chosen)

    @functools.cached_property
    def _ranks(self) -> dict[str, int]:
        """Every name's place in the one order there is: dependencies first, ties by name.

        What one function makes stands together: so does what decides whether it is called.
        """
        order = rx.lexicographical_topological_sort(self.rx, key=lambda asset: asset.name)
        groups: dict[int, list[str]] = {}
        for asset in order:
            groups.setdefault(id(asset.maker or asset), []).append(asset.name)
        return {name: rank for rank, name in enumerate(itertools.chain(*groups.values()))}

    def _in_order(self, names: Iterable[str]) -> list[str]:
        return sorted(set(names), key=self._ranks.__getitem__)

    def _needed(self, names: Iterable[str]) -> set[str]:
        """The names and all that they need."""
        todo = [self[name].name for name in names]
        needed = set(todo)
        while todo:
            new = set(self._assets[todo.pop()].depends_on) - needed
            needed |= new
            todo += new
        return needed


def is_asset(value: object) -> bool:
    """Whether a value found in a namespace is an asset; never runs code of the value."""
    return issubclass(type(value), Asset)


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        written = repr(name.name) if isinstance(name, Asset) else "the name of an asset"
        msg = f"assets are looked up by name, not by {type(name).__name__}; write [{written}]"
        raise TypeError(msg) from None


def assets_in(values: Iterable[object]) -> list[AnyAsset]:
    """The assets among some values; a function with several outputs counts as these."""
    found: list[Any] = [value for value in values if is_asset(value)]
    return [each for value in found for each in (value.outputs.values() or (value,))]


def defined_in(namespace: Mapping[str, Any]) -> list[AnyAsset]:
    """The assets that a namespace defines now, once each.

    What was defined anew is left out where its old self has another name there, and so is the
    history of a notebook's outputs (``_``, ``_12``).
    """
    has_past = "_oh" in namespace
    found = [
        _present(value)
        for name, value in list(namespace.items())
        if is_asset(value) and not (has_past and _OUTPUTS.fullmatch(name))
    ]
    return assets_in({id(asset): asset for asset in found}.values())


def _build(assets: Mapping[str, AnyAsset]) -> tuple[rx.PyDiGraph[AnyAsset, str], dict[str, int]]:
    graph: rx.PyDiGraph[AnyAsset, str] = rx.PyDiGraph(
        node_count_hint=len(assets), edge_count_hint=3 * len(assets)
    )
    nodes = graph.add_nodes_from(list(assets.values()))
    index = dict(zip(assets, nodes, strict=True))
    graph.add_edges_from(
        [
            (index[source], index[name], parameter)
            for name, asset in assets.items()
            for parameter, source in asset.edges
            if source in index
        ]
    )
    return graph, index


def _by_name(assets: Iterable[AnyAsset]) -> tuple[dict[str, AnyAsset], list[DefinitionError]]:
    listed = list(assets)
    problems: list[DefinitionError] = [_no_asset(each) for each in listed if not is_asset(each)]
    named: dict[str, AnyAsset] = {}
    clashes: dict[str, dict[int, AnyAsset]] = {}
    todo = [asset.original for asset in reversed(assets_in(listed))]
    brought: set[int] = set()
    while todo:
        asset = todo.pop()
        known = named.setdefault(asset.name, asset)
        if known is not asset:
            clashing = clashes.setdefault(asset.name, {id(known): known})
            if id(asset) in clashing:
                continue
            clashing[id(asset)] = asset
        if asset.linked or asset.maker is not None:
            along = []
            if asset.maker is not None and id(asset.maker) not in brought:
                brought.add(id(asset.maker))
                along = [asset.maker]
            linked = assets_in([*map(_present, asset.linked), *along])
            todo += [each for each in linked if named.get(each.name) is not each]
    problems += [_duplicate(name, list(clashing.values())) for name, clashing in clashes.items()]
    problems += _clashing_aliases(named)
    return named, problems


def _present(asset: AnyAsset) -> AnyAsset:
    """What stands for an asset now: a cell or module run again has replaced those it defines."""
    asset = asset.original
    if asset.is_local:
        return asset
    if asset.maker is not None:
        return _present(asset.maker).outputs.get(asset.name, asset)
    there = asset.namespace.get(getattr(asset, "__name__", ""))
    return (
        there
        if there is not asset
        and isinstance(there, Asset)
        and (there.name == asset.name and there.namespace is asset.namespace)
        else asset
    )


def _makers(
    assets: Mapping[str, AnyAsset],
) -> tuple[dict[str, AnyAsset], list[DefinitionError]]:
    """The functions with several outputs, by name, and what is wrong with them."""
    found: dict[str, AnyAsset] = {}
    problems: list[DefinitionError] = []
    makers = {id(asset.maker): asset.maker for asset in assets.values()}
    for maker in makers.values():
        if maker is None:
            continue
        other = found.setdefault(maker.name, maker)
        same = assets.get(maker.name)
        if other is not maker:
            problems.append(_duplicate(maker.name, [other, maker]))
        elif same is not None and same.maker is not maker:
            problems.append(_duplicate(maker.name, [maker, same]))
        problems += maker.problems or maker.check_outputs()
    return found, problems


def _definitions(assets: Mapping[str, AnyAsset]) -> Iterable[AnyAsset]:
    """What was decorated: a function with several outputs is one definition."""
    return {id(asset.maker or asset): asset.maker or asset for asset in assets.values()}.values()


def _no_asset(value: object) -> DefinitionError:
    shown = getattr(value, "__name__", None) or f"a value of type {type(value).__name__}"
    return DefinitionError(f"{shown} is no asset; decorate it with @asset")


def _clashing_aliases(named: Mapping[str, AnyAsset]) -> Iterator[DuplicateAssetError]:
    """A name that an asset had before must not be the name, or former name, of another."""
    owners: dict[str, AnyAsset] = {}
    for asset in named.values():
        for alias in asset.aliases:
            other = named.get(alias) or owners.setdefault(alias, asset)
            if other is not asset:
                msg = f"alias {alias!r} of {asset.label} also stands for {other.label}; drop one"
                yield DuplicateAssetError(msg)


def _duplicate(name: str, assets: list[AnyAsset]) -> DuplicateAssetError:
    places = sorted(asset.place or "no function" for asset in assets)
    shown = " and ".join(dict.fromkeys(places))
    several = "several" if len(assets) > 2 else "two"  # noqa: PLR2004 - it says so
    again = f" ({len(assets)} times)" if len(set(places)) == 1 else ""
    msg = f"{several} assets are named {name!r}: {shown}{again}; rename one, or set name= on it"
    return DuplicateAssetError(msg)


def _clashes(asset: AnyAsset, assets: Mapping[str, AnyAsset]) -> Iterator[DefinitionError]:
    for parameter in asset.config:
        if parameter.name in assets:
            yield DefinitionError(
                f"{asset.label}: parameter {parameter.name!r} has a default, so it is config, but"
                f" an asset has that name too; drop the default to depend on the asset, or rename"
                f" the parameter"
            )


class _Unknown:
    """One error for every dependency that no asset provides."""

    def __init__(
        self,
        assets: Mapping[str, AnyAsset],
        makers: Iterable[AnyAsset],
        resources: Iterable[str],
    ) -> None:
        self._assets, self._makers, self._resources = assets, list(makers), resources
        self._hints: dict[tuple[str, int], str] = {}
        self._left = _COMPARISONS
        self.problems = [
            self._problem(asset, parameter, source)
            for asset in _definitions(assets)
            for parameter, source in asset.edges
            if source not in assets
        ]

    def _problem(self, asset: AnyAsset, parameter: str, source: str) -> UnknownDependencyError:
        if parameter in ("", source):
            needs = f"parameter {parameter!r} needs" if parameter else f"needs {source!r},"
        else:
            needs = f"parameter {parameter!r} needs {source!r},"
        lacks = "an asset that does not exist" if parameter == source else "which no asset provides"
        cure = (
            self._several(asset, source) or self._nearest(source, asset) or _cure(asset, parameter)
        )
        return UnknownDependencyError(f"{asset.label}: {needs} {lacks}{cure}")

    def _several(self, asset: AnyAsset, source: str) -> str:
        """What a function makes that was named as if it were one asset."""
        candidates = [*asset.linked, asset.namespace.get(source), *self._makers]
        makers = (each for each in candidates if isinstance(each, Asset) and each.outputs)
        maker = next((each for each in makers if each.name == source), None)
        return f"; {source} makes several: take {' or '.join(maker.outputs)}" if maker else ""

    def _nearest(self, name: str, asking: AnyAsset) -> str:
        """The nearest names in the graph and its module, unless comparing would take all day."""
        key = name, id(asking.namespace)
        if key not in self._hints and self._left > 0:
            there = _assets_of(asking.namespace)
            known = {*self._assets, *there, *self._resources} - {asking.name}
            self._left -= len(known)
            self._hints[key] = did_you_mean(name, sorted(known))
        return self._hints.get(key, "")


def _cure(asset: AnyAsset, parameter: str) -> str:
    if parameter in ("self", "cls") and "." in getattr(asset, "__qualname__", ""):
        return "; an asset is a function, not a method: move it out of its class"
    if parameter in ("context", "ctx"):
        return f"; for the run's context write {parameter}: Context"
    if asset.is_local:
        return "; it is defined inside a function, so pass assets=[...] with all that it needs"
    return "; define it, give the parameter a default to make it config, or use From(...)"


def _cycles(graph: rx.PyDiGraph[AnyAsset, str]) -> list[DefinitionError]:
    """One error for every strongly connected part: its ring, from the least name on."""
    if rx.is_directed_acyclic_graph(graph):
        return []
    errors: list[DefinitionError] = []
    for component in rx.strongly_connected_components(graph):
        if len(component) == 1 and not graph.has_edge(component[0], component[0]):
            continue
        ring = _ring(graph.subgraph(component))
        errors.append(CycleError([a.name for a in ring], [a.place for a in ring]))
    return sorted(errors, key=str)


def _ring(part: rx.PyDiGraph[AnyAsset, str]) -> list[AnyAsset]:
    """The shortest ring through the part's least name; every node of it lies on one."""
    start = min(part.node_indices(), key=lambda node: part[node].name)
    before: dict[int, int] = {}
    front = [start]
    while start not in before:
        reached: list[int] = []
        for node in front:
            following = {n for n in part.successor_indices(node) if n not in before}
            before.update(dict.fromkeys(following, node))
            reached += sorted(following, key=lambda n: part[n].name)
        front = reached
    ring = [before[start]]
    while ring[-1] != start:
        ring.append(before[ring[-1]])
    return [part[node] for node in reversed(ring)]


def _with_ancestors(assets: Iterable[AnyAsset]) -> list[AnyAsset]:
    """The assets and all they need by name, each looked up where the asset that needs it lives."""
    spaces: dict[int, dict[str, list[AnyAsset]]] = {}
    found = {id(asset): asset for asset in (each.original for each in assets)}
    names = {asset.name for asset in found.values()}
    todo = list(found.values())
    while todo:
        asset = todo.pop()
        space = asset.namespace
        if id(space) not in spaces:
            spaces[id(space)] = _assets_of(space)
        here = spaces[id(space)]
        for source in asset.sources():
            if isinstance(source, Asset):
                candidates = [_present(source)]
            elif asset.is_local and source in names:
                candidates = []  # what was given along with a local asset comes before globals
            else:
                candidates = here.get(source, [])
            new = [each for each in candidates if id(each) not in found]
            found.update((id(each), each) for each in new)
            todo += new
    return list(found.values())


def _assets_of(namespace: Mapping[str, Any]) -> dict[str, list[AnyAsset]]:
    found: dict[str, dict[int, AnyAsset]] = {}
    for asset in defined_in(namespace):
        found.setdefault(asset.name, {})[id(asset)] = asset
    return {name: list(assets.values()) for name, assets in found.items()}
