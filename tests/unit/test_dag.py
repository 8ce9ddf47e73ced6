"""The graph: names, orders, and every definition error told at once."""

from __future__ import annotations

import linecache
import time
import types
from typing import TYPE_CHECKING, Annotated, Any

import pytest
import rustworkx as rx

from flowstone import Asset, AssetGraph, From, asset
from flowstone.core.namespaces import defined_in
from flowstone.errors import (
    CycleError,
    DefinitionError,
    DefinitionErrors,
    DuplicateAssetError,
    SignatureError,
    UnknownDependencyError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def node(name: str, *depends_on: str) -> Asset[..., Any]:
    return Asset(name=name, depends_on=depends_on)


def diamond() -> AssetGraph:
    return AssetGraph(
        [node("d", "b", "c"), node("c", "a"), node("b", "a"), node("a"), node("other", "d")]
    )


def module(name: str, text: str, **names: object) -> types.ModuleType:
    """A module made of source; its functions' place is ``name.py``."""
    made = types.ModuleType(name)
    made.__dict__.update(asset=asset, From=From, Annotated=Annotated, **names)
    linecache.cache[f"{name}.py"] = (len(text), None, text.splitlines(keepends=True), f"{name}.py")
    exec(compile(text, f"{name}.py", "exec"), made.__dict__)  # noqa: S102 - stands for a file
    return made


def errors_of(assets: Sequence[Any]) -> list[str]:
    with pytest.raises(DefinitionError) as told:
        AssetGraph(assets)
    found = told.value
    return [str(e) for e in (found.errors if isinstance(found, DefinitionErrors) else [found])]


class TestExecutionOrder:
    def test_it_has_the_target_and_its_ancestors_dependencies_first(self) -> None:
        assert diamond().execution_order("d") == ["a", "b", "c", "d"]
        assert diamond().execution_order("b") == ["a", "b"]

    def test_without_target_it_has_all(self) -> None:
        assert diamond().execution_order() == ["a", "b", "c", "d", "other"]

    def test_several_targets(self) -> None:
        assert diamond().execution_order("c", "b") == ["a", "b", "c"]

    def test_an_unknown_target_names_the_nearest(self) -> None:
        graph = AssetGraph([node("orders")])
        with pytest.raises(UnknownDependencyError, match=r"no asset named 'order'.*'orders'"):
            graph.execution_order("order")

    def test_an_empty_graph(self) -> None:
        assert AssetGraph([]).execution_order() == []


class TestNeighbours:
    def test_direct_ones(self) -> None:
        assert diamond().dependencies("d") == ["b", "c"]
        assert diamond().dependents("a") == ["b", "c"]
        assert diamond().dependencies("a") == []

    def test_transitive_ones(self) -> None:
        assert diamond().dependencies("other", transitive=True) == ["a", "b", "c", "d"]
        assert diamond().dependents("a", transitive=True) == ["b", "c", "d", "other"]

    def test_dependents_come_dependencies_first_whatever_lies_between(self) -> None:
        graph = AssetGraph([node("a"), node("z", "a"), node("y", "z"), node("b", "a", "y")])
        assert graph.dependents("a") == ["z", "b"]
        assert graph.select("b z") == ["z", "b"]


class TestTheGraphItself:
    def test_rx_is_a_rustworkx_graph_of_the_assets(self) -> None:
        @asset
        def total(a: int, b: Annotated[int, From("a")]) -> int:
            return a + b

        graph = AssetGraph([node("a"), total])
        assert isinstance(graph.rx, rx.PyDiGraph)
        assert [each.name for each in graph.rx.nodes()] == ["a", "total"]
        assert sorted(graph.rx.edges()) == ["a", "b"]

    def test_it_is_a_collection_of_assets(self) -> None:
        graph = diamond()
        assert len(graph) == 5
        assert "a" in graph
        assert "x" not in graph
        assert [each.name for each in graph] == graph.names == ["d", "c", "b", "a", "other"]
        assert repr(graph) == "<AssetGraph of 5 assets, 5 dependencies>"

    def test_assets_that_are_referred_to_belong_to_it(self) -> None:
        one = asset(name="one")(lambda: 1)

        @asset(deps=[one])
        def two() -> int:
            return 2

        @asset
        def three(x: Annotated[int, From(two)]) -> int:
            return x

        assert AssetGraph([three]).execution_order() == ["one", "two", "three"]


class TestCycles:
    def test_the_whole_ring_is_listed_in_order_with_places(self) -> None:
        @asset
        def c(b: int) -> int:
            return b

        with pytest.raises(CycleError) as told:
            AssetGraph([node("a", "c"), node("b", "a"), c, node("d", "c")])
        assert told.value.cycle == ["a", "b", "c"]
        assert str(told.value) == (
            f"cycle: a -> b -> c ({c.place}) -> a; remove one of these dependencies"
        )

    def test_an_asset_that_needs_itself(self) -> None:
        with pytest.raises(CycleError) as told:
            AssetGraph([node("a", "a")])
        assert told.value.cycle == ["a"]

    def test_every_ring_is_told(self) -> None:
        told = errors_of([node("a", "b"), node("b", "a"), node("x", "y"), node("y", "x", "a")])
        assert [line.partition(";")[0] for line in told] == [
            "cycle: a -> b -> a",
            "cycle: x -> y -> x",
        ]

    def test_check_cycles_looks_for_nothing_else(self) -> None:
        AssetGraph.check_cycles([node("a", "missing")])
        with pytest.raises(CycleError):
            AssetGraph.check_cycles([node("a", "b"), node("b", "a", "missing")])


class TestUnknownDependencies:
    def test_the_error_names_function_parameter_place_and_the_nearest(self) -> None:
        @asset
        def revenue(ordres: int) -> int:
            return ordres

        told = errors_of([revenue, node("orders")])
        assert told == [
            (
                f"asset 'revenue' ({revenue.place}): parameter 'ordres' needs an asset that does"
                f" not exist; did you mean 'orders'?"
            )
        ]

    def test_a_dependency_that_is_not_a_parameter(self) -> None:
        assert errors_of([node("b", "nowhere")]) == [
            (
                "asset 'b': needs 'nowhere', which no asset provides; define it, give the"
                " parameter a default to make it config, or use From(...)"
            )
        ]

    def test_a_parameter_by_another_name(self) -> None:
        @asset
        def total(rows: Annotated[int, From("ordres")]) -> int:
            return rows

        told = errors_of([total, node("orders")])[0]
        assert "parameter 'rows' needs 'ordres', which no asset provides" in told
        assert "did you mean 'orders'?" in told

    def test_a_method(self) -> None:
        class Shop:
            @asset
            def total(self) -> int:
                return 1

        assert "an asset is a function, not a method" in errors_of([Shop.total])[0]

    def test_a_context_without_annotation(self) -> None:
        made = asset(name="made")(lambda ctx: ctx)
        assert "for the run's context write ctx: Context" in errors_of([made])[0]

    def test_the_nearest_name_may_be_outside_the_graph(self) -> None:
        shop = module("shop", "@asset\ndef orders(): ...\n@asset\ndef total(order): ...\n")
        with pytest.raises(UnknownDependencyError, match="did you mean 'orders'"):
            AssetGraph.from_targets([shop.total])

    def test_many_unknown_names_in_a_large_graph_are_told_quickly(self) -> None:
        assets = [node(f"asset_{i}", f"missing_{i}") for i in range(3_000)]
        began = time.perf_counter()
        assert len(errors_of(assets)) == 3_000
        assert time.perf_counter() - began < 30


class TestDuplicates:
    def test_the_same_name_from_two_files_names_both(self) -> None:
        one = module("one", "@asset\ndef orders(): ...\n")
        two = module("two", "\n@asset\ndef orders(): ...\n")
        with pytest.raises(DuplicateAssetError) as told:
            AssetGraph.from_module(one, two)
        assert str(told.value) == (
            "two assets are named 'orders': one.py:1 and two.py:2; rename one, or set name= on it"
        )

    def test_the_same_name_twice_in_one_file(self) -> None:
        made = [asset(name="made")(lambda: 1) for _ in range(3)]
        assert "several assets are named 'made'" in errors_of(made)[0]
        assert "(3 times)" in errors_of(made)[0]

    def test_the_same_asset_twice_is_one(self) -> None:
        orders = asset(name="orders")(lambda: 1)
        assert AssetGraph([orders, orders]).names == ["orders"]


def test_all_errors_of_a_module_are_told_at_once() -> None:
    broken = module(
        "broken",
        "@asset\ndef a(*rows): ...\n"
        "@asset\ndef b(nothing): ...\n"
        "@asset\ndef c(d): ...\n"
        "@asset\ndef d(c, limit=1): ...\n"
        "@asset\ndef limit(): ...\n"
        "again = asset(name='limit')(lambda: 1)\n",
    )
    with pytest.raises(DefinitionErrors) as told:
        AssetGraph.from_module(broken)
    kinds = {type(error) for error in told.value.errors}
    assert kinds == {
        DuplicateAssetError,
        SignatureError,
        UnknownDependencyError,
        CycleError,
        DefinitionError,
    }
    for place in ("broken.py:1", "broken.py:3", "broken.py:7", "broken.py:9", "broken.py:11"):
        assert place in str(told.value)


def test_config_of_an_asset_s_name_asks_which_is_meant() -> None:
    made = asset(name="made")(lambda orders=1: orders)
    told = errors_of([made, node("orders")])[0]
    assert (
        "parameter 'orders' has a default, so it is config, but an asset has that name too" in told
    )


def test_what_is_no_asset_is_told() -> None:
    def helper() -> int:
        return 1

    told = errors_of([node("a"), helper, 3])
    assert told == [
        "helper is no asset; decorate it with @asset",
        "a value of type int is no asset; decorate it with @asset",
    ]


class TestNamespaces:
    RAW = "@asset\ndef orders(): ...\n@asset\ndef clean(orders): ...\n@asset\ndef unused(): ...\n"

    def test_from_module_takes_all_assets_and_what_they_need(self) -> None:
        """Dependencies of imported assets live in their own module."""
        raw = module("raw", self.RAW)
        shop = module("shop", "@asset\ndef report(clean): ...\n", clean=raw.clean)
        assert AssetGraph.from_module(shop).execution_order() == ["orders", "clean", "report"]
        assert AssetGraph.from_targets([shop.report]).names == ["report", "clean", "orders"]

    def test_from_targets_leaves_out_what_is_not_needed(self) -> None:
        raw = module("raw", self.RAW)
        assert set(AssetGraph.from_targets([raw.clean]).names) == {"clean", "orders"}

    def test_an_imported_asset_never_takes_a_stranger_of_the_same_name(self) -> None:
        raw = module("raw", self.RAW)
        shop = module("shop", "@asset\ndef orders(): ...\n", clean=raw.clean)
        with pytest.raises(DuplicateAssetError, match=r"raw\.py:1 and shop\.py:1"):
            AssetGraph.from_module(shop)

    def test_a_dependency_may_come_from_the_caller_s_module(self) -> None:
        library = module("library", "@asset\ndef clean(orders): ...\n")
        shop = module("shop", "@asset\ndef orders(): ...\n", clean=library.clean)
        assert AssetGraph.from_module(shop).execution_order() == ["orders", "clean"]

    def test_redefining_a_function_replaces_it(self) -> None:
        cells = module("cells", self.RAW)
        old = cells.orders
        exec(compile("@asset\ndef orders(): ...\n", "cell2.py", "exec"), cells.__dict__)  # noqa: S102
        graph = AssetGraph.from_targets([cells.clean])
        assert graph["orders"] is cells.orders is not old

    def test_a_reference_follows_the_redefinition(self) -> None:
        cells = module("cells", "@asset\ndef orders(): ...\n")
        text = "@asset\ndef total(rows: Annotated[int, From(orders)]): ...\n"
        exec(compile(text, "cell2.py", "exec"), cells.__dict__)  # noqa: S102 - the next cell
        exec(compile("@asset\ndef orders(): ...\n", "cell3.py", "exec"), cells.__dict__)  # noqa: S102
        for graph in (AssetGraph.from_targets([cells.total]), AssetGraph.from_module(cells)):
            assert graph["orders"] is cells.orders

    def test_two_functions_with_assets_of_one_name_never_meet(self) -> None:
        def pipeline(value: int) -> AssetGraph:
            @asset
            def orders() -> int:
                return value

            @asset
            def total(orders: int) -> int:
                return orders

            return AssetGraph.from_targets([total, orders])

        one, two = pipeline(1), pipeline(2)
        assert (one["orders"](), two["orders"]()) == (1, 2)

    def test_an_asset_in_a_function_needs_a_list(self) -> None:
        @asset
        def total(nowhere_to_be_found: int) -> int:
            return nowhere_to_be_found

        with pytest.raises(UnknownDependencyError, match="pass assets="):
            AssetGraph.from_targets([total])

    def test_looking_for_assets_runs_no_code_of_values(self) -> None:
        class Trap:
            def __getattr__(self, name: str) -> object:
                raise AssertionError(name)

            @property  # type: ignore[misc]
            def __class__(self) -> type:
                raise AssertionError("class")

        made = module("made", "@asset\ndef a(): ...\n", trap=Trap())
        assert AssetGraph.from_module(made).names == ["a"]


def layered(count: int) -> list[Asset[..., Any]]:
    return [
        node(f"n{i}", *{f"n{max(0, i - 1 - step)}" for step in (0, 7, 31) if i})
        for i in range(count)
    ]


def test_a_graph_of_100_000_assets_is_built_and_ordered_quickly() -> None:
    assets = layered(100_000)
    began = time.perf_counter()
    graph = AssetGraph(assets)
    order = graph.execution_order(*graph.names)
    assert order[0] == "n0"
    assert len(order) == 100_000
    assert len(graph.execution_order("n99999")) == 100_000
    assert time.perf_counter() - began < 30


def test_a_ring_of_many_is_found_quickly() -> None:
    ring = [node(f"n{i}", f"n{(i + 1) % 5_000}") for i in range(5_000)]
    with pytest.raises(CycleError) as told:
        AssetGraph.check_cycles(ring)
    assert len(told.value.cycle) == 5_000


def test_what_was_defined_anew_is_found_once_whatever_else_still_holds_its_old_self() -> None:
    """A notebook keeps what its cells showed, and people keep other names."""
    space: dict[str, Any] = {"asset": asset, "Asset": Asset, "_oh": {}}
    exec("@asset\ndef a(): return 1\nb = Asset(name='b')", space)  # noqa: S102 - as a cell is run
    space |= {"_": space["a"], "_7": space["a"], "kept": space["a"], "__": space["b"]}
    exec("@asset\ndef a(): return 2\nb = Asset(name='b')", space)  # noqa: S102 - as a cell is run
    assert sorted(map(id, defined_in(space))) == sorted([id(space["a"]), id(space["b"])])


def test_an_asset_in_the_place_of_its_name_is_told() -> None:
    graph = AssetGraph([Asset(name="a")])
    with pytest.raises(TypeError, match=r"by name, not by Asset; write \['a'\]"):
        graph[graph["a"]]  # type: ignore[index]  # what is meant is told
    with pytest.raises(TypeError, match="not by int"):
        graph[0]  # type: ignore[index]  # what is meant is told
