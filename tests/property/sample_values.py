"""Values of every kind that has a canonical form, and a naive oracle that compares two."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import math
import pathlib
import zoneinfo
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, PrivateAttr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


class Colour(enum.Enum):
    RED = 1
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Pair(NamedTuple):
    first: object
    second: object = None


@dataclasses.dataclass
class Plain:
    x: object
    label: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    x: object
    double: object = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "double", [self.x, self.x])


@dataclasses.dataclass
class Box(Generic[T]):
    item: T


class Model(BaseModel):
    model_config = ConfigDict(extra="allow")

    x: Any = None
    y: int = 0
    _secret_sum: Any = PrivateAttr(default=None)


AnyOfThem = Colour | Level | Access | Pair | Plain | Frozen | Box[Any] | Model
"""An annotation that reaches every class of this module."""

_zones = st.one_of(
    st.none(),
    st.just(dt.UTC),
    st.integers(-86_399, 86_399).map(lambda s: dt.timezone(dt.timedelta(seconds=s))),
    st.just(dt.timezone(dt.timedelta(hours=1), "ours")),
    st.sampled_from(["Europe/Berlin", "America/New_York", "UTC"]).map(zoneinfo.ZoneInfo),
)
text = st.text(st.characters(), max_size=8)
"""Texts with NUL, lone surrogates, and what looks like a tag."""

scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.integers(),
    st.integers(-1, 1).map(lambda n: 10**4_400 + n),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1.0, math.nan, math.inf]),
    text,
    st.sampled_from(["", "1", "$tuple", "$", "None", "s1:1", "\ud83d\ude00", "\U0001f600"]),
    st.text(min_size=1_020, max_size=1_030, alphabet="ab"),
)
more_scalars: st.SearchStrategy[Any] = st.one_of(
    st.complex_numbers(),
    st.binary(max_size=8),
    st.binary(max_size=8).map(bytearray),
    st.dates(),
    st.datetimes(timezones=_zones, allow_imaginary=True),
    st.builds(lambda t, f: t.replace(fold=f), st.datetimes(), st.integers(0, 1)),
    st.times(),
    st.timedeltas(),
    _zones,
    st.decimals(allow_nan=True),
    st.sampled_from([decimal.Decimal(t) for t in ("1.0", "1.00", "-0", "sNaN", "NaN12", "1E+9")]),
    st.fractions(),
    st.uuids(),
    st.builds(range, st.integers(-2, 2), st.integers(-2, 2), st.integers(1, 3)),
    st.sampled_from(
        [pathlib.Path("a/b"), pathlib.PurePosixPath("a/b"), pathlib.PureWindowsPath("a")]
    ),
    st.sampled_from([*Colour, *Level, *Access, Access.READ | Access.WRITE, Access(0)]),
)


def _hashable_containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.frozensets(inner, max_size=3),
        st.builds(Pair, inner, inner),
    )


def _hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


keys = st.recursive(
    st.one_of(scalars, more_scalars).filter(_hashable), _hashable_containers, max_leaves=4
)


def _make_model(x: object, extra: object, private: object, *, given: bool) -> Model:
    model = Model.model_validate({"x": x, "y": 0, "bonus": extra}) if given else Model(x=x)
    model._secret_sum = private
    return model


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(text, inner, max_size=3),
        st.dictionaries(keys, inner, max_size=3),
        st.lists(st.fixed_dictionaries({"a": inner, "$b": inner}), max_size=3),
        st.sets(keys, max_size=3),
        st.frozensets(keys, max_size=3),
        st.builds(Pair, inner, inner),
        st.builds(Plain, inner, text),
        st.builds(Frozen, inner),
        st.builds(Box, inner),
        st.builds(_make_model, inner, inner, inner, given=st.booleans()),
    )


plain_json = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
values = st.recursive(scalars | more_scalars, _containers, max_leaves=12)


def look_alikes(value: object) -> list[object]:
    """Other values that a careless digest or codec might take for ``value``."""
    near: list[object] = [[value], (value,), Pair(value), Plain(value), {"x": value}, [[value]]]
    near += [Box(value), Frozen(value), Model(x=value), {1: value}, {"1": value}, [value, value]]
    near += [{"$tuple": [value]}, {"$list": value}, str(type(value)), [value, None]]
    if isinstance(value, list):
        near += [tuple(value), dict(enumerate(value))]
    if isinstance(value, float) and not math.isnan(value):
        near += [-value, complex(value), str(value)]
    if isinstance(value, int) and abs(value) < 10**15:
        near += [float(value), str(value), bool(value), int(value), complex(value)]
    return near


def same(one: Any, other: Any) -> bool:
    """Say whether two values have the same types and content at every level."""
    if type(one) is not type(other):
        return False
    for kinds, agree in _ORACLES:
        if isinstance(one, kinds):
            return agree(one, other)
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one)]
        return all(same(getattr(one, name), getattr(other, name)) for name in names)
    return bool(one == other)


def _same_models(one: BaseModel, other: BaseModel) -> bool:
    slots = ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
    inside = all(same(getattr(one, slot), getattr(other, slot)) for slot in slots)
    return inside and same(one.__dict__, other.__dict__)


def _same_walls(one: Any, other: Any) -> bool:
    walls: bool = one.replace(tzinfo=None, fold=0) == other.replace(tzinfo=None, fold=0)
    return walls and one.fold == other.fold and same(one.tzinfo, other.tzinfo)


def _same_bags(one: Iterable[object], other: Iterable[object]) -> bool:
    left = list(other)
    for item in one:
        match = next((n for n, candidate in enumerate(left) if same(item, candidate)), None)
        if match is None:
            return False
        del left[match]
    return not left


_ORACLES: list[tuple[type | tuple[type, ...], Callable[[Any, Any], bool]]] = [
    (enum.Enum, lambda one, other: one is other),
    (float, lambda one, other: repr(one) == repr(other)),
    (complex, lambda one, other: same([one.real, one.imag], [other.real, other.imag])),
    ((list, tuple), lambda one, other: len(one) == len(other) and all(map(same, one, other))),
    (dict, lambda one, other: _same_bags(one.items(), other.items())),
    ((set, frozenset), _same_bags),
    (BaseModel, _same_models),
    ((dt.datetime, dt.time), _same_walls),
    (dt.timezone, lambda one, other: (one, one.tzname(None)) == (other, other.tzname(None))),
    (decimal.Decimal, lambda one, other: same(one.as_tuple(), other.as_tuple())),
    (range, lambda one, other: repr(one) == repr(other)),
]
