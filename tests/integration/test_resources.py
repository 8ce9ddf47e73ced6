"""Resources of a run: opened once and late, shared, closed whatever happens, and explained."""

from __future__ import annotations

import contextlib
import contextvars
import json
import re
import threading
import time
import types
from typing import TYPE_CHECKING, Any, Self

import anyio
import pytest

from flowstone import Asset, AssetGraph, Flowstone, Resource
from flowstone.errors import ResourceError, RunFailedError
from flowstone.runner import resources as runtime
from flowstone.testing import Recorder
from tests.integration.cli_support import Project, stopped_now
from tests.integration.test_notebook import execute, text

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from flowstone.core.asset import AnyAsset

pytestmark = pytest.mark.anyio

Provider = Any


class Diary:
    """What happened to resources, in order; and providers that write it."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    def __call__(self, entry: str) -> None:
        self.entries.append(entry)

    def sync(self, name: str) -> Provider:
        def provider() -> Iterator[str]:
            self(f"open {name}")
            yield name
            self(f"close {name}")

        return provider


@pytest.fixture
def diary() -> Diary:
    return Diary()


class Unspeakable:
    """What a resource is: nobody may look at it."""

    def __repr__(self) -> str:
        raise AssertionError("somebody looked")

    __str__ = __repr__


def taking(name: str, *parameters: str, **options: Any) -> AnyAsset:
    """An asset that gives back the text of what it takes, in a thread."""
    taken = ", ".join(parameters)
    fn = eval(f"lambda {taken}: ' '.join(map(str, [{taken}]))")  # noqa: S307 - test code
    return Asset(fn, name=name, code_version="1", **options)


def taking_async(name: str, *parameters: str) -> AnyAsset:
    """The same on the event loop."""
    plain = taking(name, *parameters)

    async def fn(**taken: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return plain(**taken)

    body = f"async def made({', '.join(parameters)}): return await fn(**locals())"
    space: dict[str, Any] = {"fn": fn}
    exec(body, space)  # noqa: S102 - test code
    return Asset(space["made"], name=name, code_version="1")


def kinds(diary: Diary) -> dict[str, Provider]:
    """A provider of every kind, each giving its name."""

    async def coroutine() -> str:
        await anyio.lowlevel.checkpoint()
        return "coroutine"

    async def asyncgen() -> AsyncIterator[str]:
        diary("open asyncgen")
        await anyio.lowlevel.checkpoint()
        yield "asyncgen"
        await anyio.lowlevel.checkpoint()
        diary("close asyncgen")

    class Scope:
        def __enter__(self) -> str:
            diary("open scope")
            return "scope"

        def __exit__(self, *_: object) -> None:
            diary("close scope")

    class Session:
        async def __aenter__(self) -> str:
            diary("open session")
            return "session"

        async def __aexit__(self, *_: object) -> None:
            diary("close session")

    class Plain:
        def __str__(self) -> str:
            return "plain"

    def returned() -> Any:
        return contextlib.contextmanager(diary.sync("returned"))()

    async def scope_later() -> Any:
        return contextlib.contextmanager(diary.sync("later"))()

    return {
        "function": lambda: "function",
        "coroutine": coroutine,
        "indirect": lambda: coroutine(),  # noqa: PLW0108 - not a coroutine function by itself
        "generator": diary.sync("generator"),
        "asyncgen": asyncgen,
        "scope": Scope,
        "session": Session,
        "plain": Plain,
        "decorated": contextlib.contextmanager(diary.sync("decorated")),
        "decorated_async": contextlib.asynccontextmanager(asyncgen),
        "ready": contextlib.closing(types.SimpleNamespace(close=lambda: diary("close ready"))),
        "ready_async": Session(),
        "returned": returned,
        "later": scope_later,
        "lock": threading.Lock,
        "locked": lambda: threading.Lock(),  # noqa: PLW0108 - a function that returns one
    }


@pytest.mark.parametrize("kind", [name for name in kinds(Diary()) if "lock" not in name])
@pytest.mark.parametrize("make", [taking, taking_async])
async def test_each_kind_of_provider_is_opened_and_closed(
    opened: Flowstone, diary: Diary, kind: str, make: Callable[..., AnyAsset]
) -> None:
    provider = kinds(diary)[kind]
    result = await opened.materialize(assets=[make("a", "it")], resources={"it": provider})
    said = {
        "indirect": "coroutine",
        "decorated_async": "asyncgen",
        "ready_async": "session",
        "ready": result["a"],
    }.get(kind, kind)
    assert result["a"] == said
    silent = ("function", "coroutine", "indirect", "plain")
    expected = [] if kind in silent else [f"open {said}", f"close {said}"]
    assert diary.entries == (["close ready"] if kind == "ready" else expected)


async def test_what_a_function_returns_is_handed_on_as_it_is(opened: Flowstone) -> None:
    """A lock, or a pool that somebody else closes, is not entered."""

    def held(lock: Any) -> bool:
        return bool(lock.locked())

    assets = [Asset(held, name="a", code_version="1")]
    made = kinds(Diary())["locked"]
    assert (await opened.materialize(assets=assets, resources={"lock": made}))["a"] is False


async def test_steps_share_one_and_it_is_closed_in_reverse(opened: Flowstone, diary: Diary) -> None:
    class Pool:
        def __init__(self, vault: str) -> None:
            diary(f"open pool of {vault}")

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            diary("close pool")

    together = threading.Barrier(2, timeout=30)

    def meet(pool: Pool) -> int:
        together.wait()
        return id(pool)

    async def alone(pool: Pool) -> int:
        return id(pool)

    assets: list[AnyAsset] = [Asset(meet, name=name, code_version="1") for name in ("a", "b")]
    assets += [Asset(alone, name="c", code_version="1"), taking("d", "vault")]
    resources = {"pool": Pool, "vault": diary.sync("vault")}
    for run in range(1, 3):
        result = await opened.materialize(
            assets=assets, resources=resources, force=True, max_concurrency=4
        )
        assert result["a"] == result["b"] == result["c"]
        once = ["open vault", "open pool of vault", "close pool", "close vault"]
        assert diary.entries == once * run


async def test_nothing_is_opened_that_no_step_needs(opened: Flowstone, diary: Diary) -> None:
    assets = [taking("a", "one"), taking("b", "two")]
    resources = {"one": diary.sync("one"), "two": diary.sync("two")}
    graph = AssetGraph(assets, resources=resources)
    await opened.materialize("a", assets=graph)
    assert diary.entries == ["open one", "close one"]
    await opened.plan(assets=graph)
    result = await opened.materialize(assets=graph)
    assert result.statuses == {"a": "reused", "b": "materialized"}
    assert diary.entries[2:] == ["open two", "close two"]
    await opened.materialize(assets=graph)
    await opened.accept("a", assets=assets, resources=resources, reason="it may stand")
    await opened.invalidate("a", assets=assets, resources=resources, reason="it may not")
    assert len(diary.entries) == 4


async def test_verifying_opens_too(opened: Flowstone, diary: Diary) -> None:
    resources = {"one": diary.sync("one")}
    for verify in (False, True):
        await opened.materialize(assets=[taking("a", "one")], resources=resources, verify=verify)
    assert diary.entries == ["open one", "close one"] * 2


async def test_a_provider_lives_in_one_thread_or_task(opened: Flowstone) -> None:
    variable = contextvars.ContextVar("variable", default="")
    ends: list[tuple[int, int]] = []

    def thread_bound() -> Iterator[str]:
        token, begun = variable.set("here"), threading.get_ident()
        yield "thread"
        variable.reset(token)
        ends.append((begun, threading.get_ident()))

    async def task_bound() -> AsyncIterator[str]:
        token = variable.set("there")
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            yield "task"
            group.cancel_scope.cancel()
        variable.reset(token)
        ends.append((0, 0))

    assets = [taking("a", "one"), taking_async("b", "two", "a")]
    await opened.materialize(assets=assets, resources={"one": thread_bound, "two": task_bound})
    assert len(ends) == 2
    assert all(begun == ended for begun, ended in ends)


# ---- failures


async def test_what_cannot_be_opened_fails_what_needs_it_and_nothing_else(
    opened: Flowstone, diary: Diary
) -> None:
    tries = []

    async def vault() -> str:
        tries.append(1)
        raise ConnectionError("no route; password=hunter2")

    def warehouse(vault: str, other: str) -> str:
        return vault + other

    assets = [
        taking("a", "warehouse"),
        taking("b", "vault"),
        taking("c", "a"),
        taking("d", "other"),
    ]
    resources = {"vault": vault, "warehouse": warehouse, "other": diary.sync("other")}
    recorder = Recorder()
    result = await opened.materialize(
        assets=assets, resources=resources, raise_on_error=False, on_event=recorder
    )
    assert result.statuses == {"a": "failed", "b": "failed", "c": "skipped", "d": "materialized"}
    assert tries == [1]
    assert diary.entries == ["open other", "close other"]
    row = await opened.store.get("b")
    assert row.error_type == "flowstone.errors.ResourceError"
    assert row.error_message is not None
    assert row.error_message.startswith("resource 'vault' can't be opened: ConnectionError: no r")
    assert row.error_traceback is not None
    assert "in vault" in row.error_traceback
    assert "hunter2" not in row.model_dump_json()
    needing = (await opened.store.get("a")).error_message or ""
    assert "resource 'warehouse' can't be opened: resource 'vault' can't be opened" in needing
    with pytest.raises(RunFailedError) as told:
        await opened.materialize("b", assets=assets, resources=resources)
    assert isinstance(told.value.__cause__, ResourceError)
    assert isinstance(told.value.__cause__.__cause__, ConnectionError)
    assert tries == [1, 1]


async def test_a_generator_that_never_yields_says_so(opened: Flowstone) -> None:
    def empty() -> Iterator[str]:
        yield from ()

    with pytest.raises(RunFailedError, match=r"resource 'it' can't be opened: .*didn't yield"):
        await opened.materialize(assets=[taking("a", "it")], resources={"it": empty})


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), StopIteration()])
@pytest.mark.parametrize("is_async", [True, False])
async def test_whatever_a_provider_raises_is_a_failure(
    opened: Flowstone, error: BaseException, is_async: bool
) -> None:
    def provider() -> str:
        raise error

    async def provider_async() -> str:
        raise error

    made = provider_async if is_async else provider
    result = await opened.materialize(
        assets=[taking("a", "it")], resources={"it": made}, raise_on_error=False
    )
    assert result.statuses == {"a": "failed"}


@pytest.mark.parametrize("is_async", [True, False])
async def test_what_cannot_be_closed_is_raised_when_all_is_recorded(
    opened: Flowstone, diary: Diary, is_async: bool
) -> None:
    def stubborn() -> Iterator[str]:
        yield "stubborn"
        raise ValueError("still in use, password=hunter2")

    async def stubborn_async() -> AsyncIterator[str]:
        yield "stubborn"
        raise ValueError("still in use, password=hunter2")

    assets = [taking("a", "it", "other")]
    resources = {"it": stubborn_async if is_async else stubborn, "other": diary.sync("other")}
    with pytest.raises(ResourceError, match="resource 'it' can't be closed: ValueError") as told:
        await opened.materialize(assets=assets, resources=resources)
    assert isinstance(told.value.__cause__, ValueError)
    assert "hunter2" not in str(told.value)
    assert told.value.result["a"] == "stubborn other"  # type: ignore[index] # a RunResult
    assert diary.entries == ["open other", "close other"]
    assert (await opened.store.get("a")).status == "success"
    (run,) = await opened.store.list_runs()
    assert run.status == "failed"
    assert (await opened.materialize(assets=assets, resources=resources)).run.status == "success"


async def test_an_asset_that_fails_too_is_told_first(opened: Flowstone, diary: Diary) -> None:
    def stubborn() -> Iterator[str]:
        yield "1"
        raise ValueError("still in use")

    def divide(it: str, other: str) -> float:
        return int(it) / len(other[:0])

    assets = [Asset(divide, name="a", code_version="1")]
    resources = {"it": stubborn, "other": diary.sync("other")}
    with pytest.raises(RunFailedError, match="ZeroDivisionError") as told:
        await opened.materialize(assets=assets, resources=resources)
    assert told.value.__notes__ == ["resource 'it' can't be closed: ValueError: still in use"]
    with pytest.raises(ResourceError) as closing:
        await opened.materialize(assets=assets, resources=resources, raise_on_error=False)
    assert closing.value.result.statuses == {"a": "failed"}  # type: ignore[attr-defined] # a RunResult
    assert diary.entries == ["open other", "close other"] * 2


async def test_the_object_is_never_looked_at(opened: Flowstone) -> None:
    def fail(it: Unspeakable) -> int:
        raise ValueError(type(it).__name__)

    recorder = Recorder()
    with pytest.raises(RunFailedError):
        await opened.materialize(
            assets=[Asset(fail, name="a", code_version="1")],
            resources={"it": Unspeakable},
            on_event=recorder,
        )
    assert recorder.endings == {"a": "failed"}


# ---- cancellation


async def cancelled_at(
    opened: Flowstone, begun: anyio.Event, assets: list[AnyAsset], resources: dict[str, Provider]
) -> dict[str, str]:
    """How the assets of a run ended that is cancelled as soon as something has begun."""
    async with anyio.create_task_group() as group:

        async def run() -> None:
            await opened.materialize(assets=assets, resources=resources)

        group.start_soon(run)
        with anyio.fail_after(30):
            await begun.wait()
        group.cancel_scope.cancel()
    (last,) = await opened.store.list_runs()
    assert last.status == "cancelled"
    rows = await opened.store.get_by_run_id(last.run_id)
    return {row.asset_name: row.status for row in rows}


async def test_a_cancelled_run_closes_what_it_opened(opened: Flowstone, diary: Diary) -> None:
    begun = anyio.Event()

    async def session() -> AsyncIterator[str]:
        yield "session"
        await anyio.lowlevel.checkpoint()
        diary("close session")

    async def endless(session: str, other: str) -> str:
        begun.set()
        await anyio.sleep_forever()
        return session + other

    assets = [Asset(endless, name="a", code_version="1")]
    resources = {"session": session, "other": diary.sync("other")}
    assert await cancelled_at(opened, begun, assets, resources) == {"a": "cancelled"}
    assert diary.entries == ["open other", "close other", "close session"]


async def test_a_run_cancelled_while_it_opens_leaves_nothing_open(
    opened: Flowstone, diary: Diary
) -> None:
    """What opens on the loop is given up; what opens in a thread is waited for, and closed."""
    begun, cancelled = anyio.Event(), threading.Event()

    def slow() -> Iterator[str]:
        diary("open slow")
        cancelled.wait(30)
        yield "slow"
        diary("close slow")

    async def never() -> AsyncIterator[str]:
        begun.set()
        try:
            await anyio.sleep_forever()
            yield "never"
        finally:
            diary("gave up")
            cancelled.set()

    assets = [taking_async("a", "slow"), taking_async("b", "never")]
    resources = {"slow": slow, "never": never}
    assert set((await cancelled_at(opened, begun, assets, resources)).values()) == {"cancelled"}
    assert sorted(diary.entries) == ["close slow", "gave up", "open slow"]


@pytest.mark.parametrize("is_async", [True, False])
async def test_a_cancelled_run_does_not_wait_forever(
    opened: Flowstone,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_async: bool,
) -> None:
    monkeypatch.setattr(runtime, "CLOSING_SECONDS", 0.1)
    begun, release = anyio.Event(), threading.Event()

    def hanging() -> Iterator[str]:
        yield "hanging"
        release.wait(30)

    async def hanging_async() -> AsyncIterator[str]:
        yield "hanging"
        await anyio.sleep_forever()

    async def endless(it: str) -> str:
        begun.set()
        await anyio.sleep_forever()
        return it

    assets = [Asset(endless, name="a", code_version="1")]
    provider = hanging_async if is_async else hanging
    assert await cancelled_at(opened, begun, assets, {"it": provider}) == {"a": "cancelled"}
    release.set()
    assert "resource 'it' was not closed within 0 seconds" in capsys.readouterr().err


# ---- versions


async def test_a_changed_version_makes_outdated_and_is_told(opened: Flowstone) -> None:
    def resources(vault: str | None, warehouse: str) -> dict[str, Provider]:
        def connect(vault: str) -> str:
            return f"{vault}, connected"

        return {
            "vault": Resource(lambda: "v", version=vault),
            "warehouse": Resource(connect, version=warehouse),
        }

    assets = [taking("a", "warehouse"), taking("b", "a"), taking("c", "b")]
    await opened.materialize(assets=assets, resources=resources("7", "1"))
    assert (await opened.plan(assets=assets, resources=resources("7", "1"))).is_idle
    newer = await opened.plan(assets=assets, resources=resources("8", "2"))
    assert [str(cause) for cause in newer["a"].causes] == [
        "resource vault changed 7 -> 8",
        "resource warehouse changed 1 -> 2",
    ]
    why = await opened.why("a", assets=assets, resources=resources("7", "2"))
    assert repr(why) == "a would run:\n  resource warehouse changed 1 -> 2"
    result = await opened.materialize(assets=assets, resources=resources("8", "2"))
    assert result.statuses == {"a": "materialized", "b": "reused", "c": "reused"}
    recorded = await opened.why("a", run=result.run_id)
    assert "resource vault changed 7 -> 8" in repr(recorded)
    assert (await opened.store.get("a")).inputs["resources"] == {"vault": "8", "warehouse": "2"}
    none = await opened.plan(assets=assets, resources=resources(None, "2"))
    assert none["a"].why == "resource vault changed: without a version now"
    newest = resources("9", "2")
    assert await opened.accept("a", assets=assets, resources=newest, reason="same data") == ["a"]
    assert (await opened.plan(assets=assets, resources=newest)).is_idle
    assert (await opened.store.get("a")).inputs["resources"] == {"vault": "9", "warehouse": "2"}
    back = await opened.plan(assets=assets, resources=resources("7", "1"))
    assert (back["a"].action, back["a"].origin) == ("reuse", "history")


async def test_another_provider_alone_changes_nothing(opened: Flowstone) -> None:
    assets = [taking("a", "it")]
    await opened.materialize(assets=assets, resources={"it": lambda: "real"})
    plan = await opened.plan(assets=assets, resources={"it": lambda: "fake"})
    assert plan.is_idle
    versioned = {"it": Resource(lambda: "real", version="1")}
    told = (await opened.plan(assets=assets, resources=versioned))["a"].why
    assert told == "resource it changed: version 1 now"


# ---- where they come from


async def test_a_connection_has_them_for_all_calls(tmp_path: Path, database_18: str) -> None:
    resources = {"it": lambda: "connection's", "unused": lambda: 1}
    home = tmp_path / "home"
    async with Flowstone(resources=resources, database_url=database_18, home=home) as fs:
        assets = [taking("a", "it")]
        graph = AssetGraph(assets, resources={"it": lambda: "graph's"})
        assert (await fs.materialize(assets=assets))["a"] == "connection's"
        assert (await fs.materialize("a", assets=graph, force=True))["a"] == "graph's"
        given = {"it": lambda: "call's"}
        assert (await fs.materialize("a", assets=graph, force=True, resources=given))["a"] == (
            "call's"
        )


def test_a_notebook_redefines_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    define = """
    from flowstone import Resource, asset, materialize, plan
    import contextlib

    @contextlib.contextmanager
    def connect():
        print('open')
        yield 20
        print('close')

    resources = {'warehouse': Resource(connect, version='1')}

    @asset
    def revenue(warehouse: int) -> int:
        return warehouse + 1
    """
    cells = [
        re.sub("^    ", "", define, flags=re.MULTILINE),
        "print(materialize(revenue)['revenue'])",
        re.sub("^    ", "", define, flags=re.MULTILINE),
        "print(materialize(revenue).statuses)",
        "resources['warehouse'] = Resource(lambda: 30, version='2')",
        "print(plan(revenue))",
        "print(materialize(revenue)['revenue'])",
        "print(materialize(revenue, resources={'warehouse': lambda: 5}, force=True)['revenue'])",
        "materialize(revenue, resources={'werehouse': connect})",
    ]
    shown = [text(outputs) for outputs in execute(cells, tmp_path / "home", monkeypatch)]
    assert sorted(shown[1].split()) == ["21", "close", "open"]
    assert shown[3] == "{'revenue': 'reused'}\n"
    assert shown[5].strip() == "materialize revenue  resource warehouse changed 1 -> 2"
    assert shown[6] == "31\n"
    assert shown[7] == "6\n"
    assert "nothing takes 'werehouse'; did you mean 'warehouse'?" in shown[8]


SHOP = """
    import os, sys, time
    from pathlib import Path
    from flowstone import Resource, asset

    def warehouse():
        print("open", file=sys.stderr)
        yield 20
        print("close", file=sys.stderr)
        if os.environ.get("STUBBORN"):
            raise ValueError("still in use")

    def broken():
        raise ConnectionError("no route")

    resources = {
        "warehouse": Resource(warehouse, version=os.environ.get("VERSION", "1")),
        "broken": broken,
    }

    @asset
    def revenue(warehouse: int) -> int:
        return warehouse + 1

    @asset
    def failing(broken: int, warehouse: int) -> int:
        return broken

    @asset
    def endless(warehouse: int) -> int:
        Path("began").touch()
        while not Path("go").exists():
            time.sleep(0.01)
        return 1
