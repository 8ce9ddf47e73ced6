"""Arrays, frames and folders: which codec takes what, and what counts for the data version."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from flowstone.core.hashing import digest
from flowstone.errors import HashingError, UnserializableValueError, ValueLostError, ValueStoreError
from flowstone.values import ValueStore, frame_digest, frames, handed_out, is_shareable
from tests.property.sample_bulk import same

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class _Measured(np.ndarray):
    pass


@pytest.fixture
def kept(tmp_path: Path) -> ValueStore:
    return ValueStore(tmp_path / "values")


_CODECS: list[tuple[Any, str]] = [
    (np.arange(6.0).reshape(2, 3), "npy"),
    (np.asfortranarray(np.arange(6.0).reshape(2, 3)), "npy"),
    (np.array(3), "npy"),
    (np.arange(3, dtype=">i4"), "npy"),
    (np.array(["2025-01-01", "NaT"], "M8[D]"), "npy"),
    (np.zeros(2, np.dtype([("a", "i1"), ("b", "f8", (2,))])), "npy"),
    (np.array([1, "a"], object), "pickle"),
    (np.zeros(2, np.longdouble), "pickle"),
    (np.zeros(2).view(_Measured), "pickle"),
    (np.zeros(2, np.dtype("f8", metadata={"unit": "m"})), "pickle"),
    (np.float32(1.5), "tagged"),
    ([np.datetime64("2025-01-01"), np.str_("a"), np.bool_(1)], "tagged"),
    ({"a": np.arange(3), "b": [pl.DataFrame({"a": [1]})], "c": 1}, "parts"),
    ((pd.DataFrame({"a": [1]}), b"x" * 70_000), "parts"),
    ([np.arange(3), np.array([{}])], "pickle"),
    (pl.Series("s", [1, None]), "polars.series"),
    (pd.Series(["a", None], name=3), "pandas.series"),
    (pd.RangeIndex(2, 8, 2, name="r"), "pandas.index"),
    (pd.MultiIndex.from_tuples([(1, "a")], names=["x", None]), "pandas.index"),
    (pd.date_range("2025-01-01", periods=2), "pickle"),
    (pd.DataFrame(np.ones((2, 2))), "pandas.parquet"),
    (pa.table({"a": [1, None]}, metadata={"k": "v"}), "arrow.table"),
    (pa.record_batch({"a": ["x"]}), "arrow.batch"),
    (pa.array(["a", "b", None]).dictionary_encode(), "arrow.array"),
    (pa.chunked_array([[1], [2, 3]]), "arrow.chunked"),
    (pa.chunked_array([], type=pa.int8()), "arrow.chunked"),
    (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), "arrow.array"),
]


@pytest.mark.parametrize(("value", "codec"), _CODECS, ids=range(len(_CODECS)))
def test_a_value_comes_back_from_the_codec_it_belongs_to(
    kept: ValueStore, value: Any, codec: str
) -> None:
    saved = kept.save(value)
    assert saved.pointer.codec == codec
    back = kept.load(saved.pointer)
    assert type(back) is type(value)
    if "object at" not in repr(value):
        assert repr(back) == repr(value)
    assert kept.save(back).data_version == saved.data_version


def test_a_masked_array_is_pickled(kept: ValueStore) -> None:
    masked: Any = np.ma.array([1, 2], mask=[False, True])
    saved = kept.save(masked)
    assert saved.pointer.codec == "pickle"
    assert repr(kept.load(saved.pointer)) == repr(masked)


_ROWS = 6_000
_numbers = np.arange(_ROWS)
_mixed = pd.DataFrame(
    {
        "number": _numbers,
        "text": _numbers.astype(str),
        "maybe": pd.array([1, None] * (_ROWS // 2), dtype="Int64"),
        "kind": pd.Categorical(["x", "y"] * (_ROWS // 2)),
    }
)
_LARGE: list[Any] = [
    _mixed.drop(columns="kind"),
    _mixed,
    pd.DataFrame({"a": _numbers}, index=pd.RangeIndex(3, _ROWS + 3, name="r")),
    pd.DataFrame(np.ones((_ROWS, 2)), index=pd.Index(_numbers[::-1], name="key")),
    pd.Series(_numbers, name="s"),
    pl.DataFrame({"a": _numbers, "b": _numbers.astype(str)}),
]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "_ROWS_PER_GROUP", 1_000)
    monkeypatch.setattr(frames, "_SLICE", 2_000)


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize("number", range(len(_LARGE)))
def test_what_is_read_and_compared_piece_by_piece_comes_back_whole(
    tmp_path: Path, number: int
) -> None:
    value = _LARGE[number]
    kept = ValueStore(tmp_path, inline_limit=1_000)
    saved = kept.save(value)
    assert saved.pointer.codec != "pickle"
    assert saved.pointer.inline is None
    assert same(kept.load(saved.pointer), value)


@pytest.mark.usefixtures("small_pieces")
def test_a_frame_read_column_by_column_can_be_written_to(kept: ValueStore) -> None:
    back: Any = kept.load(kept.save(_LARGE[0]).pointer)
    back.iloc[0, 0] = 7
    back["new"] = 1
    assert back.iloc[0, 0] == 7


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.arange(6).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3))),
        (np.arange(6)[::2], np.array([0, 2, 4])),
        (np.array([np.nan]), -np.array([np.nan])),
        (np.full((800, 800), 2.0), np.full((800, 1600), 2.0)[:, ::2]),
        (pa.chunked_array([[1], [2, 3]]), pa.chunked_array([[1, 2, 3]])),
        (pa.array([1, None, 3]), pa.array([0, 1, None, 3]).slice(1)),
        (pa.array([True, None]), pa.array([False, True, None]).slice(1)),
        ({"a": np.arange(2), "b": 1}, {"b": 1, "a": np.arange(2)}),
    ],
    ids=range(8),
)
def test_layout_does_not_count(kept: ValueStore, one: Any, other: Any) -> None:
    assert kept.save(one).data_version == kept.save(other).data_version


def test_whatever_lies_below_nulls_does_not_count() -> None:
    below = [pa.array([1, number, 3]) for number in (2, 9)]
    mask = pa.py_buffer(bytes([0b101]))
    values = [pa.Array.from_buffers(pa.int64(), 3, [mask, each.buffers()[1]]) for each in below]
    assert values[0].equals(values[1])
    assert frame_digest(values[0]) == frame_digest(values[1])


def test_type_and_shape_count(kept: ValueStore) -> None:
    base = np.zeros(4, "<i8")
    values: list[Any] = [base, base.astype(">i8"), base.astype("u8"), base.astype("f8")]
    values += [base.reshape(2, 2), base.reshape(4, 1), base[:3], [0] * 4, -base.astype("f8")]
    values += [np.int64(0), np.array(0), 0, [base], (base,), {"a": base}]
    values += [pl.Series("a", base), pl.Series("b", base), pl.DataFrame({"a": base})]
    values += [pd.Series(base, name="a"), pd.DataFrame({"a": base}), pd.Index(base, name="a")]
    values += [pd.RangeIndex(0, 4, name="a"), pa.array(base), pa.chunked_array([base])]
    values += [pa.table({"a": base}), pa.table({"a": base}, metadata={"k": "v"})]
    assert len({kept.save(value).data_version for value in values}) == len(values)


def test_the_core_digests_no_array_by_itself() -> None:
    """What code versions and config are made of stays as it is, whatever is imported."""
    with pytest.raises(HashingError):
        digest(np.arange(3))


def test_a_type_without_canonical_form_raises() -> None:
    with pytest.raises(HashingError):
        frame_digest(pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())))


@pytest.mark.parametrize(
    "value",
    [np.zeros(3), pl.DataFrame({"a": [1, 2]}), pl.Series([1, 2]), pa.array([1])],
    ids=["numpy", "frame", "series", "arrow"],
)
def test_what_is_handed_out_can_be_shared(value: Any) -> None:
    assert is_shareable(value)
    first, second = handed_out(value), handed_out(value)
    assert type(first) is type(value)
    before = repr(value)
    with contextlib.suppress(ValueError, TypeError):
        first[0] = 9
    assert repr(value) == repr(second) == before


def test_a_pandas_frame_is_shared_where_it_copies_on_write() -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    taken = handed_out(frame)
    if is_shareable(frame):
        taken.loc[0, "a"] = 9
        taken["b"] = 1
    assert frame.to_dict("list") == {"a": [1, 2]}
    assert not is_shareable(pd.DataFrame({"a": pd.Series([[]], dtype=object)}))


def test_arrays_of_python_objects_are_not_shared() -> None:
    assert not is_shareable(np.array([[], {}], dtype=object))
    assert not is_shareable(np.zeros(1, [("a", "i4")])[0])


def test_a_large_value_leaves_no_file_aside(tmp_path: Path) -> None:
    store = ValueStore(tmp_path)
    store.save(np.zeros(100_000))
    store.save(np.zeros(100_000))
    store.save(pd.DataFrame({"a": pd.Series([str(n) for n in range(50_000)], dtype=object)}))
    with pytest.raises(UnserializableValueError):
        store.save([b"x" * 100_000, np.zeros(100_000), lambda: 1])
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 2
    assert not list(tmp_path.rglob(".aside-*"))


_FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import {library} as library
from flowstone.errors import ValueStoreError
from flowstone.values import ValueStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
value = {value}
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    ValueStore(Path(sys.argv[1])).save(value)
except ValueStoreError as error:
    assert type(error) is ValueStoreError, error
    assert not [p for p in Path(sys.argv[1]).rglob("*") if p.is_file()]
    print(error)
"""


