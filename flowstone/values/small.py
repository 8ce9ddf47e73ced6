"""Which values are so small that encoding them is less work than anything around it."""

from __future__ import annotations

from typing import Any

_SCALARS = frozenset({type(None), bool, int, float, str, bytes})
_FEW = 32
_SHORT = 4_096


def is_small(value: Any) -> bool:
    """Say whether a value is a short built-in scalar, or a list, tuple or dict of a few such."""
    kind = type(value)
    if kind is int:
        short: bool = value.bit_length() < _SHORT
        return short
    if kind is list or kind is tuple:
        return len(value) <= _FEW and all(map(_is_short, value))
    if kind is dict:
        return len(value) <= _FEW and all(map(_is_short, (*value, *value.values())))
    return False


def _is_short(value: Any) -> bool:
    kind = type(value)
    if kind is int:
        return int.bit_length(value) < _SHORT
    return kind in _SCALARS and (kind not in (str, bytes) or len(value) < _SHORT)
