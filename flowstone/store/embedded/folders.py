"""Where everything of one embedded server lies, closed to other users.

::

    <home>/postgres/<major>/      a normal user's; for root /var/lib/flowstone/<digest>/<major>/
        data/                     the data folder (the server's account only)
        data.new/                 the data folder while it is made
        socket/                   the server's socket, unless the path is too long for one
        pg_hba.conf pg_ident.conf who may connect
        server.log  *.lock  keep
    /var/lib/flowstone/<digest>/home  the path of the home it belongs to
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from flowstone.errors import EmbeddedServerError
from flowstone.store.embedded.account import CURE, Account
from flowstone.store.embedded.guardian import KEEP

ROOT_STATE = Path("/var/lib/flowstone")
# sockaddr_un holds 104 bytes on macOS, 108 on Linux, and the name of the socket takes 15
_LONGEST_SOCKET_FOLDER = 85


@dataclass(frozen=True)
class Folders:
    """The paths of one server; see the module's picture."""

    base: Path
    socket: Path

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.base / "data"

    @property
    def unfinished(self) -> Path:
        """The data folder while it is made."""
        return self.base / "data.new"

    @property
    def hba(self) -> Path:
        """Which connections are let in."""
        return self.base / "pg_hba.conf"

    @property
    def ident(self) -> Path:
        """Which users of the machine they may come from."""
        return self.base / "pg_ident.conf"

    @property
    def keep(self) -> Path:
        """There while the server is to run although nobody uses it."""
        return self.base / KEEP

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.base / "server.log"


def closed_folder(path: Path, mode: int = 0o700, account: Account | None = None) -> Path:
    """Make ``path`` unless it exists, and make sure that only its owner can write in it.

    The owner is ``account``, or else this process's own. Raises EmbeddedServerError if what
    stands there is not a real folder, belongs to somebody else, or is open to others.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
        # not only for a new one: a kill may have come between the making and these
        if mode & ~found.st_mode:
            path.chmod(stat.S_IMODE(found.st_mode) | mode)
        if account is not None and not account.is_ours:
            os.chown(path, account.uid, account.gid)
    check_closed(path, os.geteuid() if account is None else account.uid, mode)
    return path


def check_closed(path: Path, uid: int, mode: int = 0o700) -> None:
    """Make sure that ``path`` is a real folder of ``uid`` and no more open than ``mode``.

    Raises EmbeddedServerError if it isn't, OSError if there is nothing.
    """
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid:
        raise EmbeddedServerError(
            f"{path} is not a folder of the user the server needs (uid {uid}); remove it, "
            f"set FLOWSTONE_HOME to a folder of your own, or {CURE}"
        )
    if stat.S_IMODE(found.st_mode) & ~mode:
        raise EmbeddedServerError(
            f"{path} is open to others; chmod {mode:o} it if you trust what is in it, or {CURE}"
        )


def locate(home: Path, major: int) -> Folders:
    """Where the server of ``home`` lies for the user we are; touches nothing but what it reads."""
    if os.geteuid() == 0:
        base = ROOT_STATE / _digest(f"{home.resolve()}\0{_read_id(home)}") / str(major)
    else:
        base = home.resolve() / "postgres" / str(major)
    inside = base / "socket"
    return Folders(base, inside if _holds_socket(inside) else _short_folder(base))


def prepare(home: Path, major: int) -> Folders:
    """Make the base folder of the server of ``home``, and ``home`` itself with a ``.gitignore``.

    Raises EmbeddedServerError if they can't be made or are not safe to use.
    """
    try:
        if not home.is_dir():
            home.mkdir(parents=True, exist_ok=True)
            (home / ".gitignore").write_text("*\n")
        if os.geteuid() == 0:
            _ensure_id(home)
            ROOT_STATE.parent.mkdir(parents=True, exist_ok=True)
            closed_folder(ROOT_STATE, 0o755)
        folders = locate(home, major)
        # the server's account must be able to pass through root's
        mode = 0o711 if os.geteuid() == 0 else 0o700
        closed_folder(closed_folder(folders.base.parent, mode) / folders.base.name, mode)
        if os.geteuid() == 0:
            _sign(folders.base.parent / "home", home)
    except OSError as error:
        raise EmbeddedServerError(
            f"can't make the folders of the embedded Postgres: {error.strerror} "
            f"({error.filename}); set FLOWSTONE_HOME to a folder you can write to, or {CURE}"
        ) from error
    return folders


def _sign(path: Path, home: Path) -> None:
    """Tell people who find the folder which home it belongs to."""
    path.touch(mode=0o600)
    path.write_text(f"{home.resolve()}\n", errors="replace")


def _id_file(home: Path) -> Path:
    return home / "postgres.id"


def _read_id(home: Path) -> str:
    try:
        return _id_file(home).read_text(errors="replace")[:64]
    except OSError:
        return ""


def _ensure_id(home: Path) -> None:
    # root's data lies outside of home: without an id in home, a home that was deleted and made
    # again would come with the data of the old one
    fd = os.open(_id_file(home), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        if not os.read(fd, 1):
            os.write(fd, secrets.token_hex(16).encode())
    finally:
        os.close(fd)


def _digest(text: str) -> str:
    return hashlib.blake2b(os.fsencode(text), digest_size=8).hexdigest()


def _holds_socket(folder: Path) -> bool:
    """Whether a socket in ``folder`` can be bound, and named in a connection string."""
    raw = os.fsencode(folder)
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return len(raw) <= _LONGEST_SOCKET_FOLDER and not set(b",\n\r") & set(raw)


def _short_folder(base: Path) -> Path:
    # every process of the user must find the same place, and TMPDIR and XDG_RUNTIME_DIR are not
    # the same in a terminal, a notebook and a cron job
    name = f"flowstone-{os.geteuid()}-{_digest(str(base))}"
    return Path("/tmp") / name  # noqa: S108 - used only as a closed folder of our own
