"""Returned values against annotations: what is cheap, and all of it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, NewType, Protocol, TypedDict, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pytest
from pydantic import BaseModel, SecretStr

from flowstone import Asset, asset
from flowstone.core.returned import check_returned
from flowstone.core.typed.reading import read
from flowstone.core.typed.values import CHECKS, ITEMS, misfit
from flowstone.errors import ReturnTypeError

T = TypeVar("T")
UserId = NewType("UserId", int)


def shown(value: Any) -> str:
    """A test's name is the same in every process: no addresses."""
    return re.sub(r" at 0x\w+", "", str(value))[:40]


class Color(enum.Enum):
    RED = 1


class Point(NamedTuple):
    x: int
    y: float


class Row(TypedDict):
    day: str
    eur: int


class Model(BaseModel):
    x: int


class Box(BaseModel, Generic[T]):
    content: T


@dataclasses.dataclass
class Order:
    id: int


class Named(Protocol):
    name: str


FITS: list[tuple[Any, Any]] = [
    (1, int),
    (True, int),
    (1, float),
    (1, complex),
    (np.int64(1), int),
    (np.float32(1), float),
    (np.bool_(1), bool),
    (np.float64(1), float),
    (None, None),
    (None, "int | None"),
    ("a", Literal["a", "b"]),
    (Color.RED, Literal[Color.RED]),
    ([1, 2], "list[int]"),
    ([1, None], "list[int | None]"),
    ((1, "a"), "tuple[int, str]"),
    ((), "tuple[int, ...]"),
    ((1, "a", "b"), "tuple[int, *tuple[str, ...]]"),
    (Point(1, 2), Point),
    ({"a": [1]}, "dict[str, list[int]]"),
    ({"a": 1}, "Mapping[str, float]"),
    ({"a": 1}, "Iterable[str]"),
    ([1], "Sequence[int]"),
    ("ab", "Sequence[str]"),
    (iter([1]), "Iterator[str]"),
    ({"day": "mon", "eur": 1}, Row),
    ({"day": "mon", "eur": 1, "more": 1}, Row),
    (Model(x=1), Model),
    (Box(content=1), Box[int]),
    (Order(1), Order),
    (Order("x"), Order),  # type: ignore[arg-type]  # a field is no cheap matter
    (UserId(1), UserId),
    (print, "Callable[[int], None]"),
    (bool, "type[int]"),
    (dt.datetime(2020, 1, 1), dt.date),  # noqa: DTZ001 - any will do
    (Path("x"), Path),
    (1, Named),
    (1, T),
    (np.zeros(2), npt.NDArray[np.int64]),
    (np.zeros(2), npt.ArrayLike),
    (pd.DataFrame(), pd.DataFrame),
    (pl.DataFrame(), pl.DataFrame),
    (1, "Unheard"),
]

MISFITS: list[tuple[Any, Any, str]] = [
    ("x", int, "the value is str, not int"),
    (1.0, int, "the value is float, not int"),
    (np.float64(1), int, "the value is float64, not int"),
    (None, int, "the value is None, not int"),
    (1, None, "the value is int, not None"),
    ("x", "int | None", "the value is str, not int | None"),
    ("c", Literal["a", "b"], "the value is str, not Literal['a'] | Literal['b']"),
    (1, Literal[True], "the value is int, not Literal[True]"),
    ([1, "x"], "list[int]", "the value at [1] is str, not int"),
    ([1] * 99 + ["x"], "list[int]", "the value at [99] is str, not int"),
    ({1}, "list[int]", "the value is set, not list[int]"),
    ({1}, "set[str]", "the value at [item] is int, not str"),
    ((1, 2), "tuple[int, str]", "the value at [1] is int, not str"),
    ((1,), "tuple[int, str]", "the value has 1 items, not 2"),
    ((), "tuple[int, *tuple[str, ...]]", "the value has 0 items, not at least 1"),
    ({"a": [1, None]}, "dict[str, list[int]]", "the value at ['a'][1] is None, not int"),
    ({1: 1}, "dict[str, int]", "the value at [key] is int, not str"),
    ({"day": "mon"}, Row, "the value lacks the key 'eur'"),
    ([{"day": 1, "eur": 1}], "list[Row]", "the value at [0]['day'] is int, not str"),
    ([], Row, "the value is list, not Row"),
    ({"x": 1}, Model, "the value is dict, not Model"),
    ({"id": 1}, Order, "the value is dict, not Order"),
    (1, "Callable[[int], None]", "the value is int, not Callable[[int], None]"),
    (str, "type[int]", "the value is type, not type[int]"),
    (Path("x"), str, f"the value is {type(Path()).__name__}, not str"),
    ([1], "Iterator[int]", "the value is list, not Iterator[int]"),
    ([0.5], npt.NDArray[np.float64], "the value is list, not ndarray"),
    (pd.DataFrame(), pl.DataFrame, "polars.dataframe.frame.DataFrame"),
]

_NAMES = (Iterable, Iterator, Mapping, Sequence, Callable)


