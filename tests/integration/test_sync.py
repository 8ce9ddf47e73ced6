"""The same calls from scripts, from a running event loop, from threads, and after a fork."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.integration.scripts import environment, python

if TYPE_CHECKING:
    from pathlib import Path

PIPELINE = """
from flowstone import asset, materialize, materialize_async, plan

@asset
def orders() -> list[dict]:
    return [{"eur": 3}, {"eur": 4}]

@asset
def revenue(orders: list[dict]) -> int:
    return sum(row["eur"] for row in orders)
"""


def run(body: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    (tmp_path / "script.py").write_text(PIPELINE + body)
    return python("script.py", home=tmp_path / "home", cwd=tmp_path)


def test_a_script_materializes_and_the_next_one_reuses(tmp_path: Path) -> None:
    body = """
print(plan(revenue).to_run)
result = materialize(revenue)
print(result["revenue"], sorted(set(result.statuses.values())), revenue([{"eur": 1}]))
"""
    assert run(body, tmp_path).stdout == "['orders', 'revenue']\n7 ['materialized'] 1\n"
    assert run(body, tmp_path).stdout == "[]\n7 ['reused'] 1\n"


def test_calls_work_where_a_loop_runs_in_threads_and_after_a_fork(tmp_path: Path) -> None:
    body = """
import asyncio, os, threading

async def main():
    print(materialize(revenue)["revenue"])
    print((await materialize_async(revenue))["revenue"])

asyncio.run(main())
results = []
threads = [
    threading.Thread(target=lambda: results.append(materialize(revenue)["revenue"]))
    for _ in range(4)
]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(results)
import flowstone.portal
flowstone.portal.close()
child = os.fork()
if child == 0:
    print(materialize(revenue)["revenue"], flush=True)
    flowstone.portal.close()
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(materialize(revenue)["revenue"])
"""
    done = run(body, tmp_path)
    assert done.stdout.split("\n") == ["7", "7", "[7, 7, 7, 7]", "7", "7", ""], done.stderr


def test_a_failure_shows_the_users_line_and_few_frames_of_ours(tmp_path: Path) -> None:
    done = run("@asset\ndef broken(orders):\n    return 1 / 0\nmaterialize(broken)", tmp_path)
    assert done.returncode == 1
    assert "    return 1 / 0" in done.stderr
    assert done.stderr.splitlines()[-1].endswith(
        "RunFailedError: failed: broken (ZeroDivisionError: division by zero)"
    )
    assert done.stderr.count("/flowstone/") <= 2


def test_a_function_that_never_returns_does_not_keep_an_interrupted_script(
    tmp_path: Path,
) -> None:
    body = """
import time

@asset
def endless() -> int:
    print("begun", flush=True)
    while True:
        time.sleep(0.1)

materialize(endless)
"""
    (tmp_path / "script.py").write_text(PIPELINE + body)
    process = subprocess.Popen(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=environment(tmp_path / "home"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    look = """
from flowstone.portal import call

async def rows(fs):
    return [row.status for row in await fs.store.list_by_status("cancelled")]

print(call(rows))
"""
    assert run(look, tmp_path).stdout == "['cancelled']\n"


def test_an_async_asset_may_await_a_run_of_its_own_but_not_block_on_one(tmp_path: Path) -> None:
    body = """
from flowstone import Asset

async def outer():
    return (await materialize_async(revenue))["revenue"]

async def stuck():
    return materialize(revenue)["revenue"]

print(materialize(Asset(outer, name="outer"))["outer"])
print(materialize(Asset(stuck, name="stuck"), raise_on_error=False).failures["stuck"].line)
"""
    lines = run(body, tmp_path).stdout.splitlines()
    assert lines[0] == "7"
    assert "use: await materialize_async(...)" in lines[1]


def test_an_embedded_server_that_died_is_started_again(tmp_path: Path) -> None:
    body = """
import os, signal
import flowstone.portal

def kill():
    (opened,) = flowstone.portal._portal._open.values()
    with psycopg.connect(opened.store.conninfo) as conn:
        (folder,) = conn.execute("SHOW data_directory").fetchone()
    with open(f"{folder}/postmaster.pid") as file:
        os.kill(int(file.readline()), signal.SIGKILL)

import psycopg
print(materialize(revenue)["revenue"])
kill()
print(materialize(revenue)["revenue"])
"""
    assert run(body, tmp_path).stdout.splitlines() == ["7", "7"]


def test_log_lines_of_assets_go_to_stderr(tmp_path: Path) -> None:
    body = """
from flowstone import Context

@asset
def told(ctx: Context) -> int:
    ctx.logger.info("called", rows=3)
    return 1

print(materialize(told)["told"])
"""
    done = run(body, tmp_path)
    assert done.stdout == "1\n"
    assert "called" in done.stderr
