"""The peers that are measured: what is installed for each, and on which workloads it is tried."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from benchmarks.peers.environments import ROOT, clean_environment, installed, run
from benchmarks.speed.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.speed.graphs import Graph

_PATIENCE = 600.0

#: What can be asked of every peer: W1, W2 and W3, W7, and a process that makes three assets.
_ALL = ("W1", "W2", "W3", "W7", "W8")


@dataclass(frozen=True)
class Peer:
    """A peer in one of its ways.

    ``program`` is a file in ``benchmarks/peers/speed``; ``mode`` is what it is told besides the
    workload. ``durable`` says in a few words what is safe when a run has returned. ``largest`` is
    the number of nodes that it is not asked to go beyond.
    """

    name: str
    program: str
    requirements: tuple[str, ...]
    durable: str
    mode: str = ""
    on_postgres: bool = False
    workloads: tuple[str, ...] = _ALL
    largest: int = 1_002

    def can(self, workload: str, size: int) -> bool:
        """Whether it is tried on this."""
        return workload in self.workloads and size <= self.largest

    def interpreter(self, folder: Path) -> str:
        """The interpreter of its environment, which is made if it is not there."""
        return installed(self.program, list(self.requirements), folder)


_DAGSTER = (
    "dagster==1.13.27",
    "dagster-postgres==0.29.27",
    "sqlalchemy==2.0.58",
    "psycopg2-binary",
)
_PREFECT = ("prefect==3.8.8", "fastapi==0.140.13", "starlette==1.1.0", "asyncpg==0.32")

PEERS = (
    Peer(
        "Hamilton, cache",
        "hamilton",
        ("sf-hamilton==1.90.0",),
        "versions and values; no status",
        workloads=("W1", "W2", "W3", "W8"),  # it runs one body after the other
    ),
    Peer(
        "doit",
        "doit",
        ("doit==0.37.0",),
        "a record per task, all of them at the end",
        largest=10_002,
    ),
    Peer("DBOS", "dbos", ("dbos==3.4.0",), "a row per step", on_postgres=True),
    Peer(
        "redun",
        "redun",
        ("redun==0.44.1",),
        "job, call, arguments, value",
        workloads=("W3", "W8"),
    ),
    Peer(
        "Dagster, ephemeral",
        "dagster",
        _DAGSTER,
        "nothing",
        "ephemeral",
        workloads=("W3", "W8"),
    ),
    Peer(
        "Dagster, Postgres",
        "dagster",
        _DAGSTER,
        "7 events per step, asset rows",
        "postgres",
        on_postgres=True,
        workloads=("W3",),
    ),
    Peer(
        "Prefect",
        "prefect",
        _PREFECT,
        "nothing: rows come later",
        workloads=("W3", "W7"),
    ),
)


class Peers:
    """Runs the peers' programs, each in its environment and in a new folder."""

    def __init__(self, names: list[str], environments: Path, folder: Path, url: str) -> None:
        self._folder, self._url = folder, url
        self._peers = {peer.name: peer for peer in PEERS if not names or peer.program in names}
        self._pythons = {name: peer.interpreter(environments) for name, peer in self._peers.items()}
        self._runs = 0

    @property
    def requirements(self) -> list[str]:
        """What is installed for them."""
        every = (each for peer in self._peers.values() for each in peer.requirements)
        return list(dict.fromkeys(every))

    def of(self, workload: str, size: int) -> list[str]:
        """The names of those that are tried on this."""
        return [name for name, peer in self._peers.items() if peer.can(workload, size)]

    def sample(self, name: str, graph: Graph, body: str, *, whole: bool = False) -> Sample:
        """One run; ``whole`` measures the process from start to end.

        Raises:
            SystemExit: if it fails, with what it said.
        """
        peer = self._peers[name]
        with self._database(peer) as url:
            if whole and url:
                self._run(peer, graph, body, url)  # its tables are there
            begun = time.perf_counter()
            found = self._run(peer, graph, body, url)
            took = time.perf_counter() - begun
        return Sample(took) if whole else found

    def _run(self, peer: Peer, graph: Graph, body: str, url: str) -> Sample:
        self._runs += 1
        folder = self._folder / f"peer_{self._runs}"
        folder.mkdir()
        asked = {"graph": graph, "body": body, "mode": peer.mode, "folder": str(folder)}
        task = folder / "task.json"
        task.write_text(json.dumps(asked | {"url": url}))
        program = ROOT / "benchmarks" / "peers" / "speed" / f"run_{peer.program}.py"
        env = clean_environment(PYTHONPATH=str(ROOT), PYTHONWARNINGS="ignore")
        try:
            words = [self._pythons[peer.name], str(program), str(task)]
            said = run(words, cwd=folder, env=env, timeout=_PATIENCE)
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"{peer.name}: {error.stderr}") from error
        found = json.loads(said.splitlines()[-1])
        stored = found.get("stored") or 0.0
        return Sample(found["seconds"], peak=found["peak"], stored=stored)

    @contextmanager
    def _database(self, peer: Peer) -> Iterator[str]:
        if not peer.on_postgres:
            yield ""
            return
        name = f"benchmark_{secrets.token_hex(4)}"
        with psycopg.connect(self._url, autocommit=True) as conn:
            conn.execute(f"CREATE DATABASE {name}".encode())
            try:
                yield _uri(self._url, name)
            finally:
                conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def _uri(url: str, database: str) -> str:
    """As an address, which is all that some of them take."""
    parts = conninfo_to_dict(url)
    user = ":".join(quote(str(parts[key])) for key in ("user", "password") if parts.get(key))
    query = urlencode({key: parts[key] for key in ("host", "port") if parts.get(key)})
    return f"postgresql://{user}@/{database}?{query}"