def evaluate(text: str) -> Any:
    try:
        return eval(text)  # noqa: S307 - the table's
    except NameError:
        return Any


@pytest.mark.parametrize(("value", "annotation"), FITS, ids=shown)
def test_fits(value: Any, annotation: Any) -> None:
    kind = read(annotation, evaluate)
    assert misfit(value, kind) == misfit(value, kind, whole=True) == ""


@pytest.mark.parametrize(("value", "annotation", "told"), MISFITS, ids=shown)
def test_does_not_fit(value: Any, annotation: Any, told: str) -> None:
    assert told in misfit(value, read(annotation, evaluate))


def test_a_cheap_check_looks_at_a_bounded_number_of_items() -> None:
    long = [1] * 1000
    long[ITEMS + 1] = "x"  # type: ignore[call-overload]  # that is the point
    assert misfit(long, read("list[int]", evaluate)) == ""
    assert misfit(long, read("list[int]", evaluate), whole=True)
    wide = [[1] * ITEMS for _ in range(ITEMS)]
    wide[-1][-1] = "x"  # type: ignore[call-overload]  # that is the point
    assert ITEMS * ITEMS >= CHECKS
    assert misfit(wide, read("list[list[int]]", evaluate)) == ""


def test_no_iterator_is_used_up() -> None:
    given = iter([1, 2])
    assert misfit(given, read("Iterable[str]", evaluate)) == ""
    assert list(given) == [1, 2]


def test_a_value_that_holds_itself_is_fine() -> None:
    ring: list[Any] = []
    ring.append(ring)
    assert misfit(ring, read("list[list[Any]]", evaluate)) == ""


def returned(annotation: Any, value: Any, *, validate: bool | None = None) -> str:
    """What is told of an asset that returns a value; an empty text if it fits."""

    def made() -> Any:
        return value

    made.__annotations__["return"] = annotation
    try:
        check_returned(Asset(made, validate=validate), value)
    except ReturnTypeError as error:
        return str(error)
    return ""


def test_the_message_names_asset_annotation_and_cure_but_no_value() -> None:
    told = returned(list[int], ["hunter2"])
    assert told.startswith("asset 'made' (")
    assert "returned what its annotation list[int] does not admit" in told
    assert told.endswith(
        ": the value at [0] is str, not int; correct one of them, or set validate=False"
    )
    assert "hunter2" not in told


def test_validate_false_looks_at_nothing() -> None:
    assert returned(int, "x")
    assert returned(int, "x", validate=False) == ""


class TestWhole:
    def test_every_item_counts(self) -> None:
        value: list[Any] = [1] * 1000
        value[500] = "x"
        assert returned(list[int], value) == ""
        assert "at [500]" in returned(list[int], value, validate=True)

    def test_nothing_is_converted(self) -> None:
        assert returned(list[int], ["1"], validate=True)
        assert returned(dt.date, "2020-01-01", validate=True)
        assert returned(float, 1, validate=True) == ""

    def test_fields_count(self) -> None:
        assert returned(Order, Order(1), validate=True) == ""
        wrong = [{"day": "mon", "eur": "hunter2"}]
        told = returned(list[Row], wrong, validate=True)
        assert "[0]['eur']" in told
        assert "hunter2" not in told

    def test_classes_pydantic_does_not_know_count_by_instance(self) -> None:
        assert returned(dict[str, pd.DataFrame], {"a": pd.DataFrame()}, validate=True) == ""
        assert returned(dict[str, pd.DataFrame], {"a": pl.DataFrame()}, validate=True)

    def test_what_pydantic_can_not_read_is_looked_at_by_us(self) -> None:
        value: list[Any] = [1] * 1000
        value[500] = "x"
        unreadable = tuple[list[int], "Unheard"]  # type: ignore[name-defined]  # noqa: F821 - so it is
        assert "at [0][500]" in returned(unreadable, (value, 1), validate=True)

    def test_a_validator_may_raise_anything(self) -> None:
        class Odd(BaseModel):
            x: SecretStr

        assert returned(list[Odd], [Odd(x=SecretStr("hunter2"))], validate=True) == ""
        assert "hunter2" not in returned(list[Odd], [{"x": "hunter2"}], validate=True)


def test_below_a_decorator_only_an_explicit_wish_counts() -> None:
    def as_text(fn: Callable[[], Any]) -> Callable[[], Any]:
        @functools.wraps(fn)
        def wrapper() -> str:
            return str(fn())

        return wrapper

    @asset
    @as_text
    def lenient() -> int:
        return 1

    @asset(validate=True)
    @as_text
    def strict() -> int:
        return 1

    check_returned(lenient, "1")
    with pytest.raises(ReturnTypeError, match="not int"):
        check_returned(strict, "1")


def test_a_class_that_was_defined_again_is_not_said_to_be_another_than_itself() -> None:
    def defined() -> type:
        class Point:
            """Defined by every call."""

        return Point

    old, new = defined(), defined()
    told = misfit(new(), read(old, evaluate))
    assert told.endswith(".Point as it was defined another time; define the asset again after it")
