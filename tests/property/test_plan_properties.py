"""Plans of any graph over any recorded state, against a naive oracle of what must run."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flowstone import Asset, AssetGraph
from flowstone.core.code import Code
from flowstone.core.config import Config
from flowstone.core.plan import Ingredients, Plan, Request, draw
from flowstone.core.records import Materialization

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

    def plan(self) -> Plan:
        graph = AssetGraph(
            [
                Asset(eval(f"lambda {', '.join(needs)}: 0"), name=name)  # noqa: S307 - a signature
                for name, needs in self.edges.items()
            ]
        )
        configs = {name: config(each) for name, each in self.setting.items()}
        codes = {name: Code(version) for name, version in self.code.items()}
        request = Request(graph, tuple(self.targets), codes, configs, None, self.force, self.only)
        return draw(request, self.current, self.lost)


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
    state.lost = make(st.frozensets(st.sampled_from(names), max_size=2))
    return state


def recorded(make: st.DrawFn, state: State, name: str) -> Materialization:
    """An earlier version, usually of the present code, config and inputs, at times of others."""
    upstream = {}
    for need in state.edges[name]:
        made = state.current.get(need)
        same = made is not None and make(st.integers(0, 9)) > 0
        upstream[need] = made.data_version or "" if made and same else "older"
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
        dependency_hash=ingredients.dependency_hash,
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


def naive(state: State) -> dict[str, str]:
    """What must happen to each asset, from the definition of freshness alone."""
    actions: dict[str, str] = {}
    inside = planned(state)
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
        elif (
            made is None
            or running
            or name in state.lost
            or state.code[name] is None
            or (state.force and name in state.targets)
            or made.dependency_hash != present_hash(state, name)
        ):
            actions[name] = "materialize"
        else:
            actions[name] = "reuse"
    return actions


def present_hash(state: State, name: str) -> str:
    upstream = {need: state.current[need].data_version or "" for need in state.edges[name]}
    setting = config(state.setting[name])
    return Ingredients(name, None, state.code[name], upstream, setting).dependency_hash


@given(states())
def test_what_runs_is_what_must(state: State) -> None:
    assert {step.name: step.action for step in state.plan()} == naive(state)


@given(states())
def test_every_step_that_is_not_reused_has_a_cause(state: State) -> None:
    for step in state.plan():
        assert bool(step.causes) == (step.action != "reuse")
        assert (step.action == "blocked") == any(c.kind == "upstream_missing" for c in step.causes)


@given(states())
def test_a_step_may_be_cut_off_only_if_nothing_but_upstream_runs(state: State) -> None:
    for step in state.plan():
        kinds = {cause.kind for cause in step.causes}
        cut = step.action == "materialize" and kinds == {"upstream_will_run"}
        assert step.may_cut_off == cut
        assert not cut or step.current is not None


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
    for name, made in needed.items():
        assert made is state.current[name]
        assert name in inputs or name in state.targets
    standing = {step.name for step in plan if step.action == "reuse"} | set(plan.given)
    assert set(needed) == standing & (inputs | set(state.targets))


@given(states())
def test_planning_again_says_the_same(state: State) -> None:
    one: Any = state.plan().to_dict()
    assert one == state.plan().to_dict()
