"""The way from a process to the store and back: late, lost on the way there or on the way back."""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from unittest import mock

from flowstone.errors import DatabaseUnavailableError, RunLostError, StoreError
from flowstone.store import memory
from flowstone.store.base import BEAT_SECONDS, CAUTION_SECONDS, LEASE_SECONDS

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence

    from flowstone.core.records import Decision, Draft, StepLog
    from flowstone.store.base import Told
    from flowstone.store.memory import MemoryStore
    from tests.simulation.watch import Watch
    from tests.simulation.world import Process, World

#: What happens to a call: it does not come through, its answer does not, it takes its time.
Fault: TypeAlias = Literal["before", "after", "slow"]
#: What is wrong with a variant of store or runner, see ``bad``.
Bad: TypeAlias = Literal[
    "two writers", "no fence", "no claims", "early success", "no digest check", "early answer"
]

_LONG_AGO = dt.datetime.fromtimestamp(0, dt.UTC)


@dataclass
class Weather:
    """How often calls fail, by kind; and the ``single`` call of all that does, by number.

    ``is_bad`` until it clears up.
    """

    rates: dict[Fault, float] = field(default_factory=dict)
    single: tuple[int, Fault] | None = None
    is_bad: bool = True


class Network:
    """All ways to one store; each call is carried out there at one moment.

    ``bad`` is what is wrong with it, or with the store.
    """

    def __init__(
        self, world: World, store: MemoryStore, watch: Watch, weather: Weather, bad: Bad | None
    ) -> None:
        self.world, self.store, self.watch, self.weather = world, store, watch, weather
        self.bad = bad
        self.calls = 0
        self._is_down = False
        self._waiting: list[asyncio.Future[Any]] = []
        self._runs: dict[str, list[str]] = {}

    async def call(
        self, process: Process, verb: str, act: Callable[[], Coroutine[Any, Any, Any]]
    ) -> Any:
        """Carry out a verb over there.

        Raises:
            DatabaseUnavailableError: if it may or may not have been.
        """
        if self._is_down:
            raise _away()
        self.calls += 1
        fault = self._fault()
        world, number = self.world, f"{process.name}.{self.calls}"
        world.note(process.name, f"asks {verb} ({number}{', ' + fault if fault else ''})")
        answer: asyncio.Future[Any] = process.loop.create_future()
        self._waiting.append(answer)
        mine = process.counted()
        process.befall(mine, "asking")

        def carry_out() -> None:
            error, result = self._carried_out(verb, number, act)
            if fault == "after":
                error = _away()
            process.befall(mine, "answered")
            self._answer(process, answer, error, result)

        if process.state == "dead":
            return await answer
        if fault == "before":
            self._answer(process, answer, _away(), None)
        elif self.bad == "early answer" and verb == "write":
            self._answer(process, answer, None, None)
            world.after(self._way() * 20, lambda: self._carried_out(verb, number, act))
        else:
            world.after(self._way(slow=fault == "slow"), carry_out)
        process.befall(mine, "asked")
        return await answer

    def _fault(self) -> Fault | None:
        weather, chance = self.weather, self.world.chance
        if weather.single is not None:
            return weather.single[1] if weather.single[0] == self.calls else None
        if weather.is_bad:
            for fault, rate in weather.rates.items():
                if chance.random() < rate:
                    return fault
        return None

    def _carried_out(
        self, verb: str, number: str, act: Callable[[], Coroutine[Any, Any, Any]]
    ) -> tuple[Exception | None, Any]:
        if self.bad == "no claims" and verb in ("start_run", "claim"):
            self.store._claims._claims.clear()
        try:
            result = at_once(act())
        except StoreError as error:
            self.world.note("store", f"refuses {verb} ({number}): {type(error).__name__}")
            self.watch.refused(verb)
            return error, None
        self.watch.did(verb, result)
        self.world.note("store", f"did {verb} ({number}){self.watch.told()}")
        return None, result

    def _answer(
        self,
        process: Process,
        answer: asyncio.Future[Any],
        error: Exception | None,
        result: Any,
    ) -> None:
        def settle() -> None:
            if answer.done():
                return
            if error is None:
                answer.set_result(result)
            else:
                answer.set_exception(error)

        self.world.after(self._way(), lambda: process.tell(settle))

    def _way(self, *, slow: bool = False) -> float:
        chance = self.world.chance
        if slow:
            return chance.choice((1.0, 8.0, 29.0, 35.0))
        return chance.choice((0.0002, 0.001, 0.003, 0.02)) * chance.random()

    @contextlib.contextmanager
    def unfenced(self, run_id: str, drafts: Sequence[Draft]) -> Iterator[None]:
        """While it lasts, the store takes a run for alive, and all it writes for legal."""
        claims = self.store._claims
        leases, held = dict(claims._leases), dict(claims._claims)
        claims.lease(run_id)
        claims._claims.update({(each.asset_name, each.partition): run_id for each in drafts})
        try:
            with mock.patch.object(memory, "may_follow", return_value=True):
                yield
        finally:
            claims._leases, claims._claims = leases, held

    def shut_down(self) -> None:
        """Nobody gets an answer any more, and whoever waits for one is told so."""
        self._is_down = True
        for answer in self._waiting:
            if not answer.done():
                answer.set_exception(_away())

    def began(self, process: Process, run_id: str) -> None:
        """A process asks for the lease of a run."""
        self._runs.setdefault(process.name, []).append(run_id)

    def is_over(self, process: Process) -> None:
        """All can see that the runs of a process have ended, so nobody waits for their leases."""
        leases = self.store._claims._leases
        for run_id in self._runs.get(process.name, ()):
            if run_id in leases:
                leases[run_id] = _LONG_AGO

    def beat(self, run_id: str, told: Callable[[str | None], None]) -> None:
        """Renew a lease: whether the run is to stop, or ``lost``, or nothing if that is unknown."""
        fault = None if self.weather.single else self._fault()

        def carry_out() -> None:
            answer: str | None
            try:
                answer = "cancel" if at_once(self.store.beat(run_id)) else ""
            except RunLostError:
                answer = "lost"
            self.world.after(self._way(), lambda: told(None if fault == "after" else answer))

        if fault == "before":
            self.world.after(self._way(), lambda: told(None))
        else:
            self.world.after(self._way(slow=fault == "slow"), carry_out)


