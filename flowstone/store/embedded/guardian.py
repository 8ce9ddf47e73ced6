"""Keeps one Postgres server running for as long as processes use it, then stops it.

Started by the server module as ``python -I -S guardian.py ORDER``, in a session of its own: the
guardian is the parent of the server, so a user process may be killed in any way without taking
the server along or leaving it behind. If the server is killed while it is wanted, the guardian
starts it again; if the guardian is killed, the server shuts down (on Linux at once, elsewhere with
the next start). It runs outside of Flowstone's packages and therefore
imports the standard library only. Four lock files (``flock``) in one folder carry all knowledge;
the kernel drops them with their holders, so nothing is ever left to clean up. A file ``keep``
beside them says that the server is to run although nobody uses it.

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
import ctypes
import fcntl
import glob
import json
import os
import signal
import subprocess
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn, TypedDict

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
KEEP = "keep"
_FAST_S = 5.0
_GRACE_S = 30.0
_POLL_S = 0.02
_KEPT_POLL_S = 1.0
# A server that is killed sooner than this is not started again by itself: it might never end
_SETTLED_S = 2.0
# From <linux/prctl.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


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
    # shared where holders are exclusive: two that look must not take each other for a holder
    kind = fcntl.LOCK_EX if name == "users.lock" else fcntl.LOCK_SH
    fd = open_lock(base, name)
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
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


def stop_server(base: str, data: str, uid: int, gid: int, *, at_once: bool = False) -> bool:
    """Stop the server and wait until none of its processes is left; False if some stay.

    Asks for a fast shutdown, which keeps everything committed; after 5 s, or ``at_once``, for an
    immediate one, which keeps it too, at the price of a recovery at the next start.
    """
    # PostgreSQL 18.4 never ends a fast shutdown that it is asked for while it recovers
    for name, grace in (("QUIT", _GRACE_S),) if at_once else (("INT", _FAST_S), ("QUIT", _GRACE_S)):
        deadline = time.monotonic() + grace
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
    order: Order, lock: int, die_with_us: Callable[[], None] | None
) -> subprocess.Popen[bytes]:
    _clear_leftovers(order["data"], order["socket"])
    return subprocess.Popen(  # noqa: S603 - the server's command, from our own process
        order["command"],
        env=order["environment"],
        stdin=subprocess.DEVNULL,
        cwd="/",
        pass_fds=[lock],
        preexec_fn=die_with_us,  # noqa: PLW1509 - it calls nothing that another thread may hold
        **identity(order["uid"], order["gid"]),
    )


def _ties() -> Callable[[], None] | None:
    """What ties a child to this process, where the kernel can: None where it can't.

    A child that calls it gets SIGQUIT when this process is killed: nobody else would stop it.
    Processes that it leaves behind when it is killed itself become ours.
    """
    if sys.platform != "linux":
        return None
    prctl, we = ctypes.CDLL(None).prctl, os.getpid()
    prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def die_with_us() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGQUIT), 0, 0, 0)
        if os.getppid() != we:
            os._exit(1)

    return die_with_us


def _end_orphans() -> None:
    """End the processes that a killed server left to us; one that computes would not notice."""
    for children in glob.glob("/proc/self/task/*/children"):  # noqa: PTH207 - as above
        with contextlib.suppress(OSError), open(children) as file:  # noqa: PTH123 - as above
            for pid in file.read().split():
                os.kill(int(pid), signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def is_kept(base: str) -> bool:
    """True if the server is to run although nobody uses it."""
    return os.path.exists(f"{base}/{KEEP}")  # noqa: PTH110 - as above


def _is_wanted(base: str) -> bool:
    return is_kept(base) or not is_free(base, "users.lock")


def _stop_when_unused(order: Order) -> None:
    base, linger = order["base"], order["linger"]
    users, start = open_lock(base, "users.lock"), open_lock(base, "start.lock")
    while True:
        fcntl.flock(users, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_UN)
        time.sleep(linger)
        if is_kept(base):
            time.sleep(_KEPT_POLL_S)
        elif try_exclusive(start):
            if try_exclusive(users) and not is_kept(base):
                stop_server(base, order["data"], order["uid"], order["gid"])
            fcntl.flock(users, fcntl.LOCK_UN)
            fcntl.flock(start, fcntl.LOCK_UN)


def _supervise(order: Order, lock: int) -> NoReturn:
    """Run the server until it ends in order; one that was killed is started again if wanted."""
    base, die_with_us = order["base"], _ties()
    start: int | None = None
    watch = threading.Thread(target=_stop_when_unused, args=(order,), daemon=True)
    while True:
        began = time.monotonic()
        server = _launch(order, lock, die_with_us)
        os.close(lock)
        if start is not None:
            os.close(start)
        if not watch.ident:
            watch.start()
        was_killed = server.wait() < 0
        _end_orphans()
        lock = open_lock(base, "server.lock")
        # shared: whoever looks takes the lock for free as soon as the server's processes are gone
        fcntl.flock(lock, fcntl.LOCK_SH)
        start = open_lock(base, "start.lock")
        settled = time.monotonic() - began > _SETTLED_S
        # whoever holds start.lock decides for itself, and its guardian waits for our end
        if not (was_killed and settled and try_exclusive(start) and _is_wanted(base)):
            os._exit(0)
        fcntl.flock(lock, fcntl.LOCK_EX)


def main(order: Order) -> None:
    """Start the server and stay until nobody uses it, or until it ends.

    The calling process returns as soon as a detached child has taken over; ``guardian.lock`` and
    ``server.lock`` are held by then.
    """
    base = order["base"]
    # a shell may have us ignore it, which the server would inherit
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    # the guardian of an earlier server goes once it sees server.lock free: wait for that first
    fcntl.flock(open_lock(base, "guardian.lock"), fcntl.LOCK_EX)
    lock = open_lock(base, "server.lock")
    fcntl.flock(lock, fcntl.LOCK_EX)
    if os.fork():
        os._exit(0)
    os.close(order["start"])
    _supervise(order, lock)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
