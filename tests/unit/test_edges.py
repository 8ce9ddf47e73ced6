"""Types across dependencies, when a graph is built: what is told, and what passes."""

from __future__ import annotations

import functools
import types
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, TypedDict, TypeVar

import pytest

from flowstone import Asset, AssetGraph, DataVersion, From, asset
from flowstone.errors import DefinitionErrors, EdgeTypeError, UnknownDependencyError

if TYPE_CHECKING:
    from flowstone.core.asset import AnyAsset

T = TypeVar("T")


class Row(TypedDict):
    day: str


@asset
def orders() -> list[Row]:
    return []


@asset
async def count() -> int:
    return 1


def module(name: str, source: str) -> types.ModuleType:
    """A module made of a text."""
    made = types.ModuleType(name)
    code = compile(source, f"{name}.py", "exec", dont_inherit=True)
    exec(code, vars(made))  # noqa: S102 - test code
    return made


def annotated(name: str, returns: Any, **parameters: Any) -> AnyAsset:
    """An asset of a function that has these very objects as annotations."""
    fn = eval(f"lambda {', '.join(parameters)}: None")  # noqa: S307 - test code
    fn.__annotations__ = {**parameters, "return": returns}
    return Asset(fn, name=name)


def mismatch(*assets: AnyAsset) -> str:
    with pytest.raises(EdgeTypeError) as raised:
        AssetGraph(assets)
    return str(raised.value)


def test_the_message_shows_both_annotations_both_places_and_the_cure() -> None:
    shop = module(
        "shop",
        "from flowstone import asset\n"
        "@asset\n"
        "def orders() -> list[dict]: ...\n"
        "@asset\n"
        "def report(orders: 'dict[str, int]') -> int: ...\n",
    )
    with pytest.raises(EdgeTypeError) as raised:
        AssetGraph.from_module(shop)
    assert str(raised.value) == (
        "asset 'report' (shop.py:4): parameter 'orders' takes dict[str, int], but asset 'orders'"
        " (shop.py:2) returns list[dict]: list is not dict; change one of them, or write orders:"
        " Annotated[dict[str, int], From('orders', check=False)]"
    )


def test_an_explicit_source_stays_in_the_cure() -> None:
    @asset
    def report(rows: Annotated[dict[str, int], From(orders)]) -> int:
        return len(rows)

    told = mismatch(report)
    assert "takes dict[str, int], but" in told
    assert "returns list[Row]" in told
    assert told.endswith("rows: Annotated[dict[str, int], From(orders, check=False)]")


def test_all_mismatches_are_told_at_once_with_all_other_errors() -> None:
    one = annotated("one", int, orders=str, count=int)
    two = annotated("two", int, count="str", one=float, missing=int)
    with pytest.raises(DefinitionErrors) as raised:
        AssetGraph([orders, count, one, two])
    kinds = sorted(type(each).__name__ for each in raised.value.errors)
    assert kinds == ["EdgeTypeError", "EdgeTypeError", UnknownDependencyError.__name__]


def test_an_item_that_does_not_fit_is_named() -> None:
    @asset
    def report(orders: list[int]) -> int:
        return len(orders)

    assert "list[Row] is not list[int]: Row is not int" in mismatch(orders, report)


def test_a_typed_dict_for_a_dict_gets_its_own_cure() -> None:
    @asset
    def report(orders: list[dict[str, Any]]) -> int:
        return len(orders)

    assert "take Mapping[str, object]" in mismatch(orders, report)


def test_invariance_is_explained() -> None:
    @asset
    def flags() -> list[bool]:
        return []

    @asset
    def report(flags: list[int]) -> int:
        return len(flags)

    assert "what a list holds must be exactly int, not bool" in mismatch(flags, report)


