"""Plans of any graph over any recorded state, against a naive oracle of what must run."""

from __future__ import annotations

import datetime as dt
import json
import sys
import uuid
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowstone import Asset, AssetGraph
from flowstone.core.code import Code
from flowstone.core.config import Config
from flowstone.core.decide import Known, Wanted, draw
from flowstone.core.ingredients import Ingredients
from flowstone.core.plan import Plan, Request
from flowstone.core.records import Materialization
from flowstone.core.text import jsonable

NOW = dt.datetime(2025, 1, 1, tzinfo=dt.UTC)
NAMES = "abcdefgh"
CODES = st.sampled_from(["v1", "v1", "v1", "v2", None])
SETTINGS = st.sampled_from(["", "", "one", "two"])


def config(setting: str) -> Config:
    return Config({"n": setting}, {"n": setting}, {"n": setting}) if setting else Config()


@dataclass
class State:
    """A graph, what its code and config are, and what is recorded of it."""

    edges: dict[str, list[str]]
    code: dict[str, str | None]
    setting: dict[str, str]
    targets: list[str]
    force: bool
    only: bool
    current: dict[str, Materialization] = field(default_factory=dict)
    lost: frozenset[str] = frozenset()
    earlier: dict[Wanted, Materialization] = field(default_factory=dict)

    def plan(self, *, read_later: bool = False) -> Plan:
        """The plan; ``read_later``: what versions were made of is read when it is asked for."""
        graph = AssetGraph(
            [
                Asset(eval(f"lambda {', '.join(needs)}: 0"), name=name)  # noqa: S307 - a signature
                for name, needs in self.edges.items()
            ]
        )
        configs = {name: config(each) for name, each in self.setting.items()}
        codes = {name: Code(version) for name, version in self.code.items()}
        forced = frozenset(self.targets if self.force else ())
        request = Request(graph, tuple(self.targets), codes, configs, None, forced, self.only)
        gone = {self.current[name].id for name in self.lost if name in self.current}
        known = Known(self.current, lost=gone)
        inputs = {made.id: made.inputs for made in self.current.values()}
        if read_later:
            empty = {"inputs": dict[str, Any]()}
            current = {name: made.model_copy(update=empty) for name, made in self.current.items()}
            known = Known(current, lost=gone, unread=set(inputs))
        while (drawn := draw(request, known)).wanted or drawn.unread:
            known.history |= {each: self.earlier.get(each) for each in drawn.wanted}
            known.read({each: inputs[each] for each in drawn.unread})
        return drawn.plan


@st.composite
def states(make: st.DrawFn) -> State:
    names = NAMES[: make(st.integers(1, len(NAMES)))]
    edges = {
        name: make(st.lists(st.sampled_from(names[:i]), unique=True)) if i else []
        for i, name in enumerate(names)
    }
    state = State(
        edges,
        {name: make(CODES) for name in names},
        {name: make(SETTINGS) for name in names},
        make(st.lists(st.sampled_from(names), min_size=1, unique=True)),
        make(st.booleans()),
        make(st.booleans()),
    )
    for name in names:
        if make(st.integers(0, 9)) > 1:
            state.current[name] = recorded(make, state, name)
        for _ in range(make(st.integers(0, 2))):
            made = recorded(make, state, name)
            state.earlier[Wanted(name, made.dependency_hash or "")] = made
    state.lost = make(st.frozensets(st.sampled_from(names), max_size=2))
    return state


def recorded(make: st.DrawFn, state: State, name: str) -> Materialization:
    """An earlier version, usually of the present code, config and inputs, at times of others."""
    upstream = {}
    for need in state.edges[name]:
        known = [each for each in state.earlier.values() if each.asset_name == need]
        known += [state.current[need]] * 5 if need in state.current else []
        made = make(st.sampled_from(known)) if known else None
        upstream[need] = made.data_version or "" if made else "older"
    code = make(st.sampled_from([state.code[name]] * 5 + ["v0"]))
    setting = make(st.sampled_from([state.setting[name]] * 5 + ["other"]))
    ingredients = Ingredients(name, None, code, upstream, config(setting))
    return Materialization(
        id=uuid.uuid4(),
        asset_name=name,
        run_id="r",
        status="success",
        inserted_at=NOW,
        updated_at=NOW,
        code_version=code,
        data_version=f"{name}-{make(st.integers(0, 1))}",
        dependency_hash=ingredients.dependency_hash(),
        inputs=ingredients.recorded(),
    )


def planned(state: State) -> list[str]:
    """The assets concerned, dependencies first (names are in such an order)."""
    wanted = set(state.targets)
    if not state.only:
        for name in reversed(state.edges):
            if name in wanted:
                wanted |= set(state.edges[name])
    return [name for name in state.edges if name in wanted]


