"""Legal transitions: one table."""

from __future__ import annotations

import pytest

from flowstone.core.status import OPEN, STATUSES, TRANSITIONS, may_follow, sources


def test_every_status_has_its_row() -> None:
    assert set(TRANSITIONS) == set(STATUSES)
    assert all(after in STATUSES for row in TRANSITIONS.values() for after in row)


def test_open_statuses_are_those_that_wait_for_something() -> None:
    assert set(OPEN) == {status for status in STATUSES if TRANSITIONS[status]} - {"success"}


def test_stale_comes_from_success_alone_and_is_final() -> None:
    assert sources("stale") == ("success",)
    assert TRANSITIONS["stale"] == ()


@pytest.mark.parametrize("status", STATUSES)
def test_nothing_follows_itself_and_pending_follows_approval_alone(status: str) -> None:
    known = next(each for each in STATUSES if each == status)
    assert not may_follow(known, known)
    assert may_follow(known, "pending") == (known == "waiting_approval")


@pytest.mark.parametrize("status", ["failed", "stale", "skipped", "cancelled"])
def test_final_statuses_stay(status: str) -> None:
    known = next(each for each in STATUSES if each == status)
    assert not any(may_follow(known, wanted) for wanted in STATUSES)


def test_sources_and_transitions_agree() -> None:
    for wanted in STATUSES:
        assert sources(wanted) == tuple(s for s in STATUSES if wanted in TRANSITIONS[s])
