"""Which values several consumers may hold at once."""

from __future__ import annotations

import datetime as dt
import decimal
import pathlib
import sys
import uuid
import zoneinfo
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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


def handed_out(value: Any) -> Any:
    """Give what a consumer gets in place of ``value``: it can't change what others hold.

    An array becomes a read-only view, a polars frame or a pandas one (with copy-on-write, so
    since pandas 3) another frame over the same memory. Anything else is given as it is.
    """
    owner = owner_of(value)
    if owner == "numpy" and _is_array(value):
        view = value.view()
        view.flags.writeable = False
        return view
    if owner == "polars" and is_shareable(value):
        return value.clone()
    return value.copy(deep=False) if owner == "pandas" and is_shareable(value) else value


def owner_of(value: object) -> str:
    """Give the name of the data library whose class this is, or an empty text."""
    module = type(value).__module__
    if module == "builtins":
        return ""
    root = module.partition(".")[0]
    return root if root in _LIBRARIES and root in sys.modules else ""


def is_shareable(value: object) -> bool:
    """Say whether a value may go to several consumers: no one of them can change it.

    True for immutable built-in values and for tuples and frozensets of such, however nested.
    True for what Arrow holds, and for what ``handed_out`` guards: NumPy arrays and frames without
    Python objects in them. False for all else, frozen dataclasses and enum members too, since
    their members may be mutable or they may carry attributes.
    """
    return type(value) in _IMMUTABLE or _shareable(value, 0)


def _shareable(value: object, depth: int) -> bool:
    kind = type(value)
    if kind in _IMMUTABLE:
        return True
    if isinstance(value, dt.datetime | dt.time) and kind in (dt.datetime, dt.time):
        return type(value.tzinfo) in _IMMUTABLE
    if isinstance(value, tuple | frozenset) and kind in (tuple, frozenset):
        return depth < _MAX_DEPTH and _all_shareable(value, depth)
    look = _LIBRARIES.get(owner_of(value))
    return look is not None and look(value)


def _is_array(value: Any) -> bool:
    return type(value) is sys.modules["numpy"].ndarray


def _numpy(value: Any) -> bool:
    numpy = sys.modules["numpy"]
    if _is_array(value):
        return not value.dtype.hasobject
    return isinstance(value, numpy.generic) and not isinstance(value, numpy.void | numpy.object_)


def _polars(value: Any) -> bool:
    polars = sys.modules["polars"]
    if type(value) not in (polars.DataFrame, polars.Series):
        return False
    kinds = value.dtypes if type(value) is polars.DataFrame else [value.dtype]
    return all(kind != polars.Object for kind in kinds)


def copies_on_write(pandas: Any) -> bool:
    """Say whether a frame over another's memory copies what is changed, as since pandas 3."""
    return int(pandas.__version__.partition(".")[0]) >= _COPIES_ON_WRITE


def _pandas(value: Any) -> bool:
    pandas = sys.modules["pandas"]
    if not copies_on_write(pandas):
        return False
    if type(value) not in (pandas.DataFrame, pandas.Series) or value.attrs:
        return False
    kinds = value.dtypes if type(value) is pandas.DataFrame else [value.dtype]
    return all(str(kind) != "object" for kind in kinds)


def _pyarrow(value: Any) -> bool:
    arrow = sys.modules["pyarrow"]
    return isinstance(value, arrow.Table | arrow.RecordBatch | arrow.Array | arrow.ChunkedArray)


_COPIES_ON_WRITE = 3
_LIBRARIES: dict[str, Callable[[Any], bool]] = {
    "numpy": _numpy,
    "polars": _polars,
    "pandas": _pandas,
    "pyarrow": _pyarrow,
}


def _all_shareable(items: Iterable[object], depth: int) -> bool:
    if set(map(type, items)) <= _IMMUTABLE:
        return True
    return all(_shareable(item, depth + 1) for item in items)
