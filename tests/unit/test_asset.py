"""``@asset``: what a signature says, and how a wrong one is told."""

# ruff: noqa: ARG001, ARG002, ARG005, PLC2401, N802, TC004 - signatures are the point

from __future__ import annotations

import functools
import inspect
import types
from typing import TYPE_CHECKING, Annotated, Any, Optional, Union

import pytest

import flowstone
from flowstone import Asset, From, asset
from flowstone.core.annotations import EMPTY, Names
from flowstone.core.context import Context as RealContext
from flowstone.core.signature import _raw_parameters
from flowstone.errors import SignatureError

if TYPE_CHECKING:
    from collections.abc import Callable
    from decimal import Decimal

    from flowstone import Context


@asset
def orders() -> list[int]:
    return [1, 2]


Orders = Annotated[list[int], From(orders)]
Mark = From(orders)


def kinds(made: Asset[..., Any]) -> dict[str, str]:
    assert not made.problems
    return {p.name: p.asset if p.kind == "dependency" else p.kind for p in made.parameters}


def given(fn: Callable[..., Any], **options: Any) -> Asset[..., Any]:
    return asset(name="given", **options)(fn)


def problem(made: Asset[..., Any]) -> str:
    assert len(made.problems) == 1
    error = made.problems[0]
    assert isinstance(error, SignatureError)
    return str(error)


class TestPlainFunction:
    def test_calling_an_asset_calls_the_function(self) -> None:
        @asset
        def total(orders: list[int], by: int = 2) -> int:
            return sum(orders) * by

        assert total([1, 2]) == 6
        assert total([1], by=5) == 5

    async def test_calling_an_async_asset_gives_its_coroutine(self) -> None:
        @asset
        async def slow() -> int:
            return 3

        assert slow.is_async
        assert await slow() == 3

    pytestmark = pytest.mark.anyio

    def test_it_looks_like_the_function(self) -> None:
        @asset(name="other")
        def total(orders: list[int]) -> int:
            """The total.

            Of all.
            """
            return sum(orders)

        assert total.name == "other"
        assert (vars(total)["__name__"], total.__module__) == ("total", __name__)
        assert total.description == "The total.\n\nOf all."
        assert str(inspect.signature(total)) == "(orders: 'list[int]') -> 'int'"
        assert total.returns is int
        assert repr(total) == "<Asset other <- orders>"

    def test_attributes_of_the_function_are_not_taken_for_the_asset_s(self) -> None:
        def total() -> int:
            return 1

        total.__dict__.update(name="wrong", returns=str, parameters=None)
        made = asset(total)
        assert (made.name, made.returns, made.parameters) == ("total", int, ())

    def test_options_are_kept(self) -> None:
        @asset(
            metadata={"unit": "EUR"},
            tags="nightly",
            group="raw",
            description="All orders.",
            owners=["ann", "bob"],
            code_version="7",
            keep=False,
        )
        def made() -> int:
            """Not this."""
            return 1

        assert made.metadata == {"unit": "EUR"}
        assert made.tags == {"nightly"}
        assert (made.group, made.description) == ("raw", "All orders.")
        assert made.owners == ("ann", "bob")
        assert (made.code_version, made.keep) == ("7", False)

    def test_place_is_file_and_line(self) -> None:
        assert orders.place == f"{__file__}:{orders.__wrapped__.__code__.co_firstlineno}"


class TestWithoutFunction:
    def test_name_and_depends_on_are_enough(self) -> None:
        made: Asset[..., Any] = Asset(name="c", depends_on=["a", "b", "a"])
        assert made.name == "c"
        assert made.depends_on == ["a", "b"]
        assert list(made.edges) == [("", "a"), ("", "b")]
        assert made.place == ""
        assert made.returns is Any
        assert not made.is_async

    def test_depends_on_takes_one_name_and_assets_too(self) -> None:
        assert Asset(name="c", depends_on="ab").depends_on == ["ab"]
        assert Asset(name="c", depends_on=[orders]).linked == [orders]

    def test_it_can_t_be_called(self) -> None:
        with pytest.raises(TypeError, match="asset 'c' has no function"):
            Asset(name="c")()


