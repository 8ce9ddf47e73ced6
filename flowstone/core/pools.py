"""Pools: how many assets that share something may run at once, and how many may start per time.

Pools belong to a database: processes that use the same one share the places.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowstone.core.naming import is_legal
from flowstone.core.text import kind_of, safe_repr
from flowstone.errors import DefinitionErrors, PoolError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowstone.core.asset import AnyAsset

#: The places of a pool that has a rate alone.
MANY = 1_000_000

_UNITS = {
    **dict.fromkeys(("s", "sec", "second"), 1),
    **dict.fromkeys(("min", "minute"), 60),
    **dict.fromkeys(("h", "hour"), 3_600),
    **dict.fromkeys(("d", "day"), 86_400),
}
_SHORTEST, _LONGEST = 1e-6, 1e9
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*([a-z]+)")
_CURE = "write a size (2), a rate ('100/min'), both ('2@100/min') or {'size': 2, 'rate': '100/min'}"


@dataclass(frozen=True, slots=True)
class Pool:
    """``size`` assets of it run at once; they start at least ``interval`` seconds apart."""

    size: int = MANY
    interval: float | None = None


def read_pools(given: object) -> dict[str, Pool]:
    """The pools that a setting names.

    Args:
        given: a mapping from names to a size, a rate, both, a mapping with ``size`` and ``rate``,
            or a ``Pool``; or that mapping as text: ``"gpu=1, api=4@100/min"``.

    Raises:
        ValueError: if it says something else; all of it that is wrong is told.
    """
    pairs = _written(given) if isinstance(given, str) else given
    if not isinstance(pairs, Mapping):
        raise ValueError(f"pools are names with sizes, such as gpu=1, not {kind_of(given)}")  # noqa: TRY004 - pydantic takes it for an error of validation
    pools: dict[str, Pool] = {}
    told: list[str] = []
    for name, value in pairs.items():
        try:
            pools[_checked(name)] = _pool(value)
        except ValueError as error:
            told.append(f"pool {safe_repr(name, 80)}: {error}")
    if told:
        raise ValueError("; ".join(told))
    return pools


def check_pools(assets: Iterable[AnyAsset], pools: Mapping[str, Pool]) -> None:
    """Raise for assets of pools that nobody gave a size.

    Raises:
        PoolError: naming the asset and the nearest pool; ``DefinitionErrors`` for several.
    """
    named = ((asset, asset.policy.pool) for asset in assets)
    wrong = [(asset, pool) for asset, pool in named if pool is not None and pool not in pools]
    DefinitionErrors.raise_any(
        [
            PoolError(
                f"{asset.label}: nothing says how many run at once in its pool {pool!r}; set"
                f" pools={{{pool!r}: 1}}, FLOWSTONE_POOLS={pool}=1, or {pool} = 1 under"
                f" [tool.flowstone.pools]{did_you_mean(pool, pools)}"
            )
            for asset, pool in wrong
        ]
    )


def _written(text: str) -> dict[str, str]:
    """``gpu=1, api=4``: the last of a name counts."""
    pairs: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, value = part.partition("=")
        pairs[name.strip()] = value.strip()
    return pairs


def _checked(name: object) -> str:
    if not isinstance(name, str) or not is_legal(name):
        raise ValueError("a name begins with a letter or _ and goes on with letters, digits, . - /")
    return name


def _pool(value: Any) -> Pool:
    if isinstance(value, Pool):
        return value
    if isinstance(value, Mapping):
        if not value or not value.keys() <= {"size", "rate"}:
            raise ValueError(f"{safe_repr(dict(value), 120)} has not just size and rate; {_CURE}")
        return Pool(_size(value.get("size", MANY)), _interval(value.get("rate")))
    if isinstance(value, str):
        size, at, rate = value.rpartition("@")
        if at:
            return Pool(_size(size), _interval(rate))
        return Pool(interval=_interval(value)) if "/" in value else Pool(_size(value))
    return Pool(_size(value))


def _size(given: object) -> int:
    text = given.strip() if isinstance(given, str) else ""
    size = int(text) if text.isdecimal() else given
    if isinstance(size, int) and not isinstance(size, bool) and 1 <= size <= MANY:
        return size
    raise ValueError(f"{safe_repr(given, 80)} is no size from 1 to {MANY:,}; {_CURE}")


def _interval(rate: object) -> float | None:
    """The seconds between two starts."""
    if rate is None:
        return None
    found = _RATE.fullmatch(rate.strip().lower()) if isinstance(rate, str) else None
    if found is not None and found[2] in _UNITS:
        interval = _UNITS[found[2]] / (float(found[1]) or math.nan)
        if _SHORTEST <= interval <= _LONGEST:
            return interval
    raise ValueError(
        f"{safe_repr(rate, 80)} is no rate; write a number per s, min, h or day: '100/min'"
    )
