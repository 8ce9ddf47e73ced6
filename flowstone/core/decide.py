"""Decides what a run would do: a pure function of the graph and of what is recorded.

Every decision but one needs only the current versions. Where those don't fit, an earlier success
may: ``draw`` then names the dependency hashes it has to know of, and is called again with what was
found. Each call goes one such hop further down the graph.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from flowstone.core.cause import Cause
from flowstone.core.config import NO_CONFIG
from flowstone.core.ingredients import Ingredients
from flowstone.core.outside import NOTHING_OBSERVED, is_stated
from flowstone.core.plan import Action, Origin, Plan, Request, Step

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from collections.abc import Iterator, Mapping

    from flowstone.core.asset import AnyAsset
    from flowstone.core.code import Code
    from flowstone.core.config import Config
    from flowstone.core.outside import Observed
    from flowstone.core.records import Materialization


class Wanted(NamedTuple):
    """An earlier success that would do: of this asset, with this dependency hash."""

    asset: str
    dependency_hash: str


@dataclass(slots=True)
class Known:
    """What has been read so far.

    ``current`` are the current versions by the name they are recorded under, invalidated ones
    included. ``history`` has what was looked for, None for what is not there. ``lost`` are the
    materializations whose values were looked for and are not there.
    """

    current: Mapping[str, Materialization]
    history: dict[Wanted, Materialization | None] = field(default_factory=dict)
    lost: set[uuid.UUID] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A plan, and what has to be looked up in history before it is final."""

    plan: Plan
    wanted: list[Wanted]


def draw(request: Request, known: Known) -> Drawn:
    """Decide every step, as far as that can be done with what is known."""
    decisions = _Decisions(request, known)
    for name in request.names():
        decisions.decide(name)
    plan = Plan(request, list(decisions.steps.values()), decisions.given)
    return Drawn(plan, decisions.wanted)


def is_too_old(asset: AnyAsset, made: Materialization, now: dt.datetime | None) -> bool:
    """Whether a materialization is older than the asset allows (``max_age=``)."""
    if asset.max_age is None or now is None or made.completed_at is None:
        return False
    return now - made.completed_at > asset.max_age


def may_return(earlier: Materialization, current: Materialization | None) -> bool:
    """Whether an earlier success may become current again.

    There is one product elsewhere, and it is in the state that was stated last.
    """
    if not is_stated(earlier.data_version):
        return True
    return current is not None and current.data_version == earlier.data_version


def input_name(parameter: str, source: str) -> str:
    """How ingredients name an input: its parameter, or ``+asset`` when it is not passed."""
    return parameter or f"+{source}"


@dataclass(frozen=True, slots=True)
class _Inputs:
    """By input name, data versions known now and assets that will run; and who is missing."""

    known: dict[str, str]
    waiting: dict[str, str]
    missing: list[str]


@dataclass(frozen=True, slots=True)
class _State:
    """One asset as it is now."""

    asset: AnyAsset
    code: Code
    config: Config
    outside: Observed
    inputs: _Inputs
    ingredients: Ingredients
    made: Materialization | None

    @property
    def agrees(self) -> bool:
        """Whether the current version stands, and was made of what there is now."""
        made = self.made
        return made is not None and _stands(made) and self.ingredients.agree_with(made)

    def step(
        self,
        action: Action,
        *causes: Cause,
        current: Materialization | None = None,
        origin: Origin = "",
        may_cut_off: bool = False,
    ) -> Step:
        """The step that was decided on."""
        return Step(
            self.asset,
            action,
            causes,
            current or self.made,
            self.config,
            self.code,
            self.outside,
            origin,
            may_cut_off,
            self.inputs.known,
            self.made,
        )