def naive(state: State) -> tuple[dict[str, str], dict[str, Materialization]]:
    """What must happen to each asset, and what stands for it, from the definition of freshness."""
    actions: dict[str, str] = {}
    inside = planned(state)
    stands = {name: made for name, made in state.current.items() if name not in inside}
    for name in inside:
        needs = state.edges[name]
        made = state.current.get(name)
        gone = {
            need
            for need in needs
            if need not in inside and (need not in state.current or need in state.lost)
        }
        blocked = gone or any(actions.get(need) == "blocked" for need in needs)
        running = any(actions.get(need) == "materialize" for need in needs)
        if blocked:
            actions[name] = "blocked"
            continue
        forced = state.force and name in state.targets
        if made is None or running or state.code[name] is None or forced:
            actions[name] = "materialize"
            continue
        wanted = present_hash(state, name, stands)
        if made.dependency_hash != wanted:
            earlier = state.earlier.get(Wanted(name, wanted))
        else:
            earlier = None if name in state.lost else made
        actions[name] = "reuse" if earlier else "materialize"
        if earlier:
            stands[name] = earlier
    return actions, stands


def present_hash(state: State, name: str, stands: dict[str, Materialization]) -> str:
    upstream = {need: stands[need].data_version or "" for need in state.edges[name]}
    setting = config(state.setting[name])
    return Ingredients(name, None, state.code[name], upstream, setting).dependency_hash()


@given(states())
def test_what_runs_is_what_must_and_what_stands_was_made_of_what_there_is(state: State) -> None:
    actions, stands = naive(state)
    plan = state.plan()
    assert {step.name: step.action for step in plan} == actions
    for step in plan:
        if step.action == "reuse":
            assert step.current is stands[step.name]
            assert bool(step.origin) == (step.current is not state.current[step.name])


@given(states())
def test_what_versions_were_made_of_is_read_for_causes_only(state: State) -> None:
    plan = state.plan(read_later=True)
    assert plan.to_dict() == state.plan().to_dict()
    for step in plan:
        if step.before is not None and (step.action == "materialize" or step.origin):
            assert step.before == state.current[step.name]
        elif step.before is not None and not state.earlier:
            assert not step.before.inputs  # what is found in history may settle a cause again


@given(states())
def test_every_step_that_changes_something_has_a_cause(state: State) -> None:
    for step in state.plan():
        assert bool(step.causes) == (step.action != "reuse" or step.origin == "history")
        assert (step.action == "blocked") == any(c.kind == "upstream_missing" for c in step.causes)


@given(states())
def test_a_step_may_be_cut_off_if_its_inputs_are_made_first(state: State) -> None:
    for step in state.plan():
        kinds = {cause.kind for cause in step.causes}
        certain = {"never_made", "forced", "code_unknown", "upstream_missing"} & kinds
        assert step.may_cut_off == ("upstream_will_run" in kinds and not certain)
        assert not step.may_cut_off or step.current is not None


@given(states())
def test_steps_come_dependencies_first(state: State) -> None:
    plan = state.plan()
    order = [step.name for step in plan]
    assert sorted(order) == sorted(planned(state))
    for name in order:
        assert all(order.index(n) < order.index(name) for n in state.edges[name] if n in order)


@given(states())
def test_values_needed_are_recorded_ones_of_targets_and_inputs(state: State) -> None:
    plan = state.plan()
    needed = plan.values_needed()
    inputs = {
        need
        for step in plan
        if step.action == "materialize" and not step.may_cut_off
        for need in state.edges[step.name]
    }
    _, stands = naive(state)
    for name, made in needed.items():
        assert made is stands[name]
        assert name in inputs or name in state.targets
    standing = {step.name for step in plan if step.action == "reuse"} | set(plan.given)
    assert set(needed) == standing & (inputs | set(state.targets))


@given(states())
def test_planning_again_says_the_same(state: State) -> None:
    one: Any = state.plan().to_dict()
    assert one == state.plan().to_dict()


@given(
    st.dictionaries(st.text(), st.text()),
    st.sampled_from(["", "one"]),
    st.none() | st.text(min_size=1),
    st.none() | st.integers(0, 3),
)
def test_ingredients_as_text_say_what_they_say_as_json(
    upstream: dict[str, str], setting: str, before: str | None, output: int | None
) -> None:
    """And Postgres takes the text, whatever is in it."""
    ingredients = Ingredients("a", None, "v", upstream, config(setting), output=output)
    told = jsonable(ingredients.recorded() | {"before": before}, sys.maxsize)
    text = ingredients.recorded_json(before)
    assert json.loads(text) == told
    assert "\\u0000" not in text
