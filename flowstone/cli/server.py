"""``db start`` and ``db stop``: the embedded server, started and stopped by hand."""

from __future__ import annotations

from pathlib import Path

import click

from flowstone.errors import SettingsError
from flowstone.settings import Settings
from flowstone.store.embedded import EmbeddedServer
from flowstone.telling.words import relative


@click.command()
@click.option("--keep", is_flag=True, help="Let it run until db stop, although nobody uses it.")
def start(*, keep: bool) -> int:
    """Start the embedded server, and say how to connect.

    Without --keep it stops about two seconds after its last user has gone, as always.
    """
    server = _embedded()
    server.start(keep=keep)
    status = server.status()
    until = "kept until: python -m flowstone db stop" if status.kept else "until nobody uses it"
    lines = {
        "server": f"PostgreSQL {status.version}, embedded, pid {status.pid}",
        "place": relative(str(server.home), Path.cwd()),
        "runs": until,
        "connect": server.conninfo(),
    }
    for name, text in lines.items():
        click.echo(f"{name:<10}{text}")
    server.release()
    return 0


@click.command()
@click.option("--force", is_flag=True, help="Although it is in use; running assets then fail.")
def stop(*, force: bool) -> int:
    """Stop the embedded server, unless it is in use.

    What is committed stays. The next use starts it again.
    """
    server = _embedded()
    ran = server.status().running
    server.stop(unless_used=not force)
    click.echo("stopped" if ran else "nothing to do: it does not run")
    return 0


def _embedded() -> EmbeddedServer:
    settings = Settings.load()
    if settings.database_url:
        raise SettingsError(
            "FLOWSTONE_DATABASE_URL names a server of its own; only the embedded one is started"
            " and stopped from here"
        )
    return EmbeddedServer(settings.home)
