"""A run asked for again: the same targets, partition, config and options, and nothing in vain."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from pydantic import BaseModel, SecretStr

from flowstone import Asset, AssetGraph, Flowstone, InputPath
from flowstone.core.config import Written, resolve
from flowstone.core.records import Run
from flowstone.core.repeat import given, repeated
from flowstone.errors import NotFoundError, ResumeError, SelectionError
from tests.integration.cli_support import Project

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.core.asset import AnyAsset

pytestmark = pytest.mark.anyio


class Window(BaseModel):
    start: dt.date
    days: int = 1


class Login(BaseModel):
    user: str
    password: str


def pinned(fn: Callable[..., Any], **options: Any) -> AnyAsset:
    return Asset(fn, name=fn.__name__, code_version="1", **options)


class Pipeline:
    """Assets that take down what they were called with; ``below`` fails while it is broken."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.is_broken = True

    @property
    def assets(self) -> list[AnyAsset]:
        def source(factor: Decimal = Decimal(1)) -> str:
            self.calls.append(("source", factor))
            return str(factor)

        def below(source: str, window: Window | None = None) -> str:
            self.calls.append(("below", window))
            if self.is_broken:
                raise ConnectionError
            return source

        def beside(token: str = "", url: str = "") -> int:
            self.calls.append(("beside", (token, url)))
            return len(token)

        return [pinned(source), pinned(below), pinned(beside)]

    def called(self) -> list[tuple[str, Any]]:
        """The calls since this was asked last."""
        calls, self.calls = self.calls, []
        return calls


CONFIG = {"source.factor": Decimal("1.50"), "below": {"window": {"start": "2026-01-02"}}}
WINDOW = Window(start=dt.date(2026, 1, 2))


async def test_only_what_is_missing_runs_with_the_config_of_then(opened: Flowstone) -> None:
    pipeline = Pipeline()
    key = (dt.date(2026, 1, 2), "eu")
    failed = await opened.materialize(
        "below", assets=pipeline.assets, config=CONFIG, partition=key, raise_on_error=False
    )
    assert pipeline.called() == [("source", Decimal("1.50")), ("below", WINDOW)]
    pipeline.is_broken = False
    again = await opened.resume(failed.run_id, assets=pipeline.assets)
    assert pipeline.called() == [("below", WINDOW)]
    assert (again.statuses, again.run.partition) == (
        {"source": "reused", "below": "materialized"},
        failed.run.partition,
    )
    assert again.run_id != failed.run_id
    await opened.resume(again.run_id, assets=pipeline.assets)
    assert pipeline.called() == []


async def test_what_was_forced_is_forced_until_it_is_made(opened: Flowstone) -> None:
    pipeline = Pipeline()
    pipeline.is_broken = False
    await opened.materialize("below", assets=pipeline.assets)
    pipeline.is_broken = True
    forced = await opened.materialize(
        "below", assets=pipeline.assets, force="+below", raise_on_error=False
    )
    pipeline.is_broken = False
    pipeline.called()
    again = await opened.resume(forced.run_id, assets=pipeline.assets)
    assert pipeline.called() == [("below", None)]
    await opened.resume(again.run_id, assets=pipeline.assets)
    assert pipeline.called() == []


async def test_only_and_verify_are_those_of_then(opened: Flowstone) -> None:
    pipeline = Pipeline()
    pipeline.is_broken = False
    await opened.materialize("source", assets=pipeline.assets)
    only = await opened.materialize("below", assets=pipeline.assets, only=True)
    pipeline.called()
    assert (await opened.resume(only.run_id, assets=pipeline.assets)).statuses == {
        "below": "reused"
    }
    verified = await opened.materialize("below", assets=pipeline.assets, verify=True)
    pipeline.called()
    again = await opened.resume(verified.run_id, assets=pipeline.assets)
    assert again.statuses == {"source": "verified", "below": "verified"}


async def test_secrets_are_not_recorded_and_asked_for_again(opened: Flowstone) -> None:
    """By their name, by their type, inside a value, inside a text."""
    pipeline = Pipeline()
    config = {"beside": {"token": "hunter2", "url": "https://me:hunter2@example.org"}}
    run = await opened.materialize("beside", assets=pipeline.assets, config=config)
    recorded = await opened.store.get_run(run.run_id)
    assert "hunter2" not in recorded.model_dump_json()
    for some in (None, {"beside.url": "x"}, {"beside": {"token": "hunter2"}}):
        with pytest.raises(ResumeError, match=r"beside\.(token|url).* not recorded .*--set beside"):
            await opened.resume(run.run_id, assets=pipeline.assets, config=some)
    pipeline.called()
    again = await opened.resume(run.run_id, assets=pipeline.assets, config=config)
    assert (again.statuses, pipeline.called()) == ({"beside": "reused"}, [])


async def test_a_run_that_is_alive_is_left_alone(opened: Flowstone) -> None:
    going, enough = anyio.Event(), anyio.Event()

    async def slow() -> int:
        going.set()
        await enough.wait()
        return 1

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: opened.materialize(assets=[pinned(slow)]))
        await going.wait()
        (run,) = await opened.store.list_runs()
        with pytest.raises(ResumeError, match=f"is alive.*flowstone cancel {run.run_id}"):
            await opened.resume(run.run_id, assets=[pinned(slow)])
        enough.set()


