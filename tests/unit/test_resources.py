"""Resources in a graph: who takes what, where providers come from, and what is wrong with them."""

from __future__ import annotations

import contextlib
import functools
import threading
import types
from typing import TYPE_CHECKING, Annotated, Any

import pytest

from flowstone import Asset, AssetGraph, Context, From, Resource, asset
from flowstone.core.code import Code
from flowstone.core.decide import Known, draw
from flowstone.core.ingredients import Ingredients
from flowstone.core.plan import Request
from flowstone.errors import DefinitionError, DefinitionErrors
from flowstone.targets import collect

if TYPE_CHECKING:
    from flowstone.core.asset import AnyAsset


class Unspeakable:
    """Something whose repr must never be asked for."""

    def __repr__(self) -> str:
        raise AssertionError("somebody looked")

    def __call__(self) -> int:
        return 1


def connect() -> str:
    return "connection"


def module(name: str, **names: object) -> types.ModuleType:
    """A module with some variables, in whose namespace the functions of ``asset_in`` live."""
    made = types.ModuleType(name)
    vars(made).update(names)
    return made


def asset_in(space: types.ModuleType, name: str, *parameters: str) -> AnyAsset:
    """An asset defined in a module."""
    text = f"def {name.partition('=')[0]}({', '.join(parameters)}): return 1"
    exec(text, vars(space))  # noqa: S102 - stands for a module's text
    made = Asset(vars(space)[name])
    vars(space)[name] = made
    return made


def taker(*parameters: str, name: str = "a", **options: Any) -> AnyAsset:
    """An asset with these parameters."""
    return Asset(eval(f"lambda {', '.join(parameters)}: 1"), name=name, **options)  # noqa: S307 - test code


def errors_of(assets: list[AnyAsset], **resources: Any) -> list[str]:
    with pytest.raises(DefinitionError) as told:
        AssetGraph(assets, resources=resources)
    found = told.value
    return [str(e) for e in (found.errors if isinstance(found, DefinitionErrors) else [found])]


def kinds(found: AnyAsset) -> dict[str, str]:
    return {each.name: each.kind for each in found.parameters}


class TestTaking:
    def test_a_resource_comes_before_config_and_dependency(self) -> None:
        @asset
        def revenue(orders: int, warehouse: str, limit: int = 3, rate: int = 2) -> int:
            return orders + limit + rate + len(warehouse)

        assets: list[AnyAsset] = [revenue, Asset(name="orders")]
        graph = AssetGraph(assets, resources={"warehouse": connect, "limit": connect})
        bound = graph["revenue"]
        assert kinds(bound) == {
            "orders": "dependency",
            "warehouse": "resource",
            "limit": "resource",
            "rate": "config",
        }
        assert bound.resources == ["warehouse", "limit"]
        assert bound.depends_on == ["orders"]
        assert list(bound.edges) == [("orders", "orders")]
        assert [each.name for each in bound.config] == ["rate"]

    def test_an_explicit_dependency_and_the_context_come_before(self) -> None:
        @asset
        def revenue(one: Annotated[int, From("orders")], context: Context) -> int:
            return one + context.attempt

        resources = {"one": connect, "context": connect}
        with pytest.raises(DefinitionError, match="nothing takes 'context'"):
            AssetGraph([revenue, Asset(name="orders")], resources=resources)

    def test_the_asset_itself_stays_as_it_was(self) -> None:
        @asset
        def revenue(warehouse: str) -> int:
            return len(warehouse)

        graph = AssetGraph([revenue], resources={"warehouse": connect})
        assert graph["revenue"] is not revenue
        assert graph["revenue"].original is revenue
        assert kinds(revenue) == {"warehouse": "dependency"}
        assert revenue(warehouse="abc") == graph["revenue"](warehouse="abc") == 3
        assert repr(graph["revenue"]) == "<Asset revenue>"

    def test_assets_that_take_none_are_not_copied(self) -> None:
        plain = asset(connect)
        graph = AssetGraph([plain, taker("warehouse")], resources={"warehouse": connect})
        assert graph["connect"] is plain

    def test_copies_make_new_graphs_like_the_assets_themselves(self) -> None:
        shop = module("shop", resources={"warehouse": connect})
        made = asset_in(shop, "revenue", "warehouse")
        graph = AssetGraph([made])
        for again in (
            AssetGraph([*graph, made]),
            AssetGraph.from_targets([graph["revenue"]]),
            collect([graph["revenue"]], None),
            collect([graph["revenue"]], shop),
        ):
            assert again.names == ["revenue"]
            assert again["revenue"].original is made

    def test_a_link_to_a_copy_means_the_asset(self) -> None:
        revenue = taker("warehouse", name="revenue")
        resources = {"warehouse": connect}
        bound = AssetGraph([revenue], resources=resources)["revenue"]
        report = taker("x", name="report", deps={"x": bound})
        graph = AssetGraph([report, revenue], resources=resources)
        assert graph["revenue"].original is revenue
        assert graph.execution_order() == ["revenue", "report"]

    def test_an_asset_of_that_name_makes_it_ambiguous(self) -> None:
        made = taker("warehouse", name="revenue")
        [told] = errors_of([made, Asset(name="warehouse")], warehouse=connect)
        assert "parameter 'warehouse' names a resource, and an asset has that name too" in told
        explicit = Asset(
            lambda warehouse: warehouse, name="revenue", deps={"warehouse": "warehouse"}
        )
        graph = AssetGraph(
            [explicit, Asset(name="warehouse"), taker("http", name="page")],
            resources={"http": connect},
        )
        assert graph.dependencies("revenue") == ["warehouse"]

    def test_an_observe_function_does_not_get_one(self) -> None:
        def changed(table: str) -> str:
            return table

        made = taker('table="a"', name="rows", observe=changed)
        [told] = errors_of([made], table=connect)
        assert "observe function changed takes 'table', which is a resource" in told

    def test_a_near_miss_is_suggested(self) -> None:
        made = taker("warehose", name="revenue")
        told = errors_of([made], warehouse=connect)
        assert any("did you mean 'warehouse'?" in each for each in told)
        assert any("nothing takes 'warehouse'; did you mean 'warehose'?" in each for each in told)


