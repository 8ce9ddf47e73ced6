"""The hand-over of jobs to threads, for any order of submitting, withdrawing and waiting."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from flowstone import Asset
from flowstone.runner.executors.base import Job
from flowstone.runner.executors.threads import Threads
from flowstone.values import Keeper, ValueStore

if TYPE_CHECKING:
    from flowstone.runner.step import Outcome

ACTS = st.lists(st.one_of(st.integers(1, 20), st.sampled_from(["withdraw", "turn", "rest"])))


@settings(max_examples=200, deadline=None)
@given(ACTS, st.integers(1, 3))
def test_every_job_begins_once_and_ends_once_or_is_given_back(
    acts: list[int | str], size: int
) -> None:
    """Numbers submit as many jobs; a turn lets the loop go on once, a rest until all is done."""
    asyncio.run(_play(acts, size))


async def _play(acts: list[int | str], size: int) -> None:
    called, told = list[str](), list[tuple[str, str]]()
    submitted, withdrawn = list[Job](), list[Job]()
    quiet = asyncio.Event()
    work = Asset(lambda label: called.append(label), name="work", keep=False)  # noqa: PLW0108 - its parameter has a name
    keeper = Keeper(ValueStore(Path("unused")))
    threads = Threads(size)
    threads.start(asyncio.get_running_loop())

    def open_jobs() -> int:
        return len(submitted) - len(withdrawn) - sum(what == "ended" for what, _ in told)

    def ended(job: Job, outcome: Outcome) -> None:
        assert isinstance(outcome, list)
        told.append(("ended", job.label))
        quiet.set()

    async def rest() -> None:
        while open_jobs():
            quiet.clear()
            await quiet.wait()

    for act in acts:
        if isinstance(act, int):
            for _ in range(act):
                label = f"{len(submitted):05}"
                job = Job(
                    [work], {"label": label}, keeper, None,
                    lambda job: told.append(("begun", job.label)), ended, label, "run",
                )  # fmt: skip
                submitted.append(job)
                threads.submit(job)
        elif act == "withdraw":
            withdrawn += threads.withdraw()
        else:
            await (rest() if act == "rest" else asyncio.sleep(0))
    await rest()
    await threads.close()
    back = [job.label for job in withdrawn]
    kept = sorted({job.label for job in submitted} - set(back))
    assert sorted(called) == kept
    assert Counter(told) == Counter((what, label) for label in kept for what in ("begun", "ended"))
    assert all(told.index(("begun", label)) < told.index(("ended", label)) for label in kept)
    assert back == sorted(back)
    if size == 1:
        assert called == kept
