"""What can be wrong with the assets of a graph, each as an error that names place and cure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.core.asset import AnyAsset, Asset
from flowstone.core.namespaces import assets_of
from flowstone.errors import (
    DefinitionError,
    DuplicateAssetError,
    UnknownDependencyError,
    did_you_mean,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: How many names are compared, in all, to find the nearest of unknown ones.
_COMPARISONS = 500_000


def no_asset(value: object) -> DefinitionError:
    """The error for a value that was listed as an asset."""
    shown = getattr(value, "__name__", None) or f"a value of type {type(value).__name__}"
    return DefinitionError(f"{shown} is no asset; decorate it with @asset")


def duplicate(name: str, assets: list[AnyAsset]) -> DuplicateAssetError:
    """The error for a name that several assets have; it names their places."""
    places = sorted(asset.place or "no function" for asset in assets)
    shown = " and ".join(dict.fromkeys(places))
    several = "several" if len(assets) > 2 else "two"  # noqa: PLR2004 - it says so
    again = f" ({len(assets)} times)" if len(set(places)) == 1 else ""
    msg = f"{several} assets are named {name!r}: {shown}{again}; rename one, or set name= on it"
    return DuplicateAssetError(msg)


def clashing_aliases(named: Mapping[str, AnyAsset]) -> Iterator[DuplicateAssetError]:
    """A name that an asset had before must not be the name, or former name, of another."""
    owners: dict[str, AnyAsset] = {}
    for asset in named.values():
        for alias in asset.aliases:
            other = named.get(alias) or owners.setdefault(alias, asset)
            if other is not asset:
                msg = f"alias {alias!r} of {asset.label} also stands for {other.label}; drop one"
                yield DuplicateAssetError(msg)


def config_clashes(assets: Mapping[str, AnyAsset]) -> list[DefinitionError]:
    """A config parameter must not have the name of an asset: which of both is meant?"""
    return [
        DefinitionError(
            f"{(asset.maker or asset).label}: parameter {parameter.name!r} has a default, so"
            f" it is config, but an asset has that name too; drop the default to depend on the"
            f" asset, or rename the parameter"
        )
        for asset in _definitions(assets)
        for parameter in asset.config
        if parameter.name in assets
    ]


def unknown(
    assets: Mapping[str, AnyAsset], makers: Iterable[AnyAsset], resources: Iterable[str]
) -> list[UnknownDependencyError]:
    """One error for every dependency that no asset provides; it names the nearest that does."""
    return _Unknown(assets, makers, resources).problems


class _Unknown:
    """Compares names that nothing has with those there are."""

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
            self._problem(asset.maker or asset, parameter, source)
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
            there = assets_of(asking.namespace)
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


def _definitions(assets: Mapping[str, AnyAsset]) -> Iterable[AnyAsset]:
    """One asset of each definition: a function with several outputs is defined once."""
    return {id(asset.maker or asset): asset for asset in assets.values()}.values()
