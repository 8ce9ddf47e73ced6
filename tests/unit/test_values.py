"""The value store: which codec takes what, where bytes go, and what is refused or lost."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NewType,
    Optional,
    TypeVar,
)

import pandas as pd
import polars as pl
import pytest
from pydantic import BaseModel, PrivateAttr, SecretStr
from typing_extensions import TypeAliasType

from flowstone.core.hashing import content_digest, digest
from flowstone.core.records import ValuePointer
from flowstone.errors import UnserializableValueError, ValueLostError, ValueStoreError
from flowstone.values import INLINE_LIMIT, ValueStore, is_shareable
from flowstone.values.classes import KnownClasses
from tests.property.sample_values import AnyOfThem, Box, Colour, Frozen, Model, Pair, Plain, same

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")
_Name = NewType("_Name", Frozen)


class _Inner(BaseModel):
    at: dt.date
    _note: Any = PrivateAttr(default=None)


class _Tree(BaseModel):
    inner: _Inner
    children: list[_Tree] = []


class _Page(BaseModel, Generic[T]):
    items: list[T]


@dataclasses.dataclass
class _Outer:
    pairs: dict[str, Optional[Pair]]  # noqa: UP045 - the old spelling is to be walked too
    colour: Literal[Colour.RED] = Colour.RED


class _Node(NamedTuple):
    value: int
    then: _Node | None = None


@dataclasses.dataclass
class _Loud:
    x: int

    def __post_init__(self) -> None:
        raise AssertionError("not to be run")


@dataclasses.dataclass
class _Opaque:
    data: object

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return _open_door, (str(self.data),)


def _open_door(path: str) -> object:
    Path(path).touch()
    return path


@pytest.fixture
def kept(tmp_path: Path) -> ValueStore:
    return ValueStore(tmp_path / "values")


@pytest.fixture
def filed(tmp_path: Path) -> ValueStore:
    """A store that keeps everything in files."""
    return ValueStore(tmp_path / "values", inline_limit=-1)


def _files(store_root: Path) -> list[Path]:
    return sorted(path for path in store_root.rglob("*") if path.is_file())


_CODECS: list[tuple[Any, Any, str]] = [
    ({"a": [1, 2.5, None, True, "é\ud800\0"]}, Any, "json"),
    ([math.nan, math.inf, -0.0], Any, "json"),
    ([{"$tuple": [1]}], Any, "json"),
    (["\ud83d\ude00"], Any, "json"),
    (10**4_000, Any, "json"),
    (10**5_000, Any, "tagged"),
    ((1, [2]), Any, "tagged"),
    ({1: "a", None: {2, 3}, (1, 2): b"x"}, Any, "tagged"),
    ([{"$tuple": [1]}, ()], Any, "tagged"),
    ({"when": dt.datetime(2025, 1, 15, tzinfo=dt.UTC)}, Any, "tagged"),
    ([decimal.Decimal("1.00"), PurePosixPath("a"), Path("a")], Any, "tagged"),
    (Colour.BLUE, Colour, "object"),
    ([Frozen(1)], list[Frozen], "object"),
    (Frozen([1]), Annotated[_Name | None, "why"], "object"),
    (_Outer({"a": Pair(1, 2), "b": None}), _Outer, "object"),
    (_Node(1, _Node(2)), tuple[_Node, ...], "object"),
    (Box(Frozen((1,))), Box[Frozen], "object"),
    (_Page[_Inner](items=[_Inner(at=dt.date(2025, 1, 15))]), _Page[_Inner], "object"),
    (Model.model_validate({"x": (1,), "bonus": {2}}), dict[str, Model], "object"),
    (Frozen(1), Any, "pickle"),
    (Frozen(1), list[Plain], "pickle"),
    (pl.DataFrame({"a": [1, None], "b": [["x"], []]}), Any, "polars.parquet"),
    (pd.DataFrame({"a": [1.0, math.nan], "b": ["x", "y"]}), Any, "pandas.parquet"),
    (pd.Series([1], name="s"), Any, "pandas.series"),
]


@pytest.mark.parametrize(("value", "annotation", "codec"), _CODECS, ids=range(len(_CODECS)))
def test_a_value_comes_back_from_the_codec_it_belongs_to(
    kept: ValueStore, value: Any, annotation: Any, codec: str
) -> None:
    saved = kept.save(value, annotation)
    assert saved.pointer.codec == codec
    back = kept.load(saved.pointer, annotation)
    assert type(back) is type(value)
    if hasattr(value, "equals"):
        assert value.equals(back)
    else:
        assert same(back, value)


def test_models_come_back_with_all_they_hold_and_without_validation(kept: ValueStore) -> None:
    inner = _Inner(at=dt.date(2025, 1, 15))
    inner._note = {"secret": (1,)}
    inner.at = "not a date"  # type: ignore[assignment]  # a validator would refuse it
    tree = _Tree(inner=inner, children=[_Tree(inner=inner)])
    back = kept.load(kept.save(tree, _Tree).pointer, _Tree)
    assert same(back, tree)
    assert isinstance(back, _Tree)
    assert back.inner._note == {"secret": (1,)}
    assert back.children[0].model_fields_set == {"inner"}


def test_dataclasses_come_back_without_their_post_init(kept: ValueStore) -> None:
    loud = object.__new__(_Loud)
    loud.x = 3
    back = kept.load(kept.save([loud], list[_Loud]).pointer, list[_Loud])
    assert back == [loud]


def test_two_reachable_classes_of_one_name_are_not_guessed_between() -> None:
    twin = dataclasses.make_dataclass("Plain", ["x", "label"])
    assert not KnownClasses(Plain | twin).knows(Plain)
    assert KnownClasses(Plain | int).knows(Plain)


_Alias = TypeAliasType("_Alias", list[Frozen])
_Broken = TypeAliasType("_Broken", "list[Nowhere]")  # type: ignore[name-defined]  # noqa: F821 - that is the point
_Bound = TypeVar("_Bound", bound=Frozen)
_Choice = TypeVar("_Choice", Frozen, int)


@dataclasses.dataclass
class _Linked:
    frozen: Frozen
    broken: Nowhere  # type: ignore[name-defined]  # noqa: F821 - that is the point


@pytest.mark.parametrize(
    "annotation",
    [
        Frozen,
        dict[str, list[Frozen | None]],
        Annotated[Optional[Frozen], _Broken],  # noqa: UP045 - the old spelling is to be walked too
        _Name,
        _Alias,
        _Bound,
        _Choice,
        Callable[[Frozen], int],
        tuple[_Linked, ...],
        _Page[Frozen],
    ],
    ids=range(10),
)
def test_a_class_is_found_wherever_it_stands_in_an_annotation(annotation: object) -> None:
    known = KnownClasses(annotation)
    assert known.knows(Frozen)
    assert not known.knows(Plain)


class _NotedPair(Pair):
    pass


@dataclasses.dataclass
class _Bag(dict[str, int]):
    x: int = 0


def test_an_instance_that_holds_more_than_its_fields_is_pickled(kept: ValueStore) -> None:
    noted = _NotedPair(1, 2)
    noted.note = "besides"  # type: ignore[attr-defined]  # that is the point
    bag = _Bag(1)
    bag["key"] = 2
    for value in (noted, bag):
        saved = kept.save(value, type(value))
        assert saved.pointer.codec == "pickle"
        back: Any = kept.load(saved.pointer)
        assert (back, vars(back)) == (value, vars(value))


def test_a_slot_that_was_never_set_stays_unset(kept: ValueStore) -> None:
    bare = object.__new__(Frozen)
    object.__setattr__(bare, "x", 1)
    back = kept.load(kept.save(bare, Frozen).pointer, Frozen)
    assert isinstance(back, Frozen)
    assert back.x == 1
    assert not hasattr(back, "double")


def test_the_order_of_a_dict_comes_back(kept: ValueStore) -> None:
    for value in ({"b": 1, "a": 2}, {2: "b", 1: "a"}):
        back = kept.load(kept.save(value).pointer)
        assert isinstance(back, dict)
        assert list(back) == list(value)


def test_huge_ints_written_without_a_limit_are_read_under_one(kept: ValueStore) -> None:
    pointer = kept.save([1]).pointer
    raw = b"[" + b"7" * 5_000 + b"]"
    wide = pointer.model_copy(
        update={"inline": raw, "size": len(raw), "content_digest": content_digest(raw)}
    )
    assert kept.load(wide) == [7 * (10**5_000 - 1) // 9]


def _frames() -> Iterator[tuple[Any, Any]]:
    rows = {"a": [3, 1, None], "s": ["x", "y", "z"]}
    one = pl.DataFrame(rows)
    yield one, pl.concat([one[:1], one[1:]], rechunk=False)
    yield one, pl.concat([one, one]).head(3)
    words = pl.Series(["y", "x", "y"], dtype=pl.Categorical)
    yield (
        pl.DataFrame({"c": words[1:]}),
        pl.DataFrame({"c": pl.Series(["x", "y"], dtype=pl.Categorical)}),
    )
    two = pd.DataFrame(rows)
    yield two, pd.concat([two[:1], two[1:]])


@pytest.mark.parametrize(("one", "other"), list(_frames()), ids=range(4))
def test_equal_frames_have_equal_data_versions(kept: ValueStore, one: Any, other: Any) -> None:
    assert one.equals(other)
    assert kept.save(one).data_version == kept.save(other).data_version


def test_frames_of_two_libraries_have_different_data_versions(kept: ValueStore) -> None:
    versions = {kept.save(lib.DataFrame({"a": [1]})).data_version for lib in (pl, pd)}
    versions |= {kept.save(pl.DataFrame({"a": [value]})).data_version for value in (2, 1.0, "1")}
    assert len(versions) == 5


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"o": pd.Series([1, "a"], dtype=object)}),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame({"a": [1, 2]}, index=pd.date_range("2025-01-01", periods=2)),
        pd.DataFrame({"a": [1]}, index=pd.Index([object], dtype=object)),
        pl.DataFrame({"o": pl.Series([{1}], dtype=pl.Object)}),
    ],
    ids=range(5),
)
def test_a_frame_that_parquet_would_change_is_pickled_or_refused(
    kept: ValueStore, frame: Any
) -> None:
    try:
        saved = kept.save(frame)
    except UnserializableValueError:
        return
    assert saved.pointer.codec == "pickle"
    back = kept.load(saved.pointer)
    assert isinstance(back, pd.DataFrame)
    pd.testing.assert_frame_equal(back, frame)


def test_a_lazy_frame_is_refused_with_its_cure(kept: ValueStore) -> None:
    with pytest.raises(UnserializableValueError, match=r"LazyFrame .* return \.collect\(\)"):
        kept.save(pl.LazyFrame({"a": [1]}))


def test_saving_imports_no_frame_library() -> None:
    code = (
        "import sys, pathlib\n"
        "from flowstone.values import ValueStore\n"
        "ValueStore(pathlib.Path('unused')).save([(1, 2)])\n"
        "sys.exit(bool({'polars', 'pandas', 'numpy', 'pyarrow'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def _generator() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize("make", [_generator, lambda: lambda: 1, socket.socket, threading.Lock])
def test_a_value_no_codec_takes_is_refused_by_type_and_cure(
    kept: ValueStore, make: Callable[[], object]
) -> None:
    value = make()
    try:
        with pytest.raises(UnserializableValueError, match=r"@asset\(keep=False\)") as caught:
            kept.save(value)
        assert type(value).__qualname__ in str(caught.value)
    finally:
        if isinstance(value, socket.socket):
            value.close()


def test_without_pickle_nothing_is_pickled_nor_unpickled(tmp_path: Path) -> None:
    strict = ValueStore(tmp_path, pickle=False)
    with pytest.raises(UnserializableValueError, match=r"pickle is off; .*@asset\(keep=False\)"):
        strict.save(Plain(SecretStr("hush")), Plain)
    pointer = ValueStore(tmp_path).save(_Opaque(tmp_path / "door")).pointer
    assert strict.present([pointer]) == [False]
    with pytest.raises(ValueLostError, match="pickle is off"):
        strict.load(pointer)
    assert not (tmp_path / "door").exists()


def test_the_data_version_is_the_digest_if_there_is_one(kept: ValueStore) -> None:
    assert kept.save(Frozen(1), Frozen).data_version == digest(Frozen(1))
    assert kept.save(Frozen(1)).data_version == digest(Frozen(1))
    assert kept.save({"b": 1, "a": 2}).data_version == kept.save({"a": 2, "b": 1}).data_version


def test_rings_and_deep_values_are_pickled_and_come_back(kept: ValueStore) -> None:
    ring: list[Any] = [1]
    ring.append(ring)
    back: Any = kept.load(kept.save(ring).pointer)
    assert back[0] == 1
    assert back[1] is back
    deep: Any = 1
    for _ in range(300):
        deep = [deep]
    assert kept.load(kept.save(deep).pointer) == deep
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(UnserializableValueError):
        kept.save(deep)


def test_bytes_up_to_the_limit_are_inline_and_more_make_a_file(
    tmp_path: Path, kept: ValueStore
) -> None:
    small = kept.save("x" * (INLINE_LIMIT - 2)).pointer
    assert small.inline is not None
    assert small.size == INLINE_LIMIT
    assert not (tmp_path / "values").exists()
    large = kept.save("x" * (INLINE_LIMIT - 1)).pointer
    assert (large.inline, large.location) == (None, None)
    [file] = _files(tmp_path)
    assert file == tmp_path / "values" / large.content_digest[:2] / large.content_digest
    assert file.stat().st_mode & 0o777 == 0o600
    assert {path.stat().st_mode & 0o777 for path in (file.parent, file.parent.parent)} == {0o700}
    assert kept.present([small, large]) == [True, True]


def test_equal_bytes_are_stored_once(tmp_path: Path, filed: ValueStore) -> None:
    first = filed.save([1, 2])
    inode = _files(tmp_path)[0].stat().st_ino
    assert filed.save([1, 2]) == first
    assert [file.stat().st_ino for file in _files(tmp_path)] == [inode]


def test_many_threads_may_save_the_same_value_at_once(tmp_path: Path, filed: ValueStore) -> None:
    with ThreadPoolExecutor(16) as pool:
        saved = list(pool.map(lambda _: filed.save("x" * 10_000), range(64)))
    assert len({one.data_version for one in saved}) == 1
    assert len(_files(tmp_path)) == 1
    assert filed.load(saved[0].pointer) == "x" * 10_000


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def _flip(file: Path) -> None:
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)


def _swap_for_link(file: Path) -> None:
    copy = file.with_name("copy")
    file.rename(copy)
    file.symlink_to(copy)


def _swap_for_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _swap_for_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    ("damage", "seen_by_size"),
    [
        (Path.unlink, True),
        (_truncate, True),
        (_flip, False),
        (_swap_for_link, True),
        (_swap_for_pipe, True),
        (_swap_for_folder, True),
    ],
)
def test_a_damaged_file_is_lost_and_replaced_by_the_next_save(
    tmp_path: Path, filed: ValueStore, damage: Callable[[Path], None], seen_by_size: bool
) -> None:
    pointer = filed.save([1, 2]).pointer
    damage(tmp_path / "values" / pointer.content_digest[:2] / pointer.content_digest)
    assert filed.present([pointer]) == [not seen_by_size]
    with pytest.raises(ValueLostError, match=r"missing|doesn't hold"):
        filed.load(pointer)
    if damage is _swap_for_folder:
        with pytest.raises(ValueStoreError, match="can't write to the value store"):
            filed.save([1, 2])
        return
    assert filed.save([1, 2]).pointer == pointer
    assert filed.load(pointer) == [1, 2]


def test_a_file_swapped_for_an_evil_pickle_runs_nothing(tmp_path: Path, filed: ValueStore) -> None:
    pointer = filed.save(_Opaque("harmless" * 3), Any).pointer
    evil = pickle.dumps(_Opaque(tmp_path / "door"), protocol=5)
    file = tmp_path / "values" / pointer.content_digest[:2] / pointer.content_digest
    file.write_bytes(evil)
    for size in (pointer.size, len(evil)):
        with pytest.raises(ValueLostError):
            filed.load(pointer.model_copy(update={"size": size}))
    inline = pointer.model_copy(update={"inline": evil, "size": len(evil)})
    with pytest.raises(ValueLostError, match="in the database"):
        filed.load(inline)
    assert not (tmp_path / "door").exists()


@pytest.mark.parametrize(
    "hostile", ["../../etc/passwd", "/etc/passwd", "a\0", "", "A" * 40, "é" * 40]
)
def test_a_pointer_never_leads_out_of_the_store(filed: ValueStore, hostile: str) -> None:
    pointer = ValuePointer(codec="json", size=3, content_digest=hostile)
    assert filed.present([pointer]) == [False]
    with pytest.raises(ValueLostError):
        filed.load(pointer)


class _Before(enum.Enum):
    ONE = 1


@dataclasses.dataclass
class _Changing:
    x: int


def _renamed(cls: Any, name: str) -> Any:
    cls.__qualname__ = name
    return cls


@pytest.mark.parametrize(
    ("value", "now", "reason"),
    [
        (
            _Changing(1),
            _renamed(dataclasses.make_dataclass("C", ["y"]), "_Changing"),
            "fields",
        ),
        (_Changing(1), int, "not in the asset's annotation"),
        (_Before.ONE, _renamed(enum.Enum("E", {"ONE": 2}), "_Before"), "another value"),
        (_Before.ONE, _renamed(enum.Enum("E", {"TWO": 1}), "_Before"), "KeyError"),
    ],
    ids=range(4),
)
def test_a_value_of_a_class_that_changed_is_lost_with_the_reason(
    kept: ValueStore, value: Any, now: Any, reason: str
) -> None:
    pointer = kept.save(value, type(value)).pointer
    with pytest.raises(ValueLostError, match=reason):
        kept.load(pointer, now)


@pytest.mark.parametrize(
    ("codec", "data"), [("npy.v9", b"1"), ("json", b"{"), ("tagged", b"[2,1]"), ("pickle", b"no")]
)
def test_bytes_that_cannot_be_decoded_are_lost(kept: ValueStore, codec: str, data: bytes) -> None:
    pointer = ValuePointer(
        codec=codec, size=len(data), content_digest=content_digest(data), inline=data
    )
    with pytest.raises(ValueLostError, match="can't be decoded"):
        kept.load(pointer)


def test_a_file_is_the_asset_and_its_content_the_version(
    tmp_path: Path, kept: ValueStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("report.txt").write_bytes(b"x" * 3_000_000)
    saved = kept.save(Path("report.txt"), Path)
    assert saved.pointer.location == str(tmp_path / "report.txt")
    assert saved.pointer.size == 3_000_000
    assert saved.pointer.content_digest == content_digest(b"x" * 3_000_000)
    assert kept.load(saved.pointer) == tmp_path / "report.txt"
    assert kept.present([saved.pointer]) == [True]
    Path("copy.txt").write_bytes(b"x" * 3_000_000)
    assert kept.save(Path("copy.txt")).data_version == saved.data_version
    assert kept.save("x").data_version != saved.data_version


@pytest.mark.parametrize(
    "damage", [Path.unlink, _truncate, _flip, _swap_for_folder, _swap_for_pipe]
)
def test_a_missing_or_edited_file_is_lost(
    tmp_path: Path, kept: ValueStore, damage: Callable[[Path], None]
) -> None:
    file = tmp_path / "report.txt"
    file.write_text("report")
    pointer = kept.save(file).pointer
    damage(file)
    assert kept.present([pointer]) == [False]
    with pytest.raises(ValueLostError, match=r"report\.txt"):
        kept.load(pointer)


class _OwnPath(type(Path())):  # type: ignore[misc]  # the concrete class differs by platform
    pass


def test_a_path_that_is_no_file_is_refused_with_its_cure(tmp_path: Path, kept: ValueStore) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "own").touch()
    odd = tmp_path / os.fsdecode(b"odd\xff")
    odd.touch()
    cases = [
        (tmp_path / "none", "no such file exists; write it first"),
        (tmp_path / "pipe", "neither a file nor a folder"),
        (odd, "UTF-8"),
        (_OwnPath(tmp_path / "own"), "return a plain pathlib.Path"),
        (Path("a\0b"), "can't be read"),
    ]
    for path, cure in cases:
        with pytest.raises(UnserializableValueError, match=cure):
            kept.save(path)


def test_pointers_to_files_need_a_file(kept: ValueStore) -> None:
    for location in (None, "", "a\0b"):
        pointer = ValuePointer(codec="path", size=0, content_digest="0", location=location)
        assert kept.present([pointer]) == [False]
        with pytest.raises(ValueLostError):
            kept.load(pointer)


_FULL_DISK = """
import json, resource, signal, sys
from pathlib import Path
from flowstone.errors import ValueStoreError
from flowstone.values import ValueStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
root = Path(sys.argv[1])
try:
    ValueStore(root).save("x" * 1_000_000)