"""


@pytest.fixture
def project(tmp_path: Path, database_18: str) -> Project:
    made = Project(tmp_path, {"FLOWSTONE_DATABASE_URL": database_18})
    made.write("shop.py", SHOP)
    return made


def test_the_command_line_takes_those_of_the_module(project: Project) -> None:
    call = project.flowstone("run", "shop.py", "revenue")
    assert call.code == 0, call.err
    assert [line for line in call.lines if line in ("open", "close")] == ["open", "close"]
    assert "open" not in project.flowstone("run", "shop.py", "revenue").lines
    planned = project.flowstone("plan", "shop.py", "revenue", VERSION="2")
    assert "resource warehouse changed 1 -> 2" in planned.out
    why = project.flowstone("why", "shop.py", "revenue", VERSION="2")
    assert "resource warehouse changed 1 -> 2" in why.out


def test_the_command_line_tells_what_failed(project: Project) -> None:
    failed = project.flowstone("run", "shop.py", "failing")
    assert failed.code == 1
    assert "resource 'broken' can't be opened: ConnectionError: no route" in failed.err
    assert re.search(r"shop.py:\d+ in broken", failed.err)
    unclosed = project.flowstone("run", "shop.py", "revenue", STUBBORN="1")
    assert unclosed.code == 3
    assert "1 materialized" in unclosed.err
    assert "error: resource 'warehouse' can't be closed: ValueError: still in use" in unclosed.err
    assert re.search(r"shop.py:\d+ in warehouse", unclosed.err)
    assert "Traceback" not in unclosed.err
    both = project.flowstone("run", "shop.py", "revenue", "failing", "-f", STUBBORN="1")
    assert both.code == 1
    assert "can't be closed" in both.err


def test_check_tells_unknown_names(project: Project) -> None:
    wrong = SHOP.replace("def broken():", "def broken(warehose):")
    project.write("wrong.py", wrong.replace("revenue(warehouse: int)", "revenue(werehouse: int)"))
    call = project.flowstone("check", "wrong.py")
    assert call.code == 2
    assert "parameter 'warehose' names no resource; did you mean 'warehouse'?" in call.err
    assert "parameter 'werehouse' needs an asset that does not exist; did you mean" in call.err


def test_an_interrupt_closes_them(project: Project) -> None:
    process = project.start("run", "shop.py", "endless")
    deadline = time.monotonic() + 60
    while not (project.folder / "began").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    err = stopped_now(process)
    assert process.returncode == 130
    assert [line for line in err.splitlines() if line in ("open", "close")] == ["open", "close"]
    status = json.loads(project.flowstone("db", "status", "--json").out)
    assert status["last_run"]["status"] == "cancelled"
