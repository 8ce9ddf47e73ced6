"""What a run would do, and why: a pure function of the graph and of what is recorded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from flowstone.core.config import MASK, NO_CONFIG, Config
from flowstone.core.hashing import combine
from flowstone.errors import UnknownDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flowstone.core.asset import AnyAsset
    from flowstone.core.code import Code
    from flowstone.core.dag import AssetGraph
    from flowstone.core.records import Materialization

Action = Literal["materialize", "reuse", "blocked"]
CauseKind = Literal[
    "never_made",
    "code_changed",
    "code_unknown",
    "input_changed",
    "config_changed",
    "value_lost",
    "forced",
    "upstream_will_run",
    "upstream_missing",
]


_WORDS: dict[CauseKind, str] = {
    "input_changed": "input {subject} changed",
    "config_changed": "config {subject} changed",
    "upstream_will_run": "upstream {subject} will run",
    "upstream_missing": "upstream {subject} has no value and is not selected",
    "code_unknown": "its code can't be followed",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason for a step: its kind, what it is about, and the old and new version of that."""

    kind: CauseKind
    subject: str = ""
    old: str | None = None
    new: str | None = None

    def __str__(self) -> str:
        words = _WORDS.get(self.kind, self.kind.replace("_", " "))
        if self.kind == "value_lost" and self.subject:
            words = "value not kept ({subject})"
        change = f" {self.old} -> {self.new}" if self.old and self.new else ""
        return words.format(subject=self.subject) + change

    def to_dict(self) -> dict[str, Any]:
        """The cause as it is recorded: its fields that say something."""
        fields = {"subject": self.subject, "old": self.old, "new": self.new}
        return {"kind": self.kind} | {name: text for name, text in fields.items() if text}


@dataclass(frozen=True, slots=True)
class Ingredients:
    """All that decides what a step makes; equal ingredients have equal dependency hashes.

    ``upstream`` maps each parameter (``+name`` for an input that is not passed) to the data
    version it takes. ``code_version`` is None if the source can't be had: never reusable.
    """

    asset: str
    partition: str | None
    code_version: str | None
    upstream: Mapping[str, str]
    config: Config = NO_CONFIG

    @property
    def dependency_hash(self) -> str:
        """The digest of all of them, by name."""
        parts: list[str | None] = [self.asset, self.code_version, self.partition]
        for ingredients in (self.upstream, self.config.digests):
            parts.append(str(len(ingredients)))
            for name in sorted(ingredients):
                parts += [name, ingredients[name]]
        return combine("dependency", *parts)

    def recorded(self) -> dict[str, Any]:
        """The ingredients as the row keeps them, for later explanations."""
        config = {
            name: {"shown": shown, "digest": self.config.digests.get(name)}
            for name, shown in self.config.shown.items()
        }
        return {"upstream": dict(self.upstream), "config": config}

    def causes(self, made: Materialization) -> Iterator[Cause]:
        """What is different from the ingredients of an earlier materialization."""
        if self.code_version is None:
            yield Cause("code_unknown")
        elif self.code_version != made.code_version:
            yield Cause("code_changed")
        before: Mapping[str, str] = made.inputs.get("upstream", {})
        for name in sorted({*before, *self.upstream}):
            old, new = before.get(name), self.upstream.get(name)
            if old != new:
                yield Cause("input_changed", name, _short(old), _short(new))
        settings: Mapping[str, Mapping[str, str | None]] = made.inputs.get("config", {})
        for name in sorted({*settings, *self.config.shown}):
            earlier = settings.get(name, {})
            if earlier.get("digest") != self.config.digests.get(name):
                shown = self.config.shown.get(name)
                # A secret was perhaps none before: what was shown then is not shown again.
                old = None if shown == MASK else earlier.get("shown")
                yield Cause("config_changed", name, old, shown)


def _short(version: str | None) -> str | None:
    return version and version[:8]


@dataclass(frozen=True, slots=True)
class Step:
    """What a run would do for one asset, and why.

    ``current`` is the current version, if there is one. ``may_cut_off`` is set where the only
    causes are upstream steps: if those make equal values again, the step will be reused.
    """

    asset: AnyAsset
    action: Action
    causes: tuple[Cause, ...] = ()
    current: Materialization | None = None
    config: Config = NO_CONFIG
    code_version: str | None = None
    may_cut_off: bool = False

    @property
    def name(self) -> str:
        """The asset's name."""
        return self.asset.name

    @property
    def why(self) -> str:
        """The causes in words."""
        return "; ".join(map(str, self.causes)) if self.causes else "up to date"


@dataclass(frozen=True, slots=True)
class Request:
    """What a run was asked for: the graph, the assets to be made, and what the code is now."""

    graph: AssetGraph
    targets: tuple[str, ...]
    code: Mapping[str, Code]
    config: Mapping[str, Config] = field(default_factory=dict)
    partition: str | None = None
    force: bool = False
    only: bool = False

    def names(self) -> list[str]:
        """The assets the plan has steps for, dependencies first."""
        if not self.targets:
            return []
        order = self.graph.execution_order(*self.targets)
        targets = set(self.targets)
        return [name for name in order if name in targets] if self.only else order

    def inputs(self) -> list[str]:
        """Assets outside the plan whose current versions its steps take (``only``)."""
        inside = set(self.names())
        needed = (need for name in inside for need in self.graph[name].depends_on)
        return sorted(set(needed) - inside)


