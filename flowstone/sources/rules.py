"""What an asset's options say about its code: what to ignore, which distributions to track."""

from __future__ import annotations

import functools
import types
from importlib import metadata
from typing import TYPE_CHECKING, Any

from flowstone.core.asset import Asset
from flowstone.core.fingerprint.link import Node
from flowstone.errors import DefinitionError, did_you_mean

if TYPE_CHECKING:
    from flowstone.core.asset import AnyAsset
    from flowstone.sources.locate import Places
    from flowstone.sources.modules import ProjectModules


def tracked(asset: AnyAsset) -> list[str]:
    """The distributions an asset tracks, with their installed versions.

    Raises:
        DefinitionError: for one that is not installed.
    """
    found: list[str] = []
    for name in sorted(set(asset.track)):
        try:
            found += [name, metadata.version(name)]
        except (metadata.PackageNotFoundError, ValueError):
            known = {str(each.name) for each in metadata.distributions()}
            msg = f"{asset.label}: track= names {name!r}, which is not installed"
            raise DefinitionError(msg + did_you_mean(name, known)) from None
    return found


def ignored(asset: AnyAsset, modules: ProjectModules, places: Places) -> frozenset[Node]:
    """What an asset's ``ignore=`` names; a module stands for all that is in it.

    Raises:
        DefinitionError: for a name that a module of the project does not have.
    """
    return frozenset(
        node
        for each in asset.ignore
        if (node := _ignored(each, asset, modules, places)) is not None
    )


def _ignored(value: Any, asset: AnyAsset, modules: ProjectModules, places: Places) -> Node | None:
    if isinstance(value, str):
        return _named(value, asset, modules)
    if isinstance(value, types.ModuleType):
        return Node("whole", value.__name__)
    inner = value.fn if isinstance(value, Asset) else value
    inner = inner.func if isinstance(inner, functools.partial) else inner
    inner = getattr(inner, "__wrapped__", inner)
    if isinstance(inner, types.FunctionType):
        return places.node_of(inner)
    if isinstance(inner, type):
        return places.class_node(inner)
    msg = f"{asset.label}: ignore= takes functions, classes, modules or their names"
    raise DefinitionError(f"{msg}, not {type(value).__name__}")


def _named(name: str, asset: AnyAsset, modules: ProjectModules) -> Node | None:
    """What a dotted name stands for: a module, or a name of the longest module it begins with."""
    if modules.module(name) is not None:
        return Node("whole", name)
    around, _, last = name.rpartition(".")
    while around:
        module = modules.module(around)
        if module is not None:
            if last in module.summary.names:
                return Node("def", around, last)
            msg = f"{asset.label}: ignore= names {name!r}, but {around} has no {last!r}"
            raise DefinitionError(msg + did_you_mean(last, module.summary.names))
        around, _, last = around.rpartition(".")
    return None
