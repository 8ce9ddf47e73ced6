"""Cold start: whole processes that make three assets, from start to exit."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg

from benchmarks.speed import database
from flowstone.store.embedded import EmbeddedServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from benchmarks.speed.graphs import Graph

GRAPH: Graph = {"first": [], "second": ["first"], "third": ["first", "second"]}

_PIPELINE = """
from flowstone import asset, materialize

@asset
def first() -> int:
    return 1

@asset
def second(first: int) -> int:
    return 1

@asset
def third(first: int, second: int) -> int:
    return 1

if __name__ == "__main__":
    assert materialize(third)["third"] == 1
"""

_FLOOR = """
import sys
import psycopg

NAMES = {"first": [], "second": ["first"], "third": ["first", "second"]}
ids, digest = {}, "0123456789" * 4
with psycopg.connect(sys.argv[1]) as conn:
    conn.execute("INSERT INTO flowstone_runs (run_id, status, target, completed_at)"
                 " VALUES ('cold', 'success', 'third', clock_timestamp())")
    for name, needs in NAMES.items():
        ids[name] = conn.execute(
            "INSERT INTO flowstone_materializations (id, asset_name, run_id, status,"
            " upstream_assets, executor_node, started_at, completed_at, duration_ms,"
            " dependency_hash, code_version, data_version, inputs, causes, codec, value_size,"
            " content_digest, value_inline) VALUES (gen_random_uuid(), %(name)s, 'cold',"
            " 'success', %(needs)s, 'floor', clock_timestamp(), clock_timestamp(), 0, %(digest)s,"
            " %(digest)s, %(digest)s, '{\\"upstream\\": {}}', '[{\\"kind\\": \\"never_made\\"}]',"
            " 'json', 1, %(digest)s, '1') RETURNING id",
            {"name": name, "needs": needs, "digest": digest},
        ).fetchone()[0]
        for each in needs:
            conn.execute("INSERT INTO flowstone_lineage VALUES (%s, %s, %s)",
                         [ids[name], ids[each], each])
        conn.execute("INSERT INTO flowstone_current (asset_name, materialization_id)"
                     " VALUES (%s, %s)", [name, ids[name]])
"""


class Cold:
    """The places where processes start cold: a running server, and homes with embedded ones."""

    def __init__(self, url: str, folder: Path, env: Mapping[str, str]) -> None:
        self._url, self._folder, self._env = url, folder, dict(env)
        self._pipeline = folder / "pipeline.py"
        self._pipeline.write_text(_PIPELINE)
        self._floor = folder / "floor.py"
        self._floor.write_text(_FLOOR)
        self._homes = 0

    def seconds(self, what: str) -> float:
        """The seconds of one process, of which the rows were found to be there."""
        found: float = getattr(self, what)()
        return found

    def floor(self) -> float:
        """Python, psycopg and three rows."""
        database.forget(self._url)
        took = self._process([str(self._floor), self._url])
        database.check(self._url, GRAPH, GRAPH)
        return took

    def running(self, *, command_line: bool = False) -> float:
        """Flowstone on a running server."""
        words = ["-m", "flowstone", "run", "--quiet"] if command_line else []
        settings = {"FLOWSTONE_HOME": str(self._home("home")), "FLOWSTONE_DATABASE_URL": self._url}
        database.forget(self._url)
        took = self._process([*words, str(self._pipeline)], **settings)
        database.check(self._url, GRAPH, GRAPH)
        return took

    def command_line(self) -> float:
        """The same, started by the command line."""
        return self.running(command_line=True)

    def embedded(self) -> float:
        """Flowstone on its embedded server, which runs."""
        return self._on_embedded(stopped=False)

    def stopped(self) -> float:
        """Flowstone on its embedded server, which has run before, and is started."""
        return self._on_embedded(stopped=True)

    def first(self) -> float:
        """Flowstone in a place where it never was: the database has to be made."""
        self._homes += 1
        home = self._home(f"first_{self._homes}")
        with _disposed(home) as server:
            took = self._process([str(self._pipeline)], FLOWSTONE_HOME=str(home))
            server.start()
            database.check(server.conninfo(), GRAPH, GRAPH)
        return took

    def dispose(self) -> None:
        """Remove the embedded server that was kept between samples."""
        with _disposed(self._home("embedded")):
            pass

    def _on_embedded(self, *, stopped: bool) -> float:
        home = self._home("embedded")
        server = EmbeddedServer(home)
        server.start()
        if not self._has_tables(server.conninfo()):
            self._process([str(self._pipeline)], FLOWSTONE_HOME=str(home))
        url = server.conninfo()
        database.forget(url)
        if stopped:
            server.stop()
        took = self._process([str(self._pipeline)], FLOWSTONE_HOME=str(home))
        server.start()
        database.check(url, GRAPH, GRAPH)
        return took

    def _has_tables(self, url: str) -> bool:
        with psycopg.connect(url) as conn:
            row = conn.execute("SELECT to_regclass('flowstone_runs') IS NOT NULL").fetchone()
        return bool(row and row[0])

    def _process(self, words: list[str], **settings: str) -> float:
        env = self._env | settings
        begun = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, env=env, timeout=120)  # noqa: S603 - ours
        return time.perf_counter() - begun

    def _home(self, name: str) -> Path:
        home = self._folder / name
        home.mkdir(exist_ok=True)
        return home


@contextmanager
def _disposed(home: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(home)
    try:
        yield server
    finally:
        database.dispose(server)
