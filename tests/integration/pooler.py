"""A real PgBouncer in transaction mode before a server."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from flowstone.store.embedded import account, guardian
from tests.integration.servers import PASSWORD, closed_port, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = """\
[databases]
* = host=127.0.0.1 port={server}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = 2
server_round_robin = 1
"""


def program() -> str | None:
    """Where PgBouncer is, if it is installed."""
    return shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")


@contextlib.contextmanager
def pooled(pgbouncer: str, url: str) -> Iterator[str]:
    """The connection string through a PgBouncer that has two connections to the server.

    Each transaction gets another one of them, as far as it can.
    """
    owner = account.for_server()
    with tempfile.TemporaryDirectory(prefix="flowstone-test-") as folder, closed_port() as port:
        users, config = Path(folder, "users"), Path(folder, "pgbouncer.ini")
        users.write_text(f'"flowstone" "{PASSWORD}"\n')
        server = conninfo_to_dict(url)["port"]
        config.write_text(CONFIG.format(server=server, port=port, users=users))
        for path in (Path(folder), users, config):
            if not owner.is_ours:
                shutil.chown(path, owner.uid, owner.gid)
        with (
            (Path(folder) / "log").open("wb") as log,
            subprocess.Popen(
                [pgbouncer, str(config)],
                cwd="/",
                env=account.ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **guardian.identity(owner.uid, owner.gid),
            ) as process,
        ):
            try:
                through = make_conninfo(url, port=str(port))
                wait_for(through, Path(folder) / "log")
                yield through
            finally:
                process.kill()
