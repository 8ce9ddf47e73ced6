"""DBOS: a workflow whose steps are recorded as they end."""

from __future__ import annotations

import asyncio
from typing import Any

from dbos import DBOS  # type: ignore[import-not-found] # in its own environment

from benchmarks.peers.speed.common import WIDTH, answer, asked, levels, module

task = asked()
functions = vars(module(task))
config = {"name": "bench", "system_database_url": task.url, "run_admin_server": False}
DBOS(config=config | {"log_level": "CRITICAL"})


def one(name: str, inputs: list[int]) -> int:
    value: int = functions[name](*inputs)
    return value


async def sleeping(name: str) -> int:
    await asyncio.sleep(0.05)
    return int(bool(name))


def in_turn() -> int:
    values: dict[str, int] = {}
    for name, needs in task.graph.items():
        values[name] = step(name, [values[each] for each in needs])
    return len(values)


async def at_once() -> int:
    limit, count = asyncio.Semaphore(WIDTH), 0

    async def limited(name: str) -> int:
        async with limit:
            found: int = await slow(name)
            return found

    for level in levels(task.graph):
        count += sum(await asyncio.gather(*map(limited, level)))
    return count


step: Any = DBOS.step(name="one")(one)
slow: Any = DBOS.step(name="sleeping")(sleeping)
flow: Any = DBOS.workflow(name="in_turn")(in_turn)
wide: Any = DBOS.workflow(name="at_once")(at_once)


def run() -> None:
    found = asyncio.run(wide()) if task.body == "sleep" else flow()
    assert found == len(task.graph)  # noqa: S101 - a program of the benchmark


DBOS.launch()
answer(run)
DBOS.destroy()
