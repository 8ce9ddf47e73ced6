"""Any edits, runs, losses, failures and crashes: each value is right, and nothing runs in vain.

After every run each value equals that of a run from scratch, and what ran is just what an oracle
names that remembers everything. The oracle allows for steps that it would have reused only if
they were forced, always run, verified, or their values were lost; or if that holds of another
asset which the same function makes: the function is called once, and all of them are recorded.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import os
import shutil
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import anyio
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from flowstone import Flowstone
from flowstone.errors import StoreError, ValueLostError
from flowstone.runner.events import StepFinished
from flowstone.store.memory import MemoryStore
from tests.conftest import new_database
from tests.property.rebuild_model import (
    LOG,
    MODULES,
    Form,
    Now,
    Shape,
    State,
    files_of,
    shapes,
    value_of,
    write,
)
from tests.property.rebuild_oracle import Asked, Expected, Oracle, Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from flowstone.core.asset import AnyAsset
    from flowstone.core.records import Materialization
    from flowstone.result import RunResult
    from flowstone.runner.events import Event
    from flowstone.store.base import MaterializationStore
    from flowstone.store.embedded import EmbeddedServer
    from flowstone.store.integrity import Finding

pytestmark = pytest.mark.once

#: Opens a connection: what it leaves is there for the next one.
Opening: TypeAlias = "Callable[[Path], contextlib.AbstractAsyncContextManager[Flowstone]]"

INDEX = st.integers(0, 11)
INDICES = st.frozensets(INDEX, max_size=2)
NUMBERS = st.integers(0, 3)
NONE: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Run:
    """How to run; assets by index."""

    targets: frozenset[int] = NONE
    force: frozenset[int] = NONE
    rates: tuple[tuple[int, int], ...] = ()
    elsewhere: frozenset[int] = NONE
    one_at_a_time: bool = False
    verify: bool = False


RUNS = st.one_of(
    st.just(Run()),
    st.just(Run()),
    st.builds(
        Run,
        st.one_of(st.just(NONE), INDICES),
        st.one_of(st.just(NONE), INDICES),
        st.lists(st.tuples(INDEX, NUMBERS), max_size=2).map(tuple),
        st.one_of(st.just(NONE), INDICES),
        st.booleans(),
    ),
    st.builds(Run, force=st.one_of(st.just(NONE), INDICES), verify=st.just(True)),
)
WAYS_TO_DAMAGE = st.sampled_from(["delete", "truncate", "flip"])
WAYS_TO_HARM = st.sampled_from(["delete", "flip", "invalidate"])
#: What comes after an edit: usually a run.
THEN = st.one_of(RUNS, RUNS, st.none())


class Executed(logging.Handler):
    """Which functions were called; those in ``failing`` raise there and then."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self.failing: frozenset[str] = frozenset()

    def emit(self, record: logging.LogRecord) -> None:
        name = record.getMessage()
        self.counts[name] += 1
        if name in self.failing:
            raise ConnectionError(name)


class Crash(BaseException):
    """The end of everything, like Ctrl-C."""


class Dying:
    """A store whose journal writes a number of batches and then no more."""

    def __init__(self, store: MaterializationStore, left: int) -> None:
        self._store, self._left = store, left

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    @contextlib.asynccontextmanager
    async def journal(self, run_id: str) -> AsyncIterator[Dying]:
        """The journal is this."""
        async with self._store.journal(run_id) as self._session:
            yield self

    async def write(self, *arguments: Any) -> None:
        """Write, if there is still life in it."""
        self._left -= 1
        if self._left < 0:
            raise StoreError("the server went away")
        await self._session.write(*arguments)


class End:
    """A listener that ends the run after some events; ``made`` is what it was told of before."""

    def __init__(self, after: int, way: str) -> None:
        self.left, self.way = after, way
        self.scope: anyio.CancelScope | None = None
        self.made: set[str] = set()
        self.run_id = ""
        self.rows: list[Materialization] = []

    def __call__(self, event: Event) -> None:
        """Take an event down; the last one ends the run."""
        self.run_id = event.run_id
        if isinstance(event, StepFinished) and event.ending == "materialized":
            self.made.add(event.asset)
        self.left -= 1
        if self.left == 0 and self.way == "cancel" and self.scope:
            self.scope.cancel()
        elif self.left == 0 and self.way == "crash":
            raise Crash


