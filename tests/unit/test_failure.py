"""What is kept of an exception."""

from __future__ import annotations

import dataclasses
from typing import TypeVar

import pytest

from flowstone.runner.failure import describe, user_frames

E = TypeVar("E", bound=BaseException)


def raised(error: E, cause: BaseException | None = None) -> E:
    try:
        raise error from cause
    except BaseException:  # noqa: BLE001 - any of them
        return error


class OddlyNamedError(Exception):
    """Not a builtin."""


def test_type_message_and_one_line() -> None:
    failure = describe(raised(ValueError("first\nsecond")))
    assert (failure.type, failure.message) == ("ValueError", "first\nsecond")
    assert failure.line == "ValueError: first"
    assert describe(raised(KeyError())).line == "KeyError"


def test_a_type_of_a_module_is_named_with_it() -> None:
    assert describe(raised(OddlyNamedError())).type.endswith("test_failure.OddlyNamedError")


def test_the_cause_comes_first() -> None:
    failure = describe(raised(ValueError("effect"), raised(KeyError("cause"))))
    assert failure.traceback.index("KeyError: 'cause'") < failure.traceback.index("ValueError")
    assert "led to this one" in failure.traceback


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert describe(raised(first, second)).traceback.count("ValueError") == 2


def test_a_context_that_was_suppressed_is_left_out() -> None:
    def body() -> None:
        try:
            raise KeyError("hidden")
        except KeyError:
            raise ValueError("shown") from None

    with pytest.raises(ValueError, match="shown") as caught:
        body()
    assert "hidden" not in describe(caught.value).traceback


def test_deep_recursion_is_cut_short() -> None:
    def body() -> None:
        body()

    with pytest.raises(RecursionError) as caught:
        body()
    assert len(describe(caught.value).traceback) < 65_536


def test_without_a_frame_of_the_user_only_the_message_is_left() -> None:
    assert user_frames(None) is None
    assert describe(ValueError("never raised")).traceback == "ValueError: never raised"


@dataclasses.dataclass(frozen=True)
class FrozenError(Exception):
    """An exception that refuses every assignment."""

    code: int


def test_a_frozen_dataclass_may_be_an_exception() -> None:
    failure = describe(raised(FrozenError(3)))
    assert failure.type.endswith("FrozenError")
    assert "Traceback" in failure.traceback


def test_the_members_of_a_group_are_told() -> None:
    inner = ExceptionGroup("inner", [raised(KeyError("deep"))])
    failure = describe(raised(ExceptionGroup("outer", [raised(ValueError("first")), inner])))
    assert "ValueError: first" in failure.traceback
    assert "KeyError: 'deep'" in failure.traceback


def test_passwords_of_addresses_are_left_out() -> None:
    failure = describe(raised(ValueError("no answer from postgresql://shop:hunter2@db/shop")))
    assert "hunter2" not in failure.message + failure.traceback + failure.line
    assert "postgresql://shop" in failure.message
