"""Types across dependencies: what an asset returns against what the parameter takes."""

from __future__ import annotations

import ast
import inspect
from collections import abc
from types import FunctionType
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from flowstone.core.annotations import EMPTY
from flowstone.core.outside import DataVersion
from flowstone.core.text import cap
from flowstone.core.typed.assignable import why_not
from flowstone.core.typed.classes import argument, seen_as
from flowstone.core.typed.forms import ANY, Class, Type, Union, union
from flowstone.core.typed.reading import expanded, read
from flowstone.errors import EdgeTypeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.core.asset import AnyAsset
    from flowstone.core.signature import Parameter

_SHOWN_BYTES = 200
_REASON_BYTES = 400


def value_type(asset: AnyAsset) -> Type:
    """What the function says its value is; a coroutine's or awaitable's result is the value.

    ``ANY`` below a decorator, which may return something else than the function it wraps, and
    for a ``DataVersion``, which does not say what it holds.
    """
    return ANY if hasattr(asset.fn, "__wrapped__") else written_type(asset)


def written_type(asset: AnyAsset) -> Type:
    """The same by what is written, decorator or not."""
    kind = read(asset.returns, asset.evaluate)
    kind = expanded(kind if asset.is_async else _awaited(kind))
    members = kind.members if isinstance(kind, Union) else (kind,)
    return ANY if Class(DataVersion) in map(expanded, members) else kind


def mismatches(assets: Mapping[str, AnyAsset]) -> list[EdgeTypeError]:
    """One error for every parameter that does not admit what the asset it takes returns.

    Annotations that are missing, or equal in one namespace, are not evaluated, and no pair of
    texts is compared twice.
    """
    edges = _Edges(assets)
    found: list[EdgeTypeError] = []
    for asset in assets.values():
        if asset.maker is not None and asset.place_among_outputs:
            continue  # the first speaks for all
        for parameter in asset.parameters:
            wanted = parameter.annotation
            if wanted is EMPTY or parameter.kind != "dependency":
                continue
            name = parameter.name if parameter.source is None else parameter.asset
            if type(wanted) is not type or edges.written(name) is not wanted:
                error = edges.mismatch(asset, parameter, name)
                found += [error] if error else []
    return found


class _Edges:
    """Compares annotations, each pair once."""

    def __init__(self, assets: Mapping[str, AnyAsset]) -> None:
        self._assets = assets
        self._written: dict[str, Any] = {}
        self._scopes: dict[str, int] = {}
        self._known: dict[Any, str] = {}

    def written(self, name: str) -> Any:
        """The return annotation of an asset as it is written."""
        try:
            return self._written[name]
        except KeyError:
            source = self._assets.get(name)
            written = self._written[name] = EMPTY if source is None else source.written_return
            return written

    def mismatch(self, asset: AnyAsset, parameter: Parameter, name: str) -> EdgeTypeError | None:
        """The error of one dependency on the asset ``name``, if it has one."""
        written, wanted = self.written(name), parameter.annotation
        if written is EMPTY or written is Any or not parameter.check:
            return None
        here, there = self._scope(asset.name), self._scope(name)
        if here == there and type(wanted) is str and written == wanted:
            return None
        reason = self._why_not((written, there, wanted, here), asset, parameter)
        source = self._assets[name]
        return _mismatch(source, written, asset, parameter, reason) if reason else None

    def _scope(self, name: str) -> int:
        if name not in self._scopes:
            self._scopes[name] = _scope(self._assets[name])
        return self._scopes[name]

    def _why_not(self, key: object, asset: AnyAsset, parameter: Parameter) -> str:
        try:
            reason = self._known.get(key)
        except Exception:  # noqa: BLE001 - an annotation without hash, or worse
            return self._compared(asset, parameter)
        if reason is None:
            reason = self._known[key] = self._compared(asset, parameter)
        return reason

    def _compared(self, asset: AnyAsset, parameter: Parameter) -> str:
        wanted = read(asset.annotation(parameter), asset.evaluate)
        reason = why_not(value_type(self._assets[parameter.asset]), wanted)
        return cap(reason, _REASON_BYTES)


def _scope(asset: AnyAsset) -> int:
    """A number for what an asset's annotations mean: one for all plain functions of a module.

    What coroutines return means something else: they have another one.
    """
    fn = asset.fn
    if type(fn) is not FunctionType or fn.__dict__ or "<locals>" in fn.__qualname__:
        return id(asset)
    scope = id(fn.__globals__)
    return -scope if fn.__code__.co_flags & inspect.CO_COROUTINE else scope


def _mismatch(
    source: AnyAsset, written: Any, asset: AnyAsset, parameter: Parameter, reason: str
) -> EdgeTypeError:
    takes = shown(parameter.annotation)
    as_object = not isinstance(parameter.source, (str, type(None))) and source.name.isidentifier()
    named = source.name if as_object else repr(source.name)
    definition = asset.maker or asset
    return EdgeTypeError(
        f"{definition.label}: parameter {parameter.name!r} takes {takes}, but {source.label}"
        f" returns {shown(written)}: {reason}; change one of them, or write {parameter.name}:"
        f" Annotated[{takes}, From({named}, check=False)]"
    )


def shown(annotation: Any) -> str:
    """An annotation as it was written, without the ``From`` around it."""
    if isinstance(annotation, str):
        text = _without_from(annotation) if "From" in annotation else annotation
    elif get_origin(annotation) is Annotated:
        return shown(get_args(annotation)[0])
    elif isinstance(annotation, type) and get_origin(annotation) is None:
        text = annotation.__qualname__.rpartition(".")[2]
    else:
        text = inspect.formatannotation(annotation).replace("typing.", "")
        text = "None" if annotation is None else text
    return cap(text.strip(), _SHOWN_BYTES)


def _without_from(text: str) -> str:
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return text
    match node:
        case ast.Subscript(value=outer, slice=ast.Tuple(elts=[inner, *_])):
            return ast.unparse(inner) if ast.unparse(outer).endswith("Annotated") else text
    return text


def _awaited(kind: Type) -> Type:
    """The value's type if a plain function returned this: awaitables are awaited."""
    kind = expanded(kind)
    if isinstance(kind, Union):
        return union(map(_awaited, kind.members))
    if not isinstance(kind, Class) or not hasattr(kind.cls, "__await__"):
        return kind
    seen = seen_as(kind, abc.Awaitable)
    return argument(seen, 0) if isinstance(seen, Class) else ANY
