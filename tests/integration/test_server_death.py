"""A run whose embedded server is killed starts it again, and goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from flowstone.store.embedded import EmbeddedServer
from tests.integration.cli_support import Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.once

# Kills the server once ``first`` is committed and nothing is being written: once, when asked to.
CHAIN = """
    import os, signal, time
    from pathlib import Path
    import psycopg
    from flowstone import asset
    from flowstone.store.embedded import EmbeddedServer

    COMMITTED = "SELECT array_agg(concat_ws(' ', asset_name, status)) FROM" \\
        " (SELECT * FROM flowstone_materializations ORDER BY asset_name) AS m"

    def kill_if(word, *rows):
        if Path(word).exists():
            Path(word).unlink()
            server = EmbeddedServer(Path(os.environ["FLOWSTONE_HOME"]))
            deadline = time.monotonic() + 60
            with psycopg.connect(server.conninfo(), autocommit=True) as connection:
                while (found := connection.execute(COMMITTED).fetchone()) != (list(rows),):
                    assert time.monotonic() < deadline, found
            os.kill(server.status().pid, signal.SIGKILL)

    def between() -> object:
        kill_if("between", "first success", "second pending", "third pending")
        return object()

    resources = {"between": between}

    @asset
    def first() -> int:
        return 1

    @asset
    def second(first: int, between: object) -> int:
        kill_if("executing", "first success", "second running", "third pending")
        return first + 1

    @asset
    def third(second: int) -> int:
        return second + 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Project]:
    """A project with the embedded server, which ends with the test."""
    project = Project(tmp_path)
    project.write("chain.py", CHAIN)
    yield project
    project.flowstone("db", "stop", "--force")


def rows(folder: Project) -> list[tuple[str, str]]:
    """What is recorded, oldest first."""
    server = EmbeddedServer(folder.folder / "home")
    server.start()
    try:
        with psycopg.connect(server.conninfo()) as connection:
            return connection.execute(
                "SELECT asset_name, status FROM flowstone_materializations ORDER BY id"
            ).fetchall()
    finally:
        server.release()


@pytest.mark.parametrize("moment", ["executing", "between"])
def test_a_run_whose_server_dies_goes_on_where_it_was(folder: Project, moment: str) -> None:
    """Nothing is made twice, and nothing that was told is lost."""
    (folder.folder / moment).touch()
    done = folder.flowstone("run", "chain.py")
    assert done.code == 0, done.err
    assert [line.split()[1] for line in done.lines if line[0] == "✓"] == [
        "first",
        "second",
        "third",
    ]
    assert rows(folder) == [("first", "success"), ("second", "success"), ("third", "success")]