@pytest.mark.parametrize(
    ("library", "value"),
    [
        ("numpy", "library.random.default_rng(0).random(1_000_000)"),
        ("polars", "library.DataFrame({'a': [str(hash(n)) for n in range(300_000)]})"),
        ("fractions", "[lambda: 1].__class__([object() for _ in range(200_000)])"),
    ],
)
def test_a_full_disk_is_told_as_such_by_every_codec(
    tmp_path: Path, library: str, value: str
) -> None:
    code = _FULL_DISK.format(library=library, value=value)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "v")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "can't write to the value store" in done.stdout


def _edit(folder: Path) -> None:
    (folder / "a" / "deep.txt").write_text("DEEP")


def _add(folder: Path) -> None:
    (folder / "more.txt").touch()


def _rename(folder: Path) -> None:
    (folder / "top.txt").rename(folder / "tip.txt")


def _remove(folder: Path) -> None:
    (folder / "top.txt").unlink()


def _swap_for_file(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))
    folder.touch()


def _tree(folder: Path) -> Path:
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "deep.txt").write_text("deep")
    (folder / "top.txt").write_text("top")
    return folder


def test_a_folder_is_the_asset_and_its_files_the_version(tmp_path: Path, kept: ValueStore) -> None:
    saved = kept.save(_tree(tmp_path / "one"))
    assert (saved.pointer.codec, saved.pointer.size) == ("folder", 7)
    assert kept.load(saved.pointer) == tmp_path / "one"
    assert kept.present([saved.pointer]) == [True]
    other = _tree(tmp_path / "two")
    (other / "empty").mkdir()
    assert kept.save(other).data_version == saved.data_version
    assert kept.save(other / "a").data_version != saved.data_version


