"""A Postgres that was started separately: TCP on loopback, passwords asked for."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from flowstone.store.embedded import account, binaries, guardian

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "correct-horse"  # noqa: S105 - of a server that lives for one test


def debian_15() -> Path | None:
    """The programs of a separately installed PostgreSQL 15."""
    found = shutil.which("postgres", path="/usr/lib/postgresql/15/bin")
    return Path(found).parent if found else None


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port that refuses connections, kept from other processes for the length of the block.

    A server that sets ``SO_REUSEADDR``, as PostgreSQL does, can listen on it meanwhile.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        yield port


@dataclass(frozen=True)
class Server:
    """A server that begins again whenever it ends. ``url`` has the password in it."""

    url: str
    data: Path
    log: Path

    def end(self, how: signal.Signals) -> None:
        """End it once it answers: SIGINT in order, SIGQUIT without, SIGKILL without its knowing."""
        wait_for(self.url, self.log)
        os.kill(int((self.data / "postmaster.pid").read_text().splitlines()[0]), how)

    def kill_backend(self) -> None:
        """Kill a process that serves somebody, once there is one."""
        served = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
        with psycopg.connect(self.url) as conn:
            row = conn.execute(f"{served} AND pid <> pg_backend_pid()").fetchone()
        assert row is not None
        os.kill(row[0], signal.SIGKILL)


@contextlib.contextmanager
def password_server(bindir: Path | None = None) -> Iterator[str]:
    """Its connection string, with the password in it."""
    with running_server(bindir) as server:
        yield server.url


@contextlib.contextmanager
def running_server(bindir: Path | None = None) -> Iterator[Server]:
    """A server on a port of its own, empty."""
    owner = account.for_server()
    programs = binaries.reachable(binaries.find(bindir), owner)
    root = Path(tempfile.mkdtemp(prefix="flowstone-test-"))
    try:
        if not owner.is_ours:
            shutil.chown(root, owner.uid, owner.gid)
        (root / "password").write_text(PASSWORD)
        (root / "password").chmod(0o644)
        data = root / "data"
        setup = ["-D", str(data), "-U", "flowstone", "-A", "scram-sha-256", "-N"]
        made = owner.run([programs.initdb, *setup, f"--pwfile={root / 'password'}"])
        assert made.returncode == 0, made.stdout
        with closed_port() as port:
            options = ["-c", "listen_addresses=127.0.0.1", "-p", str(port), "-k", ""]
            url = f"postgresql://flowstone:{PASSWORD}@127.0.0.1:{port}/postgres"
            command = [programs.postgres, "-D", str(data), *options]
            with _running(command, data / "postmaster.pid", owner, root / "log"):
                wait_for(url, root / "log")
                yield Server(url, data, root / "log")
    finally:
        shutil.rmtree(root, ignore_errors=True)


# Begins the server again whenever it ends, until its own standard input ends.
_KEEPER = """
while :; do "$@"; sleep 0.1; done &
read line
kill $!
server=$(head -n 1 "$0")
kill -QUIT $server
while kill -0 $server; do sleep 0.02; done
"""


@contextlib.contextmanager
def _running(
    command: list[str], pid_file: Path, owner: account.Account, log: Path
) -> Iterator[None]:
    """The server, which ends with the block, and with this process if that is killed."""
    with (
        log.open("wb") as out,
        subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, str(pid_file), *command],
            env=account.ENVIRONMENT,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=out,
            start_new_session=True,
            **guardian.identity(owner.uid, owner.gid),
        ) as server,
    ):
        try:
            yield
        finally:
            assert server.stdin is not None
            server.stdin.close()


def wait_for(url: str, log: Path) -> None:
    """Return once connections are taken; what ``log`` says if none is within a minute."""
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, log.read_text()
        else:
            return
