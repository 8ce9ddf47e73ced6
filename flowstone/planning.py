"""From what is asked for to a plan: reads code, outside state, records and values, then decides."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from anyio import create_task_group, to_thread

from flowstone.core import config as configs
from flowstone.core import partition as partitions
from flowstone.core.changes import with_definitions
from flowstone.core.context import Context
from flowstone.core.decide import Known, draw
from flowstone.core.garbage import uncollected
from flowstone.core.plan import Plan, Request
from flowstone.core.repeat import given
from flowstone.log import step_logger
from flowstone.sources import codes
from flowstone.sources.observe import observe
from flowstone.targets import chosen, collect, config_mapping

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from flowstone.core.asset import AnyAsset
    from flowstone.core.code import Code
    from flowstone.core.dag import AssetGraph
    from flowstone.core.records import Materialization
    from flowstone.core.resources import Providers
    from flowstone.store.base import MaterializationStore
    from flowstone.targets import Assets, Target
    from flowstone.values import Keeper

#: Nothing, the targets, or a selection or several.
Forced: TypeAlias = "bool | str | Iterable[str]"


def request_of(
    targets: Sequence[Target],
    assets: Assets | None = None,
    *,
    exclude: Iterable[str] = (),
    config: Mapping[str, Any] | None = None,
    resources: Providers | None = None,
    standing: Providers | None = None,
    partition: object | None = None,
    force: Forced = False,
    only: bool = False,
    verify: bool = False,
    accept: bool = False,
) -> Request:
    """What is asked for, without anything that has to be read first.

    ``resources`` are providers for this request, ``standing`` those of the connection.

    Raises:
        DefinitionError: if targets, graph or config can't be used.
        SelectionError: if a selection can't be read or matches nothing.
    """
    graph = collect(targets, assets, resources, standing)
    left_out = (exclude,) if isinstance(exclude, str) else tuple(exclude)
    names = tuple(chosen(graph, targets, left_out))
    overrides = config_mapping(config)
    resolved = configs.resolve(graph, overrides)
    return Request(
        graph=graph,
        targets=names,
        code={},
        config=resolved,
        partition=None if partition is None else partitions.encode(partition),
        force=_forced(graph, names, force),
        only=only,
        verify=verify,
        accept=frozenset(names if accept else ()),
        now=dt.datetime.now(dt.UTC),
        given=given(graph, overrides, resolved),
    )


def _forced(graph: AssetGraph, targets: Iterable[str], force: Forced) -> frozenset[str]:
    if isinstance(force, bool):
        return frozenset(targets if force else ())
    selections = (force,) if isinstance(force, str) else tuple(force)
    return frozenset(graph.select(*selections) if selections else ())


async def planned(
    request: Request,
    partition: object | None,
    store: MaterializationStore,
    values: Keeper,
    cache: Path,
) -> Plan:
    """The plan for a request; ``partition`` is its key as it was given.

    Observe functions get a ``Context`` without a run id: there is no run yet.
    """
    names = request.concerned()
    assets = [request.graph[name] for name in names]

    def context(asset: AnyAsset) -> Context:
        logger = step_logger("", asset.name, request.partition)
        return Context("", asset.name, logger, partition)

    code, current = await _read(request, assets, store, cache / "code")
    outside = await observe(assets, request.config, context=context, cache=cache)
    request = replace(request, code=code, outside=outside)
    known = Known(current, unread={made.id for made in current.values()})
    plan = await _decided(request, known, store, values)
    return await _explained(plan, store)


async def _read(
    request: Request, assets: Sequence[AnyAsset], store: MaterializationStore, cache: Path
) -> tuple[dict[str, Code], dict[str, Materialization]]:
    """The code of the assets, and the current versions; read at the same time."""
    names = _names([*assets, *map(request.graph.__getitem__, request.inputs())])
    current: dict[str, Materialization] = {}

    async def ask() -> None:
        current.update(await store.current(names, request.partition))

    try:
        async with create_task_group() as group:
            group.start_soon(ask)
            code = await to_thread.run_sync(codes, assets, cache)
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
    else:
        return code, current
    raise first


def _names(assets: Iterable[Any]) -> list[str]:
    """Under what names the assets may be recorded."""
    return [name for asset in assets for name in (asset.name, *asset.aliases)]


async def _decided(
    request: Request, known: Known, store: MaterializationStore, values: Keeper
) -> Plan:
    looked: set[uuid.UUID] = set()
    while True:
        with uncollected():
            drawn = draw(request, known)
        if drawn.wanted:
            found = await store.history(drawn.wanted, request.partition)
            known.history |= {each: found.get(each) for each in drawn.wanted}
        if drawn.unread:
            known.read(await store.inputs(drawn.unread))
        if drawn.wanted or drawn.unread:
            continue
        lost = await to_thread.run_sync(_look_through, drawn.plan, values, looked)
        if not lost:
            return drawn.plan
        known.lost |= lost


def _look_through(plan: Plan, values: Keeper, looked: set[uuid.UUID]) -> set[uuid.UUID]:
    """The values that a run would read, or that making lost ones takes, and that are not there.

    All in one pass: a chain of lost values costs one look at each.
    """
    steps = {step.name: step for step in plan}
    lost: set[uuid.UUID] = set()
    reading = plan.values_needed()
    while reading:
        unknown = {name: made for name, made in reading.items() if made.id not in looked}
        missing = _missing(plan, unknown, values)
        looked.update(made.id for made in unknown.values())
        lost.update(unknown[name].id for name in missing)
        sources = {
            source
            for name in missing
            if name in steps
            for parameter, source in steps[name].asset.edges
            if parameter
        }
        reused = [steps[name] for name in sources if name in steps]
        reading = {
            step.name: step.current
            for step in reused
            if step.action == "reuse" and step.current and step.current.id not in looked
        }
    return lost


def _missing(plan: Plan, made: Mapping[str, Materialization], values: Keeper) -> list[str]:
    pointers = {name: row.value for name, row in made.items()}
    kept = {name: pointer for name, pointer in pointers.items() if pointer is not None}
    asked = [(plan.request.graph[name], pointer) for name, pointer in kept.items()]
    there = dict(zip(kept, values.present(asked), strict=True))
    return [name for name in made if not there.get(name, False)]


async def _explained(plan: Plan, store: MaterializationStore) -> Plan:
    """The plan with code changes told by definition."""
    changed = [step for step in plan if any(c.kind == "code_changed" for c in step.causes)]
    versions = {step.before.code_version for step in changed if step.before}
    before = await store.definitions([v for v in versions if v]) if changed else {}
    return with_definitions(plan, before)
