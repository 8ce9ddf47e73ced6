"""The account the server runs as: our own, or for root an existing unprivileged one."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowstone.errors import EmbeddedServerError
from flowstone.store.embedded.guardian import identity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CURE = "set FLOWSTONE_DATABASE_URL to use a server of your own"

# Nothing of the user's environment reaches the server: PG* and LD_* change what it does
ENVIRONMENT: Mapping[str, str] = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

_UNPRIVILEGED = ("postgres", "nobody", "daemon")


@dataclass(frozen=True)
class Account:
    """An account of the operating system."""

    uid: int
    gid: int
    name: str

    @property
    def is_ours(self) -> bool:
        """True if this process runs as the account."""
        return self.uid == os.geteuid()

    def run(
        self, command: Sequence[str], pass_fds: Sequence[int] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run ``command`` as this account, in the clean environment, and wait for its end.

        The result holds the exit code and both outputs in ``stdout``. Raises OSError if the
        command can't be reached or the account can't be taken on.
        """
        return subprocess.run(  # noqa: S603 - commands of ours, without a shell
            command,
            check=False,
            env=ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=pass_fds,
            **identity(self.uid, self.gid),
        )


def current() -> Account:
    """The account this process runs as.

    Raises EmbeddedServerError if it has no name, as with a bare uid in a container: Postgres
    tells its clients by name.
    """
    uid = os.geteuid()
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise EmbeddedServerError(
            f"uid {uid} has no name on this machine and Postgres needs one; "
            f"run as a named user, or {CURE}"
        ) from None
    return Account(uid, entry.pw_gid, entry.pw_name)


def for_server() -> Account:
    """The account to run the server as; Postgres refuses to run as root.

    Raises EmbeddedServerError if we are root and none of the usual accounts exists.
    """
    if os.geteuid() != 0:
        return current()
    for name in _UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
    raise EmbeddedServerError(
        f"Postgres can't run as root, and there is no {' or '.join(_UNPRIVILEGED)} for it; {CURE}"
    )
