"""One virtual environment for each thing that is installed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.peers.peers import Peer

ROOT = Path(__file__).resolve().parents[2]
_INSTALLED = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
_CHECKOUT = "import flowstone; print(flowstone.__version__)"


def make(peer: Peer, folder: Path) -> str:
    """The interpreter of an environment in ``folder`` where the peer is installed.

    What is there from an earlier time is used again, except that this checkout is installed anew.

    Raises:
        subprocess.CalledProcessError: if the environment can't be made.
    """
    if peer.requirement is not None:
        return installed(peer.requirement, [peer.requirement], folder)
    return installed(f"checkout-{_digest(str(ROOT))}", [str(ROOT)], folder, anew=True)


def installed(name: str, requirements: list[str], folder: Path, *, anew: bool = False) -> str:
    """The interpreter of an environment in ``folder``, by name, where these are installed.

    What is there from an earlier time is used again; ``anew`` installs the requirements anew.

    Raises:
        subprocess.CalledProcessError: if the environment can't be made.
    """
    place = folder / f"{name}-python{sys.version_info[0]}.{sys.version_info[1]}"
    interpreter = str(place / "bin" / "python")
    ready = place / "ready"
    if not ready.exists():
        run([sys.executable, "-m", "venv", "--clear", str(place)], env=clean_environment())
    if anew or not ready.exists():
        pip = [interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, *requirements], env=clean_environment())
    ready.touch()
    return interpreter


def version(peer: Peer, interpreter: str, env: dict[str, str] | None = None) -> str:
    """The version that the interpreter imports."""
    code = _INSTALLED if peer.requirement else _CHECKOUT
    return run([interpreter, "-c", code, peer.distribution], env=env).strip()


def run(
    command: list[str],
    *,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    timeout: float = 1800.0,
) -> str:
    """Run a command of ours to its end and return what it printed.

    Raises:
        subprocess.CalledProcessError: if it fails; what it said is in its notes.
        subprocess.TimeoutExpired: if it takes longer than ``timeout`` seconds.
    """
    done = subprocess.run(  # noqa: S603 - the commands are this comparison's own
        command,
        capture_output=True,
        check=False,
        cwd=cwd,
        encoding="utf-8",
        env=env,
        stdin=subprocess.DEVNULL,
        timeout=timeout,
    )
    try:
        done.check_returncode()
    except subprocess.CalledProcessError as error:
        error.add_note(done.stderr)
        raise
    return done.stdout


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without what would reach into Python or one of the peers."""
    prefixes = ("PYTHON", "FLOWSTONE_", "HAMILTON_", "REDUN_", "DAGSTER_", "PREFECT_", "DBOS_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    return kept | more


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
