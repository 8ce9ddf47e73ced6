"""Decides what a run would do: a pure function of the graph and of what is recorded.

Every decision but one needs only the current versions. Where those don't fit, an earlier success
may: ``draw`` then names the dependency hashes it has to know of, and is called again with what was
found. Each call goes one such hop further down the graph. What a current version was made of is
needed to tell causes only, never to decide.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from flowstone.core.cause import Cause
from flowstone.core.config import NO_CONFIG
from flowstone.core.ingredients import Ingredients
from flowstone.core.outside import NOTHING_OBSERVED, is_stated
from flowstone.core.plan import Action, Origin, Plan, Request, Step

if TYPE_CHECKING:
    import datetime as dt
    import uuid
    from collections.abc import Iterable, Mapping

    from flowstone.core.asset import AnyAsset
    from flowstone.core.code import Code
    from flowstone.core.config import Config
    from flowstone.core.outside import Observed
    from flowstone.core.records import Materialization


_FORCED, _ALWAYS = Cause("forced"), Cause("always")
_NEVER_MADE, _CODE_UNKNOWN = Cause("never_made"), Cause("code_unknown")


class Wanted(NamedTuple):
    """An earlier success that would do: of this asset, with this dependency hash."""

    asset: str
    dependency_hash: str


@dataclass(slots=True)
class Known:
    """What has been read so far.

    ``current`` are the current versions by the name they are recorded under, invalidated ones
    included. ``history`` has what was looked for, None for what is not there. ``lost`` are the
    materializations whose values were looked for and are not there, ``unread`` those that were
    read without their ``inputs``.
    """

    current: Mapping[str, Materialization]
    history: dict[Wanted, Materialization | None] = field(default_factory=dict)
    lost: set[uuid.UUID] = field(default_factory=set)
    unread: set[uuid.UUID] = field(default_factory=set)

    def read(self, inputs: Mapping[uuid.UUID, Mapping[str, Any]]) -> None:
        """Take in what current versions were made of."""
        self.current = {
            name: made.trusted(vars(made) | {"inputs": inputs[made.id]})
            if made.id in inputs
            else made
            for name, made in self.current.items()
        }
        self.unread.difference_update(inputs)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A plan, and what has to be read before it is final.

    That is earlier successes, and the ``inputs`` of materializations that causes are told against.
    """

    plan: Plan
    wanted: list[Wanted]
    unread: list[uuid.UUID]


def draw(request: Request, known: Known) -> Drawn:
    """Decide every step, as far as that can be done with what is known."""
    decisions = _Decisions(request, known)
    for name in request.names():
        decisions.decide(name)
    plan = Plan(request, list(decisions.steps.values()), decisions.given)
    unread = [
        step.before.id
        for step in (plan if known.unread else ())
        if step.before is not None and (step.action == "materialize" or step.origin)
        if step.before.id in known.unread
    ]
    return Drawn(plan, decisions.wanted, unread)


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


