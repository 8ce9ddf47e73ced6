"""Clocks, chance and threads as the product finds them, all of one world."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest import mock

from anyio import to_thread
from anyio._backends._asyncio import CancelScope

from flowstone import ids, planning
from flowstone.runner import gate, ledger, output, retrying, run
from flowstone.runner.executors import loop
from flowstone.store import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.simulation.world import World

#: The modules that ask what time it is, each by the name of the module it asks.
CLOCKS = ((ledger, "dt"), (planning, "dt"), (rows, "dt"))
TICKS = ((ids, "time"), (loop, "time"), (output, "time"))


@contextlib.contextmanager
def of(world: World) -> Iterator[None]:
    """Within, whoever asks for the time, for chance or for a thread asks this world."""
    clock = SimpleNamespace(**{**vars(dt), "datetime": _clock(world)})
    times = SimpleNamespace(
        time=lambda: world.now,
        monotonic=lambda: world.now,
        time_ns=lambda: int(world.now * 1e9),
    )
    numbers = iter(range(1, 1 << 32))
    with contextlib.ExitStack() as patched:
        for module, name in CLOCKS:
            patched.enter_context(mock.patch.object(module, name, clock))
        for module, name in TICKS:
            patched.enter_context(mock.patch.object(module, name, times))
        others: list[tuple[object, str, Any]] = [
            (ids, "_clock", ids._Clock()),
            (ids, "_random", world.chance),
            (ids, "secrets", SimpleNamespace(token_hex=lambda _: f"run{next(numbers)}")),
            (retrying, "random", SimpleNamespace(random=world.chance.random)),
            (gate, "LATER", 4.0),  # asking seldom shows the same, and sooner
            (run, "LOOK_SECONDS", 4.0),
            (to_thread, "run_sync", _aside(world)),
            (CancelScope, "__hash__", _numbered()),
        ]
        for owner, name, instead in others:
            patched.enter_context(mock.patch.object(owner, name, instead))
        yield


def _clock(world: World) -> Any:
    """A ``datetime`` whose now is the world's."""

    def now(zone: dt.tzinfo | None = None) -> dt.datetime:
        return dt.datetime.fromtimestamp(world.now, zone)

    return SimpleNamespace(now=now, fromtimestamp=dt.datetime.fromtimestamp)


def _aside(world: World) -> Callable[..., Any]:
    """What threads do is done at one moment, some time later."""

    async def run_sync(work: Callable[..., Any], *given: Any, **_: Any) -> Any:
        if world.chance.random() < 0.5:
            await asyncio.sleep(world.chance.choice((0.0, 0.0005, 0.005, 0.3)))
        return work(*given)

    return run_sync


def _numbered() -> Callable[[object], int]:
    """Hashes that are the same in each replay: anyio cancels in the order of a set."""
    known: dict[int, tuple[int, object]] = {}

    def number(self: object) -> int:
        return known.setdefault(id(self), (len(known), self))[0]

    return number
