"""A Postgres that was started separately: TCP on loopback, passwords asked for."""

from __future__ import annotations

import contextlib
import shutil
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from flowstone.store.embedded import account, binaries

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "correct-horse"  # noqa: S105 - of a server that lives for one test


def debian_15() -> Path | None:
    """The programs of a separately installed PostgreSQL 15."""
    found = shutil.which("postgres", path="/usr/lib/postgresql/15/bin")
    return Path(found).parent if found else None


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@contextlib.contextmanager
def password_server(bindir: Path | None = None) -> Iterator[str]:
    """Its connection string, with the password in it."""
    owner = account.for_server()
    programs = binaries.reachable(binaries.find(bindir), owner)
    root = Path(tempfile.mkdtemp(prefix="flowstone-test-"))
    try:
        if not owner.is_ours:
            shutil.chown(root, owner.uid, owner.gid)
        (root / "password").write_text(PASSWORD)
        (root / "password").chmod(0o644)
        data, port = root / "data", free_port()
        setup = ["-D", str(data), "-U", "flowstone", "-A", "scram-sha-256", "-N"]
        made = owner.run([programs.initdb, *setup, f"--pwfile={root / 'password'}"])
        assert made.returncode == 0, made.stdout
        control = [str(programs.bindir / "pg_ctl"), "-D", str(data), "-w", "-t", "60"]
        options = f"-c listen_addresses=127.0.0.1 -p {port} -k ''"
        started = owner.run([*control, "-l", str(root / "log"), "-o", options, "start"])
        assert started.returncode == 0, started.stdout
        try:
            yield f"postgresql://flowstone:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            owner.run([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(root, ignore_errors=True)
