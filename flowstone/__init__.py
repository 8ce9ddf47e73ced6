"""Flowstone: decorated Python functions are data assets; nothing is made twice without reason."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from flowstone.core.garbage import importing

if TYPE_CHECKING:
    from flowstone.api import Flowstone as Flowstone
    from flowstone.core.annotations import From as From
    from flowstone.core.asset import Asset as Asset
    from flowstone.core.asset import asset as asset
    from flowstone.core.context import Context as Context
    from flowstone.core.dag import AssetGraph as AssetGraph
    from flowstone.core.outside import DataVersion as DataVersion
    from flowstone.core.outside import InputPath as InputPath
    from flowstone.core.plan import Plan as Plan
    from flowstone.core.policy import Retry as Retry
    from flowstone.core.resources import Resource as Resource
    from flowstone.portal import accept as accept
    from flowstone.portal import invalidate as invalidate
    from flowstone.portal import materialize as materialize
    from flowstone.portal import materialize_async as materialize_async
    from flowstone.portal import plan as plan
    from flowstone.portal import resume as resume
    from flowstone.portal import why as why
    from flowstone.result import RunResult as RunResult
    from flowstone.targets import graph as graph
    from flowstone.values.io import IOManager as IOManager
    from flowstone.values.io import Product as Product

__version__ = "0.1.0"

#: Where each public name lives; imported on first use, so that ``import flowstone`` stays light.
_HOMES = {
    "Asset": "flowstone.core.asset",
    "AssetGraph": "flowstone.core.dag",
    "Context": "flowstone.core.context",
    "DataVersion": "flowstone.core.outside",
    "Flowstone": "flowstone.api",
    "From": "flowstone.core.annotations",
    "IOManager": "flowstone.values.io",
    "InputPath": "flowstone.core.outside",
    "Plan": "flowstone.core.plan",
    "Product": "flowstone.values.io",
    "Resource": "flowstone.core.resources",
    "Retry": "flowstone.core.policy",
    "RunResult": "flowstone.result",
    "accept": "flowstone.portal",
    "asset": "flowstone.core.asset",
    "graph": "flowstone.targets",
    "invalidate": "flowstone.portal",
    "materialize": "flowstone.portal",
    "materialize_async": "flowstone.portal",
    "plan": "flowstone.portal",
    "resume": "flowstone.portal",
    "why": "flowstone.portal",
}

__all__ = [
    "Asset",
    "AssetGraph",
    "Context",
    "DataVersion",
    "Flowstone",
    "From",
    "IOManager",
    "InputPath",
    "Plan",
    "Product",
    "Resource",
    "Retry",
    "RunResult",
    "accept",
    "asset",
    "graph",
    "invalidate",
    "materialize",
    "materialize_async",
    "plan",
    "resume",
    "why",
]


def __getattr__(name: str) -> Any:
    try:
        home = _HOMES[name]
    except KeyError:
        msg = f"module 'flowstone' has no attribute {name!r}"
        raise AttributeError(msg) from None
    with importing():
        value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
