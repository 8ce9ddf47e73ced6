"""Arrays and frames come back as they were; equal ones agree; altered bytes are never decoded."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowstone.errors import ValueLostError
from flowstone.values import ValueStore, codecs
from tests.property.sample_bulk import bulk, relaid, same

_LOOSE = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module", params=[1 << 30, -1], ids=["inline", "file"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ValueStore:
    folder = tmp_path_factory.mktemp("values")
    return ValueStore(folder, inline_limit=request.param, pickle=False)


@_LOOSE
@given(value=bulk)
def test_arrays_and_frames_come_back_without_pickle(kept: ValueStore, value: Any) -> None:
    saved = kept.save(value)
    back = kept.load(saved.pointer)
    assert same(back, value)
    assert kept.save(back).data_version == saved.data_version


@_LOOSE
@given(value=bulk)
def test_equal_values_of_any_layout_have_one_data_version(value: Any) -> None:
    store = ValueStore(Path("unused"), inline_limit=1 << 30, pickle=False)
    other = relaid(value)
    assert same(value, other)
    assert store.save(value).data_version == store.save(other).data_version


@_LOOSE
@given(one=bulk, other=bulk)
def test_different_values_have_different_data_versions(one: Any, other: Any) -> None:
    store = ValueStore(Path("unused"), inline_limit=1 << 30, pickle=False)
    versions = [store.save(value).data_version for value in (one, other)]
    assert (versions[0] == versions[1]) == same(one, other)


@settings(_LOOSE, max_examples=30)
@given(value=bulk, data=st.data())
def test_truncated_or_flipped_bytes_are_never_decoded(value: Any, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        store = ValueStore(Path(folder), inline_limit=-1)
        pointer = store.save(value).pointer
        file = Path(folder) / pointer.content_digest[:2] / pointer.content_digest
        raw = bytearray(file.read_bytes())
        at = data.draw(st.integers(0, len(raw) - 1))
        if data.draw(st.booleans()):
            del raw[at:]
        else:
            raw[at] ^= 1 << data.draw(st.integers(0, 7))
        file.write_bytes(raw)
        decoded: list[str] = []
        patch.setattr(codecs, "decode", lambda codec, *_: decoded.append(codec))
        with pytest.raises(ValueLostError):
            store.load(pointer)
        assert decoded == []
