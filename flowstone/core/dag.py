"""The assets and their dependencies: a directed graph without cycles."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import rustworkx as rx

from flowstone.core.asset import Asset
from flowstone.core.display import Displayed
from flowstone.core.edges import mismatches
from flowstone.core.garbage import uncollected
from flowstone.core.namespaces import assets_in, defined_in, is_asset, present, with_ancestors
from flowstone.core.problems import (
    clashing_aliases,
    config_clashes,
    duplicate,
    no_asset,
    unknown,
)
from flowstone.core.resources import OF_CALL, OF_CONNECTION, Offered, bind, gather, unusable
from flowstone.core.selection import select
from flowstone.errors import (
    CycleError,
    DefinitionError,
    DefinitionErrors,
    UnknownDependencyError,
    did_you_mean,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from flowstone.core.asset import AnyAsset
    from flowstone.core.resources import Provider, Providers


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
        #: What provides each resource there is, by name.
        self.resources: Mapping[str, Provider]
        self._offered = Offered.of(resources)
        with uncollected():
            problems = self._built(assets)
        DefinitionErrors.raise_any(problems)

    def _built(self, assets: Iterable[AnyAsset]) -> list[DefinitionError]:
        """Put the assets together, and tell all that is wrong."""
        self._assets, problems = _by_name(assets)
        self.resources, told = gather(self._assets, self._offered)
        problems += told
        if self.resources:
            problems += bind(self._assets, self.resources)
        for asset in self._assets.values():
            problems += asset.problems
        problems += config_clashes(self._assets)
        self._makers, wrong = _makers(self._assets)
        problems += wrong
        problems += unknown(self._assets, self._makers.values(), self.resources)
        self.rx, self._index = _build(self._assets)
        problems += _cycles(self.rx)
        problems += mismatches(self._assets)
        return problems

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
        return cls(with_ancestors(found), resources=offered)

    @classmethod
    def from_targets(
        cls, targets: Iterable[AnyAsset], *, resources: Providers | Offered | None = None
    ) -> AssetGraph:
        """The graph of some assets and all they need, found in the namespaces they live in."""
        return cls(with_ancestors(targets), resources=resources)

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
            return self[name].depends_on
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
        if not self._makers:
            return {asset.name: rank for rank, asset in enumerate(order)}
        groups: dict[int, list[str]] = {}
        for asset in order:
            groups.setdefault(id(asset.maker or asset), []).append(asset.name)
        return {name: rank for rank, name in enumerate(itertools.chain(*groups.values()))}

    def _in_order(self, names: Iterable[str]) -> list[str]:
        found = names if isinstance(names, set) else set(names)
        if len(found) == len(self._ranks):
            return list(self._ranks)
        return sorted(found, key=self._ranks.__getitem__)

    def _needed(self, names: Iterable[str]) -> set[str]:
        """The names and all that they need."""
        assets = self._assets
        todo = [self[name].name for name in names]
        needed = set(todo)
        while todo and len(needed) < len(assets):
            for name in assets[todo.pop()].direct:
                if name not in needed:
                    needed.add(name)
                    todo.append(name)
        return needed


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        written = repr(name.name) if isinstance(name, Asset) else "the name of an asset"
        msg = f"assets are looked up by name, not by {type(name).__name__}; write [{written}]"
        raise TypeError(msg) from None


def _build(assets: Mapping[str, AnyAsset]) -> tuple[rx.PyDiGraph[AnyAsset, str], dict[str, int]]:
    graph: rx.PyDiGraph[AnyAsset, str] = rx.PyDiGraph(
        node_count_hint=len(assets), edge_count_hint=3 * len(assets)
    )
    nodes = graph.add_nodes_from(list(assets.values()))
    index = dict(zip(assets, nodes, strict=True))
    edges = [
        (index[source], node, parameter)
        for node, asset in zip(nodes, assets.values(), strict=True)
        for parameter, source in asset.edges
        if source in index
    ]
    graph.add_edges_from(edges)
    return graph, index


def _by_name(assets: Iterable[AnyAsset]) -> tuple[dict[str, AnyAsset], list[DefinitionError]]:
    listed = list(assets)
    problems: list[DefinitionError] = [no_asset(each) for each in listed if not is_asset(each)]
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
            linked = assets_in([*map(present, asset.linked), *along])
            todo += [each for each in linked if named.get(each.name) is not each]
    problems += [duplicate(name, list(clashing.values())) for name, clashing in clashes.items()]
    problems += clashing_aliases(named)
    return named, problems


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
            problems.append(duplicate(maker.name, [other, maker]))
        elif same is not None and same.maker is not maker:
            problems.append(duplicate(maker.name, [maker, same]))
        problems += maker.problems or maker.check_outputs()
    return found, problems


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
