"""What a run is asked for: from assets, modules and selections to a graph and names in it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from flowstone.core.asset import AnyAsset
from flowstone.core.dag import AssetGraph
from flowstone.core.namespaces import assets_in, defined_in, is_asset
from flowstone.core.resources import Offered, Providers
from flowstone.core.text import kind_of
from flowstone.errors import ConfigError, TargetError

if TYPE_CHECKING:
    from collections.abc import Sequence

Target: TypeAlias = AnyAsset | str | ModuleType
Assets: TypeAlias = AssetGraph | ModuleType | Iterable[AnyAsset | ModuleType]


def collect(
    targets: Sequence[Target],
    assets: Assets | None,
    resources: Providers | None = None,
    standing: Providers | None = None,
) -> AssetGraph:
    """The graph that targets are looked up in.

    ``resources`` are the providers of the call, ``standing`` those of the connection.

    Raises:
        DefinitionError: if it can't be built; all errors at once.
    """
    modules = [target for target in targets if isinstance(target, ModuleType)]
    given = [target for target in targets if is_asset(target)]
    for target in targets:
        if not isinstance(target, (str, ModuleType)) and not is_asset(target):
            msg = f"a target is an asset, a module or a selection, not {_kind(target)}"
            raise TargetError(msg)
    if isinstance(assets, AssetGraph):
        return assets.providing(resources or {}, standing or {})
    _check_listable(assets)
    offered = Offered(resources or {}, standing or {})
    if isinstance(assets, ModuleType):
        modules.append(assets)
    elif assets is not None:
        listed = list(assets)
        modules += [each for each in listed if isinstance(each, ModuleType)]
        plain = [each for each in listed if not isinstance(each, ModuleType)]
        if not modules:
            return AssetGraph([*plain, *assets_in(given)], resources=offered)
        given = [*plain, *given]
    if not modules and not given:
        modules = [sys.modules["__main__"]]
    found = assets_in(given) + [each for m in modules for each in defined_in(vars(m))]
    if not found:
        names = ", ".join(module.__name__ for module in modules)
        msg = f"{names} has no assets; decorate a function with @asset, or pass assets=[...]"
        raise TargetError(msg)
    offered = replace(offered, namespaces=tuple(map(vars, modules)))
    return AssetGraph.from_targets(found, resources=offered)


def graph(*targets: Target, assets: Assets | None = None) -> AssetGraph:
    """The graph of some targets and all they need; of all that is defined here, without any.

    Args:
        targets: assets, modules or selections, as for ``materialize``.
        assets: where names are looked up, as for ``materialize``.

    Raises:
        DefinitionError: if the graph can't be built; all errors at once.
        SelectionError: if a selection can't be read or matches nothing.
    """
    whole = collect(targets, assets)
    return whole.part(chosen(whole, targets, ()))


def _check_listable(assets: object) -> None:
    if isinstance(assets, str) or not isinstance(assets, (type(None), ModuleType, Iterable)):
        msg = f"assets= is a graph, a module or a list of assets, not {_kind(assets)}"
        raise TargetError(msg)


def config_mapping(config: object) -> Mapping[str, Any]:
    """The ``config=`` argument, empty for None.

    Raises:
        ConfigError: if it is no mapping.
    """
    if config is not None and not isinstance(config, Mapping):
        msg = f"config= is a mapping like {{'asset.parameter': value}}, not {_kind(config)}"
        raise ConfigError(msg)
    return config or {}


def _kind(value: object) -> str:
    """What was given instead, and how to mend it where that is plain."""
    if isinstance(value, FunctionType):
        return f"the function {value.__name__}; decorate it with @asset"
    if is_asset(value):
        return f"one asset; write [{getattr(value, 'name', '')}]"
    kind = kind_of(value)
    return f"{kind}; give several one by one" if isinstance(value, (list, tuple, set)) else kind


def chosen(graph: AssetGraph, targets: Sequence[Target], exclude: tuple[str, ...]) -> list[str]:
    """The names of the targets; of everything, if there are none."""
    selections = [target for target in targets if isinstance(target, str)]
    named = assets_in(targets)
    for target in targets:
        if isinstance(target, ModuleType):
            named += defined_in(vars(target))
    return graph.select(*selections, *(asset.name for asset in named), exclude=exclude)
