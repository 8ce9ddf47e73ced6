"""A run whose embedded server is killed: what was told is kept, and the next run goes on there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from flowstone.store.embedded import EmbeddedServer
from tests.integration.cli_support import Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Kills the server once ``first`` is committed and nothing is being written: once, when asked to.
CHAIN = """
    import os, signal, time
    from pathlib import Path
    import psycopg
    from flowstone import asset
    from flowstone.store import patience
    from flowstone.store.embedded import EmbeddedServer

    patience.PATIENCE_SECONDS = 1.0  # the server does not come back

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
def test_a_run_whose_server_dies_says_so_and_the_next_one_goes_on(
    folder: Project, moment: str
) -> None:
    """What was told is recorded, what is not recorded was not told; nothing is made twice."""
    (folder.folder / moment).touch()
    died = folder.flowstone("run", "chain.py")
    assert died.code == 3, died.err
    told, error = died.lines
    assert told.startswith("✓ first ")
    assert error.startswith("error: the database does not answer: ")
    assert error.endswith("; once it does, run again: what is recorded stays")
    assert ("first", "success") in rows(folder)

    again = folder.flowstone("run", "chain.py")
    assert again.code == 0, again.err
    assert [line.split()[1] for line in again.lines if line[0] == "✓"] == ["second", "third"]
    ended = [row for row in rows(folder) if row[1] == "success"]
    assert ended == [("first", "success"), ("second", "success"), ("third", "success")]
