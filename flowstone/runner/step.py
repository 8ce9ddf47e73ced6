"""One step: take its inputs, call its function, keep what it returned."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowstone.core.hashing import combine
from flowstone.core.outputs import apart
from flowstone.core.outside import STATED, DataVersion
from flowstone.core.returned import check_returned
from flowstone.errors import UnserializableValueError, ValueLostError
from flowstone.ids import materialization_id
from flowstone.runner.failure import Failure, describe
from flowstone.runner.versions import Input
from flowstone.threads import in_thread, is_stopped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from flowstone.core.asset import AnyAsset
    from flowstone.values import Keeper, Saved


@dataclass(slots=True)
class Made:
    """The function returned ``value``; ``saved`` is None for an asset that is not kept.

    Such a value has the data version that the function stated, or one that equals no other.
    ``what`` says in a few characters what it is, if it was made in another process.
    """

    value: Any
    saved: Saved | None
    data_version: str
    what: str = ""


@dataclass(frozen=True, slots=True)
class Lost:
    """The values of these inputs are not there any more."""

    assets: list[str]


@dataclass(frozen=True, slots=True)
class Awaited:
    """The function, called in a thread, gave back something to await on the event loop."""

    result: Awaitable[Any]


#: How a call ended: for each asset that is to be made its value or why it has none; or all alike.
Outcome = list[Made | Failure] | Lost | Failure
#: What a function is called with, by parameter: the value itself, or an ``Input`` to decode.
Arguments = dict[str, Any]


def call_sync(
    assets: Sequence[AnyAsset], arguments: Arguments, values: Keeper
) -> Outcome | Awaited:
    """Call the one function that makes ``assets`` here and now, and keep what it returns.

    What the user's code raises comes back as a ``Failure``; nothing is raised. ``arguments`` is
    emptied: two large values need not meet a third.
    """
    try:
        taken = take(arguments, values)
        if isinstance(taken, Lost):
            return taken
        result: Any = (assets[0].fn or assets[0])(**taken)
        _let_go(arguments, taken)
        return Awaited(result) if inspect.isawaitable(result) else keep_all(assets, result, values)
    except BaseException as error:  # noqa: BLE001 - SystemExit in an asset must not end the run
        return describe(error)


async def awaited(assets: Sequence[AnyAsset], result: Awaitable[Any], values: Keeper) -> Outcome:
    """Await what a function gave back in a thread, and keep what comes of it.

    What it raises comes back as a ``Failure``.
    """
    try:
        return await in_thread(keep_all, assets, await result, values)
    except BaseException as error:
        if is_stopped(error):
            raise
        return describe(error)


def _let_go(*held: Arguments) -> None:
    """Drop the inputs before the result is encoded: two large values need not meet a third."""
    for each in held:
        each.clear()


def take(arguments: Arguments, values: Keeper) -> Arguments | Lost:
    """The arguments with their inputs decoded."""
    if Input not in map(type, arguments.values()):
        return arguments
    taken: Arguments = {}
    lost: list[str] = []
    for parameter, value in arguments.items():
        if not isinstance(value, Input):
            taken[parameter] = value
            continue
        try:
            taken[parameter] = value.take(values)
        except ValueLostError:
            lost.append(value.asset.name)
    return Lost(lost) if lost else taken


def keep_all(assets: Sequence[AnyAsset], returned: Any, values: Keeper) -> list[Made | Failure]:
    """Store what the function made of each asset; one that can't be kept leaves the others be.

    Raises:
        OutputsError: if it made something else than its outputs.
    """
    maker = assets[0].maker
    if maker is None:
        return [_keep(assets[0], returned, values)]
    names = tuple(maker.outputs)
    parts = dict(zip(names, apart(returned, names), strict=True))
    kept: list[Made | Failure] = []
    for asset in assets:
        try:
            kept.append(_keep(asset, parts[asset.name], values))
        except Exception as error:  # noqa: BLE001 - of the value's own methods, it may be any
            kept.append(describe(error))
    return kept


def _keep(asset: AnyAsset, returned: Any, values: Keeper) -> Made:
    """Store what the function returned; the version it stated comes before the value's own."""
    value, version = returned, ""
    if isinstance(returned, DataVersion):
        value, version = returned.value, STATED + combine(returned.version)
    check_returned(asset, value)
    if not asset.keep:
        return Made(value, None, version or f"unkept-{materialization_id().hex}")
    try:
        saved = values.save(asset, value, version)
    except UnserializableValueError as error:
        msg = f"asset {asset.name!r} returned a value that can't be kept: {error}"
        raise UnserializableValueError(msg) from None
    return Made(value, saved, saved.data_version)
