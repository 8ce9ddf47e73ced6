"""``db roles``: the SQL of roles that may do as much as they need."""

from __future__ import annotations

import anyio
import click

from flowstone.cli import options
from flowstone.settings import Settings
from flowstone.store import roles as of_database
from flowstone.store import schema
from flowstone.store.connect import connect, server


@click.command()
@click.option("--apply", is_flag=True, help="Execute it; without this it is only printed.")
@click.option("--prefix", default="flowstone", metavar="NAME", help="What their names begin with.")
@options.dsn
def roles(*, apply: bool, prefix: str) -> int:
    """Print the SQL of roles for readers, runners and admins.

    It may be repeated, and is to be after a migration. The roles can't log in; make those members
    who may.
    """
    names = of_database.names(prefix)
    written = anyio.run(_roles, Settings.load(), prefix, apply)
    if not apply:
        click.echo("\n".join(["BEGIN;", *(f"{each};" for each in written), "COMMIT;"]))
        return 0
    click.echo(f"the roles are {', '.join(names)}; let somebody in with: GRANT {names[1]} TO ...")
    return 0


async def _roles(settings: Settings, prefix: str, apply: bool) -> list[str]:  # noqa: FBT001 - anyio.run takes no keywords
    async with (
        server(settings.database_url, settings.home) as conninfo,
        await connect(conninfo) as conn,
    ):
        schema.check_name(settings.schema_name)
        written = await of_database.statements(conn, settings.schema_name, prefix)
        if apply:
            await of_database.apply(conn, written)
    return written
