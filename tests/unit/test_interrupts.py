"""One signal is one wish: the first ends a run gently, the second now, the third at once."""

from __future__ import annotations

import signal

import pytest

from flowstone.cli.interrupts import Interrupts, Terminated
from flowstone.runner.stopping import Stop


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_where_no_run_heeds_them_they_raise_once_for_one_wish() -> None:
    interrupts = Interrupts(clock=Clock())
    with pytest.raises(KeyboardInterrupt):
        interrupts(signal.SIGINT, None)
    interrupts(signal.SIGINT, None)
    assert interrupts.code == 130
    with pytest.raises(Terminated):
        Interrupts()(signal.SIGTERM, None)


def test_a_run_is_stopped_gently_then_now_then_left() -> None:
    clock, stop, said, wishes = Clock(), Stop(), list[str](), list[str]()
    stop.listen(wishes.append)
    interrupts = Interrupts(clock)
    with interrupts.heeded(stop, said.append):
        interrupts(signal.SIGTERM, None)
        clock.now = 0.1
        interrupts(signal.SIGINT, None)
        assert wishes == ["gently"]
        clock.now = 1.0
        interrupts(signal.SIGINT, None)
        assert wishes == ["gently", "now"]
        clock.now = 2.0
        with pytest.raises(KeyboardInterrupt):
            interrupts(signal.SIGINT, None)
    assert [line.partition(":")[0] for line in said] == ["interrupted", "interrupted again"]
    assert interrupts.code == 143


def test_after_the_run_they_raise_again() -> None:
    interrupts = Interrupts(Clock())
    with interrupts.heeded(Stop(), print):
        pass
    with pytest.raises(KeyboardInterrupt):
        interrupts(signal.SIGINT, None)
