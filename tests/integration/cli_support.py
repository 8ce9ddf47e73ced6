"""A folder with a user's modules, and the command line called in it as another process."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.integration.scripts import environment

if TYPE_CHECKING:
    from pathlib import Path


_MOMENTS = itertools.count(int(time.time()) - 100_000, 10)


@dataclass(frozen=True)
class Project:
    """A user's project: its folder, and the settings of its environment."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, source: str) -> None:
        """Put a module there."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source), encoding="utf-8")
        # Python itself takes compiled code for that of another edit in the same second.
        moment = next(_MOMENTS)
        os.utime(file, (moment, moment))

    @property
    def environment(self) -> dict[str, str]:
        """What a process started there sees."""
        seen = environment(self.folder / "home") | self.settings
        # Compiling all modules anew in each process would take most of these tests' time.
        seen.pop("PYTHONDONTWRITEBYTECODE", None)
        return seen

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start ``python -m flowstone ARGUMENTS``."""
        return subprocess.Popen(
            [sys.executable, "-m", "flowstone", *arguments],
            cwd=self.folder,
            encoding="utf-8",
            env=self.environment,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options,
        )

    def flowstone(self, *arguments: str, **settings: str) -> Call:
        """Run ``python -m flowstone ARGUMENTS`` to its end."""
        process = Project(self.folder, self.settings | settings).start(*arguments)
        out, err = process.communicate(timeout=120)
        return Call(process.returncode, out, err)


def heard(process: subprocess.Popen[str], phrase: str) -> str:
    """What a process says on stderr, up to the line with that phrase."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if phrase in line:
            return said
    raise AssertionError(said)


def stopped_now(process: subprocess.Popen[str]) -> str:
    """Interrupt a run twice; gives what it says from the first time on."""
    process.send_signal(signal.SIGINT)
    said = heard(process, "once more to stop now")
    time.sleep(0.6)  # what follows sooner is the same wish
    process.send_signal(signal.SIGINT)
    return said + process.communicate(timeout=60)[1]


@dataclass(frozen=True)
class Call:
    """How a call of the command line ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines on stderr."""
        return self.err.splitlines()

    @property
    def events(self) -> list[dict[str, Any]]:
        """Stdout, every line of which is JSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    def is_short_error(self, code: int, *phrases: str) -> None:
        """Assert that it ended with ``code`` and a few lines that hold the phrases, none of ours.

        What is wrong and how to mend it are phrases; frames of ours and secrets must be nowhere.
        """
        assert self.code == code, self.err
        assert self.out == ""
        assert 0 < len(self.lines) <= 6, self.err
        assert self.err.startswith("error: ")
        for phrase in phrases:
            assert phrase in self.err
        for unwanted in ("Traceback", "flowstone/", "site-packages", "hunter2"):
            assert unwanted not in self.err
