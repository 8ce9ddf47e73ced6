"""Several assets from one function: names, types, taking apart, and how mistakes are told."""

# ruff: noqa: ARG001 - signatures are the point

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowstone import Asset, AssetGraph, From, Resource, asset
from flowstone.core import config as configs
from flowstone.core.naming import named
from flowstone.core.outputs import apart, output_names, output_types
from flowstone.errors import (
    ConfigError,
    DefinitionError,
    DuplicateAssetError,
    EdgeTypeError,
    OutputsError,
    SignatureError,
    UnknownDependencyError,
)

if TYPE_CHECKING:
    from flowstone.core.asset import AnyAsset


class Halves(NamedTuple):
    train: list[int]
    test: tuple[int, ...]


class Fitted(TypedDict):
    model: str
    score: float


@asset
def rows() -> list[int]:
    return [1, 2, 3, 4]


@asset(outputs=["train", "test"], group="model", tags=["split"])
def split(rows: list[int], at: int = 2) -> tuple[list[int], tuple[int, ...]]:
    """Two halves."""
    return rows[:at], tuple(rows[at:])


@asset(outputs=Fitted)
def fit(train: list[int], test: tuple[int, ...]) -> Fitted:
    return {"model": "mean", "score": 1.0}


def graph(*assets: AnyAsset) -> AssetGraph:
    return AssetGraph(assets or [rows, split, fit])


def problem(*assets: AnyAsset) -> str:
    with pytest.raises(DefinitionError) as caught:
        AssetGraph(assets)
    return str(caught.value)


class TestGraph:
    def test_outputs_take_the_place_of_their_function(self) -> None:
        assert graph().execution_order() == ["rows", "test", "train", "model", "score"]
        assert "split" not in graph()

    def test_each_output_needs_what_the_function_needs(self) -> None:
        built = graph()
        assert built.dependencies("train") == built.dependencies("test") == ["rows"]
        assert built.dependents("train") == ["model", "score"]

    def test_outputs_of_one_function_stand_together(self) -> None:
        @asset(deps=[rows])
        def a_first(test: tuple[int, ...]) -> int:
            return len(test)

        assert AssetGraph([rows, split, a_first]).execution_order() == [
            "rows",
            "test",
            "train",
            "a_first",
        ]

    def test_an_order_names_only_what_is_needed(self) -> None:
        @asset
        def total(train: list[int]) -> int:
            return sum(train)

        built = AssetGraph([rows, split, total])
        assert built.execution_order("total") == ["rows", "train", "total"]

    def test_what_is_said_of_the_function_holds_of_each_output(self) -> None:
        built = graph()
        assert {built[name].group for name in ("train", "test")} == {"model"}
        assert built.select("tag:split") == ["test", "train"]
        assert built["train"].description == "Two halves."
        assert built["train"].place == split.place

    def test_an_output_brings_the_others_along(self) -> None:
        assert set(AssetGraph([rows, split.outputs["train"]]).names) == {"rows", "train", "test"}

    def test_the_function_s_name_selects_all_its_outputs(self) -> None:
        assert graph().select("split") == ["test", "train"]
        assert graph().select("+fit") == graph().execution_order()

    def test_an_output_of_the_function_s_name_is_itself(self) -> None:
        @asset(outputs=["parts", "rest"])
        def parts() -> tuple[int, int]:
            return 1, 2

        assert AssetGraph([parts]).select("parts") == ["parts"]

    def test_the_function_is_still_a_plain_function(self) -> None:
        assert split([1, 2, 3], at=1) == ([1], (2, 3))

    def test_names_made_from_a_selection_agree_in_order_whatever_is_given_first(self) -> None:
        assert graph(fit, split, rows).execution_order() == graph().execution_order()

    def test_the_function_shows_what_it_makes(self) -> None:
        assert repr(split) == "<Asset split (train, test) <- rows>"
        assert repr(split.outputs["train"]) == "<Asset train <- rows>"

    def test_waiting_for_the_function_is_waiting_for_all_outputs(self) -> None:
        @asset(deps=[split])
        def after() -> int:
            return 1

        assert AssetGraph([rows, after]).dependencies("after") == ["train", "test"]