class TestProviders:
    @pytest.mark.parametrize(
        "provider",
        [
            connect,
            lambda: 1,
            functools.partial(connect),
            contextlib.nullcontext(1),
            contextlib.contextmanager(lambda: iter([1])),
            type("Pool", (), {}),
            type("Settings", (), {"__init__": lambda _self, **_rest: None}),
            type("Opened", (), {"acquire": 1, "release": 1, "close": 1, "__aenter__": 1})(),
            Unspeakable(),
            Resource(connect, version="2024-q1"),
        ],
    )
    def test_each_of_these_is_one(self, provider: Any) -> None:
        graph = AssetGraph([taker("it")], resources={"it": provider})
        assert list(graph.resources) == ["it"]

    @pytest.mark.parametrize(
        ("provider", "told"),
        [
            (3, "resource 'it': int is no provider: give a function"),
            ({"a": 1}, "dict is no provider"),
            (None, "NoneType is no provider"),
            (asset(connect), "the asset 'connect' is no provider"),
            (threading.Lock(), "lock would be held for the whole run; give a function"),
            (Resource(3), "int is no provider"),
            (Resource(Resource(connect)), "a Resource holds a provider, not another Resource"),
            (Resource(connect, version=""), "version= is a text of at most 200 characters"),
            (Resource(connect, version=3), "version= is a text"),  # type: ignore[arg-type] # wrong on purpose
            (Resource(connect, version="a\0"), "version= is a text"),
            (dict, "its signature can't be read"),
            (lambda url, /: url, "parameter 'url' is positional-only"),
            (lambda url: url, "parameter 'url' names no resource; provide it, or give"),
            (lambda a: a, "parameter 'a' names no resource: it is an asset, and providers take"),
            (lambda itt: itt, "parameter 'itt' names no resource; provide it"),
        ],
    )
    def test_nothing_else_is(self, provider: Any, told: str) -> None:
        [error] = errors_of([taker("it")], it=provider)
        assert told in error

    def test_a_mapping_is_needed(self) -> None:
        made = taker("it")
        with pytest.raises(DefinitionError, match=r"resources= is a mapping .* not list"):
            collect([made], None, [connect])  # type: ignore[arg-type] # wrong on purpose
        with pytest.raises(DefinitionError, match="a name is text, not int"):
            AssetGraph([made], resources={1: connect})  # type: ignore[dict-item] # wrong on purpose
        with pytest.raises(DefinitionError, match="of the connection is a mapping"):
            collect([made], AssetGraph([Asset(name="b")]), None, [connect])  # type: ignore[arg-type] # wrong on purpose

    def test_a_parameter_with_a_default_takes_a_resource_if_there_is_one(self) -> None:
        def warehouse(vault: str = "", region: str = "eu", warehouse: int = 3) -> str:
            return f"{vault}{region}{warehouse}"

        graph = AssetGraph(
            [taker("warehouse")],
            resources={"warehouse": warehouse, "vault": connect},
        )
        assert graph.resources["warehouse"].needs == ("vault",)

    def test_rings_are_told_whole(self) -> None:
        resources = {"x": lambda y: y, "y": lambda z: z, "z": lambda x: x, "own": lambda own: own}
        told = errors_of([taker("x", "own")], **resources)
        assert told == [
            "resources need each other in a ring: own -> own; remove one of these",
            "resources need each other in a ring: z -> y -> x -> z; remove one of these",
        ]

    def test_all_that_is_wrong_is_told_at_once(self) -> None:
        def warehouse(vaul: str) -> str:
            return vaul

        made = taker("warehouse", "vault", "gone")
        told = errors_of([made], warehouse=warehouse, vault=3, http=connect)
        assert len(told) == 4
        joined = "\n".join(told)
        assert "parameter 'vaul' names no resource; did you mean 'vault'?" in joined
        assert f"resource 'warehouse' ({__file__}:" in joined
        assert "int is no provider" in joined
        assert "nothing takes 'http'" in joined
        assert "parameter 'gone' needs an asset that does not exist" in joined

    def test_the_objects_are_never_shown(self) -> None:
        resource = Resource(Unspeakable(), version="1")
        assert repr(resource) == "Resource(Unspeakable, version='1')"
        graph = AssetGraph([taker("it")], resources={"it": resource})
        assert "Unspeakable" not in repr(graph.resources)