class Rebuild(RuleBasedStateMachine):
    """A pipeline in files, edited and run; each run like one of a new process."""

    def __init__(self, opening: Opening) -> None:
        super().__init__()
        self._opening = opening
        self._folder = Path(tempfile.mkdtemp(prefix="rebuild-"))
        (self._folder / "code").mkdir()
        self._executed = Executed()
        self._stack = contextlib.ExitStack()
        self._stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
        self._stack.enter_context(contextlib.chdir(self._folder))
        self._stack.enter_context(_imports_from(self._folder / "code"))
        self._stack.enter_context(_listening(self._executed))
        self._oracle = Oracle(self._folder / "home" / "values")
        self._shape = Shape({}, {})
        self._states: list[State] = []
        self._current: dict[str, Materialization] = {}

    def teardown(self) -> None:
        self._stack.close()

    @initialize(shape=shapes())
    def begin(self, shape: Shape) -> None:
        self._shape = shape
        self._state = State.first(shape)
        self._edited(Run())

    # Edits

    @rule(thing=INDEX, number=NUMBERS, then=THEN)
    def edit_a_number(self, thing: int, number: int, then: Run | None) -> None:
        """Of a body, a helper, a constant, a class."""
        self._write(self._thing(thing), number=number)
        self._edited(then)

    @rule(thing=INDEX, writing=NUMBERS, then=THEN)
    def write_it_otherwise(self, thing: int, writing: int, then: Run | None) -> None:
        """Other code, the same value: what depends on it stays."""
        self._write(self._thing(thing), writing=writing)
        self._edited(then)

    @rule(thing=INDEX, layout=NUMBERS, then=THEN)
    def lay_it_out_otherwise(self, thing: int, layout: int, then: Run | None) -> None:
        """Comments, docstrings, blank lines, parameter annotations."""
        self._write(self._thing(thing), layout=layout)
        self._edited(then)

    @rule(module=st.sampled_from(MODULES), noise=NUMBERS, then=THEN)
    def edit_beside(self, module: str, noise: int, then: Run | None) -> None:
        """Something in the same module that nobody uses."""
        self._state.noise[module] = noise
        self._edited(then)

    @rule(asset=INDEX, default=NUMBERS, then=THEN)
    def edit_a_default(self, asset: int, default: int, then: Run | None) -> None:
        self._state.defaults[self._function(asset)] = default
        self._edited(then)

    @precondition(lambda self: self._shape.sources)
    @rule(asset=INDEX, other=st.sampled_from([False, False, True]), number=NUMBERS, then=THEN)
    def edit_an_input_file(self, asset: int, other: bool, number: int, then: Run | None) -> None:
        sources = self._shape.sources
        file = files_of(sources[asset % len(sources)])[other]
        self._state.files[file] = number
        self._edited(then)

    @rule(asset=INDEX, then=THEN)
    def break_or_mend(self, asset: int, then: Run | None) -> None:
        self._state.broken ^= {self._function(asset)}
        self._edited(then)

    @rule(index=INDEX, then=THEN)
    def revert(self, index: int, then: Run | None) -> None:
        self._state = self._states[index % len(self._states)].copy()
        self._edited(then)

    @rule(thing=INDEX, index=INDEX, then=THEN)
    def revert_one(self, thing: int, index: int, then: Run | None) -> None:
        name = self._thing(thing)
        self._state.forms[name] = self._states[index % len(self._states)].forms[name]
        self._edited(then)

    # Losses

    @rule(asset=INDEX, way=WAYS_TO_DAMAGE, then=THEN)
    def damage_a_value(self, asset: int, way: str, then: Run | None) -> None:
        """That of an asset as it is now, if it was made and is kept in a file."""
        now = self._now(Run())
        file = self._oracle.file(now, self._asset(asset))
        if file is not None and file.exists():
            _damage(file, way)
        self._edited(then)

    @rule(asset=INDEX, way=WAYS_TO_DAMAGE)
    def damage_a_value_that_is_read(self, asset: int, way: str) -> None:
        self.damage_a_value(asset, way, None)
        takers = self._takers(self._asset(asset))
        self.run(Run(targets=takers, force=frozenset(sorted(takers)[:1])))

    @rule(one=INDEX, other=INDEX, then=THEN)
    def swap_values(self, one: int, other: int, then: Run | None) -> None:
        files = self._value_files()
        if files:
            pair = files[one % len(files)], files[other % len(files)]
            data = [file.read_bytes() for file in pair]
            for file, held in zip(pair, reversed(data), strict=True):
                file.write_bytes(held)
        self._edited(then)

    @rule(asset=INDEX, downstream=st.booleans(), then=THEN)
    def invalidate(self, asset: int, downstream: bool, then: Run | None) -> None:
        name = self._asset(asset)
        now, _ = self._begun(Run())
        gone = anyio.run(self._invalidated, now, name, downstream)
        below = {each for each in now.shape.assets if name in now.shape.needed(frozenset({each}))}
        scope = below if downstream else {name}
        assert set(gone) == {each for each in scope if self._oracle.forget(each)}
        self._edited(then)

    @precondition(lambda self: self._shape.twins)
    @rule(index=INDEX, way=WAYS_TO_HARM, writing=NUMBERS, run=RUNS)
    def harm_one_of_twins(self, index: int, way: str, writing: int, run: Run) -> None:
        """What takes it runs, and what it takes is made anew, though it stays the same."""
        now, twins = self._now(Run()), self._shape.twins
        twins = [each for each in twins if self._oracle.file(now, each)] or twins
        name = twins[index % len(twins)]
        asset = list(self._shape.assets).index(name)
        if way == "invalidate":
            self.invalidate(asset, False, None)
        else:
            self.damage_a_value(asset, way, None)
            run = replace(run, targets=NONE, force=run.force | self._takers(name))
        for take in self._shape.assets[name].takes:
            self._write(self._shape.assets[take.name].function, writing=writing)
        self._edited(run)

    # Runs

    @rule(run=RUNS)
    def run(self, run: Run) -> None:
        """A run, and what it must have done."""
        now, asked = self._begun(run)
        expected = self._oracle.expect(now, asked)
        hidden = self._altered(now, expected)
        result = anyio.run(functools.partial(self._materialized, run, now, asked))
        for name in expected.in_vain:
            if self._shape.assets[name].function in self._executed.counts:
                expected.remake(name, "along")
        assert self._executed.counts == self._calls(expected.reasons), expected.reasons
        assert expected.agrees_with(result.statuses), (expected, result.statuses)
        self._check_together(result.rows)
        self._oracle.learn(now, result.rows)
        self._check_values(now, asked, expected, result)
        _check_plan(expected, result, hidden)
        _check_causes(expected, result)

    @rule()
    def verify(self) -> None:
        """Everything is executed again, and found to be the same."""
        self.run(Run())
        if not any(made.always for made in self._shape.assets.values()):
            self.run(Run(verify=True))

    @rule(run=RUNS, failing=INDICES)
    def run_with_failures_of_the_moment(self, run: Run, failing: frozenset[int]) -> None:
        """Failures that no code tells of; what did not fail is recorded, and stays."""
        now, asked = self._begun(replace(run, verify=False))
        expected = self._oracle.expect(now, asked)
        self._executed.failing = frozenset(map(self._function, failing))
        result = anyio.run(functools.partial(self._materialized, run, now, asked))
        counts = self._executed.counts
        assert counts <= self._calls({*expected.reasons, *expected.in_vain})
        failed = self._executed.failing & counts.keys()
        made = self._shape.assets.items()
        tried = [name for name, each in made if each.function in failed and name in result.statuses]
        assert all(result.statuses[name] == "failed" for name in tried)
        assert failed or expected.agrees_with(result.statuses)
        self._oracle.learn(now, result.rows)
        for name, ending in result.statuses.items():
            if ending in {"reused", "materialized"}:
                self._check_value(now, expected, result, name)

    @rule(run=RUNS, after=st.integers(0, 8), way=st.sampled_from(["cancel", "crash", "store"]))
    def crash(self, run: Run, after: int, way: str) -> None:
        """The run ends in the middle; what was recorded is reused."""
        now, asked = self._begun(replace(run, one_at_a_time=True, verify=False))
        expected = self._oracle.expect(now, asked)
        before = set(threading.enumerate())
        end = End(after, way)
        try:
            anyio.run(functools.partial(self._broken_off, run, now, asked, end))
        except* (Crash, StoreError):
            pass
        for thread in set(threading.enumerate()) - before:
            thread.join()
        assert self._executed.counts <= self._calls({*expected.reasons, *expected.in_vain})
        self._check_together(end.rows)
        self._oracle.learn(now, end.rows)
        recorded = {row.asset_name for row in end.rows if row.status == "success"}
        assert way == "store" or end.made <= recorded

    # How

    def _edited(self, then: Run | None) -> None:
        self._states.append(self._state.copy())
        if then is not None:
            self.run(then)

    def _write(self, thing: str, **changes: int) -> None:
        form: Form = replace(self._state.forms[thing], **changes)
        self._state.forms[thing] = form

    def _thing(self, index: int) -> str:
        things = self._shape.things
        return things[index % len(things)]

    def _asset(self, index: int) -> str:
        return list(self._shape.assets)[index % len(self._shape.assets)]

    def _takers(self, name: str) -> frozenset[int]:
        """The assets that take one, by index."""
        assets = enumerate(self._shape.assets.values())
        return frozenset(n for n, made in assets if any(take.name == name for take in made.takes))

    def _function(self, index: int) -> str:
        return self._shape.assets[self._asset(index)].function

    def _calls(self, assets: Iterable[str]) -> Counter[str]:
        """One call of each function that makes some assets."""
        return Counter({self._shape.assets[name].function for name in assets})

    def _assets(self, indices: frozenset[int]) -> frozenset[str]:
        return frozenset(map(self._asset, indices))

    def _value_files(self) -> list[Path]:
        return sorted(each for each in self._oracle.values.rglob("*") if each.is_file())

    def _now(self, run: Run) -> Now:
        """The pipeline as a run finds it."""
        rates = {self._function(index): rate for index, rate in run.rates}
        functions = self._shape.functions
        rated = {name: rate for name, rate in rates.items() if functions[name][0].rate}
        elsewhere = {self._function(index) for index in run.elsewhere} & {*self._shape.sources}
        return Now(self._shape, self._state.copy(), rated, frozenset(elsewhere))

    def _begun(self, run: Run) -> tuple[Now, Asked]:
        """The pipeline written down as this run finds it, and what the run is asked for."""
        now = self._now(run)
        write(self._folder / "code", now)
        self._executed.counts = Counter()
        self._executed.failing = frozenset()
        return now, Asked(self._assets(run.targets), self._assets(run.force), run.verify)

    def _altered(self, now: Now, expected: Expected) -> set[str]:
        """Steps whose loss shows only when their values are read, and their twins."""
        known = {name for name in expected.endings if self._oracle.knows(now, name)}
        altered = {name for name in known if self._oracle.condition(now, name) == "altered"}
        return {twin for name in altered for twin in self._shape.together(name)}

    async def _materialized(self, run: Run, now: Now, asked: Asked) -> RunResult:
        async with self._opening(self._folder / "home") as opened:
            result = await self._materialize(opened, run, now, asked)
            self._current = await opened.store.current(list(now.shape.assets), self._folder.name)
            return result

    async def _invalidated(self, now: Now, name: str, downstream: bool) -> list[str]:
        async with self._opening(self._folder / "home") as opened:
            return await opened.invalidate(
                name,
                assets=_imported(now.shape),
                partition=self._folder.name,
                reason="a bad machine",
                downstream=downstream,
            )

    async def _broken_off(self, run: Run, now: Now, asked: Asked, end: End) -> None:
        home = self._folder / "home"
        async with self._opening(home) as opened:
            store: Any = Dying(opened.store, end.left) if end.way == "store" else opened.store
            try:
                async with Flowstone(store=store, home=home) as dying:
                    with anyio.CancelScope() as end.scope:
                        await self._materialize(dying, run, now, asked, end)
            finally:
                with anyio.CancelScope(shield=True):
                    end.rows = await opened.store.get_by_run_id(end.run_id)

    async def _materialize(
        self, opened: Flowstone, run: Run, now: Now, asked: Asked, end: End | None = None
    ) -> RunResult:
        code = self._folder / "code"
        source = {name: code / files_of(name)[1] for name in now.elsewhere}
        config = {f"{name}.rate": rate for name, rate in now.rates.items()}
        return await opened.materialize(
            *sorted(asked.targets),
            assets=_imported(now.shape),
            config={**config, **{f"{name}.source": path for name, path in source.items()}},
            partition=self._folder.name,
            force=sorted(asked.force),
            verify=asked.verify,
            raise_on_error=False,
            max_concurrency=1 if run.one_at_a_time else None,
            on_event=end,
        )

    def _check_together(self, rows: list[Materialization]) -> None:
        """Of what one function makes nothing is recorded without the rest."""
        states: dict[str, set[str]] = {}
        for row in rows:
            function = self._shape.assets[row.asset_name].function
            states.setdefault(function, set()).add(row.status)
        assert all(len(each) == 1 for each in states.values() if "success" in each), states

    def _check_values(self, now: Now, asked: Asked, expected: Expected, result: RunResult) -> None:
        for name, ending in expected.endings.items():
            if ending in {"failed", "skipped"}:
                continue
            if self._oracle.condition(now, name) == "gone":
                assert ending == "reused"
                assert asked.targets
                assert name not in asked.targets
            assert self._oracle.is_of(now, name, self._current[name])
            self._check_value(now, expected, result, name)

    def _check_value(self, now: Now, expected: Expected, result: RunResult, name: str) -> None:
        """The value of a run from scratch; or, of a damaged one that was not read, an error."""
        if self._oracle.condition(now, name) == "sound":
            assert result[name] == value_of(self._shape, name, expected.numbers[name])
        else:
            assert result.statuses[name] == "reused"
            with pytest.raises(ValueLostError):
                result[name]