class TestTypes:
    def test_each_output_has_its_own_type(self) -> None:
        built = graph()
        assert built["train"].returns == list[int]
        assert built["test"].returns == tuple[int, ...]
        assert (built["model"].returns, built["score"].returns) == (str, float)

    @pytest.mark.parametrize(
        ("returns", "expected"),
        [
            (tuple[int, str], [int, str]),
            (tuple[int, ...], [int, int]),
            (dict[str, bytes], [bytes, bytes]),
            (OrderedDict[str, int], [int, int]),
            (Annotated[tuple[int, str], "why not"], [int, str]),
            (Halves, [list[int], tuple[int, ...]]),
            (Any, [Any, Any]),
            (dict, [Any, Any]),
            (tuple, [Any, Any]),
        ],
    )
    def test_an_annotation_is_taken_apart(self, returns: Any, expected: list[Any]) -> None:
        assert list(output_types(returns, ("train", "test")).values()) == expected

    @pytest.mark.parametrize(
        ("returns", "told"),
        [
            (tuple[int, int, int], "a tuple of 3, but outputs= names 2: train, test"),
            (int, "returns int, but outputs= names train, test; return a tuple in that order"),
            (Fitted, "returns Fitted without train, test and with model, score"),
        ],
    )
    def test_an_annotation_that_can_t_be_right_is_told(self, returns: Any, told: str) -> None:
        with pytest.raises(SignatureError, match=told):
            output_types(returns, ("train", "test"))

    def test_a_graph_tells_it_with_place(self) -> None:
        def halves() -> tuple[int, int, int]:
            return 1, 2, 3

        told = problem(Asset(halves, outputs=["train", "test"]))
        assert "asset 'halves' (" in told
        assert "a tuple of 3" in told


class TestMistakes:
    @pytest.mark.parametrize(
        ("outputs", "told"),
        [
            ([], "outputs= is empty"),
            ("train", "outputs= lists names, or is a NamedTuple or TypedDict, not 'train'"),
            (["a", "a"], "outputs= names 'a' twice"),
            (["fit", "\ufb01t"], "outputs= names 'fit' twice"),
            ({"a", "b"}, "outputs= lists names, or is a NamedTuple or TypedDict, not "),
            (["a", 1], "outputs= lists names, not a value of int"),
            (dict, "not dict; write outputs=['train', 'test']"),
            (["a b"], "'a b' "),
        ],
    )
    def test_outputs_that_name_nothing_usable(self, outputs: Any, told: str) -> None:
        def made() -> Any:
            return 1

        assert told in " ".join(str(each) for each in Asset(made, outputs=outputs).problems)

    def test_former_names_are_of_one_asset(self) -> None:
        def made() -> Any:
            return 1

        assert "drop one" in problem(Asset(made, outputs=["a", "b"], aliases=["c"]))

    def test_two_functions_with_one_output_name(self) -> None:
        @asset
        def train() -> int:
            return 1

        with pytest.raises(DuplicateAssetError, match="two assets are named 'train'"):
            AssetGraph([rows, split, train])

    def test_a_function_and_an_asset_of_one_name(self) -> None:
        with pytest.raises(DuplicateAssetError, match="two assets are named 'split'"):
            AssetGraph([rows, split, asset(name="split")(rows.__wrapped__)])

    def test_taking_the_function_instead_of_an_output_says_what_there_is(self) -> None:
        @asset
        def total(parts: Annotated[list[int], From(split)]) -> int:
            return sum(parts)

        with pytest.raises(UnknownDependencyError, match="split makes several: take train or test"):
            AssetGraph([rows, split, total])

    def test_the_function_s_name_in_deps_says_what_there_is(self) -> None:
        def after() -> int:
            return 1

        with pytest.raises(UnknownDependencyError, match="split makes several: take train or test"):
            AssetGraph([rows, split, Asset(after, deps=["split"])])

    def test_the_function_s_name_is_no_asset_and_says_so(self) -> None:
        with pytest.raises(UnknownDependencyError, match="split makes several: take train or test"):
            graph()["split"]

    def test_two_functions_of_one_name_are_told_once(self) -> None:
        def pair() -> tuple[int, int]:
            return 1, 2

        told = problem(Asset(pair, outputs=["a", "b"]), Asset(pair, outputs=["c", "d"]))
        assert told.count("two assets are named") == 1

    def test_what_a_function_lacks_is_told_once(self) -> None:
        def parts(nowhere: int) -> tuple[int, int]:
            return 1, 2

        told = problem(Asset(parts, outputs=["a", "b"]))
        assert told.startswith("asset 'parts' (")
        assert told.count("nowhere") == 1

    def test_config_and_an_output_of_one_name_are_told_once(self) -> None:
        def parts(a: int = 1) -> tuple[int, int]:
            return 1, 2

        assert problem(Asset(parts, outputs=["a", "b"])).count("has a default") == 1

    def test_a_type_that_does_not_fit_is_told_once(self) -> None:
        def parts(rows: str) -> tuple[int, int]:
            return 1, 2

        with pytest.raises(EdgeTypeError, match=r"^asset 'parts' \(.*parameter 'rows' takes str"):
            AssetGraph([rows, Asset(parts, outputs=["a", "b"])])

    def test_a_ring_through_an_output_is_told(self) -> None:
        def looped(b: int) -> tuple[int, int]:
            return 1, 2

        assert problem(Asset(looped, outputs=["a", "b"])).startswith("cycle: b")


