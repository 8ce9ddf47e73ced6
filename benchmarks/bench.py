"""Flowstone against the floor, side by side in one run: ``python benchmarks/bench.py``."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import types
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import psycopg
import rustworkx as rx

from flowstone import Asset, AssetGraph, Flowstone
from flowstone.store.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LAYERS, WIDTH, INPUTS = 10, 100, 3


def layered(layers: int, width: int) -> dict[str, list[str]]:
    """Names and what each needs: ``INPUTS`` neighbours in the layer above."""
    return {
        f"a{layer}_{number}": [
            f"a{layer - 1}_{(number + offset) % width}" for offset in range(INPUTS if layer else 0)
        ]
        for layer in range(layers)
        for number in range(width)
    }


def functions(needs: dict[str, list[str]]) -> dict[str, Callable[..., int]]:
    """A function for each name that takes what it needs and returns 1."""
    made: dict[str, Callable[..., int]] = {}
    for name, inputs in needs.items():
        source = f"def {name}({', '.join(inputs)}): return 1"
        code = compile(source, "benchmark", "exec").co_consts[0]
        made[name] = types.FunctionType(code, {"__builtins__": {}}, name)
    return made


def timed(work: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


async def timed_async(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds that a coroutine takes."""
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun


def build_floor(needs: dict[str, list[str]]) -> None:
    graph: rx.PyDiGraph[str, None] = rx.PyDiGraph()
    index = dict(zip(needs, graph.add_nodes_from(list(needs)), strict=True))
    graph.add_edges_from(
        [(index[source], index[name], None) for name in needs for source in needs[name]]
    )
    rx.topological_sort(graph)


def assets(made: dict[str, Callable[..., int]]) -> list[Asset[..., Any]]:
    return [Asset(fn, code_version="1") for fn in made.values()]


def run_floor(url: str, made: dict[str, Callable[..., int]], needs: dict[str, list[str]]) -> None:
    values: dict[str, int] = {}
    with psycopg.connect(url, autocommit=True) as conn:
        for name, fn in made.items():
            values[name] = fn(*(values[source] for source in needs[name]))
            conn.execute(
                "INSERT INTO floor (id, name, value) VALUES (%s, %s, %s)",
                [uuid.uuid4(), name, values[name]],
            )


def read_floor(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute(
            "SELECT m.* FROM flowstone_current c"
            " JOIN flowstone_materializations m ON m.id = c.materialization_id"
        ).fetchall()


async def measure(rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """Seconds of ours and of the floor, by workload."""
    large, needs = layered(100, 100), layered(LAYERS, WIDTH)
    large_functions, made = functions(large), functions(needs)
    graph = AssetGraph(assets(made))
    found: dict[str, tuple[list[float], list[float]]] = {
        name: ([], []) for name in ("build", "first run", "nothing changed")
    }
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedServer(Path(folder))
        server.start()
        url = server.conninfo()
        with psycopg.connect(url) as conn:
            conn.execute("CREATE TABLE floor (id uuid PRIMARY KEY, name text, value int)")
        async with Flowstone(database_url=url, home=folder) as fs:
            for _ in range(rounds):
                ours, floor = found["build"]
                floor.append(timed(lambda: build_floor(large)))
                ours.append(timed(lambda: AssetGraph(assets(large_functions))))
                ours, floor = found["first run"]
                floor.append(timed(lambda: run_floor(url, made, needs)))
                ours.append(await timed_async(lambda: fs.materialize(assets=graph, force=True)))
                ours, floor = found["nothing changed"]
                floor.append(timed(lambda: read_floor(url)))
                ours.append(await timed_async(lambda: fs.materialize(assets=graph)))
        server.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    rounds: int = parser.parse_args().rounds
    print(f"{'workload':<16} {'floor':>10} {'flowstone':>10} {'ratio':>7}   medians of {rounds}")
    for name, (ours, floor) in anyio.run(measure, rounds).items():
        least, most = statistics.median(floor), statistics.median(ours)
        print(f"{name:<16} {least * 1e3:>7.1f} ms {most * 1e3:>7.1f} ms {most / least:>7.2f}")


if __name__ == "__main__":
    main()