def _check_plan(expected: Expected, result: RunResult, hidden: set[str]) -> None:
    """What ran had been planned, but for losses that show only when a value is read."""
    ran = {name for name, reason in expected.reasons.items() if reason != "verified"}
    assert ran <= {*result.plan.to_run, *hidden}
    sure = {s.name for s in result.plan if s.action == "materialize" and not s.may_cut_off}
    assert all(result.statuses[name] in {"materialized", "failed", "skipped"} for name in sure)


_CAUSES: dict[Reason, set[str]] = {
    "forced": {"forced"},
    "always": {"always"},
    "lost": {"value_lost"},
    "together": {"made_together"},
    "changed": {
        "never_made",
        "invalidated",
        "code_changed",
        "input_changed",
        "config_changed",
        "outside_changed",
    },
}


def _check_causes(expected: Expected, result: RunResult) -> None:
    """Each row tells the reason there really was."""
    for row in result.rows:
        reason = expected.reasons.get(row.asset_name)
        if reason in _CAUSES and row.status == "success":
            assert _CAUSES[reason] & {cause["kind"] for cause in row.causes}, (row, reason)


def _damage(file: Path, way: str) -> None:
    data = file.read_bytes()
    if way == "delete":
        file.unlink()
    elif way == "truncate":
        file.write_bytes(data[:-1])
    else:
        file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]) if data else data)


