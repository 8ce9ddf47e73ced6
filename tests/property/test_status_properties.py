"""Walks through the statuses."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from flowstone.core.status import OPEN, STATUSES, TRANSITIONS, Status, may_follow, sources

ANY = st.sampled_from(STATUSES)


@given(st.lists(st.integers(0, 10)))
def test_every_legal_walk_ends_and_never_comes_back_but_by_approval(choices: list[int]) -> None:
    here: Status = "pending"
    walk = [here]
    for choice in choices:
        after = TRANSITIONS[here]
        if not after:
            break
        here = after[choice % len(after)]
        walk.append(here)
    again = {status for status in walk if walk.count(status) > 1}
    assert again <= {"pending", "waiting_approval"}
    assert all(may_follow(a, b) for a, b in pairwise(walk))
    finished = [status for status in walk if status not in OPEN]
    assert finished in ([], [finished[:1][0]] if finished else [], ["success", "stale"])


@given(ANY, ANY)
def test_may_follow_and_sources_agree(present: Status, wanted: Status) -> None:
    assert may_follow(present, wanted) == (wanted in TRANSITIONS[present])
    assert may_follow(present, wanted) == (present in sources(wanted))


@given(ANY, ANY)
def test_no_illegal_step_becomes_legal_by_a_detour_back(present: Status, wanted: Status) -> None:
    """From a finished status no open one is ever reached again."""
    reached, todo = {present}, [present]
    while todo:
        new = set(TRANSITIONS[todo.pop()]) - reached
        reached |= new
        todo += new
    if present not in OPEN:
        assert not reached & set(OPEN)
    if wanted not in reached:
        assert not may_follow(present, wanted)
