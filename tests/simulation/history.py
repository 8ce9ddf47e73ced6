"""One history: a project, its edits, processes that make it, and what befalls them; by seed."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import functools
import gc
import random
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowstone.api import Flowstone
from flowstone.errors import (
    IllegalTransitionError,
    RunActiveError,
    StoreError,
    ValueLostError,
)
from flowstone.runner.events import StepFinished
from flowstone.settings import Settings
from flowstone.store.base import LEASE_SECONDS
from flowstone.store.memory import MemoryStore
from tests.simulation import bad as variants
from tests.simulation import model, surroundings
from tests.simulation.network import Network, Remote, Weather, at_once
from tests.simulation.shelf import Shelf
from tests.simulation.watch import Executed, Watch
from tests.simulation.world import Process, ViolationError, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone import Context
    from flowstone.core.records import Materialization
    from flowstone.result import RunResult
    from flowstone.runner.events import Event
    from tests.simulation.model import Code, Project
    from tests.simulation.network import Bad, Fault
    from tests.simulation.world import Moment

_MOMENTS: tuple[Moment, ...] = ("asking", "asked", "answered")
#: What would say that a run has done what it must not.
_NEVER_RAISED = (IllegalTransitionError, RunActiveError)
#: How often a process runs again after the store was away.
_AGAIN = 3


@dataclass
class Start:
    """A process that begins ``at`` seconds, with the code of one moment."""

    at: float
    project: Project
    targets: tuple[str, ...]
    strict: bool
    dooms: dict[tuple[int, Moment], float | None] = field(default_factory=dict)

    @property
    def is_stopped_for_long(self) -> bool:
        """Whether its lease may well run out meanwhile."""
        return any(
            seconds is not None and seconds > LEASE_SECONDS for seconds in self.dooms.values()
        )


@dataclass
class Script:
    """What is drawn of a history before it begins.

    ``acts`` are times at which a value is lost or altered, a run is asked to stop, or recorded
    successes are invalidated.
    """

    starts: list[Start]
    acts: list[tuple[float, str]]
    weather: Weather
    last: Project


def drawn(seed: int) -> Script:
    """Any script."""
    chance = random.Random(f"script {seed}")  # noqa: S311 - no secret
    project = model.drawn(chance)
    codes = [project]
    starts: list[Start] = []
    acts: list[tuple[float, str]] = []
    at = 0.0
    for era in range(chance.choice((1, 1, 2, 2, 3))):
        if era:
            at += chance.choice((0.01, 0.3, 3.0, 45.0))
            for _ in range(chance.choice((0, 1, 1, 2))):
                earlier = chance.choice(codes)
                project = (
                    earlier
                    if chance.random() < 0.15
                    else model.edited(chance, project, era * 10 + len(codes))
                )
                codes.append(project)
        new = [_start(chance, at, codes) for _ in range(chance.choice((1, 1, 2, 3)))]
        starts += new
        if any(each.is_stopped_for_long for each in new) and chance.random() < 0.6:
            starts.append(_start(chance, at + chance.choice((20.0, 31.0, 40.0)), codes))
        for _ in range(chance.choice((0, 0, 1, 1, 4))):
            kind = chance.choice(("lose", "alter", "alter", "stop", "invalidate"))
            acts.append((at + chance.choice((0.005, 0.1, 1.0, 5.0)) * chance.random(), kind))
    return Script(starts, acts, _weather(chance), project)


def _start(chance: random.Random, at: float, codes: list[Project]) -> Start:
    project = codes[-1] if chance.random() < 0.85 else chance.choice(codes)
    names = list(project)
    targets = names if chance.random() < 0.7 else chance.sample(names, 1)
    dooms: dict[tuple[int, Moment], float | None] = {}
    for _ in range(chance.choice((0, 0, 1, 1, 2))):
        seconds = chance.choice((None, None, 0.5, 6.0, 31.0, 70.0))
        call = chance.randint(1, chance.choice((6, 12, 24)))
        dooms[call, chance.choice(_MOMENTS)] = seconds
    offset = chance.choice((0.0, 0.0, 0.002, 0.05, 1.0))
    return Start(at + offset, project, tuple(targets), chance.random() < 0.15, dooms)


def _weather(chance: random.Random) -> Weather:
    kind = chance.choice(("calm", "calm", "flaky", "flaky", "slow", "single"))
    faults: tuple[Fault, ...] = ("before", "after", "slow")
    if kind == "calm":
        return Weather()
    if kind == "single":
        return Weather(single=(chance.randint(1, 40), chance.choice(faults)))
    if kind == "slow":
        return Weather({"slow": 0.1})
    rate = chance.choice((0.02, 0.05, 0.15))
    return Weather({"before": rate, "after": rate, "slow": rate / 2})


def calm(seed: int) -> Script:
    """A script in which nothing goes wrong."""
    script = drawn(seed)
    starts = [replace(start, dooms={}) for start in script.starts]
    return Script(starts, [], Weather(), script.last)


class History:
    """A script that is carried out; ``bad`` names what is wrong with the store or the runner."""

    def __init__(self, seed: int, script: Script | None = None, bad: Bad | None = None) -> None:
        self.seed, self.script = seed, script or drawn(seed)
        self.world = World(seed)
        self.shelf = Shelf()
        self.store = MemoryStore(self._clock)
        self.watch = Watch(self.world, self.store, self.shelf)
        self.network = Network(self.world, self.store, self.watch, self.script.weather, bad)
        self.bad = bad

    def _clock(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self.world.now, dt.UTC)

    @property
    def violation(self) -> ViolationError | None:
        """What happened that must not, if anything did."""
        return self.world.broken

    @property
    def story(self) -> str:
        """What happened, a line for each thing: the seconds, who, and what."""
        began = self.world.began
        lines = (f"{at - began:12.5f}  {who:6} {what}" for at, who, what in self.world.notes)
        return "\n".join(lines)

    def run(self) -> None:
        """Let it happen, then let one process more make all there is, in good weather.

        Raises:
            ViolationError: if something happened that must not.
        """
        wrong = variants.switched_on(self.bad, self.world, self.shelf)
        with surroundings.of(self.world), wrong, _quiet():
            try:
                for number, start in enumerate(self.script.starts):
                    begin = functools.partial(self._begin, f"P{number}", start)
                    self.world.after(start.at, begin)
                for at, kind in self.script.acts:
                    self.world.after(at, getattr(self, f"_{kind}"))
                self.world.run()
                self._recover()
            finally:
                self.network.shut_down()
                for process in self.world.processes:
                    process.clean_up()

    def _recover(self) -> None:
        """The last run repairs all; then everything is looked at."""
        weather, last = self.script.weather, self.script.last
        weather.is_bad, weather.single = False, None
        last = {**last, "probe": model.Code(1, (), 2)}
        self.world.note("world", "the weather is fine; all is made once more")
        start = Start(0.0, last, tuple(last), strict=False)
        late = self.world.chance.random() < 0.5
        self.world.after(2 * LEASE_SECONDS if late else 0.0, lambda: self._begin("last", start))
        self.world.run()
        self.watch.end(all_closed=late)
        self.world.run()

    # What processes do.

    def _begin(self, name: str, start: Start) -> None:
        process = Process(self.world, name)
        if self.world.chance.random() < 0.7:  # the machine is that of the others
            process.on_crash = functools.partial(self.network.is_over, process)
        process.dooms = dict(start.dooms)
        told = ", ".join(f"{n}={c.version}{c.needs or ''}" for n, c in start.project.items())
        self.world.note(name, f"makes {' '.join(start.targets)} of {told}")
        process.start(self._script(process, start))

    async def _script(self, process: Process, start: Start) -> None:
        remote: Any = Remote(self.network, process)
        body = functools.partial(self._body, process)
        assets = model.assets(start.project, body, self.shelf)
        result: RunResult
        for attempt in range(_AGAIN + 1):
            try:
                connection = Flowstone.of(_settings())
                connection._given = remote
                async with connection as fs:
                    result = await fs.materialize(
                        *start.targets,
                        assets=assets,
                        raise_on_error=False,
                        durability="strict" if start.strict else "batch",
                        on_event=functools.partial(self._heard, process),
                    )
                break
            except StoreError as error:
                self.world.note(process.name, f"raised {type(error).__name__}: {error}")
                if process.name == "last" or isinstance(error, _NEVER_RAISED):
                    raise
                if attempt == _AGAIN:
                    return
                if self.world.chance.random() < 0.7:
                    self.network.is_over(process)
                await asyncio.sleep(self.world.chance.choice((0.01, 1.0, 40.0)))
        self._returned(process, start, result)

    async def _body(
        self, process: Process, name: str, code: Code, context: Context, inputs: dict[str, int]
    ) -> int:
        self.world.note(process.name, f"calls {name}({inputs}) in {context.run_id}")
        executed = Executed(code, dict(inputs))
        self.watch.executed[context.run_id, name] = executed
        self.watch.count += 1
        if code.seconds:
            await asyncio.sleep(code.seconds * self.world.chance.random())
        if code.fails == "always" or (code.fails == "once" and context.attempt == 1):
            raise model.BodyError(name)
        executed.done_at = self.world.now
        value = code.value(name, None, inputs)
        self.world.note(process.name, f"made {name} in {context.run_id}: {value}")
        return value

    def _heard(self, process: Process, event: Event) -> None:
        if isinstance(event, StepFinished) and event.ending == "materialized":
            for row in self.store._rows.values():
                if (row.run_id, row.asset_name) == (event.run_id, event.asset):
                    self.world.note(process.name, f"says {event.asset} is made")
                    self.watch.made(row.id, event.asset)
                    return
            self.world.violate(f"{event.asset}: told of, and not recorded")

    def _returned(self, process: Process, start: Start, result: RunResult) -> None:
        self.world.note(process.name, f"ends {result.run.status}: {result.statuses}")
        for row in result.rows:
            if row.status == "success":
                self.watch.made(row.id, row.asset_name)
        recorded = self.store._runs.get(result.run_id)
        ended = result.run.status
        if recorded is None or recorded.status != ended or ended == "running":
            self.world.violate(f"{process.name} was told how its run ended, and it is not recorded")
        expected = model.values(start.project, None)
        for name, status in result.statuses.items():
            if status in ("materialized", "reused"):
                self._is_value(result, name, expected)
            elif process.name == "last" and name in expected:
                self.world.violate(f"I7: {name} is {status} after all was repaired")

    def _is_value(self, result: RunResult, name: str, expected: dict[str, int]) -> None:
        if name not in result.plan.targets:
            return
        try:
            value = result[name]
        except ValueLostError:
            return
        if value != expected.get(name):
            self.world.violate(f"I7: {name} is {value}, and not {expected.get(name)}")

    # What happens beside.

    def _some(self) -> Materialization | None:
        made = [row for row in self.store._rows.values() if row.status == "success" and row.value]
        return self.world.chance.choice(made) if made else None

    def _lose(self) -> None:
        """A value is gone."""
        row = self._some()
        if row is not None and row.value is not None:
            self.world.note("world", f"the value of {row.asset_name} is lost")
            self.watch.excused[row.asset_name, row.partition, row.dependency_hash] += 1
            self.shelf.lose(row.value.location)
            if row.value.inline is not None:
                self._tamper(row, b"")

    def _alter(self) -> None:
        """The bytes of a value are others."""
        row = self._some()
        if row is not None and row.value is not None and row.value.inline is not None:
            self.world.note("world", f"the value of {row.asset_name} is altered")
            self.watch.excused[row.asset_name, row.partition, row.dependency_hash] += 1
            digit = row.value.inline[-1:]
            self._tamper(row, row.value.inline[:-1] + (b"1" if digit != b"1" else b"2"))

    def _tamper(self, row: Materialization, data: bytes) -> None:
        pointer = row.value and row.value.model_copy(update={"inline": data})
        dict.__setitem__(self.store._rows, row.id, row.model_copy(update={"value": pointer}))

    def _stop(self) -> None:
        """Somebody asks a run to stop."""
        running = [run_id for run_id, run in self.store._runs.items() if run.status == "running"]
        if running:
            run_id = self.world.chance.choice(running)
            self.world.note("world", f"{run_id} is asked to stop")
            self.store._claims.cancel(run_id)

    def _invalidate(self) -> None:
        """Somebody wants an asset made anew."""
        row = self._some()
        if row is not None:
            self.world.note("world", f"{row.asset_name} is invalidated")
            for each in self.store._rows.values():
                if each.asset_name == row.asset_name and each.status == "success":
                    same = each.asset_name, each.partition, each.dependency_hash
                    self.watch.excused[same] += 1
            at_once(self.store.invalidate([row.asset_name], None, []))
            self.watch.did("invalidate", None)


@functools.cache
def _settings() -> Settings:
    """Of a home where nothing is ever written."""
    home = Path(tempfile.gettempdir()) / "no such home"
    return Settings(home=home, values=home / "values")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No collecting of garbage: what is dropped would clean up in the middle of a history."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
