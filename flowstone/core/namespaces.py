"""The assets that namespaces hold: what stands in them now, and what it needs by name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flowstone.core.asset import AnyAsset, Asset

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Under what names a notebook keeps what its cells showed.
_OUTPUTS = re.compile(r"_{1,3}|_\d+")


def is_asset(value: object) -> bool:
    """Whether a value found in a namespace is an asset; never runs code of the value."""
    kind = type(value)
    return kind is Asset or issubclass(kind, Asset)


def assets_in(values: Iterable[object]) -> list[AnyAsset]:
    """The assets among some values; a function with several outputs counts as these."""
    found: list[Any] = [value for value in values if is_asset(value)]
    if not any(value.outputs for value in found):
        return found
    return [each for value in found for each in (value.outputs.values() or (value,))]


def defined_in(namespace: Mapping[str, Any]) -> list[AnyAsset]:
    """The assets that a namespace defines now, once each.

    What was defined anew is left out where its old self has another name there, and so is the
    history of a notebook's outputs (``_``, ``_12``).
    """
    has_past = "_oh" in namespace
    found = [
        present(value)
        for name, value in list(namespace.items())
        if is_asset(value) and not (has_past and _OUTPUTS.fullmatch(name))
    ]
    return assets_in({id(asset): asset for asset in found}.values())


def assets_of(namespace: Mapping[str, Any]) -> dict[str, list[AnyAsset]]:
    """The assets that a namespace defines now, by their own names; mostly one of each."""
    found: dict[str, dict[int, AnyAsset]] = {}
    for asset in defined_in(namespace):
        found.setdefault(asset.name, {})[id(asset)] = asset
    return {name: list(assets.values()) for name, assets in found.items()}


def present(asset: AnyAsset) -> AnyAsset:
    """What stands for an asset now: a cell or module run again has replaced those it defines."""
    asset = asset.original
    if asset.is_local:
        return asset
    if asset.maker is not None:
        return present(asset.maker).outputs.get(asset.name, asset)
    there = asset.namespace.get(getattr(asset, "__name__", ""))
    return (
        there
        if there is not asset
        and isinstance(there, Asset)
        and (there.name == asset.name and there.namespace is asset.namespace)
        else asset
    )


def with_ancestors(assets: Iterable[AnyAsset]) -> list[AnyAsset]:
    """The assets and all they need by name, each looked up where the asset that needs it lives."""
    spaces: dict[int, dict[str, list[AnyAsset]]] = {}
    found = {id(asset): asset for asset in (each.original for each in assets)}
    names = {asset.name for asset in found.values()}
    todo = list(found.values())
    while todo:
        asset = todo.pop()
        space = asset.namespace
        if id(space) not in spaces:
            spaces[id(space)] = assets_of(space)
        here = spaces[id(space)]
        for source in asset.sources():
            if isinstance(source, Asset):
                candidates = [present(source)]
            elif asset.is_local and source in names:
                candidates = []  # what was given along with a local asset comes before globals
            else:
                candidates = here.get(source, [])
            new = [each for each in candidates if id(each) not in found]
            found.update((id(each), each) for each in new)
            todo += new
    return list(found.values())
