"""Looking outside while a plan is drawn: what observe functions say and what input paths hold."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio

from flowstone.core.config import NO_CONFIG, SHOWN_BYTES, display, public, redact
from flowstone.core.hashing import digest
from flowstone.core.outside import Observed, by_content, paths_in
from flowstone.core.text import cap, clean, safe_str
from flowstone.errors import HashingError
from flowstone.sources.paths import contents
from flowstone.threads import in_thread, is_stopped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
    from pathlib import Path

    from flowstone.core.asset import AnyAsset
    from flowstone.core.config import Config
    from flowstone.core.context import Context
    from flowstone.core.outside import Observer
    from flowstone.sources.paths import Content

THREADS = 16
"""How many observe functions that are not async run at once."""

_ERROR_BYTES = 1_024
#: Results of these types are digested on the event loop: a thread would cost more than the work.
_SMALL = (type(None), bool, int, float, str)


async def observe(
    assets: Iterable[AnyAsset],
    configs: Mapping[str, Config],
    *,
    context: Callable[[AnyAsset], Context],
    cache: Path,
    threads: int = THREADS,
) -> dict[str, Observed]:
    """What is outside, for every asset with observe functions or input paths, by asset name.

    All is looked at at the same time: async functions on this loop, others in threads. Functions
    that take the same arguments for several assets are called once. What fails is told in the
    ``error`` of each asset concerned, and never raised. Being cancelled, it leaves threads to
    themselves.

    Args:
        assets: those of the plan; their definitions are free of problems.
        configs: the config of each asset that has any, by name.
        context: makes the ``Context`` for observe functions that take it.
        cache: the folder where digests of files are remembered.
        threads: how many functions that are not async run at once.
    """
    asked = {
        asset.name: [_question(asset, each, configs, context) for each in asset.observers]
        for asset in assets
        if asset.observers or configs.get(asset.name, NO_CONFIG).inputs
    }
    inputs = {name: configs[name] for name in asked if name in configs}
    distinct = {each.key: each for questions in asked.values() for each in questions}
    answers: dict[Hashable, _Answer] = {}
    held: dict[Path, Content] = {}
    limiter = anyio.CapacityLimiter(threads)

    async def ask(question: _Question) -> None:
        answers[question.key] = await _answer(question, limiter)

    async def read() -> None:
        held.update(await contents(_paths(inputs), cache))

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        for question in distinct.values():
            group.start_soon(ask, question)
    return {
        name: _joined(
            _input_states(name, inputs.get(name, NO_CONFIG), held),
            [_told(name, question, answers[question.key]) for question in questions],
        )
        for name, questions in asked.items()
    }


async def read_inputs(configs: Mapping[str, Config], *, cache: Path) -> dict[str, Observed]:
    """What the input paths of assets hold now, by asset name; no observe function is called.

    The ``states`` are those that ``observe`` gives for the same paths and contents.
    """
    held = await contents(_paths(configs), cache)
    return {
        name: _joined(_input_states(name, config, held))
        for name, config in configs.items()
        if config.inputs
    }


@dataclass(frozen=True, slots=True)
class _Answer:
    """The state an observe function told, and that in words; or what went wrong."""

    state: str = ""
    shown: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Question:
    """One call of an observe function; calls with equal keys have equal answers."""

    observer: Observer
    arguments: dict[str, Any]
    key: Hashable


#: Of an asset: the name of a state, and what was found.
_Finding: TypeAlias = tuple[str, _Answer]


def _question(
    asset: AnyAsset,
    observer: Observer,
    configs: Mapping[str, Config],
    context: Callable[[AnyAsset], Context],
) -> _Question:
    values = configs.get(asset.name, NO_CONFIG).values
    arguments = {name: _own(values[name]) for name in observer.config}
    key: list[Hashable] = [observer.fn if _is_hashable(observer.fn) else id(observer.fn)]
    key += [(name, _identity(arguments[name])) for name in observer.config]
    maker = asset.maker or asset
    if observer.context:
        key.append(maker.name)
    arguments.update((name, context(maker)) for name in observer.context)
    return _Question(observer, arguments, tuple(key))


def _own(value: Any) -> Any:
    """A value that the observe function may change, without the asset's function seeing it."""
    return copy.deepcopy(value) if isinstance(value, (list, dict, set, bytearray)) else value


def _identity(value: Any) -> Hashable:
    """What two arguments have in common only if they are the same; it may tell of secrets."""
    try:
        return digest(value)
    except HashingError:
        return id(value)


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


async def _answer(question: _Question, limiter: anyio.CapacityLimiter) -> _Answer:
    try:
        return await _asked(question, limiter)
    except BaseException as error:
        # What the function raises is its answer, unless it is we who are being cancelled.
        if is_stopped(error):
            raise
        reason = cap(redact(clean(safe_str(error))), _ERROR_BYTES).partition("\n")[0]
        kind = type(error).__qualname__
        return _Answer(error=f"raised {kind}: {reason}" if reason else f"raised {kind}")


async def _asked(question: _Question, limiter: anyio.CapacityLimiter) -> _Answer:
    fn, arguments = question.observer.fn, question.arguments
    if inspect.iscoroutinefunction(fn):
        result = await fn(**arguments)
    else:
        answer = await in_thread(_asked_here, fn, arguments, limiter=limiter)
        if isinstance(answer, _Answer):
            return answer
        result = await answer
    if type(result) in _SMALL:
        return _state(result)
    return await in_thread(_state, result, limiter=limiter)


def _asked_here(fn: Callable[..., Any], arguments: Mapping[str, Any]) -> _Answer | Awaitable[Any]:
    """The answer; or what to wait for, of a function that turns out to be async."""
    result: Any = fn(**arguments)
    return result if inspect.isawaitable(result) else _state(result)


def _state(result: Any) -> _Answer:
    try:
        return _Answer(digest(public(result)), display(result))
    except HashingError as error:
        told = f"returned a value without canonical form ({error}); return plain values"
        return _Answer(error=f"{told}, dataclasses or pydantic models")


def _told(asset: str, question: _Question, answer: _Answer) -> _Finding:
    name = question.observer.name
    if answer.error:
        error = f"observe function {name} of asset {asset!r} {answer.error}"
        return name, _Answer(error=error)
    return name, answer


def _paths(configs: Mapping[str, Config]) -> list[Path]:
    return [
        path
        for config in configs.values()
        for value in config.inputs.values()
        for path in paths_in(value)
    ]


def _input_states(asset: str, config: Config, held: Mapping[Path, Content]) -> list[_Finding]:
    return [
        (name, _input_state(f"input {name!r} of asset {asset!r}: ", value, held))
        for name, value in config.inputs.items()
    ]


def _input_state(what: str, value: Any, held: Mapping[Path, Content]) -> _Answer:
    found = [held[path] for path in paths_in(value)]
    for each in found:
        if each.error:
            return _Answer(error=what + each.error)
    try:
        state = digest(by_content(value, {path: held[path].digest for path in paths_in(value)}))
    except HashingError as error:
        return _Answer(error=f"{what}{error}")
    shown = ", ".join(each.shown for each in found) or str(value)
    return _Answer(state, cap(redact(clean(shown)), SHOWN_BYTES))


def _joined(*findings: Iterable[_Finding]) -> Observed:
    everything = [each for some in findings for each in some]
    good = [(name, answer) for name, answer in everything if not answer.error]
    return Observed(
        {name: answer.state for name, answer in good},
        {name: answer.shown for name, answer in good},
        "; ".join(answer.error for _, answer in everything if answer.error),
    )