class TestWhereTheyComeFrom:
    def test_a_module_has_them_for_its_assets(self) -> None:
        shop = module("shop", resources={"warehouse": connect})
        made = asset_in(shop, "revenue", "warehouse")
        for graph in (
            AssetGraph([made]),
            AssetGraph.from_module(shop),
            AssetGraph.from_targets([made]),
            collect([made], None),
            collect([], shop),
            collect([], [made]),
        ):
            assert graph["revenue"].resources == ["warehouse"]

    def test_what_stands_there_now_counts(self) -> None:
        shop = module("shop", resources={"warehouse": connect})
        made = asset_in(shop, "revenue", "warehouse")
        vars(shop)["resources"] = {"warehouse": Unspeakable}
        assert AssetGraph([made]).resources["warehouse"].make is Unspeakable

    def test_a_target_module_has_them_for_assets_it_imports(self) -> None:
        parts = module("parts")
        made = asset_in(parts, "revenue", "warehouse")
        whole = module("whole", revenue=made, resources={"warehouse": connect})
        assert AssetGraph.from_module(whole)["revenue"].resources == ["warehouse"]
        assert collect([whole], None)["revenue"].resources == ["warehouse"]

    def test_a_call_comes_before_the_connection_and_that_before_the_module(self) -> None:
        shop = module("shop", resources={"one": connect, "two": connect, "three": connect})
        made = asset_in(shop, "revenue", "one", "two", "three")
        calls, stands = {"one": lambda: "call"}, {"one": Unspeakable, "two": lambda: "fs"}
        for assets in (None, AssetGraph.from_module(shop)):
            graph = collect([made], assets, calls, stands)
            makes = {name: each.make for name, each in graph.resources.items()}
            assert makes == {"one": calls["one"], "two": stands["two"], "three": connect}

    def test_a_graph_keeps_its_own_beneath_those_of_a_call(self) -> None:
        made = taker("one", "two")
        graph = AssetGraph([made], resources={"one": connect, "two": connect})
        again = collect([made], graph, {"one": Unspeakable}, {"two": Unspeakable})
        assert again.resources["one"].make is Unspeakable
        assert again.resources["two"].make is connect
        assert collect([made], graph) is graph

    def test_the_connections_may_be_more_than_a_graph_takes(self) -> None:
        made = taker("one")
        graph = collect([], [made], None, {"one": connect, "two": connect})
        assert graph["a"].resources == ["one"]
        assert collect([], [Asset(name="b")], None, {"one": connect}).names == ["b"]

    def test_an_override_must_be_taken_somewhere(self) -> None:
        shop = module(
            "shop", resources={"warehouse": lambda vault: vault, "vault": connect, "spare": connect}
        )
        revenue = asset_in(shop, "revenue", "warehouse")
        plain = asset_in(shop, "plain")
        for target in (revenue, plain):
            for name in ("warehouse", "vault", "spare")[: 3 if target is revenue else 1]:
                assert collect([target], None, {name: connect}).names
            with pytest.raises(DefinitionError, match="nothing takes 'warehose'; did you mean"):
                collect([target], None, {"warehose": connect})

    def test_two_modules_must_agree_unless_the_call_says(self) -> None:
        one = module("one", resources={"warehouse": connect})
        two = module("two", resources={"warehouse": Unspeakable})
        assets = [asset_in(one, "a", "warehouse"), asset_in(two, "b", "warehouse")]
        [told] = errors_of(assets)
        assert "resource 'warehouse' has different providers in one and two" in told
        graph = AssetGraph(assets, resources={"warehouse": connect})
        assert graph["b"].resources == ["warehouse"]
        vars(two)["resources"] = {"warehouse": connect, "unused": connect}
        assert AssetGraph(assets)["b"].resources == ["warehouse"]
        versions = [Resource(connect, version=each) for each in "112"]
        vars(one)["resources"], vars(two)["resources"] = ({"warehouse": v} for v in versions[:2])
        assert AssetGraph(assets)["b"].resource_versions == {"warehouse": "1"}
        vars(two)["resources"] = {"warehouse": versions[2]}
        assert len(errors_of(assets)) == 1

    def test_a_provider_may_need_one_of_another_module(self) -> None:
        one = module("one", resources={"warehouse": lambda vault: vault})
        two = module("two", resources={"vault": connect})
        assets = [asset_in(one, "a", "warehouse"), asset_in(two, "b")]
        assert AssetGraph(assets).resources["warehouse"].needs == ("vault",)

    @pytest.mark.parametrize(
        "own",
        [
            {"cpu": 4, "memory": "2GB"},
            {"users": Unspeakable, "broken": 3},
            [1],
            {1: connect},
            {},
            types.ModuleType("resources"),
            Unspeakable(),
        ],
    )
    def test_a_variable_of_another_meaning_is_left_alone(self, own: object) -> None:
        shop = module("shop", resources=own)
        made = asset_in(shop, "train", "data", "cpu=1")
        graph = AssetGraph([made, Asset(name="data")])
        assert graph.resources == {}
        assert graph["train"] is made

    def test_one_that_is_meant_is_read_whole(self) -> None:
        shop = module("shop", resources={"warehouse": connect, "vault": 3})
        [told] = errors_of([asset_in(shop, "revenue", "warehouse")])
        assert "resource 'vault': int is no provider" in told
        shop = module("shop", resources={"warehouse": "postgres://me:hunter2@host/db"})
        told = errors_of([asset_in(shop, "revenue", "warehouse")])[0]
        assert "resource 'warehouse': str is no provider" in told
        assert "hunter2" not in told


