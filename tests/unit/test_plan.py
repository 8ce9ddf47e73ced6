"""What a run would do, and why: a pure function of graph, code, config and records."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from flowstone import Asset, AssetGraph
from flowstone.core.code import Code
from flowstone.core.config import MASK, Config
from flowstone.core.plan import Cause, Ingredients, Plan, Request, draw, input_name
from flowstone.core.records import Materialization
from flowstone.errors import UnknownDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NOW = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)


def chain(*, keep: bool = True) -> AssetGraph:
    """a <- b <- c, and d beside them."""

    def needing(name: str, *needs: str) -> Asset[..., Any]:
        text = f"lambda {', '.join(needs)}: 0"
        return Asset(eval(text), name=name, keep=keep)  # noqa: S307 - a signature by its names

    return AssetGraph([needing("a"), needing("b", "a"), needing("c", "b"), needing("d")])


def made(
    graph: AssetGraph,
    name: str,
    *,
    code: str | None = "v1",
    data: str | None = None,
    upstream: Mapping[str, str] | None = None,
    config: Config | None = None,
    partition: str | None = None,
) -> Materialization:
    given = {input_name(p, s): f"data-{s}" for p, s in graph[name].edges}
    ingredients = Ingredients(name, partition, code, upstream or given, config or Config())
    return Materialization(
        id=uuid.uuid4(),
        asset_name=name,
        partition=partition,
        run_id="r",
        status="success",
        inserted_at=NOW,
        updated_at=NOW,
        code_version=code,
        data_version=data or f"data-{name}",
        dependency_hash=ingredients.dependency_hash,
        inputs=ingredients.recorded(),
    )


def all_made(graph: AssetGraph, names: Iterable[str] = "abcd") -> dict[str, Materialization]:
    return {name: made(graph, name) for name in names}


def drawn(
    graph: AssetGraph,
    current: Mapping[str, Materialization],
    *targets: str,
    code: Mapping[str, str | None] | None = None,
    lost: Iterable[str] = (),
    **options: Any,
) -> Plan:
    versions = dict.fromkeys(graph.names, "v1") | dict(code or {})
    codes = {name: Code(version) for name, version in versions.items()}
    request = Request(graph, targets or ("c",), codes, **options)
    return draw(request, current, frozenset(lost))


def actions(plan: Plan) -> dict[str, str]:
    return {step.name: step.action for step in plan}


class TestDecisions:
    def test_nothing_made_makes_the_target_and_what_it_needs(self) -> None:
        plan = drawn(chain(), {})
        assert plan.to_run == ["a", "b", "c"]
        assert plan["a"].why == "never made"
        assert plan["c"].why == "never made; upstream b will run"

    def test_all_fresh_runs_nothing(self) -> None:
        graph = chain()
        plan = drawn(graph, all_made(graph))
        assert plan.to_run == []
        assert plan.counts == Counter(reuse=3)
        assert plan["c"].why == "up to date"

    def test_changed_code_runs_it_and_may_be_cut_off_below(self) -> None:
        graph = chain()
        plan = drawn(graph, all_made(graph), code={"a": "v2"})
        assert plan.to_run == ["a", "b", "c"]
        assert [step.may_cut_off for step in plan] == [False, True, True]
        assert plan["a"].causes == (Cause("code_changed"),)
        assert plan["b"].causes == (Cause("upstream_will_run", "a"),)

    def test_unknown_code_always_runs(self) -> None:
        graph = chain()
        current = all_made(graph) | {"b": made(graph, "b", code=None)}
        plan = drawn(graph, current, code={"b": None})
        assert plan["b"].causes == (Cause("code_unknown"),)
        assert plan["b"].why == "its code can't be followed"

    def test_a_changed_input_is_named_with_both_versions(self) -> None:
        graph = chain()
        current = all_made(graph) | {"a": made(graph, "a", data="another-version")}
        plan = drawn(graph, current)
        assert plan.to_run == ["b", "c"]
        assert plan["b"].why == "input a changed data-a -> another-"
        assert not plan["b"].may_cut_off

    def test_changed_config_is_named_with_both_values(self) -> None:
        graph = chain()
        old = Config({"n": 1}, {"n": "digest-1"}, {"n": "1"})
        new = Config({"n": 2}, {"n": "digest-2"}, {"n": "2"})
        current = all_made(graph) | {"b": made(graph, "b", config=old)}
        assert drawn(graph, current, config={"b": old}).to_run == []
        assert drawn(graph, current, config={"b": new})["b"].why == "config n changed 1 -> 2"
        assert drawn(graph, current)["b"].why == "config n changed"

    def test_a_changed_secret_changes_nothing(self) -> None:
        graph = chain()
        secret = Config({"token": "x"}, {}, {"token": MASK})
        current = all_made(graph) | {"b": made(graph, "b", config=secret)}
        other = Config({"token": "y"}, {}, {"token": MASK})
        assert drawn(graph, current, config={"b": other}).to_run == []

    def test_what_became_a_secret_is_not_shown_again(self) -> None:
        graph = chain()
        plain = Config({"n": "hunter2"}, {"n": "digest"}, {"n": "'hunter2'"})
        masked = Config({"n": "hunter2"}, {}, {"n": MASK})
        current = all_made(graph) | {"b": made(graph, "b", config=plain)}
        assert "hunter2" not in str(drawn(graph, current, config={"b": masked}).to_dict())

    def test_a_hash_of_another_scheme_counts_as_changed_code(self) -> None:
        graph = chain()
        odd = made(graph, "b").model_copy(update={"dependency_hash": "older"})
        plan = drawn(graph, all_made(graph) | {"b": odd})
        assert plan["b"].causes == (Cause("code_changed"),)

    def test_force_makes_the_targets_only(self) -> None:
        graph = chain()
        plan = drawn(graph, all_made(graph), force=True)
        assert plan.to_run == ["c"]
        assert plan["c"].why == "forced"

    def test_another_input_name_counts(self) -> None:
        graph = chain()
        current = all_made(graph) | {"b": made(graph, "b", upstream={"old": "data-a"})}
        causes = {(cause.kind, cause.subject) for cause in drawn(graph, current)["b"].causes}
        assert causes == {("input_changed", "a"), ("input_changed", "old")}

    def test_the_partition_is_part_of_the_hash(self) -> None:
        graph = chain()
        hashes = {
            Ingredients("a", partition, "v1", {}).dependency_hash for partition in (None, "", "x")
        }
        assert len(hashes) == 3
        current = {name: made(graph, name, partition="x") for name in "abc"}
        assert drawn(graph, current, partition="x").to_run == []


class TestOnly:
    def test_it_has_steps_for_the_targets_only(self) -> None:
        graph = chain()
        plan = drawn(graph, all_made(graph, "b"), only=True)
        assert actions(plan) == {"c": "materialize"}
        assert list(plan.given) == ["b"]

    def test_an_input_that_was_never_made_blocks(self) -> None:
        plan = drawn(chain(), {}, "c", "b", only=True)
        assert actions(plan) == {"b": "blocked", "c": "blocked"}
        assert plan["b"].why.startswith("upstream a has no value and is not selected")

    def test_an_input_whose_value_is_lost_blocks(self) -> None:
        graph = chain()
        plan = drawn(graph, all_made(graph, "ab"), only=True, lost=["b"])
        assert actions(plan) == {"c": "blocked"}

    def test_a_lost_value_that_is_not_passed_blocks_nothing(self) -> None:
        graph = AssetGraph([Asset(name="a"), Asset(name="b", depends_on=["a"])])
        plan = drawn(graph, {"a": made(graph, "a")}, "b", only=True, lost=["a"])
        assert actions(plan) == {"b": "materialize"}

    def test_force_and_only(self) -> None:
        graph = chain()
        plan = drawn(graph, all_made(graph), "b", force=True, only=True)
        assert actions(plan) == {"b": "materialize"}

    def test_without_targets_nothing_is_planned(self) -> None:
        request = Request(chain(), (), {})
        assert request.names() == []
        assert draw(request, {}).steps == []


class TestValues:
    def test_of_a_fresh_plan_the_targets_values_are_needed(self) -> None:
        graph = chain()
        assert list(drawn(graph, all_made(graph)).values_needed()) == ["c"]

    def test_of_a_step_that_runs_for_certain_the_inputs_are_needed(self) -> None:
        graph = chain()
        plan = drawn(graph, all_made(graph, "ab"))
        assert list(plan.values_needed()) == ["b"]

    def test_of_a_step_that_may_be_cut_off_they_are_not(self) -> None:
        graph = chain()
        plan = drawn(graph, all_made(graph), code={"a": "v2"})
        assert plan.values_needed() == {}

    def test_a_lost_value_that_is_needed_is_made_again(self) -> None:
        graph = chain()
        plan = drawn(graph, all_made(graph, "ab"), lost=["b"])
        assert plan.to_run == ["b", "c"]
        assert plan["b"].why == "value lost"
        assert not plan["b"].may_cut_off

    def test_a_value_that_is_not_kept_is_told_apart(self) -> None:
        graph = chain(keep=False)
        plan = drawn(graph, all_made(graph), lost=["c"])
        assert plan["c"].why == "value not kept (keep=False)"


class TestPlan:
    def test_it_reads_as_text(self) -> None:
        graph = chain()
        plan = drawn(graph, all_made(graph, "ab"), code={"a": "v2"})
        assert str(plan) == (
            "materialize a  code changed\n"
            "materialize b  upstream a will run (may be cut off here)\n"
            "materialize c  never made; upstream b will run"
        )

    def test_it_is_plain_json(self) -> None:
        told = drawn(chain(), {}, "d").to_dict()
        assert told == {
            "schema_version": 1,
            "targets": ["d"],
            "partition": None,
            "counts": {"materialize": 1},
            "steps": [
                {
                    "asset": "d",
                    "action": "materialize",
                    "causes": [{"kind": "never_made"}],
                    "may_cut_off": False,
                }
            ],
        }

    def test_steps_are_found_by_name(self) -> None:
        plan = drawn(chain(), {}, "b")
        assert len(plan) == 2
        assert plan.targets == ("b",)
        with pytest.raises(UnknownDependencyError, match="'d' is not part of this plan"):
            plan["d"]
        with pytest.raises(UnknownDependencyError, match="no asset named 'x'"):
            plan["x"]

    def test_causes_read_well_whatever_their_subject(self) -> None:
        assert str(Cause("input_changed", "{odd}", "a", "b")) == "input {odd} changed a -> b"
        assert Cause("forced").to_dict() == {"kind": "forced"}
