"""Several assets from one function: their names, their types, and what it returns taken apart."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeAlias, get_args, get_origin

from flowstone.core.naming import named
from flowstone.errors import OutputsError, SignatureError, did_you_mean

#: The names of the outputs in order, or a NamedTuple or TypedDict whose fields they are.
Outputs: TypeAlias = Iterable[str] | type


def output_names(outputs: Outputs) -> tuple[str, ...]:
    """The names of the assets that a function makes, in order.

    Raises:
        SignatureError: for anything else than names or a class with typed fields; for a name
            that is there twice.
    """
    fields = _fields(outputs)
    if fields is not None:
        return tuple(fields)
    if isinstance(outputs, (str, type, set, frozenset)) or not isinstance(outputs, Iterable):
        shown = getattr(outputs, "__name__", None) or repr(outputs)[:80]
        raise SignatureError(
            f"outputs= lists names, or is a NamedTuple or TypedDict, not {shown};"
            f" write outputs=['train', 'test']"
        )
    listed = tuple(outputs)
    for name in listed:
        if not isinstance(name, str):
            raise SignatureError(f"outputs= lists names, not a value of {type(name).__name__}")
    names = tuple(map(named, listed))
    for name in names:
        if names.count(name) > 1:
            raise SignatureError(f"outputs= names {name!r} twice")
    if not names:
        raise SignatureError("outputs= is empty; name what the function makes, or leave it out")
    return names


def output_types(returns: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The type of each output, from what a function says it returns; ``Any`` where it is silent.

    Raises:
        SignatureError: if the annotation can't be that of these outputs.
    """
    while get_origin(returns) is Annotated:
        returns = get_args(returns)[0]
    origin, parts = get_origin(returns), get_args(returns)
    fields = _fields(returns)
    if fields is not None:
        if set(fields) != set(names):
            raise SignatureError(_other_names(getattr(returns, "__name__", ""), fields, names))
        return {name: fields[name] for name in names}
    if origin is tuple and parts:
        if parts[-1] is ...:
            return dict.fromkeys(names, parts[0])
        if len(parts) != len(names):
            raise SignatureError(
                f"it returns a tuple of {len(parts)}, but outputs= names {len(names)}:"
                f" {', '.join(names)}"
            )
        return dict(zip(names, parts, strict=True))
    if isinstance(origin, type) and issubclass(origin, Mapping) and parts:
        return dict.fromkeys(names, parts[-1])
    if isinstance(returns, type) and not _may_hold_several(returns):
        raise SignatureError(
            f"it returns {returns.__name__}, but outputs= names {', '.join(names)};"
            f" return a tuple in that order, or a dict with these keys"
        )
    return dict.fromkeys(names, Any)


def apart(returned: Any, names: tuple[str, ...]) -> list[Any]:
    """What a function returned, as one value for each output, in the order of ``names``.

    A mapping and a NamedTuple are taken apart by name, any other tuple or list by position.

    Raises:
        OutputsError: if it is neither, or has too many or too few.
    """
    by_name: Mapping[Any, Any] | None = None
    if isinstance(returned, Mapping):
        by_name = {named(k) if isinstance(k, str) else k: each for k, each in returned.items()}
    elif isinstance(returned, tuple) and hasattr(returned, "_fields"):
        by_name = dict(zip(map(named, returned._fields), returned, strict=True))
    if by_name is not None:
        if set(by_name) != set(names):
            raise OutputsError(_other_names("", [str(key) for key in by_name], names))
        return [by_name[name] for name in names]
    if not isinstance(returned, (tuple, list)):
        raise OutputsError(
            f"it returned a value of {type(returned).__name__}, not a tuple or dict of its outputs"
            f" {', '.join(names)}"
        )
    if len(returned) != len(names):
        raise OutputsError(
            f"it returned {len(returned)} values, not {len(names)}: {', '.join(names)}"
        )
    return list(returned)


def _may_hold_several(cls: Any) -> bool:
    kinds = (tuple, list, dict)
    return (
        cls is Any or issubclass(cls, (*kinds, Mapping)) or any(issubclass(k, cls) for k in kinds)
    )


def _fields(cls: Any) -> dict[str, Any] | None:
    """The fields of a NamedTuple or TypedDict with their types; None for anything else."""
    if not isinstance(cls, type):
        return None
    if not typing.is_typeddict(cls) and not (issubclass(cls, tuple) and hasattr(cls, "_fields")):
        return None
    try:
        hints = typing.get_type_hints(cls)
    except Exception:  # noqa: BLE001 - names imported for type checkers only, or worse
        hints = {}
    kind: Any = cls
    names = kind.__annotations__ if typing.is_typeddict(cls) else kind._fields
    return {named(name): hints.get(name, Any) for name in names}


def _other_names(kind: str, found: Iterable[str], names: tuple[str, ...]) -> str:
    found = list(found)
    missing = [name for name in names if name not in found]
    extra = [name for name in found if name not in names]
    told = [f"without {', '.join(missing)}"] if missing else []
    if extra:
        told.append(f"with {', '.join(extra)[:200]}{did_you_mean(extra[0], missing)}")
    return f"it returns {kind or 'outputs'} {' and '.join(told)}; outputs= names {', '.join(names)}"
