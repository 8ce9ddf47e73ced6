"""Text and metadata that Postgres takes, whatever they were."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import math
import time
import uuid
from pathlib import PurePosixPath
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone.core.text import (
    METADATA_DEPTH,
    METADATA_ITEMS,
    TEXT_LIMIT,
    cap,
    clean,
    jsonable,
    safe_repr,
    safe_str,
)


def _storable(text: str) -> bool:
    return "\0" not in text and text.encode("utf-8").decode("utf-8") == text


def test_nul_and_lone_surrogates_become_visible() -> None:
    assert clean("a\0b\ud800c\udfff") == r"a\x00b\ud800c\udfff"
    assert clean("tab\t é 🙂") == "tab\t é 🙂"


@given(st.text(st.characters()))
def test_any_text_becomes_storable_and_stays_so(text: str) -> None:
    assert _storable(clean(text))
    assert clean(clean(text)) == clean(text)
    assert clean(text) == text or not (text.isprintable() and text.isascii())


@given(st.text(st.sampled_from("aé€🙂\ud800"), max_size=300), st.integers(-1, 400))
def test_cap_keeps_head_and_tail_within_the_limit(text: str, limit: int) -> None:
    size = len(text.encode("utf-8", "surrogatepass"))
    capped = cap(text, limit)
    assert len(capped.encode("utf-8", "surrogatepass")) <= max(limit, 0)
    if size <= limit:
        assert capped == text
        return
    head, mark, tail = capped.partition(" [... ")
    assert text.startswith(head)
    if mark:
        number, _, tail = tail.partition(" bytes left out ...] ")
        assert text.endswith(tail)
        kept = len((head + tail).encode("utf-8", "surrogatepass"))
        assert int(number.replace(",", "")) == size - kept
        assert limit - len(capped.encode("utf-8", "surrogatepass")) < 10


def test_a_50_mb_message_is_capped_quickly() -> None:
    message = "head" + "é" * 25_000_000 + "tail"
    start = time.perf_counter()
    capped = cap(clean(message))
    assert time.perf_counter() - start < 5
    assert len(capped.encode()) <= TEXT_LIMIT
    assert capped.startswith("headé")
    assert capped.endswith("étail")
    assert "49,9" in capped


class _Hostile:
    def __init__(self, error: BaseException | None) -> None:
        self._error = error

    def __str__(self) -> str:
        if self._error is not None:
            raise self._error
        return cast("str", 3)

    __repr__ = __str__


@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), RecursionError(), None])
def test_a_hostile_str_does_no_harm(error: BaseException | None) -> None:
    kind = type(error).__name__ if error else "TypeError"
    assert safe_str(_Hostile(error)) == f"<_Hostile whose str() raised {kind}>"
    assert safe_repr(_Hostile(error)) == f"<_Hostile whose repr() raised {kind}>"


def test_an_interrupt_is_not_swallowed() -> None:
    with pytest.raises(KeyboardInterrupt):
        safe_str(_Hostile(KeyboardInterrupt()))


def test_texts_of_errors_are_clean_and_capped() -> None:
    assert safe_str(ValueError("a\0")) == r"a\x00"
    assert safe_repr("\ud800") == r"'\ud800'"
    assert len(safe_str(ValueError("x" * 10**6), limit=100)) <= 100


class _Code(enum.IntEnum):
    OK = 200


class _BadInt(int):
    def __int__(self) -> int:
        raise ValueError


class _BadDict(dict[str, int]):
    def items(self) -> Any:
        raise OSError


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (1.5, 1.5),
        ("a\0", r"a\x00"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        ((1, [2]), [1, [2]]),
        ({1}, [1]),
        ({"a\0": 1, 2: 3, "2": 4}, {r"a\x00": 1, "2": 3, "2'": 4}),
        (_Code.OK, 200),
        (10**5_000, hex(10**5_000)),
        (dt.date(2025, 1, 15), "2025-01-15"),
        (decimal.Decimal("1.50"), "1.50"),
        (uuid.UUID(int=0), "00000000-0000-0000-0000-000000000000"),
        (PurePosixPath("a/b"), "a/b"),
        (b"x", "b'x'"),
        (_Hostile(ValueError()), "<_Hostile whose repr() raised ValueError>"),
        (_BadDict(a=1), "{'a': 1}"),
    ],
    ids=range(19),
)
def test_metadata_becomes_what_jsonb_takes(value: object, expected: object) -> None:
    assert jsonable(value) == expected


def test_numbers_of_other_libraries_stay_numbers() -> None:
    np = pytest.importorskip("numpy")
    assert jsonable({"rows": np.int64(3), "mean": np.float32(0.5)}) == {"rows": 3, "mean": 0.5}
    assert json.dumps(jsonable(_BadInt(3))) == '"3"'


def test_rings_depth_and_size_of_metadata_are_bounded() -> None:
    ring: dict[str, object] = {}
    ring["self"] = [ring]
    assert jsonable(ring) == {"self": ["<contains itself>"]}
    deep: object = 1
    for _ in range(10_000):
        deep = [deep]
    assert len(json.dumps(jsonable(deep))) < 300 + 2 * METADATA_DEPTH
    laughs: object = "ha"
    for _ in range(10):
        laughs = [laughs] * 10
    assert json.dumps(jsonable(laughs)).count("ha") <= METADATA_ITEMS
    many = jsonable(dict.fromkeys(range(10**5)))
    assert len(many) == METADATA_ITEMS + 1


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    )
)
def test_any_json_like_metadata_is_storable(value: object) -> None:
    text = json.dumps(jsonable(value), allow_nan=False, ensure_ascii=False)
    assert _storable(text)
    assert r"\u0000" not in text.replace(r"\\", "")  # what is left of the text itself