def test_check_false_lets_any_value_pass() -> None:
    @asset
    def by_object(rows: Annotated[str, From(orders, check=False)]) -> str:
        return rows

    @asset
    def by_name(orders: Annotated[str, From("orders", check=False)]) -> str:
        return orders

    @asset(deps={"rows": "orders"})
    def by_deps(rows: Annotated[str, From("orders", check=False)]) -> str:
        return rows

    assert len(AssetGraph([orders, by_object, by_name, by_deps])) == 4


def test_check_false_works_without_texts() -> None:
    rows = annotated("rows", str, orders=Annotated[str, From("orders", check=False)])
    assert len(AssetGraph([orders, rows])) == 2


def test_an_awaited_result_is_the_value() -> None:
    @asset
    def later() -> Awaitable[int]:
        raise NotImplementedError

    @asset
    def sooner() -> Coroutine[Any, Any, int]:
        raise NotImplementedError

    @asset
    def fits(count: int, later: int, sooner: float) -> int:
        return count + later + int(sooner)

    @asset
    def fails(later: str) -> str:
        return later

    assert len(AssetGraph([count, later, sooner, fits])) == 4
    assert "int is not str" in mismatch(later, fails)


def test_what_says_nothing_of_the_value_passes() -> None:
    """A stated version, a missing annotation, a name for type checkers only, a decorator."""

    def as_text(fn: Callable[[], T]) -> Callable[[], str]:
        @functools.wraps(fn)
        def wrapper() -> str:
            return str(fn())

        return wrapper

    @asset
    def stated() -> DataVersion:
        return DataVersion("1", value=1)

    @asset
    def maybe_stated() -> DataVersion | int:
        return 1

    @asset
    @as_text
    def decorated() -> int:
        return 1

    bare = Asset(lambda: 1, name="bare")
    imported = annotated("imported", "ImportedForTypeCheckersOnly")
    found: list[AnyAsset] = [stated, maybe_stated, bare, imported, decorated, count]
    wanted = {each.name: str for each in found if each is not count}
    takes = annotated("takes", str, **wanted, count="ImportedForTypeCheckersOnly")
    assert len(AssetGraph([*found, takes])) == 7


def test_one_name_in_two_modules_may_mean_two_things() -> None:
    source = "from __future__ import annotations\nfrom flowstone import asset\n"
    first = module("first", source + "class Row: ...\n@asset\ndef rows() -> Row: ...\n")
    second = module("second", source + "class Row: ...\n@asset\ndef total(rows: Row) -> int: ...\n")
    third = module(
        "third", source + "from decimal import *\n@asset\ndef n(rows: Row) -> int: ...\n"
    )
    vars(third)["Row"] = first.Row
    assert "Row is not" in mismatch(first.rows, second.total, third.n)


def test_local_classes_are_seen() -> None:
    class Local:
        pass

    @asset
    def makes() -> Local:
        return Local()

    @asset
    def takes(makes: Local) -> str:
        return str(makes)

    @asset
    def refuses(makes: int) -> int:
        return makes

    assert len(AssetGraph([makes, takes])) == 2
    assert "Local is not int" in mismatch(makes, refuses)


def test_an_output_has_its_own_type() -> None:
    @asset(outputs=["train", "test"])
    def split() -> tuple[list[int], str]:
        return [], ""

    @asset
    def fits(train: list[int], test: str) -> str:
        return f"{train}{test}"

    @asset
    def refuses(test: list[int]) -> list[int]:
        return test

    assert len(AssetGraph([split, fits])) == 3
    assert "but asset 'test'" in mismatch(split, refuses)


def test_assets_without_functions_have_no_types() -> None:
    @asset
    def takes(c: int) -> int:
        return c

    assert len(AssetGraph([Asset(name="c"), takes])) == 2


def test_hostile_annotations_pass() -> None:
    class Odd:
        __hash__ = None  # type: ignore[assignment]  # can't be looked up

        def __eq__(self, other: object) -> bool:
            return False

    odd = [annotated("makes", Odd()), annotated("takes", int, makes=int)]
    assert len(AssetGraph(odd)) == 2
    assert len(AssetGraph([annotated("makes", int), annotated("takes", int, makes=Odd())])) == 2
