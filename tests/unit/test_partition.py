"""Partition keys as text: readable, one text per key, clear refusals."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
import zoneinfo

import pytest

from flowstone.core.partition import MAX_BYTES, PartitionKey, decode, encode
from flowstone.errors import PartitionError

_BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
_CASES: list[tuple[PartitionKey, str]] = [
    ("2025-01-15", "2025-01-15"),
    ("eu/west:1", "eu/west:1"),
    ("Zürich", "Zürich"),
    ("", ""),
    ("d:2025-01-15", "s:d:2025-01-15"),
    ("s:x", "s:s:x"),
    ("x:later", "s:x:later"),
    ("dt:", "s:dt:"),
    ("i:\n", "s:i:\n"),
    (dt.date(2025, 1, 15), "d:2025-01-15"),
    (dt.datetime(2025, 1, 15, 10), "dt:2025-01-15T10:00:00"),  # noqa: DTZ001 - naive on purpose
    (dt.datetime(2025, 1, 15, 10, tzinfo=dt.UTC), "dt:2025-01-15T10:00:00+00:00"),
    (dt.datetime(2025, 1, 15, 10, tzinfo=_BERLIN), "dt:2025-01-15T10:00:00[Europe/Berlin]"),
    (
        dt.datetime(2025, 10, 26, 2, 30, fold=1, tzinfo=_BERLIN),
        "dt:2025-10-26T02:30:00;fold=1[Europe/Berlin]",
    ),
    (7, "i:7"),
    (-(10**100), f"i:-1{'0' * 100}"),
    (True, "b:true"),
    (False, "b:false"),
    (uuid.UUID(int=1), "u:00000000-0000-0000-0000-000000000001"),
    ((), "t:[]"),
    (("eu", dt.date(2025, 1, 15)), 't:["eu","d:2025-01-15"]'),
    (("é", ("x", 1), "i:1"), 't:["é","t:[\\"x\\",\\"i:1\\"]","s:i:1"]'),
]


@pytest.mark.parametrize(("key", "text"), _CASES, ids=[text[:20] for _, text in _CASES])
def test_a_key_has_this_text_and_comes_back(key: PartitionKey, text: str) -> None:
    assert encode(key) == text
    assert decode(text) == key
    assert type(decode(text)) is type(key)


class _Size(enum.IntEnum):
    BIG = 1


class _Local(dt.tzinfo):
    def utcoffset(self, _when: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta(0)

    dst = utcoffset

    def tzname(self, _when: dt.datetime | None) -> str:
        return "odd"


def _deep() -> tuple[object, ...]:
    key: tuple[object, ...] = ()
    for _ in range(50_000):
        key = (key,)
    return key


@pytest.mark.parametrize(
    ("key", "named"),
    [
        (1.5, r"1\.5 is a float; use a str, int"),
        (None, "None is a NoneType; use"),
        (b"eu", "is a bytes"),
        (["eu"], "is a list"),
        (("eu", 1.5), r"1\.5 is a float"),
        (_Size.BIG, "is a _Size"),
        ("a\0b", "NUL character; remove it"),
        ("a\ud800", "lone surrogate.*remove it"),
        (("a", "\0"), "NUL"),
        (("a", "\udfff"), "surrogate"),
        ("x" * (MAX_BYTES + 1), "513 bytes, more than 512; shorten it"),
        ("é" * 257, "514 bytes"),
        (10**600, "603 bytes, more than 512"),
        (10**10_000, "bits, too long"),
        (_deep(), "nested deeper"),
        (dt.datetime(2025, 1, 1, tzinfo=_Local()), "_Local; use datetime.timezone or zoneinfo"),
    ],
    ids=range(16),
)
def test_a_key_that_cannot_be_written_is_refused_by_name_and_cure(key: object, named: str) -> None:
    with pytest.raises(PartitionError, match=named) as caught:
        encode(key)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "text",
    [
        "d:tomorrow",
        "d:20250115",
        "dt:2025-01-15",
        "dt:2025-01-15T10:00:00[Nowhere/Here]",
        "dt:2025-01-15T10:00:00[Europe]",
        "dt:2025-01-15T10:00:00[../../etc/passwd]",
        "dt:2025-01-15T10:00:00+01:00[Europe/Berlin]",
        "i:+1",
        "i:01",
        "i: 1",
        "i:\u0661",
        "b:True",
        "b:1",
        "u:1",
        "u:0000000000000000000000000000000A",
        "s:needless",
        "x:unknown",
        "t:3",
        "t:[1]",
        "t:{}",
        't:{"a":1}',
        't:["a", "b"]',
        't:["i:x"]',
        "t:" + "[" * 500,
    ],
)
def test_a_text_that_encode_does_not_write_is_refused(text: str) -> None:
    with pytest.raises(PartitionError, match="can't be read as a tagged key; write 's:"):
        decode(text)


@pytest.mark.parametrize("text", ["a\0", "\ud800", "x" * 513, "i:" + "9" * 10_000])
def test_a_text_that_no_key_can_have_is_refused(text: str) -> None:
    with pytest.raises(PartitionError):
        decode(text)
