"""A run's progress in a notebook: one line that is renewed in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from flowstone.runner.events import (
    RunFinished,
    RunStarted,
    StepFinished,
    StepRetrying,
    StepStarted,
    StepWaiting,
)

if TYPE_CHECKING:
    from flowstone.runner.events import Event

pytest.importorskip("IPython")

from flowstone.notebook.progress import PAUSE, Progress, shown

DONE = RunFinished("r1", "success", {"materialized": 3}, 1_500)


def followed(*events: Event) -> tuple[Progress, list[dict[str, str]]]:
    """The progress after some events, and all that it showed."""
    told: list[dict[str, str]] = []
    progress = Progress(told.append, clock=lambda: 10.0)
    with progress:
        for event in events:
            progress(event)
    return progress, told


def test_it_is_renewed_at_most_four_times_a_second() -> None:
    assert PAUSE >= 0.25


def test_a_line_tells_how_much_is_done_and_what_runs() -> None:
    started = [StepStarted("r1", name, "") for name in ("a", "b", "c", "<d>", "e")]
    failed = StepFinished("r1", "a", "failed")
    progress, _ = followed(RunStarted("r1", 9, 7), *started, failed)
    line = progress.line()
    assert line["text/plain"] == "1 of 7  1 failed  b 0 ms, c 0 ms, <d> 0 ms, 1 other"
    assert "&lt;d&gt;" in line["text/html"]


def test_what_waits_and_what_is_tried_again_is_told_until_it_runs() -> None:
    waits: list[Event] = [
        StepStarted("r1", "a", ""),
        StepRetrying("r1", "a", 1, 2.0, "OSError: gone"),
        StepWaiting("r1", "b", holder="9c1d"),
    ]
    progress, _ = followed(RunStarted("r1", 2, 2), *waits)
    told = "0 of 2  a is tried again: OSError: gone, b waits for run 9c1d"
    assert progress.line()["text/plain"] == told
    for event in (StepStarted("r1", "a", "", 2), StepFinished("r1", "b", "reused")):
        progress(event)
    assert progress.line()["text/plain"] == "1 of 2  a 0 ms"


def test_before_the_run_begins_it_is_planning() -> None:
    assert followed()[0].line()["text/plain"] == "planning"


def test_the_last_line_tells_how_the_run_ended() -> None:
    _, told = followed(RunStarted("r1", 3, 3), StepStarted("r1", "a", ""), DONE)
    assert told[-1]["text/plain"] == "✓ 3 materialized in 1.5 s"
    assert "run r1" in told[-1]["text/html"]


def test_every_line_has_the_same_height() -> None:
    progress, told = followed(RunStarted("r1", 3, 3), DONE)
    assert "height:22px" in progress.line()["text/html"]
    assert "height:22px" in told[-1]["text/html"]


def test_a_run_that_executes_nothing_leaves_nothing() -> None:
    assert followed(RunStarted("r1", 3, 0), RunFinished("r1", "success"))[1] == []


def test_a_front_end_that_has_gone_stops_no_run() -> None:
    def gone(_: dict[str, str]) -> None:
        raise OSError

    progress = Progress(gone)
    with progress:
        progress(RunStarted("r1", 1, 1))
        progress(DONE)


def test_outside_of_a_kernel_there_is_none() -> None:
    with shown() as listener:
        assert listener is None
