"""How an asset is executed: again after a failure, for how long, where, and beside how many.

None of it decides what the asset is: no option here enters a dependency hash or a code version.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypedDict, TypeGuard, get_args

from flowstone.core.naming import is_legal
from flowstone.core.text import kind_of, safe_repr
from flowstone.errors import (
    DefinitionError,
    OutputsError,
    ReturnTypeError,
    UnserializableValueError,
    did_you_mean,
)

ExecutorName = Literal["auto", "loop", "thread", "process"]
Durability = Literal["batch", "strict"]
#: Is called with the ``StepFinished`` event of its asset, or of any; may be a coroutine function.
Hook: TypeAlias = Callable[..., Any]
#: Which errors to try again after: classes of exceptions, or a function that says so.
Wanted: TypeAlias = "type[BaseException] | tuple[type[BaseException], ...] | Callable[..., Any]"

#: What the function would do again, however often it is called.
_HOPELESS = (DefinitionError, OutputsError, ReturnTypeError, UnserializableValueError)


@dataclass(frozen=True, slots=True)
class Retry:
    """When a failed asset is tried again, and how long after.

    ``times`` is how often, after the first attempt. The wait before the first retry is at most
    ``delay`` seconds, before each further one ``factor`` times as long, and never longer than
    ``max_delay`` seconds. With ``jitter`` it is a random part of that, from nothing to all, so
    that many who failed together don't come back together; without, it is that long exactly.

    ``on`` says after which errors: exception classes, or a function that is called with the
    exception. None means every ``Exception`` but those that another attempt can't mend: a value
    that no codec takes, or another type or other outputs than the function declares.
    """

    times: int = 3
    delay: float = 1.0
    factor: float = 2.0
    max_delay: float = 60.0
    jitter: bool = True
    on: Wanted | None = None

    def delay_before(self, attempt: int, random: float) -> float:
        """The seconds to wait before an attempt; the second is the first that waits.

        Exponential backoff with full jitter, after Marc Brooker, "Exponential Backoff and Jitter"
        (AWS Architecture Blog, 2015).

        Args:
            attempt: the number of the attempt that comes next, from 2.
            random: a random number from 0 to 1; only read with ``jitter``.
        """
        try:
            whole = self.delay * self.factor ** (attempt - 2)
        except OverflowError:
            whole = math.inf
        # A delay of nothing stays nothing, however large the power.
        whole = min(whole, self.max_delay) if self.delay else 0.0
        return whole * random if self.jitter else whole

    def wants(self, error: BaseException) -> bool:
        """Whether to try again after this error; how often was tried does not count here.

        A function ``on`` that raises says no; what it raised becomes a note of the error.
        """
        if self.on is None:
            return isinstance(error, Exception) and not isinstance(error, _HOPELESS)
        if isinstance(self.on, (type, tuple)):
            return isinstance(error, self.on)
        try:
            return bool(self.on(error))
        except Exception as raised:  # noqa: BLE001 - it is the user's code
            error.add_note(f"not tried again: on= of its Retry raised {safe_repr(raised, 300)}")
            return False

    @property
    def problems(self) -> list[str]:
        """What is wrong with it, each telling offender and cure."""
        told = (
            []
            if _is_count(self.times)
            else [f"times={safe_repr(self.times, 80)} is no number of retries"]
        )
        told += [
            f"{name}={safe_repr(given, 80)} is no number of seconds from 0"
            for name, given in (("delay", self.delay), ("max_delay", self.max_delay))
            if not _is_seconds(given, least=0.0)
        ]
        if not _is_seconds(self.factor, least=1.0):
            told.append(f"factor={safe_repr(self.factor, 80)} is no number from 1")
        if not self._on_is_known:
            kind = kind_of(self.on)
            told.append(f"on= takes exception classes, as a tuple, or a function, not {kind}")
        return [f"Retry: {each}" for each in told]

    @property
    def _on_is_known(self) -> bool:
        if isinstance(self.on, tuple):
            return all(map(_is_exception, self.on))
        return self.on is None or (
            _is_exception(self.on) if isinstance(self.on, type) else callable(self.on)
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """How an asset is executed.

    ``timeout`` is in seconds, for each attempt; ``pool`` names what the asset must have a place
    in; ``executor`` says where its function is called, None leaving it to the run; ``durability``
    is ``strict`` if its success is committed before anything that needs it starts; ``on_success``
    and ``on_failure`` are called when its end is committed.
    """

    retries: Retry | None = None
    timeout: float | None = None
    pool: str | None = None
    executor: ExecutorName | None = None
    durability: Durability | None = None
    on_success: tuple[Hook, ...] = ()
    on_failure: tuple[Hook, ...] = ()

    def tries_again(self, attempt: int, error: BaseException) -> bool:
        """Whether there is another attempt after this one, which ended with this error."""
        retries = self.retries
        return retries is not None and attempt <= retries.times and retries.wants(error)


#: That of assets whose definition says nothing about it.
PLAIN = Policy()


class PolicyOptions(TypedDict, total=False):
    """The options of ``@asset`` that say how it is executed, as they are written."""

    retries: int | Retry | None
    timeout: float | dt.timedelta | None
    pool: str | None
    executor: ExecutorName | None
    durability: Durability | None
    on_success: Hook | Iterable[Hook] | None
    on_failure: Hook | Iterable[Hook] | None


def read_policy(options: PolicyOptions) -> tuple[Policy, list[str]]:
    """The policy that options say, and what is wrong with them; what is wrong is left out."""
    found: dict[str, Any] = {}
    told: list[str] = []
    for name, given in options.items():
        if given is None:
            continue
        value, problems = _READERS[name](name, given)
        told += problems
        if not problems:
            found[name] = value
    return Policy(**found), told


def unknown_option(name: str, known: Iterable[str]) -> TypeError:
    """The error for an option that ``@asset`` does not have."""
    hint = did_you_mean(name, [*known, *POLICY_OPTIONS])
    return TypeError(f"asset() got an unexpected keyword argument {name!r}{hint}")


#: Gives the value of an option, or says what is wrong with it.
_Read: TypeAlias = tuple[Any, list[str]]


def _retries(_: str, given: object) -> _Read:
    if isinstance(given, Retry):
        return given, given.problems
    if _is_count(given):
        return (Retry(times=given) if given else None), []
    return None, [f"retries= is a number or a Retry(...), not {safe_repr(given, 80)}"]


def _timeout(_: str, given: object) -> _Read:
    seconds: Any = given.total_seconds() if isinstance(given, dt.timedelta) else given
    if _is_seconds(seconds, least=0.0) and seconds:
        return float(seconds), []
    return None, [f"timeout= is seconds above 0 or a timedelta, not {safe_repr(given, 80)}"]


def _pool(_: str, given: object) -> _Read:
    if isinstance(given, str) and is_legal(given):
        return given, []
    return None, [f"pool= is the name of a pool, such as 'gpu', not {safe_repr(given, 80)}"]


def _word(name: str, given: object) -> _Read:
    known = _WORDS[name]
    if isinstance(given, str) and given in known:
        return given, []
    hint = did_you_mean(given, known) if isinstance(given, str) else ""
    listed = " or ".join(map(repr, known))
    return None, [f"{name}= is {listed}, not {safe_repr(given, 80)}{hint}"]


def _hooks(name: str, given: Any) -> _Read:
    hooks = (given,) if callable(given) or not isinstance(given, Iterable) else tuple(given)
    wrong = [each for each in hooks if not callable(each) or isinstance(each, type)]
    return hooks, [f"{name}= takes functions, not {kind_of(each)}" for each in wrong]


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_seconds(value: Any, *, least: float) -> bool:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value) and value >= least


def _is_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


_WORDS: dict[str, tuple[str, ...]] = {
    "executor": get_args(ExecutorName),
    "durability": get_args(Durability),
}
_READERS: dict[str, Callable[[str, Any], _Read]] = {
    "retries": _retries,
    "timeout": _timeout,
    "pool": _pool,
    "executor": _word,
    "durability": _word,
    "on_success": _hooks,
    "on_failure": _hooks,
}

#: The names of the options that make a policy.
POLICY_OPTIONS = frozenset(_READERS)