class Plan:
    """What a run would do: one ``Step`` for every asset concerned, dependencies first."""

    def __init__(
        self, request: Request, steps: list[Step], given: Mapping[str, Materialization]
    ) -> None:
        self.request = request
        self.steps = steps
        self.given = given
        self._by_name = {step.name: step for step in steps}

    def __getitem__(self, name: str) -> Step:
        asset = self.request.graph[name]
        if asset.name not in self._by_name:
            raise UnknownDependencyError(f"asset {name!r} is not part of this plan")
        return self._by_name[asset.name]

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    @property
    def targets(self) -> tuple[str, ...]:
        """The assets that were asked for."""
        return self.request.targets

    @property
    def to_run(self) -> list[str]:
        """The assets that would be materialized, dependencies first."""
        return [step.name for step in self.steps if step.action == "materialize"]

    @property
    def counts(self) -> Counter[Action]:
        """How many steps there are of each action."""
        return Counter(step.action for step in self.steps)

    def values_needed(self) -> dict[str, Materialization]:
        """The recorded values a run will read for certain: of targets, and as inputs."""
        versions = dict(self.given)
        versions.update(
            (step.name, step.current)
            for step in self.steps
            if step.action == "reuse" and step.current is not None
        )
        needed = set(self.targets)
        for step in self.steps:
            if step.action == "materialize" and not step.may_cut_off:
                needed |= {source for parameter, source in step.asset.edges if parameter}
        return {name: versions[name] for name in versions if name in needed}

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain JSON."""
        return {
            "schema_version": 1,
            "targets": list(self.targets),
            "partition": self.request.partition,
            "counts": dict(self.counts),
            "steps": [
                {
                    "asset": step.name,
                    "action": step.action,
                    "causes": [cause.to_dict() for cause in step.causes],
                    "may_cut_off": step.may_cut_off,
                }
                for step in self.steps
            ],
        }

    def __str__(self) -> str:
        width = max((len(step.name) for step in self.steps), default=0)
        return "\n".join(
            f"{step.action:<11} {step.name:<{width}}  {step.why}"
            + (" (may be cut off here)" if step.may_cut_off else "")
            for step in self.steps
        )


class _Decisions:
    """One pass over the graph: what is known of each asset, dependencies first."""

    def __init__(
        self,
        request: Request,
        current: Mapping[str, Materialization],
        lost: frozenset[str],
    ) -> None:
        self._request, self._current, self._lost = request, current, lost
        self._forced = frozenset(request.targets if request.force else ())
        self.given = {name: current[name] for name in request.inputs() if name in current}
        self.steps: dict[str, Step] = {}

    def decide(self, name: str) -> None:
        """Decide the step of one asset, all that it needs being decided."""
        request, made = self._request, self._current.get(name)
        asset = request.graph[name]
        config, code_version = request.config.get(name, NO_CONFIG), request.code[name].version
        known, waiting, missing = self._inputs(asset)
        ingredients = Ingredients(name, request.partition, code_version, known, config)
        causes = [Cause("upstream_missing", source) for source in missing]
        if name in self._forced:
            causes.append(Cause("forced"))
        if made is None:
            causes.append(Cause("never_made"))
        else:
            if name in self._lost:
                causes.append(Cause("value_lost", "" if asset.keep else "keep=False"))
            causes += _changes(ingredients, made, waiting)
        certain = bool(causes)
        causes += [Cause("upstream_will_run", s) for s in dict.fromkeys(waiting.values())]
        action: Action = "blocked" if missing else "materialize" if causes else "reuse"
        cut_off = action == "materialize" and not certain
        self.steps[name] = Step(asset, action, tuple(causes), made, config, code_version, cut_off)

    def _inputs(self, asset: AnyAsset) -> tuple[dict[str, str], dict[str, str], list[str]]:
        """By input name, data versions known now and assets that will run; and who is missing."""
        known: dict[str, str] = {}
        waiting: dict[str, str] = {}
        missing: list[str] = []
        for parameter, source in asset.edges:
            step = self.steps.get(source)
            version = step.current if step else self.given.get(source)
            if step and step.action == "blocked":
                missing.append(source)
            elif step and step.action == "materialize":
                waiting[input_name(parameter, source)] = source
            elif version is None or (step is None and parameter and source in self._lost):
                missing.append(source)
            else:
                known[input_name(parameter, source)] = version.data_version or ""
        return known, waiting, missing


def draw(
    request: Request,
    current: Mapping[str, Materialization],
    lost: frozenset[str] = frozenset(),
) -> Plan:
    """Decide every step.

    Args:
        request: what was asked for.
        current: the current version of each asset that has one.
        lost: assets whose recorded values were looked for and are not there.
    """
    decisions = _Decisions(request, current, lost)
    for name in request.names():
        decisions.decide(name)
    return Plan(request, list(decisions.steps.values()), decisions.given)


def _changes(
    ingredients: Ingredients, made: Materialization, waiting: Mapping[str, str]
) -> list[Cause]:
    """What differs from the current version, as far as the inputs are known."""
    causes = [
        cause
        for cause in ingredients.causes(made)
        if not (cause.kind == "input_changed" and cause.subject in waiting)
    ]
    if not causes and not waiting and ingredients.dependency_hash != made.dependency_hash:
        # Nothing that is recorded differs: the way of hashing is another one.
        return [Cause("code_changed")]
    return causes


def input_name(parameter: str, source: str) -> str:
    """How ingredients name an input: its parameter, or ``+asset`` when it is not passed."""
    return parameter or f"+{source}"
