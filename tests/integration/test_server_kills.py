"""A few of the trials of ``server_kills.py``, which runs any number of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.server_kills import race, trials

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/cwd").exists(), reason="looks for processes in /proc"
)


@pytest.mark.parametrize("seed", range(4))
def test_kills_at_any_moment_lose_nothing_and_leave_nothing(seed: int) -> None:
    """The next start works, what was told is there, and no process outlives its last user."""
    assert [each for trial in trials(2, seed) for each in trial.violations] == []


def test_sixteen_processes_that_start_at_once_share_one_server() -> None:
    _, violations = race(16)
    assert violations == []
