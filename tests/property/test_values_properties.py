"""A stored value comes back with its type, or is refused; altered bytes are never decoded."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowstone.errors import ValueLostError
from flowstone.values import ValueStore, codecs
from tests.property.sample_values import AnyOfThem, plain_json, same, values

_LOOSE = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
# Paths by themselves stand for files; see the unit tests.
_kept = values.filter(lambda value: not isinstance(value, Path))


@pytest.fixture(scope="module")
def values_inline() -> ValueStore:
    return ValueStore(Path("unused"), inline_limit=1 << 30, pickle=False)


@_LOOSE
@given(_kept)
def test_values_come_back_with_value_and_type_without_pickle(
    values_inline: ValueStore, value: Any
) -> None:
    saved = values_inline.save(value, AnyOfThem)
    assert same(values_inline.load(saved.pointer, AnyOfThem), value)


@_LOOSE
@given(plain_json)
def test_plain_values_come_back_from_json(values_inline: ValueStore, value: Any) -> None:
    saved = values_inline.save(value)
    assert saved.pointer.codec in ("json", "tagged")
    assert same(values_inline.load(saved.pointer), value)


@_LOOSE
@given(_kept)
def test_equal_values_have_equal_data_versions(values_inline: ValueStore, value: Any) -> None:
    first = values_inline.save(value, AnyOfThem)
    second = values_inline.save(copy.deepcopy(value), AnyOfThem)
    again = values_inline.save(values_inline.load(first.pointer, AnyOfThem), AnyOfThem)
    assert first.data_version == second.data_version == again.data_version


@_LOOSE
@given(_kept, _kept)
def test_different_values_have_different_data_versions(
    values_inline: ValueStore, one: Any, other: Any
) -> None:
    versions = [values_inline.save(value, AnyOfThem).data_version for value in (one, other)]
    assert (versions[0] == versions[1]) == same(one, other)


@_LOOSE
@given(value=_kept, inline=st.booleans(), data=st.data())
def test_tampered_bytes_are_never_decoded(value: Any, inline: bool, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        kept = ValueStore(Path(folder), inline_limit=1 << 30 if inline else -1)
        pointer = kept.save(value, AnyOfThem).pointer
        raw = pointer.inline or _file_of(folder, pointer.content_digest).read_bytes()
        altered = data.draw(_alterations(raw))
        if inline:
            pointer = pointer.model_copy(update={"inline": altered})
        else:
            _file_of(folder, pointer.content_digest).write_bytes(altered)
        decoded: list[bytes] = []
        patch.setattr(codecs, "decode", lambda _, raw, __: decoded.append(raw))
        with pytest.raises(ValueLostError):
            kept.load(pointer, AnyOfThem)
        assert decoded == []


def _file_of(folder: str, digest: str) -> Path:
    return Path(folder) / digest[:2] / digest


def _alterations(raw: bytes) -> st.SearchStrategy[bytes]:
    """Truncated, lengthened, one bit flipped, or swapped for other bytes."""
    flipped = st.integers(0, len(raw) * 8 - 1).map(
        lambda bit: (int.from_bytes(raw, "big") ^ (1 << bit)).to_bytes(len(raw), "big")
    )
    return st.one_of(
        st.integers(0, len(raw) - 1).map(lambda size: raw[:size]),
        st.binary(min_size=1, max_size=4).map(lambda tail: raw + tail),
        flipped,
        st.binary(max_size=len(raw)).filter(lambda other: other != raw),
    )
