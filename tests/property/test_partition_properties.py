"""Every partition key has one text, and every text one key."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flowstone.core.partition import MAX_BYTES, decode, encode
from flowstone.errors import PartitionError
from tests.property.sample_values import same

_zones = st.one_of(
    st.none(),
    st.integers(-86_399, 86_399).map(lambda s: dt.timezone(dt.timedelta(seconds=s))),
    st.sampled_from(["Europe/Berlin", "America/New_York", "UTC"]).map(zoneinfo.ZoneInfo),
)
_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
_look_tagged = st.builds(
    "{}:{}".format,
    st.sampled_from(["s", "d", "dt", "i", "b", "u", "t", "x", "S", "region"]),
    st.one_of(_text, st.sampled_from(["1", "true", "2025-01-15", "[]", '["a"]', "s:a"])),
)
_members = st.one_of(
    _text,
    _look_tagged,
    st.booleans(),
    st.integers(),
    st.dates(),
    st.datetimes(timezones=_zones, allow_imaginary=True),
    st.builds(lambda t, f: t.replace(fold=f), st.datetimes(timezones=_zones), st.integers(0, 1)),
    st.uuids(),
)
_keys: st.SearchStrategy[Any] = st.recursive(
    _members, lambda inner: st.lists(inner, max_size=3).map(tuple), max_leaves=5
)


@settings(max_examples=300)
@given(_keys)
def test_decode_gives_back_key_and_type(key: Any) -> None:
    try:
        text = encode(key)
    except PartitionError as error:
        assume("bytes" not in str(error))
        raise
    assert same(decode(text), key)
    assert decode(text) == key
    assert len(text.encode()) <= MAX_BYTES


@settings(max_examples=300)
@given(st.lists(_keys, min_size=2, max_size=5))
def test_different_keys_have_different_texts(keys: list[Any]) -> None:
    texts: dict[str, Any] = {}
    for key in keys:
        try:
            text = encode(key)
        except PartitionError:
            continue
        assert same(texts.setdefault(text, key), key)


@settings(max_examples=300)
@given(st.one_of(_look_tagged, _text, st.text()))
def test_a_text_is_refused_or_is_the_one_text_of_its_key(text: str) -> None:
    try:
        key = decode(text)
    except PartitionError:
        return
    assert encode(key) == text


@given(_text)
def test_ordinary_strings_stay_as_they_are(text: str) -> None:
    assume(text[1:2] != ":" and not text.startswith("dt:"))
    assert encode(text) == text