class TestResources:
    def test_each_output_takes_what_the_function_takes(self) -> None:
        @asset(outputs=["a", "b"])
        def pair(client: object, rows: list[int]) -> tuple[int, int]:
            return 1, 2

        built = AssetGraph([rows, pair], resources={"client": object})
        assert built["a"].resources == built["b"].resources == ["client"]
        assert built.dependencies("b") == ["rows"]

    def test_what_does_not_fit_the_function_is_told_once(self) -> None:
        @asset(outputs=["a", "b"])
        def pair(rows: str, client: object) -> tuple[int, int]:
            return 1, 2

        with pytest.raises(EdgeTypeError, match=r"^asset 'pair' .*takes str, but asset 'rows'"):
            AssetGraph([rows, pair], resources={"client": object})

    def test_each_output_is_taken_by_its_own_type(self) -> None:
        @asset
        def bad(train: tuple[int, ...], test: tuple[int, ...]) -> int:
            return 1

        with pytest.raises(EdgeTypeError, match=r"'train' takes .* returns list\[int\]"):
            AssetGraph([rows, split, bad])

    def test_a_function_with_several_outputs_takes_resources(self) -> None:
        def parts(db: str, pool: int = 0) -> tuple[int, int]:
            return 1, 2

        found = AssetGraph(
            [Asset(parts, outputs=["a", "b"])],
            resources={"db": Resource(lambda: "db", version="1"), "pool": lambda: 1},
        )
        assert found.together("b") == found.made_by("parts") == ["a", "b"]
        assert found["a"].maker is found["b"].maker
        for name in ("a", "b"):
            assert found[name].resources == ["db", "pool"]
            assert found[name].resource_versions == {"db": "1"}
            assert found[name].depends_on == []
        assert configs.resolve(found, {}) == {}

    def test_a_resource_with_the_name_of_an_asset_is_told_once(self) -> None:
        def parts(rows: Any) -> tuple[int, int]:
            return 1, 2

        with pytest.raises(DefinitionError, match=r"^asset 'parts' .*'rows' names a resource"):
            AssetGraph([rows, Asset(parts, outputs=["a", "b"])], resources={"rows": lambda: 1})


class TestConfig:
    def test_config_of_the_function_is_that_of_each_output(self) -> None:
        found = configs.resolve(graph(), {"split.at": 3})
        assert found["train"].values == found["test"].values == {"at": 3}
        assert configs.resolve(graph(), {"split": {"at": 3}}) == found

    def test_wrong_config_is_told_once_of_the_function(self) -> None:
        with pytest.raises(ConfigError) as caught:
            configs.resolve(graph(), {"split.at": "many"})
        assert str(caught.value).startswith("config split.at = 'many'")
        with pytest.raises(ConfigError, match=r"asset 'split' \(.* has no config parameter 'ta'"):
            configs.resolve(graph(), {"split.ta": 1})

    def test_config_of_one_output_alone_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"set 'split\.parameter'"):
            configs.resolve(graph(), {"train.at": 3})


class TestApart:
    @given(st.lists(st.text(min_size=1).map(named), min_size=1, max_size=6, unique=True))
    def test_by_name_and_by_position_agree(self, names: list[str]) -> None:
        values = list(range(len(names)))
        by_name = dict(reversed(list(zip(names, values, strict=True))))
        assert apart(tuple(values), tuple(names)) == values
        assert apart(by_name, tuple(names)) == values

    def test_a_named_tuple_goes_by_name(self) -> None:
        assert apart(Halves([1], (2,)), ("test", "train")) == [(2,), [1]]

    @pytest.mark.parametrize(
        ("returned", "told"),
        [
            (7, "a value of int, not a tuple or dict of its outputs train, test"),
            ("ab", "a value of str"),
            ((1,), "returned 1 values, not 2: train, test"),
            ({"train": 1, "tset": 2}, "without test and with tset; did you mean 'test'?"),
            (None, "a value of NoneType"),
        ],
    )
    def test_anything_else_is_told(self, returned: Any, told: str) -> None:
        with pytest.raises(OutputsError) as caught:
            apart(returned, ("train", "test"))
        assert told in str(caught.value)

    def test_all_ways_to_type_a_name_agree(self) -> None:
        names = output_names(["\ufb01t", "b"])
        assert names == ("fit", "b")
        assert apart({"b": 1, "\ufb01t": 2}, names) == [2, 1]

    def test_fields_of_classes_are_names(self) -> None:
        assert output_names(Halves) == ("train", "test")
        assert output_names(Fitted) == ("model", "score")
