"""The ready queue against a naive scheduler on random graphs, with failures and remakes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowstone.runner.queue import ReadyQueue


@st.composite
def needs(draw: st.DrawFn) -> list[list[int]]:
    """For each step the earlier steps it needs."""
    count = draw(st.integers(0, 25))
    return [
        draw(st.lists(st.integers(0, step - 1), max_size=4)) if step else []
        for step in range(count)
    ]


@given(needs(), st.randoms(use_true_random=False))
def test_every_step_is_handed_out_once_and_after_all_it_needs(
    graph: list[list[int]], random: object
) -> None:
    queue = ReadyQueue(graph)
    out, done = queue.start(), set[int]()
    while out:
        step = out.pop(random.randrange(len(out)))  # type: ignore[attr-defined]  # random.Random
        assert step not in done
        assert set(graph[step]) <= done
        done.add(step)
        out += queue.done(step)
    assert done == set(range(len(graph)))
    assert queue.left == 0


@given(needs(), st.sets(st.integers(0, 24)), st.randoms(use_true_random=False))
def test_a_failure_blocks_its_descendants_and_nothing_else(
    graph: list[list[int]], fails: set[int], random: object
) -> None:
    blocked_by: dict[int, bool] = {}
    for step, needed in enumerate(graph):
        blocked_by[step] = any(n in fails or blocked_by[n] for n in needed)
    queue = ReadyQueue(graph)
    out, ended, blocked = queue.start(), set[int](), set[int]()
    while out:
        step = out.pop(random.randrange(len(out)))  # type: ignore[attr-defined]  # random.Random
        ended.add(step)
        if step in fails:
            new = queue.failed(step)
            assert not blocked & set(new)
            blocked |= set(new)
        else:
            out += queue.done(step)
    assert blocked == {step for step, is_blocked in blocked_by.items() if is_blocked}
    assert ended | blocked == set(range(len(graph)))
    assert queue.left == 0


@given(needs(), st.data())
def test_a_step_that_waits_for_a_remake_comes_back_after_it(
    graph: list[list[int]], data: st.DataObject
) -> None:
    queue = ReadyQueue(graph)
    out, done, waiting = queue.start(), list[int](), dict[int, set[int]]()
    again = 0
    while out:
        step = out.pop()
        for missing in waiting.values():
            missing.discard(step)
        assert not waiting.pop(step, set())
        if graph[step] and again < 5 and data.draw(st.booleans()):
            lost = sorted(data.draw(st.sets(st.sampled_from(graph[step]), min_size=1)))
            again += 1
            waiting[step] = set(lost)
            out += queue.again(step, lost)
            continue
        done.append(step)
        out += queue.done(step)
    assert set(done) == set(range(len(graph)))
    assert queue.left == 0