class TestParameters:
    def test_a_parameter_without_default_is_the_asset_of_that_name(self) -> None:
        @asset
        def made(orders: list[int], *, rates: dict[str, int]) -> None: ...

        assert kinds(made) == {"orders": "orders", "rates": "rates"}
        assert made.depends_on == ["orders", "rates"]
        assert list(made.edges) == [("orders", "orders"), ("rates", "rates")]

    def test_a_parameter_with_default_is_config(self) -> None:
        @asset
        def made(limit: int = 5, *, name: str = "x", any=None) -> None: ...  # type: ignore[no-untyped-def]  # noqa: A002, ANN001 - the point

        assert kinds(made) == {"limit": "config", "name": "config", "any": "config"}
        assert [p.default for p in made.config] == [5, "x", None]
        assert made.depends_on == []

    def test_a_default_is_not_in_the_repr(self) -> None:
        @asset
        def made(password: str = "hunter2") -> None: ...  # noqa: S107 - the point

        assert "hunter2" not in repr(made.parameters)

    def test_from_names_another_asset(self) -> None:
        @asset
        def made(
            a: Annotated[list[int], From(orders)],
            b: Annotated[list[int], "told", From("rates")],
            c: Orders,
            d: Annotated[list[int], Mark],
            e: Orders | None,
            f: Optional[Orders],  # noqa: UP045 - as people write it
            g: Union[Annotated[int, From(orders)], None],  # noqa: UP007 - as people write it
            h: Annotated[Decimal, From(orders)],
            i: Annotated[Orders, "more"],
        ) -> None: ...

        assert set(kinds(made).values()) == {"orders", "rates"}
        assert made.depends_on == ["orders", "rates"]
        assert made.linked.count(orders) == 8

    def test_from_wins_over_a_default(self) -> None:
        @asset
        def made(a: Annotated[int, From("rates")] = 3) -> None: ...

        assert kinds(made) == {"a": "rates"}

    def test_annotations_that_are_no_text_are_read_too(self) -> None:
        def plain(a: Any, b: Any, c: Any, d: Any, e: Any) -> None: ...

        plain.__annotations__ = {
            "a": Annotated[int, From(orders)],
            "b": Orders | None,
            "c": RealContext,
            "d": Optional["Orders"],
            "e": RealContext | None,
        }
        wanted = {"a": "orders", "b": "orders", "c": "context", "d": "orders", "e": "context"}
        assert kinds(asset(plain)) == wanted

    @pytest.mark.skipif("sys.version_info < (3, 12)", reason="the statement came with 3.12")
    def test_a_type_statement_is_followed(self) -> None:
        names: dict[str, Any] = {"asset": asset, "Annotated": Annotated, "From": From}
        text = """
type Rows[T] = Annotated[list[T], From("orders")]
type Plain = Annotated[int, From("rates")]
@asset
def made(a: Rows[int], b: "Rows[int]", c: Plain, d: "Plain"): ...
"""
        exec(text, names)  # noqa: S102 - older Pythons can't compile it
        assert kinds(names["made"]) == {"a": "orders", "b": "orders", "c": "rates", "d": "rates"}

    def test_what_a_function_around_it_defines_is_seen(self) -> None:
        """A closure holds only what the body uses, not what an annotation names."""

        @asset
        def local() -> int:
            return 1

        alias = Annotated[int, From(local)]

        def inside() -> Asset[..., Any]:
            @asset
            def made(a: Annotated[int, From(local)], b: alias, orders: int) -> None: ...

            return made

        assert kinds(inside()) == {"a": "local", "b": "local", "orders": "orders"}
        assert inside().linked == [local, local]

    def test_a_local_name_hides_a_global_one(self) -> None:
        orders = asset(name="hidden")(lambda: 1)

        @asset
        def made(a: Annotated[int, From(orders)]) -> int:
            return a

        assert kinds(made) == {"a": "hidden"}

    def test_deps_as_a_mapping_names_assets_of_parameters(self) -> None:
        @asset(deps={"a": orders, "b": "rates"})
        def made(a: list[int], b: int = 3) -> None: ...

        assert kinds(made) == {"a": "orders", "b": "rates"}
        assert made.linked == [orders]

    def test_deps_as_a_list_are_needed_without_being_passed(self) -> None:
        @asset(deps=[orders, "rates", "tables"])
        def made(rates: int) -> None: ...

        assert made.depends_on == ["rates", "orders", "tables"]
        assert list(made.edges) == [("rates", "rates"), ("", "orders"), ("", "tables")]

    @pytest.mark.parametrize("deps", ["rates", orders])
    def test_deps_takes_a_single_one(self, deps: Any) -> None:
        made = asset(deps=deps)(lambda: 1)
        assert len(made.depends_on) == 1

    def test_one_asset_can_be_taken_twice(self) -> None:
        @asset(deps={"a": "orders", "b": "orders"})
        def made(a: int, b: int) -> None: ...

        assert made.depends_on == ["orders"]
        assert list(made.edges) == [("a", "orders"), ("b", "orders")]

    def test_context_is_told_by_its_annotation_alone(self) -> None:
        """Imported under TYPE_CHECKING, as linters have it, it is known by its name."""

        @asset
        def made(
            a: Context,
            b: flowstone.Context,
            c: RealContext,
            d: Context | None = None,
            context: int = 1,
        ) -> None: ...

        assert set(kinds(made).values()) == {"context", "config"}
        assert kinds(made)["context"] == "config"

    def test_a_parameter_called_context_is_no_context(self) -> None:
        assert kinds(given(lambda context: 1)) == {"context": "context"}