async def test_what_can_not_be_repeated_says_why(opened: Flowstone) -> None:
    pipeline = Pipeline()
    pipeline.is_broken = False
    with pytest.raises(NotFoundError, match="no run 'nothing'"):
        await opened.resume("nothing", assets=pipeline.assets)
    run = await opened.materialize("below", assets=pipeline.assets)
    others = [Asset(lambda: 1, name="belows", code_version="1")]
    with pytest.raises(SelectionError, match=r"'below'.*did you mean 'belows'"):
        await opened.resume(run.run_id, assets=others)
    old = run.run.model_copy(update={"run_id": "old", "request": None})
    new = run.run.model_copy(update={"run_id": "new", "request": {"version": 2, "targets": []}})
    for each in (old, new):
        await opened.store.record_run(each)
    with pytest.raises(ResumeError, match="an older Flowstone recorded it"):
        await opened.resume("old", assets=pipeline.assets)
    with pytest.raises(ResumeError, match="upgrade"):
        await opened.resume("new", assets=pipeline.assets)


class Odd:
    """A class of the user's, without any form in JSON."""

    def __init__(self, number: int = 0) -> None:
        self.number = number


def wide(
    number: float = 0.0,
    day: dt.date | None = None,
    moment: dt.datetime | None = None,
    path: Path = Path(),
    names: tuple[str, ...] = (),
    some: frozenset[int] = frozenset(),
    nested: dict[str, list[int | None]] | None = None,
    window: Window | None = None,
    anything: Any = None,
    file: InputPath | None = None,
    secret: SecretStr | None = None,
    login: Login | None = None,
    odd: Odd | None = None,
) -> int:
    return len([number, day, moment, path, names, some, nested, window, anything, file]) + len(
        [secret, login, odd]
    )


GRAPH = AssetGraph([pinned(wide)])


@pytest.mark.parametrize(
    ("name", "value", "is_kept"),
    [
        ("number", 3, True),
        ("number", Written("3"), True),
        ("number", 1e300, True),
        ("number", float("inf"), False),
        ("day", dt.date(2026, 1, 2), True),
        ("moment", dt.datetime(2026, 1, 2, 3), True),  # noqa: DTZ001 - a wall time
        ("moment", dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC), False),
        ("file", Path("a/b"), True),
        ("path", Path("a/b"), True),
        ("names", ("a", "ü"), True),
        ("names", ("a\0",), False),
        ("some", frozenset({1, 2}), True),
        ("nested", {"a": [1, None]}, True),
        ("window", WINDOW, True),
        ("window", Written('{"start": "2026-01-02"}'), True),
        ("anything", "plain", True),
        ("anything", {"token": "hunter2"}, False),
        ("anything", {1: 2}, False),
        ("anything", "postgresql://me:hunter2@host/db", False),
        ("anything", "x" * 100_000, False),
        ("anything", (1, 2), False),
        ("secret", SecretStr("hunter2"), False),
        ("login", Login(user="me", password="hunter2"), False),  # noqa: S106 - of nobody
        ("odd", None, True),
    ],
)
def test_a_config_value_comes_back_as_it_was_or_is_asked_for(
    name: str, value: Any, is_kept: bool
) -> None:
    overrides = {"wide": {name: value}}
    first = resolve(GRAPH, overrides)
    found = given(GRAPH, overrides, first)
    document = json.loads(json.dumps(found.kept))
    assert "hunter2" not in json.dumps(document)
    assert (list(document), found.unkept) == (
        ([f"wide.{name}"], ()) if is_kept else ([], (f"wide.{name}",))
    )
    if is_kept:
        request = {"version": 1, "targets": ["wide"], "config": document}
        run = Run.model_construct(run_id="r", request=request, partition=None)
        again = resolve(GRAPH, repeated(run, {}).config)
        assert again["wide"].values == first["wide"].values
        assert [*map(type, again["wide"].values.values())] == [
            *map(type, first["wide"].values.values())
        ]
        assert again["wide"].digests == first["wide"].digests


def test_config_of_a_function_with_several_outputs_is_given_to_the_function() -> None:
    def split(left: int = 1) -> tuple[int, int]:
        return left, 2

    graph = AssetGraph([Asset(split, name="split", outputs=["a", "b"], code_version="1")])
    overrides = {"split.left": 5}
    found = given(graph, overrides, resolve(graph, overrides))
    assert found.kept == {"split.left": {"value": 5}}


KILLED = """
    import os, sys
    from flowstone import asset

    @asset
    def first(number: int = 1) -> int:
        print("first", number, file=sys.stderr, flush=True)
        return number

    @asset(durability="strict")
    def second(first: int, api_token: str = "") -> int:
        print("second", first, file=sys.stderr, flush=True)
        if os.environ.get("DIE"):
            os._exit(9)
        return first
"""


@pytest.mark.once
def test_the_command_line_resumes_what_was_killed(database_18: str, tmp_path: Path) -> None:
    project = Project(tmp_path, {"FLOWSTONE_DATABASE_URL": database_18})
    project.write("pipeline.py", KILLED)
    dying = Project(tmp_path, project.settings | {"DIE": "1"})
    assert dying.flowstone("run", "pipeline.py", "second", "--set", "first.number=3").code == 9
    call = project.flowstone("resume", "last", "pipeline.py")
    assert call.code == 0, call.err
    assert "second 3" in call.err
    assert "first 3" not in call.err
    secret = ("--set", "second.api_token=hunter2")
    assert project.flowstone("run", "pipeline.py", "second", *secret).code == 0
    project.flowstone("resume", "last", "pipeline.py").is_short_error(
        2, "was given second.api_token", "--set second.api_token=..."
    )
    call = project.flowstone("resume", "last", "pipeline.py", *secret, "--json")
    assert (call.code, call.events[-1]["status"]) == (0, "success")
    project.flowstone("resume", "last", "pipeline.py::first").is_short_error(2, "alone")
