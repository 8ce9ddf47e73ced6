"""The canonical typed digest: golden values, what it refuses and where it says so."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import math
import pathlib
import threading
import timeit
import uuid
import zoneinfo
from functools import cached_property
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from flowstone.core.hashing import (
    MAX_DEPTH,
    combine,
    content_digest,
    content_digest_of,
    digest,
)
from flowstone.errors import HashingError
from tests.property.sample_values import Access, Box, Colour, Frozen, Level, Model, Pair, Plain

np = pytest.importorskip("numpy")

_GOLDEN: list[tuple[Any, str]] = [
    (None, "afce5ffbda0ffa20bdb2a5f7688dfb0cdb1d0bd6"),
    (True, "e4472fb34f1f0197f427f71683171b34b4e09121"),
    (False, "1f802f4feb4d1955752efd042f9995e42aa8e0bb"),
    (0, "faa94e6fd46e8287965e85f3c8612a295b1278ac"),
    (1, "c0fe42b92379382f1530b7bfd54c8ed00f239030"),
    (-1, "0e741342ff9f12902b4fecde3dbe167468e658bd"),
    (10**30, "7a796ec98a5a285f5757db8bb8a448dfd065872b"),
    (10**5_000, "c1e75d6a1846332e571a252f0f85a64f6e44b28b"),
    (1.0, "96b6922116c5bd033b9342f9ce3c1746f82c5c79"),
    (0.0, "220f7366a1e91d687c1dfc094b097773270e2e80"),
    (-0.0, "ddaf3d0f24b0f28272e264291830a36e4c2b2ac9"),
    (math.nan, "dac255c72c58a87cbcb52b8fd683bbe351824480"),
    (math.inf, "0c4cefb8fbcec3457e718609e119150b7c1a6e58"),
    (1j, "5feed730caa416c69abb2125539baede6d7c1d64"),
    ("", "ad8116c053533f71489cd56fc3cd102b385765bb"),
    ("1", "31d1287ed2444e9907b561b574446edd44ef9f3d"),
    ("é\ud800\0", "3f4624064566d9d34ac479847715cae6d8585644"),
    ("x" * 2_000, "177652bc61f80f83d9410724f5d1324ec6d3c850"),
    (b"", "ef3b1fbed40b3d88ff721f3eda1f796b598748f0"),
    (b"1", "79a83eb9b5178b3d44eceae60369958f9454eceb"),
    (bytearray(b"1"), "faa73f32ec366937f54a389bb3bcc7de4b839706"),
    ([], "b3069873bd22c4bb3b5ec3851252f97f737b37ab"),
    ((), "9ccb2a96500d510a2771e31cd94a481074c1bbb5"),
    (set(), "fe3d3a3c7664425af595f3a3e0eeca98a2af9578"),
    (frozenset(), "f621d325a93c77ed637fd228e6699467b590dd5a"),
    ({}, "c9400faed33bb56d67b6807271569ddc543b2084"),
    ([1], "4c572843d0a013ba06653b49f835731050498034"),
    ((1,), "b41b9134b85179e3bfa235317a7e5f0f1f59f7f6"),
    ({1}, "71f52c9e8a59103b505d5259971d2985261d1fdf"),
    (frozenset({1}), "3713629f9e1524765e92e48e63f977d58d9af4bd"),
    ({1: 2}, "8384049ba8aa662209fc6d5f7dd5116f393a42a7"),
    ({"1": 2}, "4093b31ea8a68056570756dcf7389f276ec2f1ce"),
    ([1, 2], "309b0e6e0e76f86ddb90378350c241d4bcdab38c"),
    (["1", "2"], "3522dd09ce2969c0babeb211ce196b9dc14f8567"),
    (["12", ""], "822eb6ecb0a392fa40cddc94a036ae3e0cd1d6d0"),
    ([1.0, 2.0], "f70d7b511ebe5b6b474a33aa96e56d93e5a76ab7"),
    ([True, False], "9f4224a163b6f1557c7e211e4974e8bec4c4c7b3"),
    ([1, 2**70], "e0d8d0dcb94e90c39e425cc1d4c8bee0f6d2c5f8"),
    ([1, "a", None], "ab71aa594804a11ddd7612e64f61e9e7d22c6e04"),
    ([[1], [2]], "19a37992b43106d7cc862503c9a58e142afa2f7c"),
    ([{"a": 1, "b": "x"}, {"b": "y", "a": 2}], "25e4a4fc24e5a2ab4f1d9da3532d10933ccc3ffe"),
    ([{"a": 1}, {"b": 1}], "be13b40b8d4644bf6bda3f5b4d01833a28c6a83d"),
    ([{1: 1}], "40ceaeed8aa8f36e824b4affcc158dc698055edc"),
    (range(3), "64722edd99ddf55721de79d5cb50fb4f02357e69"),
    (dt.date(2025, 1, 15), "0ea1e5d26bed2ffbf0277353f09c3fe411c0b66d"),
    (dt.datetime(2025, 1, 15), "7f6bc71a99fb9c5d0e7205fa2299a6fa3efc6244"),  # noqa: DTZ001 - naive on purpose
    (dt.datetime(2025, 1, 15, fold=1), "f65887a9b1c9d44af692a4893f5c05bd40bcc1cd"),  # noqa: DTZ001 - naive on purpose
    (dt.datetime(2025, 1, 15, tzinfo=dt.UTC), "0f377125323d127a4a22327528e2354c5e1a04d2"),
    (
        dt.datetime(2025, 1, 15, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")),
        "f0458458526fa90a65d56f3ccd6d727b4277f189",
    ),
    (dt.time(1, 2, 3, 4), "a9ccd77552670aef4a9b7b65ea4b56b3e2ecc635"),
    (dt.timedelta(-1, 2, 3), "7bb13b28f7cdcbdcf8855fccd044d1cd2dd763c5"),
    (dt.timezone(dt.timedelta(hours=1)), "12193580c8fbb48e392a5a307475614ed83de215"),
    (zoneinfo.ZoneInfo("UTC"), "3adcd04d8640c785e745dc14e96d06c775cf4510"),
    (decimal.Decimal("1.0"), "5e2c3942af870172a38c0ce37d164d5277d14356"),
    (decimal.Decimal("1.00"), "b207dc34f39dd437d00c805fc9c48b4583db2dc8"),
    (decimal.Decimal("-Infinity"), "b5e93ac8e4fc094db1af2f834859d07dc2dc3aa5"),
    (fractions.Fraction(1, 3), "30458be9763ea33996975747ede961168ed31d44"),
    (uuid.UUID(int=1), "5790d27ad5770eb999369d598705f5e58327b9eb"),
    (pathlib.PurePosixPath("a/b"), "63a42fc955a1f51e861e5fbb58abed8eaa25c1fb"),
    (pathlib.PureWindowsPath("a/b"), "f4b040bf964301e504aaf45f5446c35e999c7244"),
    (Colour.RED, "70f87f0837bbc094d3e8e6e662ed96948f9805d3"),
    (Level.LOW, "a5ec0e13e1a4cadb0f6fcedb97c8bc39e67fa42d"),
    (Access.READ | Access.WRITE, "92700d7f32dedc395702fa8a763348c743a8dcb7"),
    (Pair(1), "d0d33e9ac5bc1783ee148d3fb6079cf0ea434512"),
    (Plain(1), "0ece0302fb65e9a210bc75963dad388594685c6f"),
    (Frozen(1), "2328115936037eca0a834684ad46247aaaf2b9f1"),
    (Box([1]), "fefaafb600a151662b2ec57f12fe66c2afa40884"),
    (Model(x=1), "b9c1a287bad105fb01017992d0d49c19f69596e6"),
    (Model.model_validate({"x": 1, "bonus": 2}), "99fdf9b4c1f51dc113dc4bce159a174df087ca91"),
]


@pytest.mark.parametrize(("value", "expected"), _GOLDEN, ids=range(len(_GOLDEN)))
def test_the_digest_of_a_value_stays_what_it_is(value: object, expected: str) -> None:
    assert digest(value) == expected


def test_golden_values_all_differ() -> None:
    assert len({expected for _, expected in _GOLDEN}) == len(_GOLDEN)


def test_golden_digests_of_bytes_and_parts() -> None:
    """``content_digest`` is plain BLAKE2b, so that ``b2sum -l 160`` prints the same."""
    assert content_digest(b"abc") == "384264f676f39536840523f284921cdc68b6846b"
    assert content_digest_of([b"a", b"", b"bc"]) == content_digest(b"abc")
    assert combine("tag", "a", b"b", None) == "d5d1b67ba56c93cda95a83611f73109c9bcb0747"


def test_all_nans_are_one_value_and_zeros_are_two() -> None:
    assert digest(math.nan) == digest(-math.nan) == digest(float("nan"))
    assert digest([math.nan, 1.0]) == digest([-math.nan, 1.0])
    assert digest(0.0) != digest(-0.0)
    assert digest([math.inf, -math.inf]) == digest([math.inf, -math.inf])


def test_a_class_counts_by_its_qualified_name_without_the_module() -> None:
    here = dataclasses.make_dataclass("Same", ["x"])
    there = dataclasses.make_dataclass("Same", ["x"])
    there.__module__ = "elsewhere"
    renamed = dataclasses.make_dataclass("Renamed", ["x"])
    assert digest(here(1)) == digest(there(1)) != digest(renamed(1))


def test_everything_an_instance_holds_counts() -> None:
    class Lazy(BaseModel):
        x: int = 0

        @cached_property
        def root(self) -> float:
            return math.sqrt(self.x)

    asked = Lazy(x=4)
    assert asked.root == 2.0
    assert digest(asked) != digest(Lazy(x=4))
    assert digest(Lazy()) != digest(Lazy(x=0))


def test_the_mark_of_a_generic_call_does_not_count() -> None:
    assert digest(Box[int](1)) == digest(Box(1))


def test_a_field_left_to_its_class_counts() -> None:
    @dataclasses.dataclass
    class Versioned:
        version: int = dataclasses.field(default=1, init=False)

    before = digest(Versioned())
    Versioned.__dataclass_fields__["version"].default = 2
    assert digest(Versioned()) != before


def _ring() -> list[object]:
    ring: list[object] = []
    ring.append(ring)
    return ring


def _nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


class _Word(str):
    __slots__ = ()


class _OddPair(Pair):
    pass


@dataclasses.dataclass
class _Numbered(dict):  # type: ignore[type-arg]  # the point is a dataclass that is also a dict
    x: int = 0


class _Zone(dt.tzinfo):
    def utcoffset(self, _when: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta(0)

    dst = utcoffset

    def tzname(self, _when: dt.datetime | None) -> str:
        return "odd"


class _Holder(enum.Enum):
    LOCK = threading.Lock()


_odd_pair = _OddPair(1)
_odd_pair.note = "held besides"  # type: ignore[attr-defined]  # that is the point

_REFUSED: list[tuple[Any, str, str]] = [
    (threading.Lock(), "", "lock"),
    ([{"a": threading.Lock()}], "[0]['a']", "lock"),
    ([{"a": 1, "b": 1}, {"a": 2, "b": object()}], "[1]['b']", "object"),
    ({"rows": [(1, object())]}, "['rows'][0][1]", "object"),
    ({3: {object()}}, "[3]{...}", "object"),
    (Plain(Plain([lambda: 1])), ".x.x[0]", "function"),
    (Pair(1, object()), "[1]", "object"),
    ({1: 2, "key": object()}, "['key']", "object"),
    (Model(x=object()), ".x", "object"),
    (Model(x=SecretStr("hush")), ".x", "SecretStr"),
    (np.float64(1.5), "", "float64"),
    ([1.0, np.float64(1.5)], "[1]", "float64"),
    (np.array([1, 2]), "", "ndarray"),
    ([_Word("a")], "[0]", "_Word"),
    ({_Word("a"): 1}, "['a']", "_Word"),
    ([{_Word("a"): 1}], "[0]['a']", "_Word"),
    (collections.OrderedDict(a=1), "", "OrderedDict"),
    (collections.deque([1]), "", "deque"),
    (_Numbered(3), "", "_Numbered"),
    (_odd_pair, "", "_OddPair"),
    (_Holder.LOCK, ".value", "lock"),
    (dt.datetime(2025, 1, 1, tzinfo=_Zone()), "", "_Zone"),
    (ValueError("x"), "", "ValueError"),
    (int, "", "type"),
    (iter([]), "", "list_iterator"),
]


@pytest.mark.parametrize(("value", "path", "kind"), _REFUSED, ids=range(len(_REFUSED)))
def test_a_value_without_canonical_form_is_refused_with_its_place(
    value: object, path: str, kind: str
) -> None:
    with pytest.raises(HashingError, match=kind) as caught:
        digest(value)
    assert caught.value.path == path
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("value", [_ring(), _nested(MAX_DEPTH + 2), _nested(100_000), {1: _ring()}])
def test_rings_and_deep_nesting_are_refused(value: object) -> None:
    with pytest.raises(HashingError, match=r"deeper|deeply") as caught:
        digest(value)
    assert len(str(caught.value)) < 300


def test_a_ring_of_records_is_refused() -> None:
    rows: list[dict[str, object]] = [{"a": 1}, {"a": 2}]
    rows[1]["a"] = rows
    with pytest.raises(HashingError, match="deeper"):
        digest(rows)


def test_a_caller_deep_in_its_stack_gets_a_hashing_error() -> None:
    def deeper() -> str:
        try:
            return deeper()
        except RecursionError:
            return digest(_nested(MAX_DEPTH))

    with pytest.raises(HashingError, match="deep"):
        deeper()


def test_nesting_up_to_the_limit_is_taken() -> None:
    assert digest(_nested(MAX_DEPTH)) != digest(_nested(MAX_DEPTH - 1))


def test_a_hostile_repr_of_a_key_does_no_harm() -> None:
    @dataclasses.dataclass(frozen=True)
    class Hostile:
        x: int

        def __repr__(self) -> str:
            raise ValueError

    with pytest.raises(HashingError, match=r"whose repr\(\) raised"):
        digest({Hostile(1): object()})


def test_decimals_do_not_depend_on_the_context() -> None:
    value = decimal.Decimal("1E+30")
    before = digest(value)
    with decimal.localcontext() as context:
        context.capitals = 0
        context.prec = 2
        assert digest(value) == before


def test_large_payloads_count_to_the_last_byte() -> None:
    assert digest(b"x" * 5_000 + b"a") != digest(b"x" * 5_000 + b"b")
    assert digest([b"x" * 5_000 + b"a"]) != digest([b"x" * 5_000 + b"b"])
    assert digest("x" * 5_000) != digest(b"x" * 5_000)


def test_tiny_values_take_microseconds() -> None:
    """About 1 us on the machine this was written on; the bound only catches a blunder."""
    best = min(timeit.repeat(lambda: digest(1), number=1_000, repeat=5)) / 1_000
    assert best < 50e-6
