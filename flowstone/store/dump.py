"""A database's tables of ours as SQL, that ``psql`` loads into any other."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

from anyio import to_thread
from psycopg.conninfo import make_conninfo
from psycopg.pq import Conninfo

from flowstone.errors import EmbeddedServerError, StoreError
from flowstone.store import objects
from flowstone.store.connect import connect
from flowstone.store.embedded import binaries

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Postgres 17 and newer know it; on older servers the line is an error and means nothing
_NEW_SETTING = b"SET transaction_timeout"
_SECRET = b"*"


async def dump(conninfo: str, schema: str | None, file: IO[bytes]) -> None:
    """Write our tables, what is in them, and our functions, as one consistent moment.

    No password stands on a command line. Values kept in files are not part of it.

    Raises:
        DatabaseUnavailableError: if there is no connection.
        SchemaError: if there is nothing of ours.
        StoreError: if ``pg_dump`` is missing, too old for the server, or fails.
    """
    async with await connect(conninfo) as conn:
        ours = await objects.find(conn, schema)
        program = await to_thread.run_sync(_program, conn.info.server_version // 10_000)
    file.write(_preamble(ours).encode())
    await to_thread.run_sync(_write, _command(program, ours), conninfo, file)


def _program(server: int) -> str:
    """A ``pg_dump`` for a server of that major version: the machine's own speaks TLS."""
    own = shutil.which("pg_dump")
    try:
        if own and (binaries.major_of(Path(own)) or 0) >= server:
            return own
    except (OSError, EmbeddedServerError):
        pass
    found = binaries.find()
    if found.major < server:
        raise StoreError(
            f"the server is PostgreSQL {server}, pg_dump {found.major};"
            f" put a pg_dump of PostgreSQL {server} on the PATH"
        )
    return found.pg_dump


def _preamble(ours: objects.Objects) -> str:
    # pg_dump leaves out the functions when it is told the tables, and triggers need them
    lines = ["-- Made by: python -m flowstone db dump", "SET check_function_bodies = false;"]
    if ours.schema != "public":
        lines.append(f"CREATE SCHEMA IF NOT EXISTS {_quoted(ours.schema)};")
    lines += [f"{function.definition.rstrip()};" for function in ours.functions]
    return "\n".join(lines) + "\n"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _command(program: str, ours: objects.Objects) -> list[str]:
    command = [program, "--no-owner", "--no-privileges", "--no-password", "--encoding=UTF8"]
    return command + [f"--table={_quoted(ours.schema)}.{_quoted(name)}" for name in ours.tables]


def _write(command: Sequence[str], conninfo: str, file: IO[bytes]) -> None:
    rest, environment = _addressed(conninfo)
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(  # noqa: S603 - pg_dump, its arguments quoted names
            [*command, *rest],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
        ) as process,
    ):
        try:
            assert process.stdout is not None  # noqa: S101 - asked for
            for line in process.stdout:
                file.write(b"" if line.startswith(_NEW_SETTING) else line)
                if line.startswith(b"CREATE"):
                    break
            shutil.copyfileobj(process.stdout, file)
        except BaseException:
            process.kill()
            raise
        if process.wait() != 0:
            said.seek(0)
            raise StoreError(f"pg_dump failed: {_reason(said.read(), environment)}")


def _addressed(conninfo: str) -> tuple[list[str], Mapping[str, str]]:
    """The connection string as arguments without secrets, and variables of libpq's."""
    rest, environment = {}, {}
    for option in Conninfo.parse(conninfo.encode()):
        if option.val is None:
            continue
        value = option.val.decode()
        if option.envvar:
            environment[option.envvar.decode()] = value
        elif option.dispchar == _SECRET:
            raise StoreError(
                f"{option.keyword.decode()} can't be given to pg_dump without being seen;"
                f" write it in a service file"
            )
        else:
            rest[option.keyword.decode()] = value
    return [f"--dbname={make_conninfo('', **rest)}"] if rest else [], environment


def _reason(said: bytes, environment: Mapping[str, str]) -> str:
    lines = [line for line in said.decode(errors="replace").splitlines() if line.strip()]
    text = lines[0].removeprefix("pg_dump: ").removeprefix("error: ") if lines else "no word"
    secret = environment.get("PGPASSWORD")
    return text.replace(secret, "***") if secret else text
