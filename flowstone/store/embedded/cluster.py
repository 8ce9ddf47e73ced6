"""Makes the data folder, says who may connect, and how the server is called."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from flowstone.errors import EmbeddedServerError
from flowstone.store.embedded.account import CURE
from flowstone.store.embedded.folders import closed_folder
from flowstone.store.embedded.guardian import PORT
from flowstone.store.embedded.probe import ROLE

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from flowstone.store.embedded.account import Account
    from flowstone.store.embedded.binaries import Binaries
    from flowstone.store.embedded.folders import Folders

_BUILTIN_LOCALE_SINCE = 17
_IO_METHOD_SINCE = 18
# Of initdb, which may be killed like anything else
_RETRIES = 2

_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "logging_collector": "off",
    # values of assets must not reach the log through failing statements or rows
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    # parallel queries take their memory from /dev/shm, which containers keep small
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "timezone": "UTC",
    "cluster_name": "flowstone",
}


def ensure_data(folders: Folders, binaries: Binaries, account: Account, lock: int) -> None:
    """Make the data folder unless it exists; a kill at any point leaves nothing half made.

    ``lock`` is the descriptor of ``server.lock``, exclusively held: what makes the folder
    inherits it, so that nobody starts over while an orphan still writes. Raises
    EmbeddedServerError if initdb fails, or if there is something already that this Postgres can't
    read: data of another major version, or a folder that is no data folder.
    """
    if os.path.lexists(folders.data):
        _check_version(folders.data, binaries.major)
        return
    _refuse_other_majors(folders.base, binaries.major)
    done = _run_initdb(folders, binaries, account, lock)
    for _ in range(_RETRIES):
        if _was_killed(done):
            done = _run_initdb(folders, binaries, account, lock)
    if done.returncode != 0:
        shutil.rmtree(folders.unfinished, ignore_errors=True)
        raise EmbeddedServerError(f"initdb failed; {CURE}\n{done.stdout.strip()[-2000:]}")
    folders.unfinished.rename(folders.data)
    _sync(folders.base)


def _run_initdb(
    folders: Folders, binaries: Binaries, account: Account, lock: int
) -> subprocess.CompletedProcess[str]:
    shutil.rmtree(folders.unfinished, ignore_errors=True)
    closed_folder(folders.unfinished, account=account)
    return account.run(_initdb(folders.unfinished, binaries), pass_fds=[lock])


def _was_killed(done: subprocess.CompletedProcess[str]) -> bool:
    # its children are called through a shell, which says it with a code
    told = ("terminated by signal", "exit code 137")
    return done.returncode < 0 or any(words in done.stdout for words in told)


def _initdb(data: Path, binaries: Binaries) -> list[str]:
    command = [binaries.initdb, "--pgdata", str(data), "--username", ROLE, "--auth=reject"]
    command += ["--encoding=UTF8", "--no-locale", "--data-checksums"]
    if binaries.major >= _BUILTIN_LOCALE_SINCE:
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return command


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _check_version(data: Path, major: int) -> None:
    try:
        found = (data / "PG_VERSION").read_text(errors="replace").strip()
        whole = (data / "global" / "pg_control").is_file()
    except OSError:
        found, whole = "", False
    if not whole:
        raise EmbeddedServerError(
            f"{data} is no data folder of Postgres, or a damaged one; move it away to start empty,"
            f" or {CURE}"
        )
    if found != str(major):
        raise _other_major(data, found, major)


def _refuse_other_majors(base: Path, major: int) -> None:
    # each major version has a folder of its own: a newer one must not quietly begin empty
    for folder in sorted(base.parent.iterdir()):
        data = folder / "data"
        if folder != base and folder.name.isdigit() and (data / "PG_VERSION").is_file():
            raise _other_major(data, folder.name, major)


def _other_major(data: Path, found: str, major: int) -> EmbeddedServerError:
    return EmbeddedServerError(
        f"{data} holds data of PostgreSQL {found[:20]}, this is {major}; with the Flowstone that"
        f" made it: python -m flowstone db dump FILE; then move {data} away, and load the file,"
        f" start empty, or {CURE}"
    )


def write_access(folders: Folders, user: str) -> None:
    """Let ``user`` of this machine connect as the role ``flowstone``, and nobody else."""
    name = user.replace('"', '""')
    _write(folders.hba, f"local all {ROLE} peer map={ROLE}\n")
    _write(folders.ident, f'{ROLE} "{name}" {ROLE}\n')


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o644)


def server_command(folders: Folders, binaries: Binaries) -> list[str]:
    """The command that runs the server; its settings win over those in the data folder."""
    socket = str(folders.socket).replace('"', '""')
    settings = _SETTINGS | {
        "unix_socket_directories": f'"{socket}"',
        "hba_file": str(folders.hba),
        "ident_file": str(folders.ident),
    }
    if binaries.major >= _IO_METHOD_SINCE:
        # when an I/O worker of 18.4 is killed, connections may hang for ever after the recovery
        settings["io_method"] = "sync"
    command = [binaries.postgres, "-D", str(folders.data)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    return command
