"""The embedded Postgres: started, shared, recovered and closed to others, with real servers."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

import flowstone
from flowstone.errors import EmbeddedServerError
from flowstone.store.embedded import EmbeddedServer, folders, guardian, leftovers
from flowstone.store.embedded.account import for_server
from flowstone.store.embedded.binaries import find, reachable
from flowstone.store.embedded.probe import State, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AS_ROOT = os.geteuid() == 0
PACKAGE = Path(flowstone.__path__[0])
DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
LINGER_S = 0.2

only_root = pytest.mark.skipif(not AS_ROOT, reason="only root can become somebody else")
only_linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")

# Uses the server until its standard input ends, which it does when the test goes.
USER = """
import sys
from pathlib import Path
from flowstone.store.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), linger=float(sys.argv[2]))
server.start()
print(server.status().pid, flush=True)
sys.stdin.read()
"""

# Asks, as an unprivileged user, the server whose socket is in a folder.
STRANGER = """
import os, sys
from pathlib import Path
from flowstone.store.embedded.probe import ask
os.setgroups([]); os.setgid(int(sys.argv[3])); os.setuid(int(sys.argv[2]))
print(ask(Path(sys.argv[1]), "flowstone").state.name)
"""

# What a user without privileges gets, with and without a path too long for a socket.
UNPRIVILEGED = """
import json, os, stat, sys
from pathlib import Path
from flowstone.store.embedded import EmbeddedServer
from flowstone.store.embedded.probe import ask
server = EmbeddedServer(Path(sys.argv[1]), bindir=Path(sys.argv[2]), linger=0.2)
try:
    server.start()
    folder = server._folders.socket
    found = folder.lstat()
    print(json.dumps({
        "socket": str(folder),
        "mode": stat.S_IMODE(found.st_mode),
        "owner": found.st_uid == os.geteuid(),
        "data": stat.S_IMODE(server.data.stat().st_mode),
        "inside": server.data.is_relative_to(Path(sys.argv[1]).resolve()),
        "ignored": Path(sys.argv[1], ".gitignore").read_text(),
        "state": ask(folder, "flowstone").state.name,
        "again": EmbeddedServer(Path(sys.argv[1]), bindir=Path(sys.argv[2])).status().running,
    }))
finally:
    server.stop()
    server._folders.socket.rmdir()
"""


def eventually(condition: Callable[[], bool], seconds: float = 90.0) -> bool:
    """Whether ``condition`` becomes true within ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def gone(server: EmbeddedServer) -> bool:
    """Whether no process of the server is left."""
    return guardian.is_free(str(server.data.parent), "server.lock")


def begun(server: EmbeddedServer) -> bool:
    """Whether somebody began to make the server's folders."""
    return server.data.parent.is_dir()


def sent_guardian(pid: int) -> bool:
    """Whether a guardian is a child of the process ``pid``."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    commands = [Path(f"/proc/{child}/cmdline") for child in children]
    with contextlib.suppress(OSError):
        return any(b"guardian.py" in command.read_bytes() for command in commands)
    return False


def discard(server: EmbeddedServer) -> None:
    """Stop the server and remove what root's lies outside of the test's own folder."""
    server.stop()
    base = server.data.parent
    assert eventually(lambda: not base.is_dir() or guardian.is_free(str(base), "guardian.lock"))
    if AS_ROOT and base.is_relative_to(folders.ROOT_STATE):
        shutil.rmtree(base.parent, ignore_errors=True)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def server(home: Path) -> Iterator[EmbeddedServer]:
    """A server that isn't started yet."""
    made = EmbeddedServer(home, linger=LINGER_S)
    yield made
    discard(made)