def _away() -> DatabaseUnavailableError:
    return DatabaseUnavailableError("the database does not answer")


def at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine gives that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("the store in memory waits for something")


class Remote:
    """What a process has of the store: a ``MaterializationStore`` at the end of a network."""

    conninfo = None

    def __init__(self, network: Network, process: Process) -> None:
        self._network, self._process = network, process
        self._asked: dict[str, float] = {}

    def __getattr__(self, verb: str) -> Callable[..., Awaitable[Any]]:
        act = getattr(self._network.store, verb)

        def ask(*given: Any, **options: Any) -> Awaitable[Any]:
            if verb == "start_run":
                self._asked[given[0].run_id] = self._network.world.now
                self._network.began(self._process, given[0].run_id)
            work = functools.partial(act, *given, **options)
            return self._network.call(self._process, verb, work)

        return ask

    def heart(self, run_id: str, told: Callable[[Told], None]) -> Heart:
        """Keeps a lease, by a thread of its own."""
        return Heart(self._network, self._process, run_id, told, self._asked[run_id])

    @contextlib.asynccontextmanager
    async def journal(self, run_id: str) -> AsyncIterator[Session]:
        """The writer of a run's rows."""
        yield Session(self._network, self._process, run_id)


@dataclass
class _Batch:
    """What was asked to be written at once; ``asked`` is the list it came in."""

    asked: Sequence[Draft]
    drafts: list[Draft]
    decisions: Sequence[Decision]
    logs: Sequence[StepLog]
    is_in: bool = False


class Session:
    """A ``JournalSession`` at the end of a network.

    A batch that is asked for again, because the answer was lost, is written once.
    """

    def __init__(self, network: Network, process: Process, run_id: str) -> None:
        self._network, self._process, self._run_id = network, process, run_id
        self._last = _Batch([], [], (), ())

    async def write(
        self,
        drafts: Sequence[Draft],
        decisions: Sequence[Decision] = (),
        logs: Sequence[StepLog] = (),
    ) -> None:
        """Write a batch, as it is now."""
        if drafts is not self._last.asked:
            self._network.watch.sends(self._run_id, drafts, self._process.stopped_at)
            sent = [copy.copy(each) for each in drafts]
            self._last = _Batch(drafts, sent, tuple(decisions), tuple(logs))
        batch = self._last
        await self._network.call(self._process, "write", functools.partial(self._write, batch))
        for draft, each in zip(drafts, batch.drafts, strict=True):
            draft.recorded = each.recorded

    async def _write(self, batch: _Batch) -> None:
        if batch.is_in:
            return
        network = self._network
        lent = network.unfenced(self._run_id, batch.drafts) if network.bad == "no fence" else None
        with lent or contextlib.nullcontext():
            async with network.store.journal(self._run_id) as session:
                await session.write(batch.drafts, batch.decisions, batch.logs)
        batch.is_in = True


class Heart:
    """A ``Heart`` whose thread stops and ends with its process."""

    def __init__(
        self,
        network: Network,
        process: Process,
        run_id: str,
        told: Callable[[Told], None],
        asked: float,
    ) -> None:
        self._network, self._process, self._run_id = network, process, run_id
        self._told, self._asked = told, asked
        self._stopped = self._lost = self._cancelled = False
        self._later(BEAT_SECONDS / 5)

    @property
    def trusted(self) -> bool:
        """Whether the lease is surely ours for some seconds yet."""
        until = self._asked + LEASE_SECONDS - CAUTION_SECONDS
        return not self._lost and self._network.world.now < until

    def stop(self) -> None:
        """Beat no more."""
        self._stopped = True

    def _later(self, seconds: float) -> None:
        process = self._process
        self._network.world.after(seconds, lambda: process.in_thread(self._beat))

    def _beat(self) -> None:
        if not self._stopped:
            asked = self._network.world.now
            self._network.beat(
                self._run_id,
                lambda answer: self._process.in_thread(lambda: self._answered(asked, answer)),
            )

    def _answered(self, asked: float, answer: str | None) -> None:
        if self._stopped:
            return
        if answer == "lost":
            self._lost = self._stopped = True
            self._told("lost")
        elif answer is None:
            self._later(1.0)
        else:
            self._asked = asked
            if answer == "cancel" and not self._cancelled:
                self._cancelled = True
                self._told("cancel")
            self._later(BEAT_SECONDS)
