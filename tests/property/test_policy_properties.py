"""The waits between attempts grow to a limit and never leave it."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from flowstone.core.policy import Retry

_seconds = st.floats(0, 1e6)
_attempts = st.integers(2, 10_000)
_retries = st.builds(
    Retry, delay=_seconds, factor=st.floats(1, 1e6), max_delay=_seconds, jitter=st.booleans()
)
_randoms = st.floats(0, 1)


@given(_retries, _attempts, _randoms)
def test_a_wait_is_between_nothing_and_the_longest(
    retry: Retry, attempt: int, random: float
) -> None:
    assert retry.problems == []
    assert 0 <= retry.delay_before(attempt, random) <= retry.max_delay


@given(_retries, _attempts, _randoms)
def test_a_later_wait_is_never_shorter(retry: Retry, attempt: int, random: float) -> None:
    """For the same luck."""
    assert retry.delay_before(attempt, random) <= retry.delay_before(attempt + 1, random)


@given(_retries, st.integers(2, 50))
def test_without_jitter_it_is_the_power_of_the_factor(retry: Retry, attempt: int) -> None:
    plain = Retry(delay=retry.delay, factor=retry.factor, max_delay=retry.max_delay, jitter=False)
    wanted = min(retry.delay * math.prod([retry.factor] * (attempt - 2)), retry.max_delay)
    assert math.isclose(plain.delay_before(attempt, 0.0), wanted, rel_tol=1e-9)


@given(_retries, _attempts, _randoms)
def test_jitter_is_a_part_of_the_whole(retry: Retry, attempt: int, random: float) -> None:
    whole = Retry(delay=retry.delay, factor=retry.factor, max_delay=retry.max_delay, jitter=False)
    part = Retry(delay=retry.delay, factor=retry.factor, max_delay=retry.max_delay, jitter=True)
    assert part.delay_before(attempt, random) == whole.delay_before(attempt, 1.0) * random
