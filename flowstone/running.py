"""From a plan to what came of it: how a run is carried out, and who hears of it."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any, TypedDict

from flowstone.core.policy import POLICY_OPTIONS, read_policy
from flowstone.core.pools import check_pools, read_pools
from flowstone.errors import DefinitionErrors, SettingsError, SignatureError, did_you_mean
from flowstone.ids import run_id as new_run_id
from flowstone.log import step_logger
from flowstone.result import RunResult, not_closed, run_failed
from flowstone.runner.events import DatabaseAway, Listening, LoopBlocked, StepWaiting
from flowstone.runner.executors.base import refusal
from flowstone.runner.hooks import Hooks, OfCall
from flowstone.runner.run import Tools, execute
from flowstone.runner.stopping import Stop
from flowstone.runner.versions import read_inline
from flowstone.sources.observe import read_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from flowstone.core.plan import Plan
    from flowstone.core.policy import Durability, ExecutorName, Hook
    from flowstone.core.pools import Pool
    from flowstone.runner.events import Event, Listener
    from flowstone.runner.report import Report
    from flowstone.settings import Settings
    from flowstone.store.base import MaterializationStore
    from flowstone.values import Keeper

#: Reused inline values, each of at most 64 kB, that are read along for the caller.
_FEW_VALUES = 256


class RunOptions(TypedDict, total=False):
    """How a run is carried out.

    ``raise_on_error``: raise ``RunFailedError`` if an asset fails, which is the default; else only
    say so in the result. ``max_concurrency``: how many functions run at once, in threads and on
    the event loop each. ``executor``: where functions of assets that don't say so are called:
    ``"loop"``, ``"thread"``, ``"process"``, or ``"auto"``: async functions on the event loop,
    others in threads. ``durability``: ``"strict"`` records that a function is called before it
    is, and its success before anything else begins. ``pools``: sizes and rates of pools beside
    those of the settings, such as ``{"gpu": 1}``. ``on_event``: called with every
    ``flowstone.runner.events`` of the run; if it raises, it is not called again, the run goes on,
    and the exception is raised at its end. ``on_success``, ``on_failure``: called with the
    ``RunFinished`` once the run has ended so. ``stop``: a ``Stop`` to end the run by.
    """

    raise_on_error: bool
    max_concurrency: int | None
    executor: ExecutorName
    durability: Durability
    pools: Mapping[str, Any] | None
    on_event: Listener | None
    on_success: Hook | Iterable[Hook] | None
    on_failure: Hook | Iterable[Hook] | None
    stop: Stop | None


async def carry_out(
    plan: Plan,
    partition: object | None,
    options: RunOptions,
    *,
    store: MaterializationStore,
    keeper: Callable[[str], Keeper],
    settings: Settings,
    cache: Path,
) -> RunResult:
    """Execute a plan; ``keeper`` gives who keeps the values of a run by its id.

    Raises:
        SettingsError: for an option that can't be used.
        PoolError: for an asset whose pool nobody gave a size.
        RunFailedError, ResourceError, StoreError: as ``Flowstone.materialize`` says.
    """
    given = _checked(options)
    pools = _pools(given, settings)
    assets = [step.asset for step in plan]
    check_pools(assets, pools)
    in_processes = [each for each in assets if each.policy.executor == "process"]
    DefinitionErrors.raise_any(
        [SignatureError(told) for told in map(refusal, in_processes) if told]
    )
    run_id = new_run_id()
    listener, hooks = _audience(plan, run_id, given)
    values = keeper(run_id)
    tools = Tools(
        store=store,
        values=values,
        inputs=functools.partial(read_inputs, cache=cache),
        logger=step_logger,
        tell=_both(listener, hooks),
        remark=listener or functools.partial(_log, plan.request.partition),
        concurrency=given.get("max_concurrency") or settings.max_concurrency,
        pools=pools,
        stop=given.get("stop") or Stop(),
        executor=given.get("executor", "auto"),
        durability=given.get("durability", "batch"),
        patience=settings.database_patience,
    )
    try:
        report = await execute(plan, run_id, partition, tools)
    finally:
        if hooks is not None:
            await hooks.finish()
    await _read_values(plan, report, store)
    result = RunResult(run_id, plan, report, values, hooks.errors if hooks else ())
    if listener is not None and listener.error is not None:
        raise listener.error
    if given.get("raise_on_error", True) and not result.ok:
        raise run_failed(result)
    if report.unclosed:
        raise not_closed(result, report.unclosed)
    return result


def _checked(options: RunOptions) -> RunOptions:
    unknown = options.keys() - RunOptions.__annotations__.keys()
    for name in sorted(unknown):
        hint = did_you_mean(name, RunOptions.__annotations__)
        raise TypeError(f"materialize() got an unexpected keyword argument {name!r}{hint}")
    at_once = options.get("max_concurrency")
    if at_once is not None and at_once < 1:
        raise SettingsError(f"max_concurrency is at least 1, not {at_once}")
    named = {name: options[name] for name in POLICY_OPTIONS & options.keys()}  # type: ignore[literal-required]  # they are
    policy, wrong = read_policy(named)  # type: ignore[arg-type]  # of the same names
    if wrong:
        raise SettingsError("; ".join(wrong))
    return {**options, "on_success": policy.on_success, "on_failure": policy.on_failure}


def _pools(options: RunOptions, settings: Settings) -> Mapping[str, Pool]:
    try:
        return {**settings.pools, **read_pools(options.get("pools") or {})}
    except ValueError as error:
        raise SettingsError(str(error)) from None


def _audience(
    plan: Plan, run_id: str, options: RunOptions
) -> tuple[Listening | None, Hooks | None]:
    """Who listens, if anybody does: a run that nobody listens to makes no events."""
    on_event = options.get("on_event")
    listener = None if on_event is None else Listening(on_event)
    of_call = OfCall(options["on_success"], options["on_failure"])  # type: ignore[arg-type]  # read above
    wanted = of_call.on_success or of_call.on_failure or _have_hooks(plan)
    if not wanted:
        return listener, None
    graph = plan.request.graph
    log = step_logger(run_id, "", plan.request.partition)
    return listener, Hooks(lambda name: graph[name].policy, log, of_call)


def _log(partition: str | None, event: Event) -> None:
    """Where nobody listens, say what a person would take for a run that hangs."""
    if isinstance(event, StepWaiting) and event.holder:
        step_logger(event.run_id, event.asset, partition).info(f"waits for {event.what}")
    elif isinstance(event, DatabaseAway):
        step_logger(event.run_id, "", partition).warning(event.what)
    elif isinstance(event, LoopBlocked):
        told = f"has kept the event loop busy for {event.seconds:.1f} s; nothing else went on"
        step_logger(event.run_id, event.asset, partition).warning(told)


def _have_hooks(plan: Plan) -> bool:
    policies = (step.asset.policy for step in plan)
    return any(policy.on_success or policy.on_failure for policy in policies)


def _both(listener: Listening | None, hooks: Hooks | None) -> Listener | None:
    if listener is None or hooks is None:
        return listener or hooks

    def tell(event: Event) -> None:
        with contextlib.ExitStack() as both:
            both.callback(hooks, event)
            listener(event)

    return tell


async def _read_values(plan: Plan, report: Report, store: MaterializationStore) -> None:
    """Read the inline values the caller may ask for; the plan did without.

    Those of the targets, and as many others as cost little.
    """
    targets = set(plan.targets)
    others = [version for name, version in report.versions.items() if name not in targets]
    asked = [report.versions[name] for name in plan.targets if name in report.versions]
    asked += others if len(others) <= _FEW_VALUES else []
    await read_inline(asked, store.inline_values)
