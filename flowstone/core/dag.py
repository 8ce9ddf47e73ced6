"""The assets and their dependencies: a directed graph without cycles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rustworkx as rx

from flowstone.core.asset import AnyAsset, Asset
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


class AssetGraph:
    """Assets and their dependencies, checked: every name known and unique, no cycle.

    ``rx`` is the graph itself, a ``rustworkx.PyDiGraph`` whose nodes are the assets and whose
    edges run from an asset to its dependents, each labelled with the parameter that takes it.
    Assets that a dependency refers to as objects (``From(other)``, ``deps=[other]``) belong to
    the graph without being listed.

    Raises:
        DefinitionError: if something is wrong; :class:`DefinitionErrors` holds them all when
            there are several.
    """

    def __init__(self, assets: Iterable[AnyAsset]) -> None:
        self._assets, problems = _by_name(assets)
        for asset in self._assets.values():
            problems += asset.problems
            problems += _clashes(asset, self._assets)
            problems += _unknown(asset, self._assets)
        self.rx, self._index = _build(self._assets)
        problems += _cycles(self.rx)
        DefinitionErrors.raise_any(problems)

    @classmethod
    def from_module(cls, *modules: object) -> AssetGraph:
        """The graph of all assets in modules' namespaces, imported ones included.

        A dependency of an imported asset is looked up in the module that defines it.
        """
        found = [value for module in modules for value in vars(module).values() if is_asset(value)]
        return cls(_with_ancestors(found))

    @classmethod
    def from_targets(cls, targets: Iterable[AnyAsset]) -> AssetGraph:
        """The graph of some assets and all they need, found in the namespaces they live in."""
        return cls(_with_ancestors(targets))

    @staticmethod
    def check_cycles(assets: Iterable[AnyAsset]) -> None:
        """Raise :class:`CycleError` if the assets depend on each other in a ring."""
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
        """
        try:
            return self._assets[name]
        except KeyError:
            msg = f"no asset named {name!r}" + did_you_mean(name, self._assets)
            raise UnknownDependencyError(msg) from None

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
        return self._ordered(rx.ancestors(self.rx, self._node(name)))

    def dependents(self, name: str, *, transitive: bool = False) -> list[str]:
        """The assets that need ``name``: directly or all of them, dependencies first."""
        node = self._node(name)
        if transitive:
            return self._ordered(rx.descendants(self.rx, node))
        return self._ordered(set(self.rx.successor_indices(node)))

    def execution_order(self, *targets: str) -> list[str]:
        """The targets and all they need, dependencies first; ties go by name.

        Without targets, the whole graph.
        """
        if not targets:
            return self._ordered(set(self.rx.node_indices()))
        nodes = {self._node(name) for name in targets}
        ancestors: set[int] = set().union(*(rx.ancestors(self.rx, node) for node in nodes))
        return self._ordered(nodes | ancestors)

    def select(self, *selections: str, exclude: Iterable[str] = ()) -> list[str]:
        """The assets that any of the selections names, in execution order.

        See :mod:`flowstone.core.selection` for the language.

        Raises:
            SelectionError: for an expression that can't be read or names an unknown asset.
            EmptySelectionError: when a valid pattern matches nothing.
        """
        chosen = select(self, selections, tuple(exclude))
        return self._ordered({self._index[name] for name in chosen})

    def _node(self, name: str) -> int:
        return self._index[self[name].name]

    def _ordered(self, nodes: set[int]) -> list[str]:
        whole = len(nodes) == self.rx.num_nodes()
        part = self.rx if whole else self.rx.subgraph(list(nodes))
        return [a.name for a in rx.lexicographical_topological_sort(part, key=lambda a: a.name)]