@dataclass(slots=True)
class _State:
    """One asset as it is now.

    By input name, ``known`` are the data versions of now and ``waiting`` the assets that will run;
    ``missing`` names those that have no value.
    """

    asset: AnyAsset
    partition: str | None
    code: Code
    config: Config
    outside: Observed
    made: Materialization | None
    known: dict[str, str]
    waiting: dict[str, str]
    missing: list[str]

    @property
    def ingredients(self) -> Ingredients:
        """What decides what the step makes, as far as its inputs are known."""
        asset = self.asset
        return Ingredients(
            asset.name,
            self.partition,
            self.code.version,
            self.known,
            self.config,
            self.outside,
            asset.resource_versions,
            asset.place_among_outputs,
        )

    @property
    def agrees(self) -> bool:
        """Whether the current version stands, and was made of what there is now."""
        made = self.made
        return made is not None and _stands(made) and self.ingredients.agree_with(made)

    def step(
        self,
        action: Action,
        causes: Iterable[Cause] = (),
        *,
        current: Materialization | None = None,
        origin: Origin = "",
        may_cut_off: bool = False,
    ) -> Step:
        """The step that was decided on."""
        return Step(
            self.asset,
            action,
            tuple(causes),
            current or self.made,
            self.config,
            self.code,
            self.outside,
            origin,
            may_cut_off,
            self.known,
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
        self._will_run: dict[str, Cause] = {}
        self.steps: dict[str, Step] = {}
        self.wanted: list[Wanted] = []

    def decide(self, name: str) -> None:
        """Decide the step of one asset, all that it needs being decided."""
        if name in self.steps:
            return
        asset = self._request.graph[name]
        if asset.maker is None:
            self.steps[name] = self._decided(asset)
        else:
            self.steps |= self._decided_together(self._request.graph.together(name))

    def _decided(self, asset: AnyAsset) -> Step:
        state = self._state(asset)
        if state.missing or state.outside.error:
            return _blocked(state)
        musts = self._musts(state)
        if musts:
            if state.made is not None:
                musts += [cause for cause in self._differences(state) if cause not in musts]
            if state.waiting:
                musts += self._upstream(state)
            return state.step("materialize", musts)
        return self._may_reuse(state)

    def _decided_together(self, names: list[str]) -> dict[str, Step]:
        """The steps of what one function makes; when one is to be made, all are.

        Only what was asked for decides about that.
        """
        graph = self._request.graph
        steps = {name: self._decided(graph[name]) for name in names if name in self._asked_for}
        running = [step for step in steps.values() if step.action == "materialize"]
        if not running:
            return steps
        certain = [step for step in running if not step.may_cut_off]
        first = (certain or running)[0]
        steps |= {name: self._decided(graph[name]) for name in names if name not in steps}
        return {name: _along_with(first, steps[name], asked=name in self._taken) for name in names}

    def _state(self, asset: AnyAsset) -> _State:
        request, name = self._request, asset.name
        state = _State(
            asset,
            request.partition,
            request.code[name],
            request.config.get(name, NO_CONFIG),
            request.outside.get(name, NOTHING_OBSERVED),
            self._current(asset),
            {},
            {},
            [],
        )
        steps = self.steps
        for parameter, source in asset.edges:
            step = steps.get(source)
            action = step.action if step else self._action_outside(parameter, source)
            if action == "materialize":
                state.waiting[parameter or f"+{source}"] = source
                continue
            version = step.current if step else self.given.get(source)
            if action == "blocked" or version is None:
                state.missing.append(source)
            else:
                state.known[parameter or f"+{source}"] = version.data_version or ""
        return state

    def _action_outside(self, parameter: str, source: str) -> Action:
        """What becomes of an input outside the plan, taken as a parameter or not passed."""
        version = self.given.get(source)
        lost = version is None or (parameter and self._is_lost(version))
        return "blocked" if lost else "reuse"

    def _is_lost(self, made: Materialization) -> bool:
        lost = self._known.lost  # mostly empty, and ids take their time to be hashed
        return bool(lost) and made.id in lost

    def _current(self, asset: AnyAsset) -> Materialization | None:
        """The current version, or that of the first name it had before which has one."""
        known = self._known.current
        made = known.get(asset.name)
        for name in asset.aliases if made is None else ():
            made = made or known.get(name)
        return made

    def _musts(self, state: _State) -> list[Cause]:
        """The reasons for which nothing that is recorded can stand in for the step."""
        asset, made = state.asset, state.made
        causes: list[Cause] = []
        force = self._request.force
        if force and asset.name in force:
            causes.append(_FORCED)
        if asset.always:
            causes.append(_ALWAYS)
        if made is None:
            causes.append(_NEVER_MADE)
        elif is_too_old(asset, made, self._request.now):
            causes.append(Cause("too_old", str(asset.max_age)))
        if state.code.version is None:
            causes.append(_CODE_UNKNOWN)
        if made is not None and not asset.keep and self._is_lost(made):
            causes.append(Cause("value_lost", "keep=False"))
        return causes

    def _upstream(self, state: _State) -> list[Cause]:
        """A cause for each asset that will run first; those who need the same share it."""
        will_run, causes = self._will_run, []
        for source in dict.fromkeys(state.waiting.values()) if state.waiting else ():
            cause = will_run.get(source)
            if cause is None:
                cause = will_run[source] = Cause("upstream_will_run", source)
            causes.append(cause)
        return causes

    def _may_reuse(self, state: _State) -> Step:
        asset = state.asset
        if state.waiting:
            causes = [*self._differences(state), *self._upstream(state)]
            return state.step("materialize", causes, may_cut_off=True)
        made = state.made
        lost = made is not None and self._is_lost(made)
        if state.agrees:
            if lost:
                return state.step("materialize", [Cause("value_lost")])
            own = asset.name in self._known.current
            return state.step("reuse", origin="" if own else "alias")
        causes = self._differences(state)
        if asset.name in self._request.accept and made and _stands(made) and not lost:
            return state.step("reuse", causes, origin="accepted")
        earlier = self._earlier(state)
        if earlier is not None:
            if not self._is_lost(earlier):
                return state.step("reuse", causes, current=earlier, origin="history")
            causes = [*causes, Cause("value_lost")]
        return state.step("materialize", causes)

    def _earlier(self, state: _State) -> Materialization | None:
        """An earlier success made of what there is now; asked for, if not known yet.

        One whose value was lost is given if there is no other.
        """
        lost = None
        ingredients = state.ingredients
        for name in (state.asset.name, *state.asset.aliases):
            wanted = Wanted(name, ingredients.dependency_hash(name))
            if wanted not in self._known.history:
                self.wanted.append(wanted)
                continue
            found = self._known.history[wanted]
            if found is None or is_too_old(state.asset, found, self._request.now):
                continue
            if not may_return(found, state.made):
                continue
            if not self._is_lost(found):
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
        causes = list(state.ingredients.causes(made, state.waiting))
        if causes or state.waiting or state.agrees:
            return causes
        # Nothing that is recorded differs: the way of hashing is another one.
        return [Cause("code_changed")]


def _blocked(state: _State) -> Step:
    """The step of an asset that lacks something no run would bring."""
    causes = [Cause("upstream_missing", source) for source in state.missing]
    if state.outside.error:
        causes.append(Cause("observation_failed", state.outside.error))
    return state.step("blocked", causes)


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
