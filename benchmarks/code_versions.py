"""Code versions against ``ast.parse`` of the same files: ``python benchmarks/code_versions.py``.

A project of 1,000 assets over 100 modules, some 38,000 lines, is written to a folder that is
removed at the end. ``cold`` has nothing, ``warm`` the summaries on disk that an earlier process
left, and ``again`` is a second call in the same process; importing the project is not measured.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

from flowstone.sources import codes

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.core.asset import AnyAsset

ASSETS = 10
FILLING = 18


def module(number: int, seed: random.Random) -> str:
    """A module with ten assets, and helpers, classes and tables of its own and of others."""
    others = [f"m{seed.randrange(number)}" for _ in range(3)] if number else []
    parts = ["import functools\nimport dataclasses\nimport logging\nfrom flowstone import asset"]
    parts += [f"from bench_project import {other}" for other in dict.fromkeys(others)]
    parts.append("log = logging.getLogger(__name__)\nTABLE = {}\nLIMIT = 10\n")
    for helper in range(FILLING):
        called = f"{seed.choice(others)}.helper{seed.randrange(FILLING)}(value)" if others else "1"
        own = f"helper{seed.randrange(helper)}(value)" if helper else "value"
        parts.append(_HELPER.format(n=helper, called=called, own=own))
    for number_of_asset in range(ASSETS):
        first, second = seed.sample(range(FILLING), 2)
        name = f"a{number}_{number_of_asset}"
        parts.append(_ASSET.format(name=name, n=number_of_asset, first=first, second=second))
    return "\n\n".join(parts)


_HELPER = textwrap.dedent('''
    RATE{n} = {n} * 3


    def helper{n}(value: int) -> int:
        """What the value of number {n} becomes."""
        # the rate is applied first
        result = value * RATE{n}
        if result > LIMIT:
            result = {called} + {own}
        return result + len([each for each in range(LIMIT)])
''').strip()

_ASSET = textwrap.dedent('''
    @dataclasses.dataclass
    class Row{n}:
        """One row."""

        key: str
        amount: float = 0.0

        def scaled(self, by: float) -> float:
            """The amount by a factor."""
            return self.amount * by + RATE{n}


    @asset
    def {name}() -> dict[str, float]:
        """Something made of rows."""
        rows = [Row{n}(str(number), number / 2) for number in range(LIMIT)]
        log.info("made %d rows", len(rows))
        total = sum(row.scaled(2.0) for row in rows)
        return {{"total": total, "first": helper{first}(1), "second": helper{second}(2)}}
''').strip()


def write(folder: Path, modules: int) -> list[Path]:
    """Write the project; its files."""
    seed = random.Random(0)  # noqa: S311 - the same project each time
    package = folder / "bench_project"
    package.mkdir()
    files = [package / "__init__.py"]
    files[0].write_text("", "utf-8")
    for number in range(modules):
        files.append(package / f"m{number}.py")
        files[-1].write_text(module(number, seed), "utf-8")
    return files


def parse(files: list[Path]) -> None:
    """The floor: the same files, parsed."""
    for file in files:
        ast.parse(file.read_bytes())


def timed(call: Callable[..., object], *arguments: object) -> float:
    """Seconds that a call takes."""
    begun = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - begun


def child(folder: Path, cache: Path) -> None:
    """In a process of its own: import the project, then measure the floor and two calls."""
    sys.path.insert(0, str(folder))
    files = sorted((folder / "bench_project").glob("*.py"))
    assets: list[AnyAsset] = []
    for file in files:
        loaded = importlib.import_module(f"bench_project.{file.stem}")
        assets += [
            each for name, each in vars(loaded).items() if name.startswith("a") and "_" in name
        ]
    floor = timed(parse, files)
    first = timed(codes, assets, cache)
    again = timed(codes, assets, cache)
    print(len(assets), floor, first, again)


def measure(folder: Path, cache: Path) -> tuple[float, float, float]:
    """Floor, first and second call, of a new process."""
    command = [sys.executable, __file__, "--child", str(folder), str(cache)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603 - ourselves
    _, floor, first, again = map(float, done.stdout.split())
    return floor, first, again


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--modules", type=int, default=100, help="how many modules there are")
    parser.add_argument("--child", nargs=2, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(*given.child)
        return
    found: dict[str, list[tuple[float, float]]] = {"cold": [], "warm": [], "again": []}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        files = write(folder, given.modules)
        lines = sum(file.read_bytes().count(b"\n") for file in files)
        measure(folder, folder / "warm")
        for number in range(given.rounds):
            floor, first, _ = measure(folder, folder / f"cold{number}")
            found["cold"].append((floor, first))
            floor, first, again = measure(folder, folder / "warm")
            found["warm"].append((floor, first))
            found["again"].append((floor, again))
    print(f"{given.modules * ASSETS} assets, {lines} lines, medians of {given.rounds}")
    print(f"{'workload':<16} {'ast.parse':>10} {'flowstone':>10} {'ratio':>7}")
    for name, pairs in found.items():
        least, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{name:<16} {least * 1e3:>7.1f} ms {ours * 1e3:>7.1f} ms {ours / least:>7.2f}")


if __name__ == "__main__":
    main()
