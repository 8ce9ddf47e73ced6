"""Keeps one Postgres server running for as long as processes use it, then stops it.

Started by the server module as ``python -I -S guardian.py ORDER``, in a session of its own: the
guardian is the parent of the server, so a user process may be killed in any way without taking
the server along or leaving it behind. It runs outside of Flowstone's packages and therefore
imports the standard library only. Four lock files (``flock``) in one folder carry all knowledge;
the kernel drops them with their holders, so nothing is ever left to clean up:

``start.lock``
    exclusive, held while somebody decides to start or to stop. A guardian on its way inherits it:
    if the process that sent it is killed, nobody decides anew before the guardian has taken over.
``users.lock``
    shared, held by each process that uses the server.
``guardian.lock``
    exclusive, held by the guardian for its life.
``server.lock``
    exclusive, inherited by every process of the server: free means that none of them lives. Pids
    can't tell that; they are recycled, and zombies keep them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, TypedDict

    class Order(TypedDict):
        """What the guardian needs to know; ``start`` is its descriptor of ``start.lock``."""

        base: str
        data: str
        socket: str
        command: list[str]
        environment: dict[str, str]
        uid: int
        gid: int
        linger: float
        start: int


PORT = 5432
_GRACE_S = 30.0
_POLL_S = 0.02


def open_lock(base: str, name: str) -> int:
    """Open the lock file ``name`` of the folder ``base``; the descriptor is not inheritable."""
    return os.open(f"{base}/{name}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def try_exclusive(fd: int) -> bool:
    """Take the exclusive lock on an open lock file, or tell at once that it can't be had."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_free(base: str, name: str) -> bool:
    """True if no process holds the lock ``name``."""
    fd = open_lock(base, name)
    try:
        return try_exclusive(fd)
    finally:
        os.close(fd)


def identity(uid: int, gid: int) -> dict[str, Any]:
    """Arguments for ``subprocess.Popen`` that make the child run as this account.

    Empty if that is who we are; only root may become somebody else.
    """
    if uid == os.geteuid():
        return {}
    return {"user": uid, "group": gid, "extra_groups": []}


def server_pid(data: str) -> int | None:
    """The pid in the data folder's ``postmaster.pid``, which may be stale; None without one."""
    # the folder belongs to the server's account: root follows no link and waits on no pipe there
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        fd = os.open(f"{data}/postmaster.pid", flags)
    except OSError:
        return None
    with os.fdopen(fd, errors="replace") as file:
        line = file.readline(32).strip()
    return int(line) if line.isascii() and line.isdigit() and int(line) > 1 else None


def stop_server(base: str, data: str, uid: int, gid: int) -> bool:
    """Stop the server and wait until none of its processes is left; False if some stay.

    Asks for a fast shutdown, which keeps everything committed; after 30 s for an immediate one,
    which keeps it too, at the price of a recovery at the next start.
    """
    for name in ("INT", "QUIT"):
        deadline = time.monotonic() + _GRACE_S
        told: int | None = None
        while time.monotonic() < deadline:
            if is_free(base, "server.lock"):
                return True
            pid = server_pid(data)
            if pid is not None and pid != told:
                _signal(pid, name, uid, gid)
                told = pid
            time.sleep(_POLL_S)
    return is_free(base, "server.lock")


def _signal(pid: int, name: str, uid: int, gid: int) -> None:
    if uid == os.geteuid():
        with contextlib.suppress(OSError):
            os.kill(pid, getattr(signal, f"SIG{name}"))
        return
    # root signals as the server's account, so a forged pid file reaches only that account
    kill = ["/bin/sh", "-c", 'kill -s "$1" "$2"', "sh", name, str(pid)]
    subprocess.run(  # noqa: S603 - a fixed script; its arguments are a name and a number
        kill,
        check=False,
        stderr=subprocess.DEVNULL,
        cwd="/",
        timeout=_GRACE_S,
        **identity(uid, gid),
    )


def _clear_leftovers(data: str, socket: str) -> None:
    # Postgres believes the pids in these files, and a recycled one would stop every start; we
    # hold server.lock, so whoever wrote them is gone
    name = f"{socket}/.s.PGSQL.{PORT}"
    for path in (f"{data}/postmaster.pid", name, f"{name}.lock"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108 - the guardian starts sooner without pathlib


def _launch(
    command: Sequence[str], environment: Mapping[str, str], uid: int, gid: int, lock: int
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - the server's command, from our own process
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        cwd="/",
        pass_fds=[lock],
        **identity(uid, gid),
    )


def _leave_with_server(base: str, server: subprocess.Popen[bytes] | None) -> None:
    """Wait until no process of the server lives, then end the guardian."""
    lock = open_lock(base, "server.lock")
    fcntl.flock(lock, fcntl.LOCK_EX)
    if server is not None:
        server.wait()
    os._exit(0)


def _serve_until_unused(order: Order) -> bool:
    base = order["base"]
    users, start = open_lock(base, "users.lock"), open_lock(base, "start.lock")
    while True:
        fcntl.flock(users, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_UN)
        time.sleep(order["linger"])
        if not try_exclusive(start):
            continue
        if try_exclusive(users):
            return stop_server(base, order["data"], order["uid"], order["gid"])
        fcntl.flock(start, fcntl.LOCK_UN)


def main(order: Order) -> None:
    """Start the server, or adopt the one that runs, and stay until nobody uses it.

    The calling process returns as soon as a detached child has taken over; ``guardian.lock`` and
    ``server.lock`` are held by then.
    """
    base = order["base"]
    # the guardian of an earlier server goes once it sees server.lock free: wait for that first
    fcntl.flock(open_lock(base, "guardian.lock"), fcntl.LOCK_EX)
    lock = open_lock(base, "server.lock")
    ours = try_exclusive(lock)
    if os.fork():
        os._exit(0)
    os.close(order["start"])
    server = None
    if ours:
        _clear_leftovers(order["data"], order["socket"])
        server = _launch(order["command"], order["environment"], order["uid"], order["gid"], lock)
    os.close(lock)
    watch = threading.Thread(target=_leave_with_server, args=(base, server), daemon=True)
    watch.start()
    if _serve_until_unused(order):
        watch.join()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