def decided(made: AnyAsset, **resources: Any) -> Ingredients:
    """What decides about an asset, with these resources."""
    graph = AssetGraph([made], resources=resources)
    request = Request(graph=graph, targets=(made.name,), code={made.name: Code("1")})
    return draw(request, Known({})).plan[made.name].ingredients(None)


class TestVersions:
    made = taker("warehouse")

    def test_no_version_enters_nothing(self) -> None:
        plain = Ingredients("a", None, "1", {})
        found = decided(self.made, warehouse=connect)
        assert found.dependency_hash() == plain.dependency_hash()
        assert found.recorded() == plain.recorded()

    def test_a_version_enters_under_its_name(self) -> None:
        hashes = {
            decided(self.made, warehouse=each).dependency_hash()
            for each in (connect, Resource(connect, version="1"), Resource(connect, version="2"))
        }
        assert len(hashes) == 3
        same = decided(self.made, warehouse=Resource(Unspeakable, version="1"))
        assert same.dependency_hash() in hashes

    def test_what_a_resource_needs_passes_its_version_on(self) -> None:
        found = decided(
            self.made,
            warehouse=Resource(lambda pool: pool, version="1"),
            pool=lambda vault: vault,
            vault=Resource(connect, version="7"),
        )
        assert found.resources == {"vault": "7", "warehouse": "1"}
        assert found.recorded()["resources"] == {"vault": "7", "warehouse": "1"}
