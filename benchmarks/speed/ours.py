"""Flowstone's side: modules of assets as a user writes them, and the public calls, timed."""

from __future__ import annotations

import importlib
import sys
import time
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import psycopg

from flowstone import AssetGraph, Flowstone, asset

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from benchmarks.speed.graphs import Graph

#: Functions of one file.
PER_FILE = 1000
WIDTH = 16
#: What a changed source returns; any other number will do.
CHANGED = 1_000_003

_BODIES = {"one": "return 1", "sum": "return {sum}", "sleep": "{sleep}\n    return 1"}


def write(
    graph: Graph,
    folder: Path,
    *,
    body: str = "one",
    style: str = "async",
    decorated: bool = True,
    annotated: bool = True,
    changed: Collection[str] = (),
) -> list[str]:
    """Write modules with a function for each node, and return their names.

    Args:
        graph: the names, and what each takes.
        folder: where the files go.
        body: returns ``one``, the ``sum`` of the inputs and one, or one after a ``sleep`` of 50 ms.
        style: ``async`` or ``def``.
        decorated: whether the functions are assets.
        annotated: whether inputs and result say that they are ``int``.
        changed: the nodes that return another value than usual.
    """
    nodes = iter(graph.items())
    modules: list[str] = []
    while part := list(islice(nodes, PER_FILE)):
        name = f"pipeline_{len(modules)}"
        first = "import asyncio\nimport time\n\nfrom flowstone import asset\n"
        functions = (
            _function(node, needs, body, style, decorated, annotated, node in changed)
            for node, needs in part
        )
        text = "\n\n".join([first, *functions])
        path = folder / f"{name}.py"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        modules.append(name)
    return modules


def _function(  # noqa: PLR0917 - one caller, above
    name: str,
    needs: list[str],
    body: str,
    style: str,
    decorated: bool,  # noqa: FBT001 - see above
    annotated: bool,  # noqa: FBT001 - see above
    changed: bool,  # noqa: FBT001 - see above
) -> str:
    kind, result = (": int", " -> int") if annotated else ("", "")
    sleep = "await asyncio.sleep(0.05)" if style == "async" else "time.sleep(0.05)"
    text = _BODIES[body].format(sum=" + ".join([*needs, "1"]), sleep=sleep)
    if changed:
        text = f"return {CHANGED}"
    parameters = ", ".join(f"{each}{kind}" for each in needs)
    define = "async def" if style == "async" else "def"
    return f"{'@asset' if decorated else ''}\n{define} {name}({parameters}){result}:\n    {text}\n"


def imported(folder: Path, modules: Iterable[str], graph: Graph) -> list[Any]:
    """What the modules define for the nodes of a graph, in its order."""
    sys.path.insert(0, str(folder))
    found: dict[str, Any] = {}
    for name in modules:
        found.update(vars(importlib.import_module(name)))
    return [found[name] for name in graph]


async def ran(url: str, home: Path, assets: list[Any], made: int) -> tuple[float, int]:
    """The seconds of one run that makes so many assets, and the statements of another call.

    Raises:
        SystemExit: if it made another number.
    """
    graph = AssetGraph(assets)
    async with Flowstone(database_url=url, home=home) as fs:
        begun = time.perf_counter()
        result = await fs.materialize(assets=graph, max_concurrency=WIDTH)
        took = time.perf_counter() - begun
        counted = sum(status == "materialized" for status in result.statuses.values())
        if counted != made:
            raise SystemExit(f"Flowstone made {counted} assets, not {made}")
        if made:
            return took, 0
        with counting() as sent:
            await fs.materialize(assets=graph)
        return took, len(sent)


def built(functions: list[Any]) -> float:
    """The seconds of decorating functions and building their graph."""
    begun = time.perf_counter()
    AssetGraph([asset(each) for each in functions])
    return time.perf_counter() - begun


@contextmanager
def counting() -> Iterator[list[object]]:
    """The statements that are sent meanwhile."""
    sent: list[object] = []
    execute, copy = psycopg.AsyncCursor.execute, psycopg.AsyncCursor.copy

    async def executing(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        sent.append(query)
        return await execute(self, query, *args, **options)

    def copying(self: Any, statement: Any, *args: Any, **options: Any) -> Any:
        sent.append(statement)
        return copy(self, statement, *args, **options)

    psycopg.AsyncCursor.execute = executing  # type: ignore[method-assign] # for a while
    psycopg.AsyncCursor.copy = copying  # type: ignore[method-assign] # for a while
    try:
        yield sent
    finally:
        psycopg.AsyncCursor.execute = execute  # type: ignore[method-assign] # as it was
        psycopg.AsyncCursor.copy = copy  # type: ignore[method-assign] # as it was
