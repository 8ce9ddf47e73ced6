"""Stores and runners as they must not be, to prove that histories would show it."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from typing import TYPE_CHECKING
from unittest import mock

from flowstone.runner import run
from flowstone.runner.journal import Journal
from flowstone.values import ValueStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flowstone.core.records import Draft, ValuePointer
    from flowstone.store.base import MaterializationStore
    from tests.simulation.network import Bad
    from tests.simulation.shelf import Shelf
    from tests.simulation.world import World

#: What is wrong with each variant, and within how many seeds that has to show.
BAD: dict[Bad, tuple[str, int]] = {
    "two writers": ("two batches of a run are on their way at once", 50),
    "no fence": ("a run that was taken for dead may write still", 50),
    "no claims": ("whoever asks for a claim is granted it", 10),
    "early success": ("a success is recorded before its value is there", 10),
    "no digest check": ("whatever bytes are there pass for what was recorded", 20),
    "early answer": ("a write is acknowledged before it is committed", 10),
}


@contextlib.contextmanager
def switched_on(bad: Bad | None, world: World, shelf: Shelf) -> Iterator[None]:
    """Within, runs and values are wrong in that way; a network is wrong in the others itself."""
    with contextlib.ExitStack() as stack:
        if bad == "early success":
            shelf.later = lambda put: world.after(0.05, put)
        elif bad == "no digest check":
            stack.enter_context(mock.patch.object(ValueStore, "_checked_bytes", _unchecked))
        elif bad == "two writers":
            stack.enter_context(mock.patch.object(run, "Journal", _TwoWriters))
        yield


class _TwoWriters:
    """Looks like a journal; half of the assets are written by one, half by another."""

    def __init__(self, store: MaterializationStore, run_id: str) -> None:
        self._both = Journal(store, run_id), Journal(store, run_id)
        self._last = self._both[0]
        self.note, self.keep = self._last.note, self._last.keep

    def put(self, draft: Draft) -> None:
        self._last = self._both[zlib.crc32(draft.asset_name.encode()) % 2]
        self._last.put(draft)

    def then(self, act: Callable[[], object]) -> None:
        self._last.then(act)

    def __setattr__(self, name: str, value: object) -> None:
        if name in ("on_room", "pending"):
            setattr(self._both[0], name, value)
        super().__setattr__(name, value)

    @property
    def has_room(self) -> bool:
        return all(each.has_room for each in self._both)

    def close(self) -> None:
        for each in self._both:
            each.close()

    async def write(self) -> None:
        await asyncio.gather(*(each.write() for each in self._both))


def _unchecked(_: ValueStore, pointer: ValuePointer) -> bytes:
    return pointer.inline or b""
