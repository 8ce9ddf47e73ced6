"""Laws of assignability that hold for all types, on types made at random."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, Optional, Union

from hypothesis import given
from hypothesis import strategies as st

from flowstone.core.typed.assignable import why_not
from flowstone.core.typed.reading import read
from flowstone.core.typed.values import misfit

#: Without ``Any``, which fits everything both ways, no transitive law would be broken by mistake.
LEAVES: list[Any] = [
    object, int, bool, float, str, bytes, None, Literal["a"], Literal["a", "b"], Literal[1],
]  # fmt: skip


def unions(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(parts, min_size=2, max_size=3)
    return some.map(lambda each: functools.reduce(operator.or_, (Optional[one] for one in each)))  # noqa: UP045 - None | None is no type


def larger(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        parts.map(lambda each: list[each]),  # type: ignore[valid-type]  # made as the test runs
        parts.map(lambda each: Sequence[each]),  # type: ignore[valid-type]  # made as the test runs
        parts.map(lambda each: Iterable[each]),  # type: ignore[valid-type]  # made as the test runs
        parts.map(lambda each: tuple[each, ...]),  # type: ignore[valid-type]  # made as the test runs
        st.tuples(parts, parts).map(lambda each: tuple[each]),  # type: ignore[valid-type]  # made as the test runs
        st.tuples(parts, parts).map(lambda each: dict[each]),  # type: ignore[valid-type,misc]  # made as the test runs
        st.tuples(parts, parts).map(lambda each: Mapping[each]),  # type: ignore[valid-type,misc]  # made as the test runs
        st.tuples(parts, parts).map(lambda each: Callable[[each[0]], each[1]]),
        st.tuples(parts, parts).map(lambda each: Union[each]),  # noqa: UP007 - as a tuple
    )


TYPES = st.recursive(st.sampled_from(LEAVES), larger, max_leaves=4)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=2), st.binary(max_size=2)),
    lambda parts: st.one_of(
        st.lists(parts, max_size=2),
        st.tuples(parts, parts),
        st.dictionaries(st.text(max_size=1), parts, max_size=2),
    ),
    max_leaves=4,
)


def fits(source: Any, target: Any) -> bool:
    return why_not(read(source, eval), read(target, eval)) == ""


@given(TYPES)
def test_every_type_admits_itself_and_fits_any_and_object(one: Any) -> None:
    assert fits(one, one)
    assert fits(one, Any)
    assert fits(Any, one)
    assert fits(one, object)


@given(TYPES, TYPES)
def test_a_union_admits_its_members_and_fits_where_all_of_them_do(one: Any, other: Any) -> None:
    both = Union[one, other]  # noqa: UP007 - None has no |
    assert fits(one, both)
    assert fits(other, both)
    assert fits(both, one) == fits(other, one)


@given(TYPES, TYPES)
def test_containers_vary_as_they_should(one: Any, other: Any) -> None:
    forth, back = fits(one, other), fits(other, one)
    assert fits(Sequence[one], Sequence[other]) == forth
    assert fits(list[one], Iterable[other]) == forth
    assert fits(list[one], list[other]) == (forth and back)
    assert fits(dict[str, one], dict[str, other]) == (forth and back)
    assert fits(Callable[[], one], Callable[[], other]) == forth
    assert fits(Callable[[other], None], Callable[[one], None]) == forth


@given(TYPES, TYPES, TYPES)
def test_it_is_transitive(one: Any, two: Any, three: Any) -> None:
    middle, last = Union[one, two], Union[one, two, three]  # noqa: UP007 - None has no |
    assert fits(one, middle)
    assert fits(middle, last)
    assert fits(one, last)
    if fits(one, two) and fits(two, three):
        assert fits(one, three)


@given(VALUES, TYPES, TYPES)
def test_a_value_fits_wherever_its_type_does(value: Any, one: Any, other: Any) -> None:
    """What the cheap check admits for one type, it admits for all that this type fits."""
    if misfit(value, read(one, eval), whole=True):
        return
    wider = Union[one, other]  # noqa: UP007 - None has no |
    assert misfit(value, read(wider, eval)) == ""
    if fits(one, other):
        assert misfit(value, read(other, eval)) == ""
