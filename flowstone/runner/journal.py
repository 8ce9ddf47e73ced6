"""The one ordered writer of a run's rows."""

from __future__ import annotations

import copy
import itertools
import math
from typing import TYPE_CHECKING

import anyio

from flowstone.core.status import OPEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from flowstone.core.records import Decision, Draft, StepLog
    from flowstone.store.base import JournalSession, MaterializationStore

#: Rows that may wait to be written before the run begins nothing more.
BACKLOG = 1000
#: Rows that are only pending which are written at once.
PENDING = 256
#: Seconds a run goes on before rows are written that are only pending.
PENDING_SECONDS = 0.05


class Journal:
    """Writes rows in the order they were put down, as many as there are in one transaction.

    None waits for more: while one batch is on its way, the next one grows as far as it must.
    A row put down several times before it is written is written once, in its last state. Because
    a step is put down before the steps that read it are released, a recorded success implies that
    every version it read is recorded. ``on_room`` is called when there is room again.

    ``pending`` are rows that nothing depends on: they are written while there is nothing else,
    and not before the run has lasted for a while. Most steps of a quick run never need them.
    """

    def __init__(self, store: MaterializationStore, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self._waiting: dict[Draft, None] = {}
        self._decisions: list[Decision] = []
        self._logs: list[StepLog] = []
        self._session: JournalSession
        self._after: list[Callable[[], object]] = []
        self._wake = anyio.Event()
        self._closed = False
        self.on_room: Callable[[], object] = lambda: None
        self.pending: Iterator[Draft] | None = None

    def put(self, draft: Draft) -> None:
        """Take down the row's state; it is written soon, together with others."""
        if not self._waiting:
            self._wake.set()
        self._waiting[draft] = None

    def note(self, decision: Decision) -> None:
        """Take down a decision; it is written together with the rows that are waiting."""
        self._decisions.append(decision)
        self._wake.set()

    def then(self, act: Callable[[], object]) -> None:
        """Call this once all that is put down so far is committed; such calls keep their order."""
        self._after.append(act)
        self._wake.set()

    @property
    def has_room(self) -> bool:
        """Whether little enough is unwritten."""
        return len(self._waiting) < BACKLOG

    def close(self) -> None:
        """Let ``write`` return once everything is written."""
        self._closed = True
        self._wake.set()

    def keep(self, log: StepLog) -> None:
        """Take down what a step told; it is written together with the rows that are waiting."""
        self._logs.append(log)
        self._wake.set()

    async def write(self) -> None:
        """Write until closed. Cancelling it loses what is not written: shield it.

        Raises:
            StoreError: when the store fails; what was put down since is lost then.
        """
        async with self._store.journal(self._run_id) as self._session:
            await self._write_on()

    async def _write_on(self) -> None:
        began = anyio.current_time()
        while self._is_behind or not self._closed:
            with anyio.move_on_at(began + PENDING_SECONDS if self.pending else math.inf):
                await self._wake.wait()
            if not self._wake.is_set():
                self._fill()
            self._wake = anyio.Event()
            while self._is_behind:
                await self._write_batch()

    def _fill(self) -> None:
        """Put down some of the rows that are only pending."""
        some = list(itertools.islice(self.pending or (), PENDING))
        for draft in some:
            self.put(draft)
        if len(some) < PENDING:
            self.pending = None

    @property
    def _is_behind(self) -> bool:
        return bool(self._waiting or self._decisions or self._logs or self._after)

    async def _write_batch(self) -> None:
        # Steps go on while the batch is on its way: what is written is the state of now.
        drafts = list(self._waiting)
        states = [copy.copy(each) if each.status in OPEN else each for each in drafts]
        self._waiting.clear()
        decisions, self._decisions = self._decisions, []
        logs, self._logs = self._logs, []
        after, self._after = self._after, []
        self.on_room()
        if states or decisions or logs:
            await self._session.write(states, decisions, logs)
        for draft, state in zip(drafts, states, strict=True):
            draft.recorded = state.recorded
        for act in after:
            act()
