"""What options of an asset can't work, and which exclude each other: told in words."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from flowstone.core.naming import is_legal
from flowstone.core.text import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from flowstone.core.policy import Policy


def wrong_words(given: Mapping[str, Iterable[object]]) -> Iterator[str]:
    """Words that are no text, by option; None says nothing."""
    for option, words in given.items():
        wrong = [each for each in words if not isinstance(each, str) and each is not None]
        if wrong:
            yield f"{option} are text, not {type(wrong[0]).__name__}"


def wrong_age(max_age: object) -> Iterator[str]:
    """A time that no version could stand."""
    if max_age is None or (isinstance(max_age, dt.timedelta) and max_age > dt.timedelta()):
        return
    yield f"max_age= is a timedelta above zero, not {max_age!r}"


def wrong_aliases(aliases: Iterable[str], name: str) -> Iterator[str]:
    """Former names that are the present one, or that no asset can have had."""
    for each in aliases:
        if each == name or not is_legal(each):
            yield f"aliases= are names the asset had before, not {each[:80]!r}"


def wrong_distributions(track: Iterable[object]) -> Iterator[str]:
    """What names no distribution."""
    for each in track:
        if not isinstance(each, str):
            yield f"track= takes names of distributions, not {kind_of(each)}"


def unendable(policy: Policy, *, is_async: bool) -> Iterator[str]:
    """A time limit for what nothing can end."""
    if policy.executor == "loop" and policy.timeout and not is_async:
        yield (
            "timeout= can't end a plain function on the event loop; set executor='thread' or"
            " executor='process'"
        )


def split_aliases(aliases: Sequence[str]) -> Iterator[str]:
    """Former names of one asset on a function that makes several."""
    if aliases:
        yield "aliases= are former names of one asset, and outputs= makes several; drop one"
