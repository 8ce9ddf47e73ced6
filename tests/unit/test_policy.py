"""How assets are executed: what the options may say, and what a wrong one is told."""

from __future__ import annotations

import copy
import datetime as dt
import pickle
from typing import Any

import pytest

from flowstone import Asset, AssetGraph, Retry, asset
from flowstone.core.policy import PLAIN, Policy
from flowstone.errors import (
    DefinitionErrors,
    OutputsError,
    ReturnTypeError,
    SignatureError,
    UnserializableValueError,
)


def told(event: object) -> None:
    """A hook."""


def one() -> int:
    return 1


def policy(**options: Any) -> Policy:
    made: Asset[..., Any] = asset(name="given", **options)(one)
    assert not made.problems
    return made.policy


def problems(**options: Any) -> list[str]:
    made: Asset[..., Any] = asset(name="given", **options)(one)
    return [str(each).partition("): ")[2] for each in made.problems]


class TestOptions:
    def test_assets_that_say_nothing_share_one_policy(self) -> None:
        assert asset(one).policy is asset(name="b")(one).policy is PLAIN
        assert Policy() == PLAIN

    def test_they_are_read_into_one_form(self) -> None:
        assert policy(retries=2).retries == Retry(times=2)
        assert policy(retries=Retry(5, on=KeyError)).retries == Retry(5, on=KeyError)
        assert policy(retries=0).retries is None
        assert policy(timeout=3).timeout == 3.0
        assert policy(timeout=dt.timedelta(minutes=2)).timeout == 120.0
        assert policy(pool="gpu").pool == "gpu"
        assert policy(executor="process").executor == "process"
        assert policy(durability="strict").durability == "strict"
        assert policy(on_success=told).on_success == (told,)
        assert policy(on_failure=[told, print]).on_failure == (told, print)
        assert policy(retries=None, timeout=None, on_failure=None) == PLAIN

    def test_an_asset_without_a_function_may_have_them(self) -> None:
        assert Asset(name="c", pool="gpu").policy.pool == "gpu"

    def test_all_outputs_of_a_function_have_its_policy(self) -> None:
        made = asset(retries=2, outputs=["a", "b"])(lambda: (1, 2))
        assert {each.policy for each in made.outputs.values()} == {made.policy}

    def test_an_unknown_option_is_told_with_the_nearest(self) -> None:
        with pytest.raises(TypeError, match="argument 'retrys'; did you mean 'retries'"):
            asset(retrys=3)(one)  # type: ignore[call-overload] # it is the point
        with pytest.raises(TypeError, match="argument 'tag'; did you mean 'tags'"):
            Asset(one, tag="a")  # type: ignore[call-arg] # it is the point


class TestMistakes:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"retries": -1}, "retries= is a number or a Retry(...), not -1"),
            ({"retries": True}, "retries= is a number or a Retry(...), not True"),
            ({"timeout": 0}, "timeout= is seconds above 0 or a timedelta, not 0"),
            ({"timeout": float("inf")}, "timeout= is seconds above 0 or a timedelta, not inf"),
            ({"pool": "a b"}, "pool= is the name of a pool, such as 'gpu', not 'a b'"),
            ({"pool": 3}, "pool= is the name of a pool, such as 'gpu', not 3"),
            ({"durability": "fast"}, "durability= is 'batch' or 'strict', not 'fast'"),
            ({"on_success": 3}, "on_success= takes functions, not int"),
            ({"on_failure": [told, ValueError]}, "on_failure= takes functions, not the class "),
        ],
    )
    def test_each_names_offender_and_cure(self, options: dict[str, Any], message: str) -> None:
        (found,) = problems(**options)
        assert found.startswith(message)

    def test_a_misspelt_word_is_told_with_the_nearest(self) -> None:
        (found,) = problems(executor="treads")
        assert found.endswith("not 'treads'; did you mean 'thread'?")

    def test_what_is_wrong_with_a_retry_is_told_with_the_asset(self) -> None:
        wrong: Any = Retry(times=-1, delay=float("nan"), factor=0.5, max_delay=-1, on=[KeyError])  # type: ignore[arg-type] # it is the point
        assert problems(retries=wrong) == [
            "Retry: times=-1 is no number of retries",
            "Retry: delay=nan is no number of seconds from 0",
            "Retry: max_delay=-1 is no number of seconds from 0",
            "Retry: factor=0.5 is no number from 1",
            "Retry: on= takes exception classes, as a tuple, or a function, not list",
        ]
        assert len(problems(retries=Retry(on=(KeyError, int)))) == 1  # type: ignore[arg-type] # it is the point

    def test_a_plain_function_on_the_loop_has_no_timeout(self) -> None:
        assert "can't end a plain function" in problems(executor="loop", timeout=3)[0]

        @asset(executor="loop", timeout=3)
        async def fetched() -> int:
            return 1

        assert not fetched.problems

    def test_a_graph_tells_all_of_them_at_once(self) -> None:
        first = asset(name="first", retries=-1, timeout=0)(one)
        second = asset(name="second", pool="")(one)
        with pytest.raises(DefinitionErrors) as caught:
            AssetGraph([first, second])
        assert len(caught.value.errors) == 3
        assert {type(each) for each in caught.value.errors} == {SignatureError}


class TestRetry:
    def test_by_default_what_may_pass_is_tried_again(self) -> None:
        retry = Retry()
        assert retry.wants(ConnectionError())
        assert retry.wants(TimeoutError())
        for hopeless in (
            KeyboardInterrupt(),
            SystemExit(1),
            UnserializableValueError(""),
            ReturnTypeError(""),
            OutputsError(""),
        ):
            assert not retry.wants(hopeless)

    def test_on_says_which_errors(self) -> None:
        assert Retry(on=OSError).wants(ConnectionError())
        assert not Retry(on=OSError).wants(KeyError())
        assert Retry(on=(OSError, KeyError)).wants(KeyError())
        assert Retry(on=ReturnTypeError).wants(ReturnTypeError(""))
        busy = Retry(on=lambda error: "busy" in str(error))
        assert busy.wants(ValueError("busy"))
        assert not busy.wants(ValueError("gone"))

    def test_a_predicate_that_raises_says_no_and_the_error_says_why(self) -> None:
        error = ValueError("boom")
        assert not Retry(on=lambda error: error.code > 3).wants(error)
        assert "on= of its Retry raised AttributeError" in error.__notes__[0]

    def test_it_is_tried_again_as_often_as_it_says(self) -> None:
        twice = Policy(retries=Retry(times=2))
        assert [twice.tries_again(each, OSError()) for each in (1, 2, 3)] == [True, True, False]
        assert not twice.tries_again(1, SystemExit())
        assert not PLAIN.tries_again(1, OSError())

    def test_it_can_be_sent_to_a_process(self) -> None:
        retry = Retry(4, on=(OSError,))
        assert pickle.loads(pickle.dumps(retry)) == copy.deepcopy(retry) == retry  # noqa: S301 - it is ours
