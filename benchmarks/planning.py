"""Planning when nothing changed, for growing graphs: ``python benchmarks/planning.py``.

Statements are counted as the driver sends them. The floor is reading the same rows.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import psycopg
from bench import (  # type: ignore[import-not-found]  # beside this script
    assets,
    functions,
    layered,
    read_floor,
    timed,
    timed_async,
)

from flowstone import AssetGraph, Flowstone
from flowstone.store.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WIDTH = 100


async def statements(work: Callable[[], Awaitable[object]]) -> int:
    """How many statements a coroutine sends."""
    sent: list[object] = []
    execute = psycopg.AsyncCursor.execute

    async def counting(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        sent.append(query)
        return await execute(self, query, *args, **options)

    psycopg.AsyncCursor.execute = counting  # type: ignore[method-assign] # for the time of the call
    try:
        await work()
    finally:
        psycopg.AsyncCursor.execute = execute  # type: ignore[method-assign] # as it was
    return len(sent)


async def measure(size: int, rounds: int) -> tuple[int, float, float]:
    """Statements of one plan, and the median seconds of ours and of the floor."""
    graph = AssetGraph(assets(functions(layered(size // WIDTH, WIDTH))))
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder))
        server.start()
        url = server.conninfo()
        ours: list[float] = []
        floor: list[float] = []
        async with Flowstone(database_url=url, home=folder) as fs:
            await fs.materialize(assets=graph)
            for _ in range(rounds):
                floor.append(timed(lambda: read_floor(url)))
                ours.append(await timed_async(lambda: fs.plan(assets=graph)))
            plan = await fs.plan(assets=graph)
            if plan.to_run:
                raise SystemExit(f"{len(plan.to_run)} of {size} assets are not fresh")
            sent = await statements(lambda: fs.plan(assets=graph))
        server.stop()
    return sent, statistics.median(ours), statistics.median(floor)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("sizes", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    options = parser.parse_args()
    print(f"{'assets':>8} {'statements':>11} {'floor':>10} {'plan':>10} {'ratio':>7} {'each':>9}")
    for size in options.sizes:
        begun = time.monotonic()
        sent, ours, floor = anyio.run(measure, size, options.rounds)
        print(
            f"{size:>8,} {sent:>11} {floor * 1e3:>7.1f} ms {ours * 1e3:>7.1f} ms"
            f" {ours / floor:>7.2f} {ours / size * 1e6:>6.1f} us"
            f"   (all in {time.monotonic() - begun:.0f} s)"
        )


if __name__ == "__main__":
    main()
