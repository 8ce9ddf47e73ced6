"""A wish to stop is uttered once, in any thread, and not taken back."""

from __future__ import annotations

from flowstone.runner.stopping import How, Stop


def test_now_comes_after_gently_and_nothing_is_told_twice() -> None:
    stop, told = Stop(), list[How]()
    stop.listen(told.append)
    assert stop.how is None
    for wish in (stop.gently, stop.gently, stop.now, stop.now, stop.gently):
        wish()
    assert told == ["gently", "now"]
    assert stop.how == "now"


def test_who_listens_late_is_told_at_once() -> None:
    stop, told = Stop(), list[How]()
    stop.now()
    stop.listen(told.append)
    assert told == ["now"]


def test_who_is_forgotten_is_told_no_more() -> None:
    stop, told = Stop(), list[How]()
    stop.listen(told.append)
    stop.forget(told.append)
    stop.gently()
    assert told == []


def test_a_listener_may_utter_the_next_wish_itself() -> None:
    """As a signal handler may that interrupts a listener."""
    stop, told = Stop(), list[How]()

    def listener(how: How) -> None:
        told.append(how)
        stop.now()

    stop.listen(listener)
    stop.gently()
    assert told == ["gently", "now"]
