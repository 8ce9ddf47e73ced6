"""``db dump`` and ``db reset``: taking everything along, and beginning anew."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING

import anyio
import click

from flowstone.cli import options
from flowstone.settings import Settings
from flowstone.store import schema
from flowstone.store.connect import connect, describe, server
from flowstone.store.dump import dump as write_dump
from flowstone.store.embedded import EmbeddedServer
from flowstone.store.objects import drop
from flowstone.telling.words import counted, relative

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@options.dsn
def dump(*, file: Path | None) -> int:
    """Write the tables and what is in them as SQL.

    psql loads it into any server; without FILE it goes to standard output. Values in files are not
    part of it: copy their folder too.
    """
    settings = Settings.load()
    with _written(file) if file else contextlib.nullcontext(sys.stdout.buffer) as out:
        anyio.run(_dump, settings, out)
        out.flush()
    if file:
        click.echo(f"wrote {file}; values in files are in {settings.values}", err=True)
    return 0


@click.command()
@click.option("--yes", is_flag=True, help="Do it; without this nothing is removed.")
@options.dsn
def reset(*, yes: bool) -> int:
    """Remove all that is recorded; the embedded server's data go too.

    Stored values stay where they are; the next run makes all anew. Refused while a run is alive.
    """
    settings = Settings.load()
    if not yes:
        what = "all data of the embedded server" if not settings.database_url else "our tables"
        place = describe(settings.database_url) if settings.database_url else str(settings.home)
        raise click.UsageError(
            f"nothing was removed: --yes removes {what} in {relative(place, Path.cwd())}"
        )
    if settings.database_url:
        gone = anyio.run(_drop, settings.database_url, settings.schema_name)
        click.echo(f"dropped {counted(len(gone), 'table')}")
    else:
        embedded = EmbeddedServer(settings.home)
        was_there = embedded.data.exists()
        embedded.remove()
        removed = "removed the data" if was_there else "nothing to do: there are no data"
        click.echo(f"{removed} of the embedded server")
    click.echo(f"stored values stay in {relative(str(settings.values), Path.cwd())}")
    return 0


async def _dump(settings: Settings, out: IO[bytes]) -> None:
    schema.check_name(settings.schema_name)
    async with server(settings.database_url, settings.home) as conninfo:
        await write_dump(conninfo, settings.schema_name, out)


async def _drop(conninfo: str, schema_name: str | None) -> list[str]:
    schema.check_name(schema_name)
    async with await connect(conninfo) as conn:
        return await drop(conn, schema_name)


@contextlib.contextmanager
def _written(path: Path) -> Iterator[IO[bytes]]:
    """A file that appears under ``path`` once it is whole; only its owner can read it."""
    aside: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            aside = Path(file.name)
            yield file.file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        aside = None
    except OSError as error:
        raise click.FileError(str(path), error.strerror) from error
    finally:
        if aside is not None:
            aside.unlink(missing_ok=True)