except ValueStoreError as error:
    print(json.dumps([str(error), [str(p) for p in root.rglob("*") if p.is_file()]]))
"""


def test_a_disk_that_refuses_is_told_and_leaves_no_partial_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path / "v")], capture_output=True, check=True
    )
    message, left = json.loads(done.stdout)
    assert f"can't write to the value store '{tmp_path / 'v'}'" in message
    assert left == []


def test_a_root_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "v").touch()
    broken = ValueStore(tmp_path / "v", inline_limit=-1)
    with pytest.raises(ValueStoreError, match="can't write to the value store"):
        broken.save(1)
    pointer = ValuePointer(codec="json", size=1, content_digest=content_digest(b"1"))
    assert broken.present([pointer]) == [False]
    with pytest.raises(ValueLostError, match="missing"):
        broken.load(pointer)


@pytest.mark.parametrize(
    ("value", "shareable"),
    [
        (1, True),
        ("x" * 100, True),
        ((1, ("a", frozenset({2.5, None}))), True),
        (dt.datetime(2025, 1, 1, tzinfo=dt.UTC), True),
        ([1], False),
        ((1, [2]), False),
        (bytearray(b"x"), False),
        (Frozen(1), False),
        (Colour.RED, False),
        (Pair(1, 2), False),
        ({}, False),
    ],
    ids=range(11),
)
def test_only_deeply_immutable_builtin_values_are_shareable(value: object, shareable: bool) -> None:
    assert is_shareable(value) is shareable


def test_a_deep_tuple_is_not_shareable_and_raises_nothing() -> None:
    deep: object = ()
    for _ in range(100_000):
        deep = (deep,)
    assert not is_shareable(deep)


def test_every_sample_class_is_reached_by_one_annotation() -> None:
    known = KnownClasses(AnyOfThem)
    assert all(known.knows(cls) for cls in (Colour, Pair, Plain, Frozen, Box, Model))


class _Kind:
    """A class that only pickle takes."""

    def __init__(self, inner: object) -> None:
        self.inner = inner


@dataclasses.dataclass
class _Line:
    eur: int


def test_an_object_counts_with_the_code_of_its_classes(tmp_path: Path) -> None:
    """Its consumers call its methods: an edit of them must be seen."""
    asked: list[set[type]] = []
    code = "one"

    def class_code(classes: AbstractSet[type]) -> str:
        asked.append(set(classes))
        return code if classes else ""

    kept = ValueStore(tmp_path, class_code=class_code)
    plain = ValueStore(tmp_path)
    first = kept.save([_Line(1), {"a": _Kind(_Line(2))}])
    assert asked == [{_Line, _Kind}]
    assert kept.save([_Line(1)], list[_Line]).data_version != plain.save([_Line(1)]).data_version
    assert kept.save([1, "a"]).data_version == plain.save([1, "a"]).data_version
    code = "two"
    again = kept.save([_Line(1), {"a": _Kind(_Line(2))}])
    assert again.data_version != first.data_version
    assert again.pointer == first.pointer
