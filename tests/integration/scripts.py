"""Running Flowstone as its users do: another process, a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def environment(home: Path) -> dict[str, str]:
    """This process's environment with a fresh home and the embedded server."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLOWSTONE_")}
    path = os.pathsep.join(filter(None, [str(ROOT), kept.get("PYTHONPATH")]))
    return kept | {"FLOWSTONE_HOME": str(home), "PYTHONPATH": path, "NO_COLOR": "1"}


def python(
    *arguments: str, home: Path, cwd: Path, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run ``python ARGUMENTS``, further settings in its environment, and wait for its end."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        check=False,
        cwd=cwd,
        encoding="utf-8",
        env=environment(home) | settings,
        timeout=240,
    )