@pytest.fixture
def user(home: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts another process that uses the server of ``home``."""
    with contextlib.ExitStack() as stack:

        def begin() -> subprocess.Popen[str]:
            command = [sys.executable, "-c", USER, str(home), str(LINGER_S)]
            process = stack.enter_context(
                subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    cwd=PACKAGE.parent,
                    start_new_session=True,
                )
            )
            stack.callback(process.kill)
            return process

        yield begin


def told_pid(process: subprocess.Popen[str]) -> int:
    """The server's pid as the process tells it once it uses the server."""
    assert process.stdout is not None
    return int(process.stdout.readline())


def query(server: EmbeddedServer, statement: str) -> Any:
    with psycopg.connect(server.conninfo(), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return row and row[0]


def scribble(server: EmbeddedServer) -> None:
    query(server, "CREATE TABLE IF NOT EXISTS kept (n int)")
    query(server, "INSERT INTO kept VALUES (1)")


@pytest.mark.parametrize("bindir", [None, DEBIAN_15], ids=["wheel", "debian15"])
def test_starts_answers_and_stops(home: Path, bindir: Path | None) -> None:
    if bindir is not None and not bindir.is_dir():
        pytest.skip(f"no {bindir}")
    server = EmbeddedServer(home, bindir=bindir, linger=LINGER_S)
    try:
        assert not server.status().running
        server.start()
        server.start()
        status = server.status()
        assert status.running
        assert status.data == server.data
        assert status.version is not None
        assert status.version.startswith("15." if bindir else "18.")
        assert query(server, "SELECT current_user || current_database()") == "flowstoneflowstone"
        scribble(server)
        server.stop()
        assert not server.status().running
        assert gone(server)
        server.start()
        assert query(server, "SELECT count(*) FROM kept") == 1
    finally:
        discard(server)


def test_is_durable_and_listens_on_nothing_but_its_socket(server: EmbeddedServer) -> None:
    server.start()
    assert query(server, "SHOW fsync") == "on"
    assert query(server, "SHOW full_page_writes") == "on"
    assert query(server, "SHOW synchronous_commit") == "on"
    assert query(server, "SHOW data_checksums") == "on"
    assert not query(server, "SHOW listen_addresses")
    assert query(server, "SHOW server_encoding") == "UTF8"
    assert query(server, "SELECT upper('é')") == "É"


def test_stops_after_the_last_process_has_gone_in_any_way(
    server: EmbeddedServer, user: Callable[[], subprocess.Popen[str]]
) -> None:
    first, second = user(), user()
    assert told_pid(first) == told_pid(second)
    server.start()
    pid = server.status().pid
    server.release()
    first.kill()
    first.wait()
    assert not eventually(lambda: server.status().pid != pid, seconds=4 * LINGER_S)
    second.kill()
    second.wait()
    assert eventually(lambda: gone(server))


def test_a_newcomer_within_the_linger_keeps_the_server(home: Path) -> None:
    # long enough for a process that a busy machine leaves waiting
    server = EmbeddedServer(home, linger=4.0)
    try:
        server.start()
        pid = server.status().pid
        server.release()
        server.start()
        assert not eventually(lambda: server.status().pid != pid, seconds=4.5)
    finally:
        discard(server)


def test_eight_processes_that_race_share_one_server(
    server: EmbeddedServer, user: Callable[[], subprocess.Popen[str]]
) -> None:
    pids = [told_pid(process) for process in [user() for _ in range(8)]]
    assert len(set(pids)) == 1
    assert server.status().pid == pids[0]


def test_starts_again_after_the_server_was_killed(server: EmbeddedServer) -> None:
    server.start()
    scribble(server)
    for _ in range(3):
        pid = server.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        server.start()
        assert server.status().pid != pid
        assert query(server, "SELECT count(*) FROM kept") == 1


def test_starts_although_a_stale_pid_file_names_a_living_process(server: EmbeddedServer) -> None:
    server.start()
    socket = folders.locate(server.home, 18).socket
    pid = server.status().pid
    assert pid is not None
    left = (server.data / "postmaster.pid").read_text()
    server.stop()
    owner = for_server()
    with subprocess.Popen(
        ["/bin/sleep", "600"], **guardian.identity(owner.uid, owner.gid)
    ) as other:
        try:
            stale = left.replace(str(pid), str(other.pid), 1)
            (server.data / "postmaster.pid").write_text(stale)
            (socket / ".s.PGSQL.5432.lock").write_text(stale)
            server.start()
            assert query(server, "SELECT 1") == 1
            server.stop()
            assert other.poll() is None
        finally:
            other.kill()


@pytest.mark.parametrize("attempt", range(4))
@pytest.mark.parametrize("group", [False, True], ids=["alone", "with-children"])
def test_a_kill_during_the_first_start_leaves_nothing_in_the_way(
    server: EmbeddedServer, home: Path, attempt: int, *, group: bool
) -> None:
    delay = random.Random(attempt).uniform(0, 0.5)  # noqa: S311 - a moment, not a secret
    command = [sys.executable, "-c", USER, str(home), str(LINGER_S)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, cwd=PACKAGE.parent, start_new_session=True
    ) as process:
        assert eventually(lambda: begun(server))
        time.sleep(delay)  # the kill may come at any moment
        os.killpg(process.pid, signal.SIGKILL) if group else process.kill()
    server.start()
    scribble(server)
    assert query(server, "SELECT count(*) FROM kept") == 1


@only_linux
def test_nobody_decides_while_the_guardian_of_a_killed_process_is_on_its_way(
    server: EmbeddedServer, home: Path
) -> None:
    folders.prepare(home, find().major)
    base = str(server.data.parent)
    earlier = guardian.open_lock(base, "guardian.lock")
    assert guardian.try_exclusive(earlier)
    command = [sys.executable, "-c", USER, str(home), str(LINGER_S)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=PACKAGE.parent) as process:
        assert eventually(lambda: sent_guardian(process.pid))
        process.kill()
    assert not guardian.is_free(base, "start.lock")
    os.close(earlier)
    server.start()
    assert query(server, "SELECT 1") == 1


def parent_of(pid: int | None) -> int:
    """The parent of a process; the guardian is the server's."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@only_linux
def test_a_server_whose_guardian_was_killed_shuts_down_and_the_next_start_works(
    server: EmbeddedServer,
) -> None:
    server.start()
    scribble(server)
    pid = server.status().pid
    os.kill(parent_of(pid), signal.SIGKILL)
    assert eventually(lambda: gone(server))
    server.start()
    assert server.status().pid != pid
    assert query(server, "SELECT count(*) FROM kept") == 1
    server.release()
    assert eventually(lambda: gone(server))


@only_linux
def test_a_killed_server_comes_back_by_itself_while_it_is_used(server: EmbeddedServer) -> None:
    server.start()
    scribble(server)
    pid = server.status().pid
    assert pid is not None
    settled = time.monotonic() + 1.1 * guardian._SETTLED_S
    assert eventually(lambda: time.monotonic() > settled)
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: server.status().pid not in {pid, None})
    assert query(server, "SELECT count(*) FROM kept") == 1
    server.release()
    assert eventually(lambda: gone(server))


@only_linux
def test_a_statement_that_computes_does_not_outlive_its_killed_server(
    server: EmbeddedServer,
) -> None:
    server.start()
    pid = server.status().pid
    assert pid is not None
    with contextlib.closing(psycopg.connect(server.conninfo())) as busy:
        busy.pgconn.send_query(b"SELECT sum(sqrt(n)) FROM generate_series(1, 1e12) AS n")
        active = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%sqrt(n)) FROM g%'"
        assert eventually(lambda: query(server, f"{active} AND pid <> pg_backend_pid()") == 1)
        os.kill(pid, signal.SIGKILL)
        server.start()
        assert server.status().pid != pid


def test_a_kept_server_runs_although_nobody_uses_it_until_it_is_stopped(
    server: EmbeddedServer,
) -> None:
    server.start()
    assert not server.status().kept
    server.start(keep=True)
    pid = server.status().pid
    server.release()
    assert server.status().kept
    assert not eventually(lambda: server.status().pid != pid, seconds=1.5)
    server.stop(unless_used=True)
    assert gone(server)
    server.start()
    assert not server.status().kept
    server.release()
    assert eventually(lambda: gone(server))


def test_a_server_in_use_is_neither_stopped_nor_removed_unless_forced(
    server: EmbeddedServer, user: Callable[[], subprocess.Popen[str]]
) -> None:
    process = user()
    told_pid(process)
    whom = str(process.pid) if Path("/proc/locks").exists() else "another process"
    with pytest.raises(EmbeddedServerError, match=f"in use by .*{whom}"):
        server.stop(unless_used=True)
    with pytest.raises(EmbeddedServerError, match=f"in use by .*{whom}"):
        server.remove()
    assert server.status().running
    assert server.status().users in {None, (process.pid,)}
    server.stop()
    assert gone(server)


def test_a_removed_server_starts_empty_and_removing_nothing_is_fine(
    server: EmbeddedServer,
) -> None:
    server.remove()
    server.start()
    scribble(server)
    server.remove()
    assert gone(server)
    assert not server.data.exists()
    server.start()
    assert query(server, "SELECT to_regclass('kept')") is None


# Forks a child that waits for its standard input to end, then does what its arguments say.
FORKING = """
import os, sys, time
from pathlib import Path
from flowstone.store.embedded import EmbeddedServer
server = EmbeddedServer(Path(sys.argv[1]), linger=float(sys.argv[2]))
server.start()
child = os.fork()
if child == 0 and sys.argv[3] == "ends":
    server.release()
    os._exit(0)
if child == 0:
    sys.stdin.read()
    os._exit(0)
if sys.argv[3] == "ends":
    os.waitpid(child, 0)
print(child, flush=True)
if sys.argv[3] == "ends":
    sys.stdin.read()
"""


@pytest.mark.parametrize("child", ["ends", "outlives"])
def test_a_forked_child_neither_stops_nor_keeps_the_server_of_its_parent(
    server: EmbeddedServer, home: Path, child: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FORKING, str(home), str(LINGER_S), child],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PACKAGE.parent,
    ) as process:
        forked = told_pid(process)
        if child == "ends":
            pid = server.status().pid
            assert pid is not None
            assert not eventually(lambda: server.status().pid != pid, seconds=4 * LINGER_S)
        else:
            process.wait()
            assert eventually(lambda: gone(server))
            os.kill(forked, 0)
        assert process.stdin is not None
        process.stdin.close()


def test_two_homes_have_two_servers(server: EmbeddedServer, tmp_path: Path) -> None:
    other = EmbeddedServer(tmp_path / "other", linger=LINGER_S)
    try:
        server.start()
        other.start()
        assert server.status().pid != other.status().pid
    finally:
        discard(other)


def test_a_home_that_is_deleted_and_made_again_starts_empty(server: EmbeddedServer) -> None:
    server.start()
    first = server.data.parent
    scribble(server)
    server.stop()
    shutil.rmtree(server.home)
    try:
        server.start()
        assert query(server, "SELECT to_regclass('kept')") is None
    finally:
        if AS_ROOT:
            shutil.rmtree(first.parent)


def test_the_environment_of_libpq_changes_nothing(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PGHOST": "nowhere.invalid",
        "PGHOSTADDR": "127.0.0.1",
        "PGPORT": "1",
        "PGUSER": "nobody",
        "PGDATABASE": "nothing",
        "PGDATA": "/nowhere",
        "PGREQUIREPEER": "nobody",
        "PGSSLMODE": "require",
        "LC_ALL": "xx_YY",
        "TZ": "Mars/Olympus",
    }.items():
        monkeypatch.setenv(name, value)
    server.start()
    assert query(server, "SELECT 1") == 1
    assert query(server, "SHOW timezone") == "UTC"


def test_a_home_with_any_character_in_its_path_works(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path / "a b,c'd\"e\\é#", linger=LINGER_S)
    try:
        server.start()
        assert query(server, "SELECT 1") == 1
    finally:
        discard(server)


def test_statements_and_rows_stay_out_of_the_log(server: EmbeddedServer) -> None:
    server.start()
    query(server, "CREATE TABLE strict (secret text CHECK (length(secret) < 3))")
    for statement in ("INSERT INTO strict VALUES ('hunter2')", "SELECT 'hunter2' / 0"):
        with pytest.raises(psycopg.Error):
            query(server, statement)
    log = (server.data.parent / "server.log").read_text()
    assert "strict" in log
    assert "('hunter2')" not in log
    assert "row contains" not in log


def test_a_failed_start_shows_the_log_and_the_cure(server: EmbeddedServer) -> None:
    server.start()
    server.stop()
    with (server.data / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedServerError, match="no_such_setting") as caught:
        server.start()
    assert "FLOWSTONE_DATABASE_URL" in str(caught.value)
    assert not server.status().running


def test_data_of_another_major_version_is_refused_with_the_cure(server: EmbeddedServer) -> None:
    server.start()
    server.stop()
    (server.data / "PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedServerError, match=r"PostgreSQL 12, this is 18.* db dump FILE"):
        server.start()


def test_a_new_major_version_never_quietly_starts_empty_beside_the_old_data(
    server: EmbeddedServer,
) -> None:
    folders.prepare(server.home, find().major)
    older = server.data.parent.with_name("17") / "data"
    older.mkdir(parents=True)
    (older / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedServerError, match=r"17/data holds .* db dump FILE") as caught:
        server.start()
    assert str(older) in str(caught.value)
    older.rename(older.with_name("away"))
    server.start()
    assert query(server, "SELECT 1") == 1


@pytest.mark.parametrize("content", [None, "notes.txt", "PG_VERSION"])
def test_a_folder_that_is_no_whole_data_folder_is_refused_and_left_alone(
    server: EmbeddedServer, content: str | None
) -> None:
    folders.prepare(server.home, find().major)
    server.data.mkdir()
    if content:
        (server.data / content).write_text("18\n")
    with pytest.raises(EmbeddedServerError, match=r"no data folder .* move it away"):
        server.start()
    assert [path.name for path in server.data.iterdir()] == ([content] if content else [])


def test_what_an_unfinished_start_left_is_in_nobodys_way(server: EmbeddedServer) -> None:
    folders.prepare(server.home, find().major)
    unfinished = server.data.with_name("data.new")
    (unfinished / "base").mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    server.start()
    assert query(server, "SELECT 1") == 1
    assert not unfinished.exists()


def test_a_home_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    server = EmbeddedServer(tmp_path / "file" / "home")
    with pytest.raises(EmbeddedServerError, match="FLOWSTONE_HOME"):
        server.start()


def test_conninfo_before_the_first_start_is_an_error(server: EmbeddedServer) -> None:
    with pytest.raises(EmbeddedServerError, match="start"):
        server.conninfo()


def test_programs_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedServerError, match="FLOWSTONE_DATABASE_URL"):
        EmbeddedServer(tmp_path, bindir=tmp_path)


def test_a_folder_open_to_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path)
    for name in ("open", "link"):
        with pytest.raises(EmbeddedServerError, match=name):
            folders.closed_folder(tmp_path / name)


@only_root
def test_another_user_can_neither_reach_nor_pass(server: EmbeddedServer) -> None:
    server.start()
    socket = folders.locate(server.home, 18).socket
    assert state_for("daemon", socket) == "SILENT"
    socket.chmod(0o711)
    (socket / ".s.PGSQL.5432").chmod(0o777)
    try:
        assert state_for("daemon", socket) == "REFUSED"
        assert state_for(for_server().name, socket) == "REFUSED"
        assert ask(socket, "flowstone").state is State.READY
    finally:
        socket.chmod(0o700)


def state_for(name: str, socket: Path) -> str:
    """What the server answers the user of that name."""
    entry = pwd.getpwnam(name)
    arguments = [str(socket), str(entry.pw_uid), str(entry.pw_gid)]
    return subprocess.check_output(
        [sys.executable, "-c", STRANGER, *arguments], text=True, cwd=PACKAGE.parent
    ).strip()


@only_root
def test_root_changes_nothing_in_the_home_but_its_own_file(
    server: EmbeddedServer, home: Path
) -> None:
    home.mkdir(mode=0o700)
    before = home.stat()
    server.start()
    after = home.stat()
    assert [path.name for path in home.iterdir()] == ["postgres.id"]
    assert (before.st_mode, before.st_uid) == (after.st_mode, after.st_uid)
    assert server.data.stat().st_uid == for_server().uid
    assert server.data.parent.stat().st_uid == 0


@only_root
def test_data_of_homes_that_are_gone_or_made_again_are_told_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "ROOT_STATE", tmp_path / "state")
    here, deleted, again = (tmp_path / name for name in ("here", "deleted", "again"))
    places = {home: folders.prepare(home, find().major).base.parent for home in (here, deleted)}
    before = folders.prepare(again, find().major).base.parent
    shutil.rmtree(deleted)
    shutil.rmtree(again)
    folders.prepare(again, find().major)
    found = {each.cure.rpartition(" ")[2]: each.text for each in leftovers.find(here)}
    assert found.keys() == {str(places[deleted]), str(before)}
    assert f"of {deleted}, which is gone" in found[str(places[deleted])]
    monkeypatch.setattr(leftovers, "_notes", lambda: [before / "removed by now"])
    assert leftovers.find(here) == []


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user can reach."""
    with tempfile.TemporaryDirectory(prefix="fs", dir="/tmp") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@only_root
@only_linux
def test_root_copies_programs_that_are_closed_to_others(
    tmp_path: Path, public: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "ROOT_STATE", public / "state")
    install = find().bindir.parent
    package = install.parent
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    copy = closed / package.name / install.name
    shutil.copytree(install, copy, ignore=shutil.ignore_patterns("include", "*.a"))
    for libraries in (package.with_name(f"{package.name}.libs"), package / ".dylibs"):
        if libraries.is_dir():
            shutil.copytree(libraries, closed / libraries.relative_to(package.parent))
    server = EmbeddedServer(tmp_path / "home", bindir=copy / "bin", linger=LINGER_S)
    try:
        server.start()
        assert query(server, "SELECT 1") == 1
        running = Path(f"/proc/{server.status().pid}/exe").readlink()
        assert running.is_relative_to(public / "state" / "binaries")
        assert len(list((public / "state" / "binaries").iterdir())) == 1
    finally:
        discard(server)


@pytest.mark.parametrize("length", [0, 200], ids=["short", "long"])
def test_a_user_without_privileges_gets_a_closed_server(public: Path, length: int) -> None:
    home = public / "home" / ("x" * length) / "h"
    found = run_unprivileged(public, home)
    assert found.pop("socket").startswith("/tmp/flowstone-" if length else str(home))  # noqa: S108 - where a long path has its socket
    assert found == {
        "mode": 0o700,
        "owner": True,
        "data": 0o700,
        "inside": True,
        "ignored": "*\n",
        "state": "READY",
        "again": True,
    }


@only_root
def test_users_of_one_machine_have_a_server_each_at_once(
    public: Path, server: EmbeddedServer
) -> None:
    """Three of them, two of whom have the very same path too long for a socket."""
    server.start()
    names = [name for name in ("nobody", "daemon") if name != for_server().name][:2]
    begun = [
        begin_unprivileged(public, public / name / ("x" * 200), pwd.getpwnam(name))
        for name in names
    ]
    found = [told_by(process) for process in begun]
    assert len({each["socket"] for each in found}) == len(names)
    assert all(each["state"] == "READY" and each["owner"] for each in found)
    assert query(server, "SELECT 1") == 1


def run_unprivileged(public: Path, home: Path) -> dict[str, Any]:
    """Run ``UNPRIVILEGED`` as ourselves, or as root for somebody else; what it printed."""
    entry = pwd.getpwuid(for_server().uid) if AS_ROOT else None
    return told_by(begin_unprivileged(public, home, entry))


def told_by(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(out)
    return found


def begin_unprivileged(
    public: Path, home: Path, entry: pwd.struct_passwd | None
) -> subprocess.Popen[str]:
    home.parent.mkdir(parents=True)
    packages, python, who = PACKAGE.parent, sys.executable, {}
    bindir, environment = find().bindir, dict(os.environ)
    if entry is not None:
        environment = {}
        bindir = reachable(find(), for_server()).bindir
        who = guardian.identity(entry.pw_uid, entry.pw_gid)
        python = reachable_python(who)
        packages = public / "lib"
        if not packages.is_dir():
            shutil.copytree(PACKAGE, packages / "flowstone")
        os.chown(home.parent, entry.pw_uid, entry.pw_gid)
    return subprocess.Popen(
        [python, "-c", UNPRIVILEGED, str(home), str(bindir)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=packages,
        env=environment | {"PYTHONPATH": str(packages), "PYTHONDONTWRITEBYTECODE": "1"},
        **who,
    )


def reachable_python(who: dict[str, Any]) -> str:
    """An interpreter that an unprivileged account can run; root's own is often closed."""
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        with contextlib.suppress(OSError):
            check = "import sys; sys.exit(sys.version_info < (3, 11))"
            if subprocess.run([python, "-c", check], check=False, cwd="/", **who).returncode == 0:
                return python
    pytest.skip("no Python 3.11 that another user can run")
