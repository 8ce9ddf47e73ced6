"""What a run would do, and why: a pure function of graph, code, config and records."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from flowstone import Asset, AssetGraph
from flowstone.core.cause import Cause, in_words
from flowstone.core.code import Code
from flowstone.core.config import MASK, Config
from flowstone.core.decide import Known, draw, input_name
from flowstone.core.ingredients import Ingredients
from flowstone.core.outside import NOTHING_OBSERVED, Observed
from flowstone.core.plan import Plan, Request
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


def zero() -> int:
    return 0


def made(
    graph: AssetGraph,
    name: str,
    *,
    code: str | None = "v1",
    data: str | None = None,
    upstream: Mapping[str, str] | None = None,
    config: Config | None = None,
    partition: str | None = None,
    outside: Observed = NOTHING_OBSERVED,
) -> Materialization:
    given = {input_name(p, s): f"data-{s}" for p, s in graph[name].edges}
    upstream = upstream or given
    ingredients = Ingredients(name, partition, code, upstream, config or Config(), outside)
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
        dependency_hash=ingredients.dependency_hash(),
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
    history: Iterable[Materialization] = (),
    **options: Any,
) -> Plan:
    versions = dict.fromkeys(graph.names, "v1") | dict(code or {})
    codes = {name: Code(version) for name, version in versions.items()}
    request = Request(graph, targets or ("c",), codes, **options)
    known = Known(current, lost={current[name].id for name in lost})
    earlier: dict[Any, Materialization] = {
        (row.asset_name, row.dependency_hash): row for row in history
    }
    while (drawn := draw(request, known)).wanted:
        known.history |= {
            each: earlier.get((each.asset, each.dependency_hash)) for each in drawn.wanted
        }
    return drawn.plan


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
        plan = drawn(graph, all_made(graph), force=frozenset("c"))
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
            Ingredients("a", partition, "v1", {}).dependency_hash() for partition in (None, "", "x")
        }
        assert len(hashes) == 3
        current = {name: made(graph, name, partition="x") for name in "abc"}
        assert drawn(graph, current, partition="x").to_run == []


class TestHistory:
    def test_an_earlier_success_made_of_what_there_is_becomes_current(self) -> None:
        graph = chain()
        earlier = made(graph, "b", data="older-b")
        current = all_made(graph) | {"b": made(graph, "b", code="v2")}
        plan = drawn(graph, current, history=[earlier])
        assert actions(plan) == {"a": "reuse", "b": "reuse", "c": "materialize"}
        assert plan["b"].current is earlier
        assert plan["b"].why == "from history: code changed"
        assert plan["c"].why == "input b changed data-b -> older-b"

    def test_a_revert_goes_through_the_whole_graph(self) -> None:
        graph = chain()
        now = {n: made(graph, n, code="v2", data=f"{n}2") for n in "a"}
        now["b"] = made(graph, "b", upstream={"a": "a2"}, data="b2")
        now["c"] = made(graph, "c", upstream={"b": "b2"}, data="c2")
        plan = drawn(graph, now, history=[made(graph, n) for n in "abc"])
        assert [step.origin for step in plan] == ["history"] * 3
        assert plan.is_idle
        assert len(plan.moved) == 3
        assert plan.to_run == []

    def test_one_of_which_the_value_is_lost_is_no_help(self) -> None:
        graph = chain()
        earlier = made(graph, "b")
        current = all_made(graph) | {"b": made(graph, "b", code="v2"), "old": earlier}
        assert drawn(graph, current, history=[earlier], lost=["old"])["b"].action == "materialize"

    def test_what_was_invalidated_is_not_reused(self) -> None:
        graph = chain()
        stale = made(graph, "b").model_copy(update={"status": "stale"})
        plan = drawn(graph, all_made(graph) | {"b": stale})
        assert plan["b"].why == "invalidated"
        assert drawn(graph, {"b": stale}, only=True)["c"].action == "blocked"

    def test_code_that_cannot_be_followed_has_no_history(self) -> None:
        graph = chain()
        earlier = made(graph, "b", code=None)
        current = all_made(graph) | {"b": made(graph, "b", code="v2")}
        assert drawn(graph, current, code={"b": None}, history=[earlier]).to_run == ["b", "c"]


class TestAges:
    def aged(self, age: dt.timedelta, **options: Any) -> tuple[AssetGraph, Any]:
        graph = AssetGraph([Asset(zero, name="a", **options)])
        row = made(graph, "a").model_copy(update={"completed_at": NOW - age})
        return graph, row

    def test_what_is_older_than_it_may_be_is_made_again(self) -> None:
        graph, row = self.aged(dt.timedelta(hours=2), max_age=dt.timedelta(hours=1))
        plan = drawn(graph, {"a": row}, "a", now=NOW)
        assert plan["a"].why == "older than 1:00:00"

    def test_what_is_younger_is_reused(self) -> None:
        graph, row = self.aged(dt.timedelta(minutes=30), max_age=dt.timedelta(hours=1))
        assert drawn(graph, {"a": row}, "a", now=NOW).to_run == []

    def test_an_earlier_success_must_be_young_enough_too(self) -> None:
        graph, row = self.aged(dt.timedelta(hours=2), max_age=dt.timedelta(hours=1))
        newer = row.model_copy(update={"completed_at": NOW, "code_version": "v2"})
        newer = newer.model_copy(update={"dependency_hash": "x"})
        assert drawn(graph, {"a": newer}, "a", history=[row], now=NOW).to_run == ["a"]

    def test_always_is_always(self) -> None:
        graph, row = self.aged(dt.timedelta(), always=True)
        assert drawn(graph, {"a": row}, "a")["a"].why == "always made"


class TestOutside:
    def test_what_changed_outside_is_named(self) -> None:
        graph = chain()
        old = Observed({"table": "1"}, {"table": "etag 1"})
        new = Observed({"table": "2"}, {"table": "etag 2"})
        current = all_made(graph) | {"a": made(graph, "a", outside=old)}
        assert drawn(graph, current, outside={"a": old}).to_run == []
        plan = drawn(graph, current, outside={"a": new})
        assert plan["a"].why == "table changed outside etag 1 -> etag 2"

    def test_what_can_not_be_observed_blocks_only_what_needs_it(self) -> None:
        graph = chain()
        plan = drawn(graph, {}, "c", "d", outside={"b": Observed(error="no route to host")})
        assert actions(plan) == {
            "a": "materialize",
            "b": "blocked",
            "c": "blocked",
            "d": "materialize",
        }
        assert plan["b"].why == "no route to host"


class TestRenamed:
    def test_what_was_recorded_under_a_former_name_is_reused(self) -> None:
        before = AssetGraph([Asset(zero, name="old")])
        row = made(before, "old")
        graph = AssetGraph([Asset(zero, name="new", aliases=["old"])])
        plan = drawn(graph, {"old": row}, "new")
        assert plan["new"].origin == "alias"
        assert plan["new"].current is row
        assert drawn(graph, {"new": row}, "new")["new"].why == "up to date"

    def test_its_history_too(self) -> None:
        before = AssetGraph([Asset(zero, name="old")])
        graph = AssetGraph([Asset(zero, name="new", aliases=["old"])])
        now = made(graph, "new", code="v2")
        assert drawn(graph, {"new": now}, "new", history=[made(before, "old")]).to_run == []


class TestAccepted:
    def test_the_current_version_stands_although_it_differs(self) -> None:
        graph = chain()
        plan = drawn(graph, all_made(graph), "a", code={"a": "v2"}, accept=frozenset("a"))
        assert plan["a"].why == "accepted as it is: code changed"

    def test_not_if_its_inputs_are_not_settled(self) -> None:
        graph = chain()
        plan = drawn(graph, all_made(graph), "b", code={"a": "v2"}, accept=frozenset("b"))
        assert plan["b"].action == "materialize"


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
        plan = drawn(graph, all_made(graph), "b", force=frozenset("b"), only=True)
        assert actions(plan) == {"b": "materialize"}

    def test_without_targets_nothing_is_planned(self) -> None:
        request = Request(chain(), (), {})
        assert request.names() == []
        assert draw(request, Known({})).plan.steps == []


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
                    "origin": "",
                }
            ],
            "remarks": [],
        }

    def test_steps_are_found_by_name(self) -> None:
        plan = drawn(chain(), {}, "b")
        assert len(plan) == 2
        assert plan.targets == ("b",)
        with pytest.raises(UnknownDependencyError, match="'d' is not part of this plan"):
            plan["d"]
        with pytest.raises(UnknownDependencyError, match="no asset named 'x'"):
            plan["x"]

    def test_of_very_many_causes_the_first_are_told(self) -> None:
        causes = [Cause("code_changed", f"shop.f{n}", "a", "b") for n in range(9)]
        assert in_words(causes).endswith("code of shop.f3 changed; and 5 more")
        assert Cause.of(causes[0].to_dict()) == causes[0]

    def test_causes_read_well_whatever_their_subject(self) -> None:
        assert str(Cause("input_changed", "{odd}", "a", "b")) == "input {odd} changed a -> b"
        assert str(Cause("input_changed", "a", None, "b")) == "input a changed: newly taken"
        assert str(Cause("input_changed", "a", "b")) == "input a changed: taken no more"
        assert Cause("forced").to_dict() == {"kind": "forced"}
