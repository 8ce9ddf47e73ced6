"""What the peers' programs share: what is asked, a module of functions, and the answer.

It is run in the environments of the peers, so it imports nothing else.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH = 16
BODIES = {"one": "return 1", "sleep": "time.sleep(0.05)\n    return 1"}


@dataclass(frozen=True)
class Asked:
    """A graph, in an order that can run; its body; where to write; and where Postgres is."""

    graph: dict[str, list[str]]
    body: str
    mode: str
    folder: str
    url: str


def asked() -> Asked:
    """What the file says that the command line names."""
    return Asked(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))


def module(task: Asked, head: str = "", decorator: str = "") -> Any:
    """An imported module of functions, one for each node, that take what they need."""
    parts = [f"import time\n{head}\n"]
    for name, needs in task.graph.items():
        parameters = ", ".join(f"{each}: int" for each in needs)
        parts.append(f"{decorator}\ndef {name}({parameters}) -> int:\n    {BODIES[task.body]}\n")
    Path(task.folder, "bench_pipeline.py").write_text("\n".join(parts), encoding="utf-8")
    sys.path.insert(0, task.folder)
    sys.setrecursionlimit(100_000)
    return importlib.import_module("bench_pipeline")


def last(graph: dict[str, list[str]]) -> list[str]:
    """The nodes that no other needs."""
    needed = {each for needs in graph.values() for each in needs}
    return [name for name in graph if name not in needed]


def levels(graph: dict[str, list[str]]) -> list[list[str]]:
    """The nodes by how many are before them on the longest way."""
    depth: dict[str, int] = {}
    found: list[list[str]] = []
    for name, needs in graph.items():
        depth[name] = max((depth[each] + 1 for each in needs), default=0)
        if depth[name] == len(found):
            found.append([])
        found[depth[name]].append(name)
    return found


def answer(run: Callable[[], object]) -> None:
    """Call this, and print how long it took, and the peak of memory in MiB."""
    begun = time.perf_counter()
    run()
    tell(time.perf_counter() - begun)


def tell(seconds: float, stored: float | None = None) -> None:
    """Print the answer; ``stored`` are the seconds until all was durable, if that is later."""
    status = Path("/proc/self/status")
    peak = 0.0
    if status.exists():
        peak = int(status.read_text(encoding="ascii").partition("VmHWM:")[2].split()[0]) / 1024
    print(json.dumps({"seconds": seconds, "peak": peak, "stored": stored}))