class TestKindsOfFunctions:
    def test_lambda_with_a_name(self) -> None:
        made = given(lambda orders: orders)
        assert made.name == "given"
        assert made.depends_on == ["orders"]

    def test_lambda_without_a_name_is_told(self) -> None:
        unnamed: Callable[[], int] = lambda: 1  # noqa: E731 - the point
        assert "set name=" in problem(asset(unnamed))

    def test_partial(self) -> None:
        def scaled(orders: int, ctx: Context, factor: int) -> int:
            return orders * factor

        made = asset(name="made", tags=["x"])(functools.partial(scaled, factor=3))
        assert kinds(made) == {"orders": "orders", "ctx": "context", "factor": "config"}
        assert made.place.startswith(__file__)
        assert made.description is None
        assert "set name=" in problem(asset(functools.partial(scaled, factor=3)))

    def test_callable_object(self) -> None:
        class Scaled:
            """Not the description."""

            async def __call__(self, orders: int, ctx: Context) -> int:
                return orders

        made = asset(name="made")(Scaled())
        assert kinds(made) == {"orders": "orders", "ctx": "context"}
        assert made.place.startswith(__file__)

    def test_bound_method_and_static_method(self) -> None:
        class Shop:
            def total(self, orders: int) -> int:
                return orders

            @asset
            @staticmethod
            def rate(orders: int) -> int:
                return orders

        assert kinds(asset(Shop().total)) == {"orders": "orders"}
        assert kinds(Shop.rate) == {"orders": "orders"}
        assert Shop.rate(2) == 2

    @pytest.mark.parametrize("is_async", [False, True])
    def test_decorated_functions_keep_their_signature(self, is_async: bool) -> None:
        def doubled(fn: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(fn)
            def around(*args: Any, **kwargs: Any) -> Any:
                return fn(*args, **kwargs)

            return around

        def plain(rows: Orders, ctx: Context, limit: int = 3) -> int:
            return 1

        async def slow(rows: Orders, ctx: Context, limit: int = 3) -> int:
            return 1

        made = asset(doubled(slow if is_async else plain))
        assert kinds(made) == {"rows": "orders", "ctx": "context", "limit": "config"}
        assert not made.is_async  # the wrapper is what is called
        code = (slow if is_async else plain).__code__
        assert made.place == f"{__file__}:{code.co_firstlineno}"

    def test_unicode_names(self) -> None:
        @asset
        def größe(straße: int) -> int:
            return straße

        @asset
        def हिन्दी() -> int:
            return 1

        assert kinds(größe) == {"straße": "straße"}
        assert kinds(हिन्दी) == {}

    def test_names_are_normalised_as_python_does(self) -> None:
        composed, decomposed = "caf\u00e9", "cafe\u0301"
        assert Asset(name=decomposed).name == composed
        made = asset(name="a", deps=[decomposed])(lambda: 1)
        assert made.depends_on == [composed]

    @pytest.mark.parametrize("name", ["a", "_a", "a.b/c-d", "a1", "a.1", "x" * 512])
    def test_good_names(self, name: str) -> None:
        assert not Asset(name=name).problems

    @pytest.mark.parametrize(
        "name",
        [
            "",
            "1a",
            ".a",
            "-a",
            "a b",
            "a,b",
            "a+b",
            "a^b",
            "tag:x",
            "a*",
            "a\n",
            "x" * 513,
            "\ud800",
        ],
    )
    def test_bad_names_are_told(self, name: str) -> None:
        assert "can't name an asset" in problem(Asset(name=name))


class TestProblems:
    """Each names the function, its place, the parameter and a cure; none raises when defined."""

    @pytest.mark.parametrize(
        ("fn", "words"),
        [
            (lambda *rows: 1, ["'*rows'", "one parameter for each"]),
            (lambda **rows: 1, ["'**rows'", "one parameter for each"]),
            (lambda rows, /: 1, ["'rows' is positional-only", "drop the '/'"]),
        ],
    )
    def test_signatures_that_name_nothing(self, fn: Any, words: list[str]) -> None:
        told = problem(asset(name="made")(fn))
        for word in [f"asset 'made' ({__file__}:{fn.__code__.co_firstlineno})", *words]:
            assert word in told

    def test_all_problems_of_a_signature_are_told(self) -> None:
        def wrong(a, /, *args, **kwargs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN002, ANN003, ANN202 - the point
            yield 1

        assert len(asset(wrong).problems) == 4

    def test_deps_for_a_parameter_that_is_not_there(self) -> None:
        told = problem(given(lambda orders: 1, deps={"ordres": orders}))
        assert "'ordres'" in told
        assert "did you mean 'orders'?" in told

    def test_from_that_can_t_be_evaluated(self) -> None:
        """Silence would mean another asset, by the parameter's name."""

        def made(rows: Annotated[list[int], From(ordres)]) -> None: ...  # noqa: F821 - the point

        told = problem(asset(made))
        assert "parameter 'rows'" in told
        assert "From(ordres)" in told
        assert "'ordres' is not defined" in told

    @pytest.mark.parametrize(
        "annotation", [From(orders), "From(orders)", From, "From", "int | From(orders)"]
    )
    def test_from_outside_annotated(self, annotation: object) -> None:
        def made(rows: Any) -> None: ...

        made.__annotations__["rows"] = annotation
        assert "belongs inside Annotated" in problem(asset(made))

    @pytest.mark.parametrize("annotation", [Annotated[int, From], "Annotated[int, From]"])
    def test_from_without_asset(self, annotation: object) -> None:
        def made(rows: Any) -> None: ...

        made.__annotations__["rows"] = annotation
        assert "From needs an asset" in problem(asset(made))

    def test_what_is_no_asset(self) -> None:
        def helper() -> int:
            return 1

        def made(rows: Any) -> None: ...

        made.__annotations__["rows"] = Annotated[int, From(helper)]  # type: ignore[arg-type]
        assert "parameter 'rows': helper is no asset; decorate it" in problem(asset(made))
        listed = asset(name="a", deps=[helper, 3])(lambda: 1)  # type: ignore[list-item]
        assert "helper is no asset" in str(listed.problems[0])
        assert "a value of type int is no asset" in str(listed.problems[1])

    def test_a_generator_is_no_value(self) -> None:
        def rows():  # type: ignore[no-untyped-def]  # noqa: ANN202 - the point
            yield 1

        async def slow():  # type: ignore[no-untyped-def]  # noqa: ANN202 - the point
            yield 1

        assert "return a list instead of yielding" in problem(asset(rows))
        assert "return a list instead of yielding" in problem(asset(slow))

    def test_a_builtin_without_signature(self) -> None:
        assert "signature can't be read" in problem(given(max))

    @pytest.mark.parametrize("option", [{"tags": [1]}, {"group": 2}, {"owners": [None, 3]}])
    def test_words_are_text(self, option: dict[str, Any]) -> None:
        assert "text, not int" in problem(Asset(name="a", **option))

    @pytest.mark.parametrize("value", ["name", 3, int, orders, types.SimpleNamespace()])
    def test_only_a_function_can_be_an_asset(self, value: Any) -> None:
        with pytest.raises(SignatureError, match="@asset needs a function, got"):
            asset(value)

    def test_an_unknown_option_is_a_type_error(self) -> None:
        with pytest.raises(TypeError, match="tag"):
            asset(tag="x")(lambda: 1)  # type: ignore[call-overload]


def plain_signatures() -> list[Callable[..., Any]]:
    return [
        lambda: 1,
        lambda a: 1,
        lambda a, b=2: 1,
        lambda a=1, b=2: 1,
        lambda a, /, b, *, c, d=4: 1,
        lambda a=1, /, b=2, *args, c=3, **kwargs: 1,
        lambda *args: 1,
        lambda *, a, b=1: 1,
        kinds,
    ]


@pytest.mark.parametrize("number", range(9))
def test_signatures_are_read_as_inspect_reads_them(number: int) -> None:
    fn = plain_signatures()[number]
    marks = {"VAR_POSITIONAL": "*", "VAR_KEYWORD": "**", "POSITIONAL_ONLY": "/"}
    wanted = {
        p.name: (
            marks.get(p.kind.name, ""),
            p.annotation if "*" not in str(p) else EMPTY,
            p.default,
        )
        for p in inspect.signature(fn).parameters.values()
    }
    read = {
        name: (mark, annotation, default) for name, mark, annotation, default in _raw_parameters(fn)
    }
    if all(mark != "/" for mark, _, _ in wanted.values()):
        assert read == wanted
    assert {name: each[0] for name, each in read.items()} == {
        name: each[0] for name, each in wanted.items()
    }


def test_an_annotation_that_can_t_be_evaluated_is_any() -> None:
    def made() -> Decimal:
        raise NotImplementedError

    assert asset(made).returns is Any
    assert Names(made).evaluate(EMPTY) is Any
    assert Names(made).evaluate("int") is int
