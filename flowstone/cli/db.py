"""``db``: which server and schema it is, and bringing the schema up to date."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import click

from flowstone.cli import options
from flowstone.settings import Settings
from flowstone.store import schema
from flowstone.store.connect import connect, describe, open_store, server
from flowstone.store.embedded import EmbeddedServer
from flowstone.store.queries import Queries
from flowstone.telling.words import ago, relative

if TYPE_CHECKING:
    from flowstone.core.records import Run
    from flowstone.store.embedded import ServerStatus


@click.command()
@options.dsn
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def status(*, as_json: bool) -> int:
    """Say which server it is, and what schema it has.

    Nothing is started or migrated. What an embedded server holds is known only while it runs.
    """
    settings = Settings.load()
    embedded = None if settings.database_url else EmbeddedServer(settings.home).status()
    if embedded is None or embedded.running:
        found = anyio.run(_look, settings)
    else:
        found = _unasked(settings)
    found |= {"running": True} if embedded is None else _of_embedded(embedded)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return 0
    for name, text in _lines(found).items():
        click.echo(f"{name:<10}{relative(text, Path.cwd())}")
    return 0


def _lines(found: dict[str, Any]) -> dict[str, str]:
    place = {"place": found["place"]}
    if not found["running"]:
        return {"server": "embedded, does not run; it starts when it is used"} | place
    version = f"PostgreSQL {found['server_version']}"
    lines = {"server": version + (", embedded" * found["embedded"])} | place
    if found["embedded"]:
        lines["runs"] = _runs(kept=found["kept"], users=found["users"])
    return lines | {
        "tables": found["schema"] or "in the first schema of the search path",
        "schema": _schema(found["schema_version"], found["newest_version"]),
        "last run": _last(found["last_run"]),
    }


def _runs(*, kept: bool, users: list[int] | None) -> str:
    until = "kept until: python -m flowstone db stop" if kept else "until nobody uses it"
    if not users:
        return until
    return f"{until}; used by pid{'s' * (len(users) > 1)} {', '.join(map(str, users))}"


def _of_embedded(status: ServerStatus) -> dict[str, Any]:
    return {
        "running": status.running,
        "pid": status.pid,
        "kept": status.kept,
        "users": None if status.users is None else list(status.users),
    }


def _unasked(settings: Settings) -> dict[str, Any]:
    return {
        "schema_version": None,
        "newest_version": schema.newest(),
        "server_version": None,
        "embedded": True,
        "place": str(settings.home),
        "schema": settings.schema_name,
        "last_run": None,
    }


@click.command()
@options.dsn
def migrate() -> int:
    """Bring an older schema up to date.

    Several processes may migrate at once: one does it, the others wait. Works whatever
    FLOWSTONE_AUTO_MIGRATE says.
    """
    applied = anyio.run(_migrate, Settings.load())
    for name in applied:
        click.echo(f"applied {name}")
    done = "the schema is now" if applied else "nothing to do: the schema is"
    click.echo(f"{done} {schema.newest()}, the newest")
    return 0


async def _look(settings: Settings) -> dict[str, Any]:
    async with server(settings.database_url, settings.home) as conninfo:
        schema.check_name(settings.schema_name)
        async with await connect(conninfo) as conn:
            present = await schema.version(conn, Queries(settings.schema_name))
            number = conn.info.parameter_status("server_version") or "of unknown version"
    last = await _last_run(settings) if present == schema.newest() else None
    return {
        "schema_version": present,
        "newest_version": schema.newest(),
        "server_version": number.partition(" ")[0],
        "embedded": not settings.database_url,
        "place": describe(conninfo) if settings.database_url else str(settings.home),
        "schema": settings.schema_name,
        "last_run": last and json.loads(last.model_dump_json(exclude={"config", "request"})),
    }


async def _last_run(settings: Settings) -> Run | None:
    async with open_store(
        settings.database_url,
        settings.home,
        schema_name=settings.schema_name,
        auto_migrate=False,
    ) as store:
        return next(iter(await store.list_runs(limit=1)), None)


async def _migrate(settings: Settings) -> list[str]:
    async with (
        server(settings.database_url, settings.home) as conninfo,
        await connect(conninfo) as conn,
    ):
        applied = await schema.apply(conn, settings.schema_name)
    return [f"{each.version:04} {each.name}" for each in applied]


def _schema(present: int, newest: int) -> str:
    if present > newest:
        return f"{present}, newer than the {newest} this Flowstone knows; upgrade Flowstone"
    if present == newest:
        return f"{present}, the newest"
    state = f"{present} of {newest}" if present else "none yet"
    return f"{state}; the next run migrates it, or: python -m flowstone db migrate"


def _last(run: dict[str, Any] | None) -> str:
    if run is None:
        return "none"
    began = dt.datetime.fromisoformat(run["started_at"])
    return f"{run['run_id']}, {run['status']}, {ago(began, dt.datetime.now(dt.UTC))}"
