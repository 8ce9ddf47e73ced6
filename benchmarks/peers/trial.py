"""One peer and one edit: run, edit, run, revert, run; and the verdict."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.peers.environments import run
from benchmarks.peers.idioms import plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.peers.peers import Peer
    from benchmarks.peers.project import Edit

#: Seconds between edits, as the files' times tell them.
_PAUSE = 60
#: Seconds until a process counts as one that never ends.
_PATIENCE = 120.0

RIGHT = "right"
TOO_MUCH = "too much"
UNNOTICED = "unnoticed"
STALE = "stale"
FAILED = "failed"

HISTORY = "from history"
AGAIN = "ran again"
NOTHING = "nothing to do"


@dataclass(frozen=True)
class Oracle:
    """What is right for an edit: values from scratch before and after, and what must run."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    must_run: frozenset[str]


@dataclass(frozen=True)
class Outcome:
    """What a peer did with an edit.

    ``ran`` and ``ran_on_revert`` are the executed functions in alphabetical order; ``error`` is
    the last line of what a failed process said.
    """

    verdict: str
    ran: tuple[str, ...] = ()
    revert: str = ""
    ran_on_revert: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Stage:
    """One run: the executed functions in alphabetical order, and the value of the last asset."""

    ran: tuple[str, ...]
    value: Any


def consult(edit: Edit, python: str, folder: Path, env: Mapping[str, str]) -> Oracle:
    """Find out what is right by making everything from scratch, without a framework.

    A function must run if its meaning changed, or if it is given another value than before.
    """
    values = []
    for name, project in (("before", edit.before), ("after", edit.after)):
        place(plain.files(project), folder / name, 0)
        values.append(_run([["run.py"]], python, folder / name, env).value)
    before, after = values
    given = {
        asset.name
        for asset in edit.after.assets
        if any(before[name] != after[name] for name in asset.needs)
    }
    return Oracle(before, after, edit.changed | given)


def attempt(
    peer: Peer, edit: Edit, oracle: Oracle, *, python: str, folder: Path, env: Mapping[str, str]
) -> Outcome:
    """Let a peer meet an edit and its revert."""
    final = edit.before.final.name
    stages: list[Stage] = []
    try:
        for number, project in enumerate((edit.before, edit.after, edit.before)):
            place(peer.files(project), folder, number, edit.rewritten)
            stages.append(_run(peer.commands(project), python, folder, env))
    except subprocess.TimeoutExpired as error:
        return Outcome(FAILED, error=f"no end after {error.timeout:.0f} s")
    except subprocess.CalledProcessError as error:
        return Outcome(FAILED, error=_last_line(error.stderr))
    first, second, third = stages
    if first != Stage(tuple(sorted(oracle.before)), oracle.before[final]):
        return Outcome(FAILED, error=f"the first run made {first.ran} and {first.value!r}")
    return Outcome(
        judge(second, oracle, edit.may_run, final),
        second.ran,
        judge_revert(third, second, oracle.before[final]),
        third.ran,
    )


def judge(stage: Stage, oracle: Oracle, may_run: frozenset[str], final: str) -> str:
    """The verdict on a run after an edit."""
    if stage.value != oracle.after[final]:
        return STALE
    if oracle.must_run - set(stage.ran):
        return UNNOTICED
    return TOO_MUCH if Counter(stage.ran) - Counter(oracle.must_run | may_run) else RIGHT


def judge_revert(stage: Stage, edited: Stage, value: Any) -> str:
    """The verdict on a run after the revert of an edit."""
    if stage.value != value:
        return STALE
    if stage.ran:
        return AGAIN
    return HISTORY if edited.ran else NOTHING


def place(
    files: Mapping[str, str],
    folder: Path,
    number: int,
    rewritten: frozenset[str] = frozenset(),
) -> None:
    """Write what is new, with times a minute apart, as between the edits of a person.

    Without that, Python itself could take the bytecode of a file edited within a second for that
    of the new one.
    """
    for name, text in files.items():
        path = folder / name
        if not path.exists() or path.read_text() != text or name in rewritten:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            when = time.time() - (10 - number) * _PAUSE
            os.utime(path, (when, when))


def _run(commands: list[list[str]], python: str, folder: Path, env: Mapping[str, str]) -> Stage:
    log, result = folder / "ran.log", folder / "result.json"
    log.write_text("")
    result.unlink(missing_ok=True)
    # only the first command counts; one that follows may read the value by asking for it once more
    for command, noted in zip(commands, [str(log), *[os.devnull] * len(commands)], strict=False):
        run([python, *command], cwd=folder, env={**env, "RAN_LOG": noted}, timeout=_PATIENCE)
    return Stage(tuple(sorted(log.read_text().split())), json.loads(result.read_text()))


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else ""
