"""Which values several consumers may hold at once."""

from __future__ import annotations

import datetime as dt
import decimal
import pathlib
import uuid
import zoneinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_IMMUTABLE: frozenset[type] = frozenset(
    {
        type(None),
        bool,
        int,
        float,
        complex,
        str,
        bytes,
        range,
        dt.date,
        dt.timedelta,
        dt.timezone,
        zoneinfo.ZoneInfo,
        decimal.Decimal,
        uuid.UUID,
        pathlib.PosixPath,
        pathlib.WindowsPath,
        pathlib.PurePosixPath,
        pathlib.PureWindowsPath,
    }
)
_MAX_DEPTH = 100


def is_shareable(value: object) -> bool:
    """Say whether a value may go to several consumers: no one of them can change it.

    True for immutable built-in values and for tuples and frozensets of such, however nested.
    False for all else, frozen dataclasses and enum members too, since their members may be
    mutable or they may carry attributes.
    """
    return _shareable(value, 0)


def _shareable(value: object, depth: int) -> bool:
    kind = type(value)
    if kind in _IMMUTABLE:
        return True
    if isinstance(value, dt.datetime | dt.time) and kind in (dt.datetime, dt.time):
        return type(value.tzinfo) in _IMMUTABLE
    if isinstance(value, tuple | frozenset) and kind in (tuple, frozenset):
        return depth < _MAX_DEPTH and _all_shareable(value, depth)
    return False


def _all_shareable(items: Iterable[object], depth: int) -> bool:
    if set(map(type, items)) <= _IMMUTABLE:
        return True
    return all(_shareable(item, depth + 1) for item in items)
