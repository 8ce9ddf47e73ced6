"""What a run would do: a step for every asset concerned, each with its causes."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from flowstone.core.cause import Cause, in_words
from flowstone.core.code import UNKNOWN_CODE, Code
from flowstone.core.config import NO_CONFIG, Config
from flowstone.core.display import Displayed
from flowstone.core.ingredients import Ingredients
from flowstone.core.outside import NOTHING_OBSERVED, Observed
from flowstone.core.repeat import NOTHING_GIVEN, Given
from flowstone.errors import UnknownDependencyError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Mapping

    from flowstone.core.asset import AnyAsset
    from flowstone.core.code import Remark
    from flowstone.core.dag import AssetGraph
    from flowstone.core.records import Materialization

Action = Literal["materialize", "reuse", "blocked"]
#: How a reused version came to be current: it is so already (``""``), it is an earlier success,
#: it was recorded under a former name, or somebody accepted it.
Origin = Literal["", "history", "alias", "accepted"]


@dataclass(slots=True)
class Step:
    """What a run would do for one asset, and why.

    ``current`` is the version that is reused, or else the current one, if there is one; ``before``
    is the current one in any case: the causes tell how things differ from it. ``origin`` says how
    a reused version came to stand. ``may_cut_off`` is set where inputs will be
    made first: if those turn out to be what an earlier success had, that will be reused.
    ``upstream`` are the data versions of the inputs by parameter, as far as they are known.
    ``along`` marks what was not asked for: it is made if its function is called for the others.
    """

    asset: AnyAsset
    action: Action
    causes: tuple[Cause, ...] = ()
    current: Materialization | None = None
    config: Config = NO_CONFIG
    code: Code = UNKNOWN_CODE
    outside: Observed = NOTHING_OBSERVED
    origin: Origin = ""
    may_cut_off: bool = False
    upstream: Mapping[str, str] = field(default_factory=dict)
    before: Materialization | None = None
    along: bool = False

    @property
    def name(self) -> str:
        """The asset's name."""
        return self.asset.name

    @property
    def why(self) -> str:
        """The causes in words."""
        told = in_words(self.causes)
        if self.action != "reuse":
            return told
        return f"{_ORIGINS[self.origin]}: {told}" if told else _ORIGINS[self.origin]

    def ingredients(
        self, partition: str | None, upstream: Mapping[str, str] | None = None
    ) -> Ingredients:
        """What decides what the step makes, as far as its inputs are known, or with these."""
        return Ingredients(
            self.asset.name,
            partition,
            self.code.version,
            self.upstream if upstream is None else upstream,
            self.config,
            self.outside,
            self.asset.resource_versions,
            None if self.asset.maker is None else self.asset.place_among_outputs,
        )


@dataclass(frozen=True)
class Request:
    """What a run was asked for: the graph, the assets to be made, and how things are now.

    ``force`` names assets to be made whatever is recorded; ``accept`` those whose current version
    is to stand although it differs. ``verify`` asks for fresh steps to be executed and compared.
    ``now`` is the moment that ages are reckoned from, ``given`` the config values that it was
    given.
    """

    graph: AssetGraph
    targets: tuple[str, ...]
    code: Mapping[str, Code]
    config: Mapping[str, Config] = field(default_factory=dict)
    partition: str | None = None
    force: frozenset[str] = frozenset()
    only: bool = False
    accept: frozenset[str] = frozenset()
    verify: bool = False
    outside: Mapping[str, Observed] = field(default_factory=dict)
    now: dt.datetime | None = None
    given: Given = NOTHING_GIVEN

    def names(self) -> list[str]:
        """The assets the plan has steps for, dependencies first."""
        return list(self._names)

    @functools.cached_property
    def _names(self) -> list[str]:
        if not self.targets:
            return []
        order = self.graph.execution_order(*self.targets)
        targets = set(self.targets)
        return [name for name in order if name in targets] if self.only else order

    def concerned(self) -> list[str]:
        """The assets of the plan, and those that the same functions make along with them."""
        several = [name for name in self._names if self.graph[name].maker is not None]
        along = (each for name in several for each in self.graph.together(name))
        return list(dict.fromkeys([*self._names, *along]))

    def inputs(self) -> list[str]:
        """Assets outside the plan whose current versions its steps take (``only``)."""
        if not self.only:
            return []
        inside = set(self._names)
        needed = (need for name in inside for need in self.graph[name].direct)
        return sorted(set(needed) - inside)


_ORIGINS: dict[Origin, str] = {
    "": "up to date",
    "history": "from history",
    "alias": "from before it was renamed",
    "accepted": "accepted as it is",
}


class Plan(Displayed):
    """What a run would do: one ``Step`` for every asset concerned, dependencies first."""

    def __init__(
        self, request: Request, steps: list[Step], given: Mapping[str, Materialization]
    ) -> None:
        self.request = request
        self.steps = steps
        #: Current versions of inputs outside the plan.
        self.given = given
        self._by_name = {step.name: step for step in steps}

    def replaced(self, steps: Mapping[str, Step]) -> Plan:
        """The plan with other steps in the place of some."""
        return Plan(self.request, [steps.get(step.name, step) for step in self.steps], self.given)

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
    def moved(self) -> list[Step]:
        """Steps that reuse a version which is not the current one yet, dependencies first."""
        return [step for step in self.steps if step.action == "reuse" and step.origin]

    @property
    def is_idle(self) -> bool:
        """Whether a run would execute nothing."""
        counts = self.counts
        return not (counts["materialize"] or counts["blocked"] or self.request.verify)

    @property
    def remarks(self) -> list[tuple[str, Remark]]:
        """What is not sure about the code of the plan's assets, by asset."""
        return [(step.name, remark) for step in self.steps for remark in step.code.remarks]

    @property
    def counts(self) -> Counter[Action]:
        """How many steps there are of each action."""
        return Counter([step.action for step in self.steps])

    def values_needed(self) -> dict[str, Materialization]:
        """The recorded values a run will read for certain: of targets, and as inputs."""
        versions = dict(self.given)
        versions.update(
            (step.name, step.current)
            for step in self.steps
            if step.action == "reuse" and step.current is not None
        )
        if not versions:
            return {}
        needed = set(self.targets)
        for step in self.steps:
            runs = step.action == "materialize" and not step.may_cut_off
            if runs or (self.request.verify and step.action == "reuse"):
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
                    "origin": step.origin,
                }
                for step in self.steps
            ],
            "remarks": [
                {"asset": name, "level": each.level, "text": each.text, "place": each.place}
                for name, each in self.remarks
            ],
        }

    def __str__(self) -> str:
        width = max((len(step.name) for step in self.steps), default=0)
        return "\n".join(
            f"{step.action:<11} {step.name:<{width}}  {step.why}"
            + (" (may be cut off here)" if step.may_cut_off else "")
            for step in self.steps
        )