def _imported(shape: Shape) -> list[AnyAsset]:
    """The assets, as a new process would import them."""
    _forget()
    modules = {name: importlib.import_module(name) for name in MODULES}
    functions = shape.functions.items()
    return [getattr(modules[MODULES[made[0].module]], name) for name, made in functions]


def _forget() -> None:
    for name in MODULES:
        sys.modules.pop(name, None)
    importlib.invalidate_caches()


@contextlib.contextmanager
def _imports_from(folder: Path) -> Iterator[None]:
    """``folder`` heads the path, and nothing compiled is written."""
    before = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.dont_write_bytecode = before
        _forget()


@contextlib.contextmanager
def _listening(executed: Executed) -> Iterator[None]:
    logger = logging.getLogger(LOG)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(executed)
    try:
        yield
    finally:
        logger.removeHandler(executed)


def _settings(examples: int, steps: int) -> settings:
    """The same examples each time; others, as many as REBUILD_EXAMPLES says, if it is set."""
    more = int(os.environ.get("REBUILD_EXAMPLES", "0"))
    return settings(
        max_examples=more or examples,
        stateful_step_count=steps,
        derandomize=not more,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def test_any_history_over_the_store_in_memory() -> None:
    class InMemory(Rebuild):
        def __init__(self) -> None:
            store = MemoryStore()
            super().__init__(lambda home: Flowstone(store=store, home=home))

    run_state_machine_as_test(InMemory, settings=_settings(34, 20))


def test_any_history_over_postgres(postgres_18: EmbeddedServer) -> None:
    database = new_database(postgres_18)

    class OverPostgres(Rebuild):
        def __init__(self) -> None:
            super().__init__(lambda home: Flowstone(database_url=database, home=home))

    run_state_machine_as_test(OverPostgres, settings=_settings(8, 15))
    assert anyio.run(_broken, database) == []


async def _broken(database: str) -> list[Finding]:
    """What is wrong with the rows; the values went with each history's folder."""
    async with Flowstone(database_url=database) as opened:
        return [each for each in await opened.check_database(values=False) if not each.ok]
