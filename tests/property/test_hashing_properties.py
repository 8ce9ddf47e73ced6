"""Honest hashing: different values never share a digest, equal ones always do."""

from __future__ import annotations

import copy
import itertools
import os
import pickle
import subprocess
import sys
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowstone.core.hashing import combine, combine_three, content_digest, content_digest_of, digest
from tests.property.sample_values import keys, look_alikes, same, values

_LOOSE = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

_DIGEST_OF_PICKLED = """
import pickle, sys
from flowstone.core.hashing import digest
print(" ".join(map(digest, pickle.load(sys.stdin.buffer))))
"""


@_LOOSE
@given(st.lists(values, min_size=1, max_size=6))
def test_two_values_share_a_digest_exactly_if_they_are_the_same(pool: list[Any]) -> None:
    pool += look_alikes(pool[0])
    digests = [digest(value) for value in pool]
    for (one, d_one), (other, d_other) in itertools.combinations(
        zip(pool, digests, strict=True), 2
    ):
        assert (d_one == d_other) == same(one, other), (one, other)


@_LOOSE
@given(values)
def test_a_copy_has_the_same_digest(value: Any) -> None:
    assert digest(copy.deepcopy(value)) == digest(value)


@_LOOSE
@given(st.dictionaries(keys, values, max_size=5), st.randoms(use_true_random=False))
def test_order_of_dicts_and_sets_does_not_count(value: dict[Any, Any], random: Any) -> None:
    shuffled = list(value.items())
    random.shuffle(shuffled)
    assert digest(dict(shuffled)) == digest(value)
    assert digest({key for key, _ in shuffled}) == digest(set(value))


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(values, max_size=30), st.integers(0, 2**32 - 1))
def test_processes_with_other_hash_seeds_agree(pool: list[Any], seed: int) -> None:
    env = {**os.environ, "PYTHONHASHSEED": str(seed)}
    done = subprocess.run(
        [sys.executable, "-c", _DIGEST_OF_PICKLED],
        input=pickle.dumps(pool),
        env=env,
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode().split() == [digest(value) for value in pool]


_parts = st.one_of(st.none(), st.text("ab:N", max_size=3), st.binary(max_size=3))


@given(st.lists(_parts, max_size=4), st.lists(_parts, max_size=4))
def test_combine_tells_all_lists_of_parts_apart(one: list[Any], other: list[Any]) -> None:
    assert (combine("t", *one) == combine("t", *other)) == (one == other)


@given(*[st.text("aß\ud800", max_size=3) | st.text("x", min_size=254, max_size=258)] * 3)
def test_three_texts_are_combined_as_any_number(tag: str, one: str, other: str) -> None:
    assert combine_three(tag, one, other) == combine(tag, one, other)


@given(st.binary(), st.integers(1, 7))
def test_content_digest_does_not_depend_on_chunks(data: bytes, size: int) -> None:
    chunks = (data[start : start + size] for start in range(0, len(data), size))
    assert content_digest_of(chunks) == content_digest(data)