@pytest.mark.parametrize("damage", [_edit, _add, _rename, _remove, _swap_for_file])
def test_an_edited_folder_is_lost(
    tmp_path: Path, kept: ValueStore, damage: Callable[[Path], None]
) -> None:
    folder = _tree(tmp_path / "out")
    pointer = kept.save(folder).pointer
    damage(folder)
    assert kept.present([pointer]) == [False]
    with pytest.raises(ValueLostError, match="out"):
        kept.load(pointer)


def test_links_in_a_folder_count_as_what_they_lead_to(tmp_path: Path, kept: ValueStore) -> None:
    folder = _tree(tmp_path / "out")
    (tmp_path / "far.txt").write_text("far")
    (folder / "link").symlink_to(tmp_path / "far.txt")
    pointer = kept.save(folder).pointer
    (tmp_path / "far.txt").write_text("FAR")
    assert kept.present([pointer]) == [False]


def test_a_folder_that_contains_itself_is_refused_briefly(tmp_path: Path, kept: ValueStore) -> None:
    folder = _tree(tmp_path / ("long" * 50))
    (folder / "ring").symlink_to(folder)
    with pytest.raises(UnserializableValueError, match="folder") as caught:
        kept.save(folder)
    assert len(str(caught.value)) < 500
    (folder / "ring").unlink()
    pointer = kept.save(folder).pointer
    (folder / "ring").symlink_to(folder)
    with pytest.raises(ValueStoreError, match="can't read folder"):
        kept.load(pointer)
