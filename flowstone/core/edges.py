"""Types across dependencies: what an asset returns against what the parameter takes."""

from __future__ import annotations

import ast
import inspect
from collections import abc
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

    Annotations that are missing or equal in one namespace are not evaluated, and no pair of texts
    is compared twice.
    """
    edges = _Edges()
    found: list[EdgeTypeError] = []
    returns = {name: asset.written_return for name, asset in assets.items()}
    for asset in assets.values():
        for parameter in asset.parameters:
            wanted = parameter.annotation
            if wanted is EMPTY or parameter.kind != "dependency":
                continue
            name = parameter.asset
            written = returns.get(name, EMPTY)
            if written is EMPTY or written is Any or not parameter.check:
                continue
            if written is wanted and type(wanted) is type:
                continue
            reason = edges.why_not(assets[name], written, asset, parameter)
            if reason:
                found.append(_mismatch(assets[name], written, asset, parameter, reason))
    return found


class _Edges:
    """Compares annotations, each pair once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, int, Any, int], str] = {}

    def why_not(self, source: AnyAsset, written: Any, asset: AnyAsset, parameter: Parameter) -> str:
        wanted = parameter.annotation
        here, there = _scope(asset), _scope(source)
        if here == there and type(wanted) is str and written == wanted:
            return ""
        key = written, there, wanted, here
        try:
            if key in self._known:
                return self._known[key]
        except TypeError:  # an annotation without hash
            return _compare(source, asset, parameter)
        self._known[key] = reason = _compare(source, asset, parameter)
        return reason


def _scope(asset: AnyAsset) -> int:
    """What tells apart the names that two assets' annotations can see."""
    plain = not asset.is_local and not hasattr(asset.fn, "__wrapped__") and not asset.is_async
    return id(asset.namespace) if plain else id(asset)


def _compare(source: AnyAsset, asset: AnyAsset, parameter: Parameter) -> str:
    wanted = read(asset.annotation(parameter), asset.evaluate)
    return cap(why_not(value_type(source), wanted), _REASON_BYTES)


def _mismatch(
    source: AnyAsset, written: Any, asset: AnyAsset, parameter: Parameter, reason: str
) -> EdgeTypeError:
    takes = shown(parameter.annotation)
    as_object = not isinstance(parameter.source, (str, type(None))) and source.name.isidentifier()
    named = source.name if as_object else repr(source.name)
    return EdgeTypeError(
        f"{asset.label}: parameter {parameter.name!r} takes {takes}, but {source.label} returns"
        f" {shown(written)}: {reason}; change one of them, or write {parameter.name}:"
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