class _Decisions:
    """One pass over the graph, dependencies first."""

    def __init__(self, request: Request, known: Known) -> None:
        self._request, self._known = request, known
        inputs = request.inputs()
        given = {name: self._current(request.graph[name]) for name in inputs}
        self.given = {name: made for name, made in given.items() if made and _stands(made)}
        self._asked_for = frozenset(request.names())
        self._taken = self._asked_for.union(inputs)
        self.steps: dict[str, Step] = {}
        self.wanted: list[Wanted] = []

    def decide(self, name: str) -> None:
        """Decide the step of one asset, all that it needs being decided."""
        if name in self.steps:
            return
        if self._request.graph[name].maker is None:
            self.steps[name] = self._decided(name)
        else:
            self.steps |= self._decided_together(self._request.graph.together(name))

    def _decided(self, name: str) -> Step:
        state = self._state(name)
        return self._blocked(state) or self._must_run(state) or self._may_reuse(state)

    def _decided_together(self, names: list[str]) -> dict[str, Step]:
        """The steps of what one function makes; when one is to be made, all are.

        Only what was asked for decides about that.
        """
        steps = {name: self._decided(name) for name in names if name in self._asked_for}
        running = [step for step in steps.values() if step.action == "materialize"]
        if not running:
            return steps
        certain = [step for step in running if not step.may_cut_off]
        first = (certain or running)[0]
        steps |= {name: self._decided(name) for name in names if name not in steps}
        return {name: _along_with(first, steps[name], asked=name in self._taken) for name in names}

    def _state(self, name: str) -> _State:
        request = self._request
        asset, code = request.graph[name], request.code[name]
        config = request.config.get(name, NO_CONFIG)
        outside = request.outside.get(name, NOTHING_OBSERVED)
        inputs = self._inputs(asset)
        ingredients = Ingredients(
            name,
            request.partition,
            code.version,
            inputs.known,
            config,
            outside,
            asset.resource_versions,
            asset.place_among_outputs,
        )
        return _State(asset, code, config, outside, inputs, ingredients, self._current(asset))

    def _current(self, asset: AnyAsset) -> Materialization | None:
        """The current version, or that of the first name it had before which has one."""
        found = (self._known.current.get(name) for name in (asset.name, *asset.aliases))
        return next((made for made in found if made is not None), None)

    def _inputs(self, asset: AnyAsset) -> _Inputs:
        inputs = _Inputs({}, {}, [])
        for parameter, source in asset.edges:
            step = self.steps.get(source)
            version = step.current if step else self.given.get(source)
            name = input_name(parameter, source)
            lost = version is not None and version.id in self._known.lost
            if step and step.action == "blocked":
                inputs.missing.append(source)
            elif step and step.action == "materialize":
                inputs.waiting[name] = source
            elif version is None or (step is None and parameter and lost):
                inputs.missing.append(source)
            else:
                inputs.known[name] = version.data_version or ""
        return inputs

    def _blocked(self, state: _State) -> Step | None:
        causes = [Cause("upstream_missing", source) for source in state.inputs.missing]
        if state.outside.error:
            causes.append(Cause("observation_failed", state.outside.error))
        return state.step("blocked", *causes) if causes else None

    def _must_run(self, state: _State) -> Step | None:
        """The step, if nothing that is recorded can stand in for it."""
        musts = list(self._musts(state))
        if not musts:
            return None
        differing = [cause for cause in self._differences(state) if cause not in musts]
        return state.step("materialize", *musts, *differing, *_upstream(state))

    def _musts(self, state: _State) -> Iterator[Cause]:
        asset, made = state.asset, state.made
        if asset.name in self._request.force:
            yield Cause("forced")
        if asset.always:
            yield Cause("always")
        if made is None:
            yield Cause("never_made")
        elif is_too_old(asset, made, self._request.now):
            yield Cause("too_old", str(asset.max_age))
        if state.code.version is None:
            yield Cause("code_unknown")
        if made is not None and not asset.keep and made.id in self._known.lost:
            yield Cause("value_lost", "keep=False")

    def _may_reuse(self, state: _State) -> Step:
        asset = state.asset
        if state.inputs.waiting:
            causes = [*self._differences(state), *_upstream(state)]
            return state.step("materialize", *causes, may_cut_off=True)
        made = state.made
        lost = made is not None and made.id in self._known.lost
        if state.agrees:
            if lost:
                return state.step("materialize", Cause("value_lost"))
            own = asset.name in self._known.current
            return state.step("reuse", origin="" if own else "alias")
        causes = self._differences(state)
        if asset.name in self._request.accept and made and _stands(made) and not lost:
            return state.step("reuse", *causes, origin="accepted")
        earlier = self._earlier(state)
        if earlier is not None:
            if earlier.id not in self._known.lost:
                return state.step("reuse", *causes, current=earlier, origin="history")
            causes = [*causes, Cause("value_lost")]
        return state.step("materialize", *causes)

    def _earlier(self, state: _State) -> Materialization | None:
        """An earlier success made of what there is now; asked for, if not known yet.

        One whose value was lost is given if there is no other.
        """
        lost = None
        for name in (state.asset.name, *state.asset.aliases):
            wanted = Wanted(name, state.ingredients.dependency_hash(name))
            if wanted not in self._known.history:
                self.wanted.append(wanted)
                continue
            found = self._known.history[wanted]
            if found is None or is_too_old(state.asset, found, self._request.now):
                continue
            if not may_return(found, state.made):
                continue
            if found.id not in self._known.lost:
                return found
            lost = lost or found
        return lost

    def _differences(self, state: _State) -> list[Cause]:
        """What differs from the current version, as far as the inputs are known."""
        made = state.made
        if made is None:
            return []
        if not _stands(made):
            return [Cause("invalidated")]
        causes = [
            cause
            for cause in state.ingredients.causes(made)
            if not (cause.kind == "input_changed" and cause.subject in state.inputs.waiting)
        ]
        if causes or state.inputs.waiting or state.agrees:
            return causes
        # Nothing that is recorded differs: the way of hashing is another one.
        return [Cause("code_changed")]


def _along_with(running: Step, step: Step, *, asked: bool) -> Step:
    """The step as it is when the function runs for another of its outputs."""
    if asked and step.action == "materialize" and step.may_cut_off == running.may_cut_off:
        return step
    known = [cause for cause in step.causes if cause.kind != "upstream_will_run"]
    return replace(
        step,
        action="materialize",
        causes=(*known, Cause("made_together", running.name)),
        current=step.before,
        origin="",
        may_cut_off=running.may_cut_off,
        along=not asked,
    )


def _stands(made: Materialization) -> bool:
    """Whether a current version was not invalidated."""
    return made.status == "success"


def _upstream(state: _State) -> list[Cause]:
    return [Cause("upstream_will_run", s) for s in dict.fromkeys(state.inputs.waiting.values())]