def is_asset(value: object) -> bool:
    """Whether a value found in a namespace is an asset; never runs code of the value."""
    return issubclass(type(value), Asset)


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
    named: dict[str, AnyAsset] = {}
    problems: list[DefinitionError] = []
    todo = list(assets)[::-1]
    while todo:
        asset = todo.pop()
        known = named.setdefault(asset.name, asset)
        if known is asset:
            linked = [s for s in asset.sources() if is_asset(s)]
            todo += [s for s in linked if isinstance(s, Asset) and named.get(s.name) is not s]
        else:
            problems.append(_duplicate(known, asset))
    return named, problems


def _duplicate(first: AnyAsset, second: AnyAsset) -> DuplicateAssetError:
    places = " and ".join(sorted({a.place or "no function" for a in (first, second)}))
    msg = f"two assets are named {first.name!r}: {places}; rename one, or set name= on it"
    return DuplicateAssetError(msg)


def _clashes(asset: AnyAsset, assets: Mapping[str, AnyAsset]) -> Iterator[DefinitionError]:
    for parameter in asset.config:
        if parameter.name in assets:
            yield DefinitionError(
                f"{asset.label}: parameter {parameter.name!r} has a default, so it is config, but"
                f" an asset has that name too; drop the default to depend on the asset, or rename"
                f" the parameter"
            )


def _unknown(asset: AnyAsset, assets: Mapping[str, AnyAsset]) -> Iterator[DefinitionError]:
    for parameter, source in asset.edges:
        if source in assets:
            continue
        needs = f"parameter {parameter!r} needs" if parameter == source else f"needs {source!r},"
        around = {*assets, *_assets_of(asset.namespace)} - {asset.name}
        hint = did_you_mean(source, sorted(around))
        local = asset.fn is not None and "<locals>" in getattr(asset, "__qualname__", "")
        cure = hint or (
            "; it is defined inside a function, so pass assets=[...] with all that it needs"
            if local
            else "; define it, give the parameter a default to make it config, or use From(...)"
        )
        yield UnknownDependencyError(
            f"{asset.label}: {needs} an asset that does not exist{cure}"
            if parameter == source
            else f"{asset.label}: {needs} which no asset provides{cure}"
        )


def _cycles(graph: rx.PyDiGraph[AnyAsset, str]) -> list[DefinitionError]:
    """One error for every strongly connected part: its ring, from the least name on."""
    if rx.is_directed_acyclic_graph(graph):
        return []
    errors: list[DefinitionError] = []
    for component in rx.strongly_connected_components(graph):
        part = graph.subgraph(sorted(component))
        ring = [part[source] for source, _ in rx.digraph_find_cycle(part)]
        if ring:
            first = min(range(len(ring)), key=lambda i: ring[i].name)
            ring = ring[first:] + ring[:first]
            errors.append(CycleError([a.name for a in ring], [a.place for a in ring]))
    return sorted(errors, key=str)


def _with_ancestors(assets: Iterable[AnyAsset]) -> list[AnyAsset]:
    """The assets and all they need by name, each looked up where the asset that needs it lives."""
    spaces: dict[int, dict[str, list[AnyAsset]]] = {}
    found = {id(asset): asset for asset in assets}
    names = {asset.name for asset in found.values()}
    todo = list(found.values())
    while todo:
        asset = todo.pop()
        for source in asset.sources():
            if isinstance(source, Asset):
                candidates = [source]
            elif source in names:
                continue
            else:
                space = asset.namespace
                if id(space) not in spaces:
                    spaces[id(space)] = _assets_of(space)
                candidates = spaces[id(space)].get(source, [])
            new = [each for each in candidates if id(each) not in found]
            found.update((id(each), each) for each in new)
            names.update(each.name for each in new)
            todo += new
    return list(found.values())


def _assets_of(namespace: Mapping[str, Any]) -> dict[str, list[AnyAsset]]:
    found: dict[str, dict[int, AnyAsset]] = {}
    for value in list(namespace.values()):
        if is_asset(value):
            found.setdefault(value.name, {})[id(value)] = value
    return {name: list(assets.values()) for name, assets in found.items()}
