"""Starts, shares and stops the embedded Postgres of one home folder."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowstone.errors import EmbeddedServerError
from flowstone.store.embedded import account, binaries, cluster, folders, guardian, locks
from flowstone.store.embedded.account import CURE
from flowstone.store.embedded.probe import ROLE, State, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

DATABASE = "flowstone"
_POLL_S = 0.015
# Crash recovery takes what it takes; a server that says nothing at all gets less patience
_START_LIMIT_S = 600.0
_SILENCE_LIMIT_S = 30.0
_GUARDIAN_LIMIT_S = 60.0
# One that is killed while it starts is started again; one that refuses to start refuses again
_LAUNCHES = 5
_LOG_LIMIT = 4 << 20
_LOG_TAIL = 2000


_servers: weakref.WeakSet[EmbeddedServer] = weakref.WeakSet()


def _after_fork() -> None:
    locks.close_all()
    for server in _servers:
        server._forget()  # noqa: SLF001 - of this module's own class


os.register_at_fork(after_in_child=_after_fork)


@dataclass(frozen=True)
class ServerStatus:
    """An embedded server as it is now.

    ``pid`` and ``version`` (as in ``18.4``) are None unless it runs. ``kept`` says that it runs on
    although nobody uses it. ``users`` are the pids of the processes that use it, None if this
    machine can't tell them.
    """

    running: bool
    pid: int | None
    data: Path
    version: str | None
    kept: bool = False
    users: tuple[int, ...] | None = ()


class EmbeddedServer:
    """The Postgres of one home folder, shared by all processes that use it.

    It is started by the first of them and stopped about ``linger`` seconds after the last has
    released it or ended in any way, unless it is kept. Only the user who started it can connect,
    over a Unix socket; root runs it as an unprivileged account. A forked child is no user of it
    until it calls ``start`` itself. Its methods block; all may be called from any thread.

    ``home`` is the project's ``FLOWSTONE_HOME``. ``bindir`` is a folder with the programs of
    another Postgres than the installed wheel's.
    """

    def __init__(self, home: Path, *, bindir: Path | None = None, linger: float = 2.0) -> None:
        self.home = Path(home).absolute()
        self._binaries = binaries.find(bindir)
        self._linger = linger
        self._mutex = threading.Lock()
        self._users: int | None = None
        _servers.add(self)

    def _forget(self) -> None:
        """Be no user, in a forked child: its parent's lock is closed, its mutex may be held."""
        self._mutex = threading.Lock()
        self._users = None

    @property
    def _folders(self) -> folders.Folders:
        # looked up each time: root's place is known only once a home has its id
        return folders.locate(self.home, self._binaries.major)

    @property
    def data(self) -> Path:
        """The data folder, whether or not it exists yet."""
        return self._folders.data

    @property
    def bindir(self) -> Path:
        """The folder of the server's programs."""
        return self._binaries.bindir

    def check_closed(self) -> tuple[Path, Path]:
        """The data folder and the socket's, which nobody else can enter.

        Raises EmbeddedServerError if somebody else can, or if they are not there.
        """
        owner = account.for_server()
        with self._told("look at"):
            for path in (self.data, self._folders.socket):
                folders.check_closed(path, owner.uid)
        return self.data, self._folders.socket

    def start(self, *, keep: bool = False) -> None:
        """Make sure that the server runs, and count this process as a user of it.

        May be called again at any time, for instance after the server was killed. A server that
        recovers from a crash is waited for. With ``keep`` it runs until ``stop``, although nobody
        uses it.

        Raises EmbeddedServerError, with the end of the server's log, if it can't be started.
        """
        with self._mutex, self._told("start"):
            self._start(account.for_server(), keep=keep)

    def revive(self) -> None:
        """Start the server again if it was killed; one that was stopped stays so.

        Raises EmbeddedServerError as ``start`` does.
        """
        if (self.data / "postmaster.pid").exists():
            self.start()

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise EmbeddedServerError(
                f"can't {what} the embedded Postgres in {self._folders.base}: {error}; {CURE}"
            ) from error

    def _start(self, owner: account.Account, *, keep: bool) -> None:
        folders.prepare(self.home, self._binaries.major)
        with self._deciding() as start:
            folders.closed_folder(self._folders.socket, account=owner)
            users = locks.opened(str(self._folders.base), "users.lock")
            try:
                fcntl.flock(users, fcntl.LOCK_SH)
                self._ensure_running(owner, start)
                if keep:
                    self._folders.keep.touch(mode=0o600)
            except BaseException:
                locks.close(users)
                raise
        # a home that was deleted and made again has other locks than the ones we held
        self._leave()
        self._users = users

    def _leave(self) -> None:
        if self._users is not None:
            locks.close(self._users)
            self._users = None

    def conninfo(self, dbname: str = DATABASE) -> str:
        """The libpq connection string of ``dbname``; the one named ``flowstone`` exists.

        Raises EmbeddedServerError before the first ``start``.
        """
        if not self.data.exists():
            raise EmbeddedServerError("the embedded Postgres was never started; call start() first")
        parts = {
            "host": str(self._folders.socket),
            # an empty one keeps PGHOSTADDR of the environment out
            "hostaddr": "",
            "port": str(guardian.PORT),
            "user": ROLE,
            "dbname": dbname,
            "requirepeer": account.for_server().name,
        }
        return " ".join(f"{key}={_quoted(value)}" for key, value in parts.items())

    def release(self) -> None:
        """Count this process as a user no more; the server stops once nobody uses it."""
        with self._mutex:
            self._leave()

    def stop(self, *, unless_used: bool = False) -> None:
        """Stop the server now, whoever uses it, and keep it no more; what is committed stays.

        Raises EmbeddedServerError if it doesn't stop within a minute, or if ``unless_used`` is
        set and another process uses it.
        """
        with self._ending(unless_used=unless_used) as found:
            if found:
                self._stop()

    def remove(self) -> None:
        """Stop the server and remove its data; the next start begins empty.

        Raises EmbeddedServerError if another process uses it, or if it can't be removed.
        """
        with self._ending(unless_used=True) as found:
            if not found:
                return
            self._stop()
            # the next start removes what a kill leaves of it
            if self.data.exists():
                shutil.rmtree(self._folders.unfinished, ignore_errors=True)
                self.data.rename(self._folders.unfinished)
            shutil.rmtree(self._folders.unfinished, ignore_errors=True)

    @contextlib.contextmanager
    def _ending(self, *, unless_used: bool) -> Iterator[bool]:
        """Be the one who decides, and no user; False if nothing was ever started."""
        self.release()
        with self._mutex, self._told("stop"):
            if not self._folders.base.is_dir():
                yield False
                return
            with self._deciding():
                if unless_used and not guardian.is_free(str(self._folders.base), "users.lock"):
                    raise EmbeddedServerError(f"the embedded Postgres is in use{self._by_whom()}")
                yield True

    def _by_whom(self) -> str:
        users = locks.holders(self._folders.base / "users.lock")
        if not users:
            return " by another process"
        return f" by pid{'s' * (len(users) > 1)} {', '.join(map(str, users))}"

    def _stop(self) -> None:
        self._folders.keep.unlink(missing_ok=True)
        owner, data = account.for_server(), str(self.data)
        if not guardian.stop_server(str(self._folders.base), data, owner.uid, owner.gid):
            pid = guardian.server_pid(data)
            raise EmbeddedServerError(
                f"the embedded Postgres (pid {pid}) does not stop; see {self._folders.log}"
            )

    def status(self) -> ServerStatus:
        """What the server itself answers now; starts nothing."""
        try:
            folders.check_closed(self._folders.socket, account.for_server().uid)
        except (OSError, EmbeddedServerError):
            return ServerStatus(running=False, pid=None, data=self.data, version=None)
        answer = ask(self._folders.socket, DATABASE)
        running = answer.state in {State.READY, State.NO_DATABASE}
        pid = guardian.server_pid(str(self.data)) if running else None
        kept = guardian.is_kept(str(self._folders.base))
        users = locks.holders(self._folders.base / "users.lock")
        return ServerStatus(running, pid, self.data, answer.version, kept, users)

    @contextlib.contextmanager
    def _deciding(self) -> Iterator[int]:
        fd = locks.opened(str(self._folders.base), "start.lock")
        try:
            deadline = time.monotonic() + _START_LIMIT_S
            while not guardian.try_exclusive(fd):
                if time.monotonic() > deadline:
                    lock = self._folders.base / "start.lock"
                    raise EmbeddedServerError(f"another process holds {lock}; end it, or {CURE}")
                time.sleep(_POLL_S)
            try:
                yield fd
            finally:
                # the guardian that was sent may not have closed its copy yet: unlock for it too
                fcntl.flock(fd, fcntl.LOCK_UN)
        finally:
            locks.close(fd)

    def _ensure_running(self, owner: account.Account, start: int) -> None:
        base, data = str(self._folders.base), str(self.data)
        launched: int | None = None
        launches = 0
        ended = False
        heard = began = time.monotonic()
        while True:
            answer = ask(self._folders.socket, DATABASE)
            if answer.state is State.REFUSED:
                raise self._failure(f"refuses the connection: {answer.message}", launched)
            if answer.state is not State.SILENT:
                heard = time.monotonic()
                if guardian.is_free(base, "guardian.lock"):
                    # killed: the server is about to shut down, or does so now
                    guardian.stop_server(base, data, owner.uid, owner.gid, at_once=True)
                elif answer.state is State.READY:
                    return
                elif answer.state is State.NO_DATABASE:
                    self._create_database()
            elif guardian.is_free(base, "server.lock"):
                if launches == _LAUNCHES:
                    raise self._failure("ended while it started", launched)
                launched = self._launch(owner, start)
                launches += 1
                heard = time.monotonic()
            elif not ended and time.monotonic() - heard > _SILENCE_LIMIT_S:
                # it hangs, for everybody; what is committed stays
                ended = guardian.stop_server(base, data, owner.uid, owner.gid, at_once=True)
                heard = time.monotonic()
            self._check_patience(began, heard, launched)
            # each question to a recovering server is a line in its log: ask ever less often
            time.sleep(min(_POLL_S + (time.monotonic() - began) / 20, 0.2))

    def _create_database(self) -> None:
        answer = ask(self._folders.socket, "postgres", f"CREATE DATABASE {DATABASE}")
        if answer.state is State.REFUSED:
            raise self._failure(f"can't make its database: {answer.message}", None)

    def _check_patience(self, began: float, heard: float, launched: int | None) -> None:
        now = time.monotonic()
        if now - heard > _SILENCE_LIMIT_S:
            raise self._failure("does not answer", launched)
        if now - began > _START_LIMIT_S:
            raise self._failure("is still not ready", launched)

    def _launch(self, owner: account.Account, start: int) -> int:
        """Start the server; return where in the log its words begin."""
        reachable = binaries.reachable(self._binaries, owner)
        lock = locks.opened(str(self._folders.base), "server.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            cluster.ensure_data(self._folders, reachable, owner, lock)
        finally:
            locks.close(lock)
        cluster.write_access(self._folders, account.current().name)
        log = self._folders.log
        if log.exists() and log.stat().st_size > _LOG_LIMIT:
            os.truncate(log, 0)
        begin = log.stat().st_size if log.exists() else 0
        self._send_guardian(owner, reachable, start)
        return begin

    def _send_guardian(
        self, owner: account.Account, programs: binaries.Binaries, start: int
    ) -> None:
        order: guardian.Order = {
            "base": str(self._folders.base),
            "data": str(self.data),
            "socket": str(self._folders.socket),
            "command": cluster.server_command(self._folders, programs),
            "environment": dict(account.ENVIRONMENT),
            "uid": owner.uid,
            "gid": owner.gid,
            "linger": self._linger,
            "start": start,
        }
        command = [sys.executable, "-I", "-S", str(guardian.__file__), json.dumps(order)]
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        log = os.open(self._folders.log, flags, 0o600)
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter and file
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                pass_fds=[start],
                env=_guardian_environment(),
                timeout=_GUARDIAN_LIMIT_S,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise self._failure(f"can't be started ({error})", None) from error
        finally:
            os.close(log)
        # a guardian that was killed left server.lock free, which whoever waits sees
        if done.returncode > 0:
            raise self._failure("can't be started", None)

    def _failure(self, what: str, begin: int | None) -> EmbeddedServerError:
        try:
            text = self._folders.log.read_bytes()[begin or 0 :].decode(errors="replace")
        except OSError:
            text = ""
        tail = text[-_LOG_TAIL:].strip()
        told = f"\n{tail}" if tail else ""
        return EmbeddedServerError(
            f"the embedded Postgres {what}; see {self._folders.log}, or {CURE}{told}"
        )


def _guardian_environment() -> dict[str, str]:
    # the interpreter may need its libraries; secrets of the user's environment stay out
    wanted = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {key: os.environ[key] for key in wanted if key in os.environ}


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
