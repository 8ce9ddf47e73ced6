"""Prefect with a server of its own: when the flow returns, and when all task runs are stored."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from typing import Any

from benchmarks.peers.speed.common import WIDTH, asked, module, tell

given = asked()
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
os.environ |= {
    "PREFECT_HOME": given.folder,
    "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "DO_NOT_TRACK": "1",
}

import httpx  # type: ignore[import-not-found] # noqa: E402 - settings are read on import
import prefect  # type: ignore[import-not-found] # noqa: E402 - settings are read on import
from prefect.cache_policies import NO_CACHE  # type: ignore[import-not-found] # noqa: E402 - as above
from prefect.task_runners import (  # type: ignore[import-not-found] # noqa: E402 - as above
    ThreadPoolTaskRunner,
)

_PATIENCE = 180.0
functions = vars(module(given))
api = httpx.Client(base_url=os.environ["PREFECT_API_URL"], timeout=30)


def started() -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)]
    quiet = subprocess.DEVNULL
    server = subprocess.Popen(words, stdout=quiet, stderr=quiet)  # noqa: S603 - our own command
    until(healthy)
    return server


def healthy() -> bool:
    try:
        return bool(api.get("/health").status_code == httpx.codes.OK)
    except httpx.TransportError:
        return False


def until(true: Any) -> None:
    end = time.monotonic() + _PATIENCE
    while not true():
        if time.monotonic() > end:
            raise SystemExit("Prefect's server does not get there")
        time.sleep(0.1)


def stored() -> bool:
    wanted = {"task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    return bool(api.post("/task_runs/count", json=wanted).json() >= len(given.graph))


tasks: dict[str, Any] = {
    name: prefect.task(functions[name], cache_policy=NO_CACHE, persist_result=False)
    for name in given.graph
}


def submitted() -> int:
    made: dict[str, Any] = {}
    for name, needs in given.graph.items():
        made[name] = tasks[name].submit(**{each: made[each] for each in needs})
    return sum(each.result() for each in made.values())


flow: Any = prefect.flow(
    submitted, task_runner=ThreadPoolTaskRunner(max_workers=WIDTH), persist_result=False
)

logging.disable(logging.CRITICAL)
process = started()
try:
    begun = time.perf_counter()
    count = flow()
    seconds = time.perf_counter() - begun
    until(stored)
    tell(seconds, time.perf_counter() - begun)
finally:
    process.terminate()
    process.wait(30)
if count != len(given.graph):
    raise SystemExit(f"{count} tasks ran")
