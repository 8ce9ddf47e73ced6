"""Edits of a user's project: what a row of the table says, and how it is held to it.

``edits_worker`` runs the projects.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tests.integration.edits_layout import rewritten
from tests.integration.scripts import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.edits_worker import Answer, Mode, Order, Outcome, State

#: Texts to replace, or the whole new text of a file; None where the file is deleted.
Change: TypeAlias = Sequence[tuple[str, str]] | str | None

NOBODY: frozenset[str] = frozenset()
_IMPORT = "from flowstone import asset\n"
#: An asset beside those of each row, which no edit concerns.
_BYSTANDER = """
UNTOUCHED = 7

@asset
def bystander():
    return UNTOUCHED
"""


@dataclass(frozen=True)
class Edit:
    """One row: a project, an edit of it, and which assets must run for it. No others may.

    ``files`` and the new files in ``edit`` are Python without the import of ``asset``, which is
    added. ``runs`` names the assets that must run after the edit; after the revert none may, for
    their earlier values are recorded. The other names are exceptions, and ``why`` is their reason:
    ``equal`` are those of ``runs`` that make the same value again; ``may`` may run after the edit
    or not; ``always`` run in each state, for their code can't be followed; ``whenever`` are those
    that may. ``docstrings`` is False where the project reads docstrings, so that they count.
    ``fresh`` has each run in a process of its own, which is otherwise so for a sample of rows.
    """

    name: str
    files: Mapping[str, str]
    edit: Mapping[str, Change] = field(default_factory=dict)
    runs: str = ""
    equal: str = ""
    may: str = ""
    always: str = ""
    whenever: str = ""
    why: str = ""
    target: str = "pipeline"
    docstrings: bool = True
    fresh: bool = False
    config: Mapping[str, Any] = field(default_factory=dict)
    edited_config: Mapping[str, Any] | None = None

    def before(self) -> State:
        """The project as it is first."""
        files = {name: textwrap.dedent(text) for name, text in self.files.items()}
        return self._state(files, self.config)

    def laid_out(self) -> State:
        """The same with other layout, comments and docstrings."""
        before = self.before()
        files = {
            name: rewritten(text, docstrings=self.docstrings)
            for name, text in before["files"].items()
        }
        return {"files": files, "config": before["config"], "elsewhere": True}

    def after(self) -> State:
        """The project after the edit."""
        files = {name: textwrap.dedent(text) for name, text in self.files.items()}
        for name, change in self.edit.items():
            if change is None:
                del files[name]
            elif isinstance(change, str):
                files[name] = textwrap.dedent(change)
            else:
                files[name] = _replaced(self.name, files[name], change)
        config = self.config if self.edited_config is None else self.edited_config
        return self._state(files, config)

    def _state(self, files: dict[str, str], config: Mapping[str, Any]) -> State:
        target = f"{self.target.replace('.', '/')}.py"
        whole = {name: _with_import(text) for name, text in files.items()}
        whole[target] = _with_import(files[target] + _BYSTANDER)
        return {"files": whole, "config": dict(config)}


def one_by_one(
    what: str, define: str, use: str, texts: Sequence[tuple[str, str]], odd: Literal[0, 1]
) -> Edit:
    """A row of many assets, every other one of which has its definition edited.

    ``define`` and ``use`` are the texts of a definition and of its use; they say ``{n}`` where the
    asset's number belongs, and ``define`` says ``{text}`` where the first of ``texts`` becomes the
    second.
    """
    sources = []
    for edited in (False, True):
        lines = ["import datetime, decimal, re"]
        for n, (old, new) in enumerate(texts):
            text = new if edited and n % 2 == odd else old
            body = f"@asset\ndef asset_{n}():\n    return {use.format(n=n)}"
            lines += [define.format(n=n, text=text), body]
        sources.append("\n".join(lines))
    first, second = sources
    runs = " ".join(f"asset_{n}" for n in range(odd, len(texts), 2))
    name = f"every other of many {what}, from the {('first', 'second')[odd]}"
    return Edit(name, {"pipeline.py": first}, {"pipeline.py": second}, runs)


def _with_import(text: str) -> str:
    return _IMPORT + text if "@asset" in text and "import asset" not in text else text


def _replaced(name: str, text: str, pairs: Sequence[tuple[str, str]]) -> str:
    for old, new in pairs:
        if text.count(old) != 1:
            raise ValueError(f"{name}: {old!r} is there {text.count(old)} times")
        text = text.replace(old, new)
    return text


def names(text: str) -> frozenset[str]:
    """The assets a row names."""
    return frozenset(text.split())


class Worker:
    """A process of ``edits_worker``; it answers one order at a time."""

    def __init__(self, home: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.edits_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            # Threads of libraries would not survive the forks.
            env=os.environ | {"FLOWSTONE_HOME": str(home), "OPENBLAS_NUM_THREADS": "1"},
            encoding="utf-8",
        )

    def answer(self, order: Order) -> Answer:
        """Run the states of an order."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: Answer = json.loads(self._process.stdout.readline())
        assert not answer["error"], answer["error"]
        return answer

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()


@dataclass(frozen=True)
class Moment:
    """What must be so after one run: who ran, and what the values are.

    ``free`` are assets that may run or not.
    """

    label: str
    runs: frozenset[str]
    values: Mapping[str, str]
    free: frozenset[str] = NOBODY
    unknown: frozenset[str] = NOBODY
    failed: frozenset[str] = NOBODY

    def complaints(self, told: Outcome) -> list[str]:
        """What is not so."""
        statuses = told["statuses"]
        ran = {name for name, status in statuses.items() if status == "materialized"}
        failed = {name for name, status in statuses.items() if status == "failed"}
        found = []
        if failed != self.failed:
            found.append(f"failed: {_listed(failed)}")
        if missed := self.runs - ran - self.free:
            found.append(f"did not run: {_listed(missed)}")
        if needless := ran - self.runs - self.free:
            why = {name: told["causes"][name] for name in sorted(needless)}
            found.append(f"ran for nothing: {why}")
        if told["entered"] != sorted(ran | failed):
            found.append(f"said to have run: {_listed(ran | failed)}, entered: {told['entered']}")
        if told["values"] != self.values:
            found.append(f"values {told['values']}, from scratch {self.values}")
        known = (name for name in self.unknown if "code_unknown" not in told["causes"][name])
        found += [f"{name} is not said to have code that can't be followed" for name in known]
        return [f"{self.label}: {each}" for each in found]


def _listed(assets: set[str] | frozenset[str]) -> str:
    return " ".join(sorted(assets))


def faults_of_the_row(row: Edit, before: Outcome, after: Outcome) -> list[str]:
    """What a row says against what its project does when it is run from scratch, twice."""
    old, new = before["values"], after["values"]
    says = (names(row.runs) - names(row.equal)) & set(old)
    changed = {name for name in new if name in old and new[name] != old[name]}
    found = []
    if changed != says:
        found.append(f"says that {_listed(says)} become others, but it is {_listed(changed)}")
    exceptions = (row.equal, row.may, row.always, row.whenever)
    if any(exceptions) and not row.why:
        found.append("gives no reason for its exceptions")
    if strange := names(" ".join((row.runs, *exceptions))) - set(old) - set(new):
        found.append(f"names {_listed(strange)}, which are no assets")
    return [f"the table: {each}" for each in found]


def is_sampled(row: Edit) -> bool:
    """Whether a row is one of those, about a third, whose runs have a process each."""
    return zlib.crc32(row.name.encode()) % 3 == 0


def hold(row: Edit, worker: Worker, folder: Path) -> list[str]:
    """Run a row; everything that is not as it must be."""
    before, after, laid_out = row.before(), row.after(), row.laid_out()
    states: dict[Mode, list[State]] = {
        "reload": [before, before, laid_out, after, after, before, after]
    }
    if row.fresh or is_sampled(row):
        states["fresh"] = [before, laid_out, after, before]
    told = worker.answer(
        {"folder": str(folder), "target": row.target, "states": states, "scratch": [after]}
    )
    (edited,), first = told["scratch"], told["states"]["reload"][0]
    found = faults_of_the_row(row, first, edited)
    for mode, outcomes in told["states"].items():
        known: list[State] = []
        for state, outcome in zip(states[mode], outcomes, strict=True):
            moment = _moment(row, state, known, first, edited)
            found += [f"{mode}: {each}" for each in moment.complaints(outcome)]
            known.append(state)
    return found


def _moment(row: Edit, state: State, known: list[State], first: Outcome, edited: Outcome) -> Moment:
    """What must be so in a state, after others."""
    always, whenever, may = names(row.always), names(row.whenever), names(row.may)
    if not known:
        return Moment("first", frozenset(first["statuses"]), first["values"])
    was_edited, is_edited = known[-1] == row.after(), state == row.after()
    values = edited["values"] if is_edited else first["values"]
    if is_edited and not was_edited:
        back = state in known
        runs = always if back else names(row.runs) | always
        label = "edited once more" if back else "edited"
        return Moment(label, runs, values, may | whenever, always)
    if was_edited and not is_edited:
        return Moment("reverted", always, values, may | whenever, always)
    label = "again" if state == known[-1] else "laid out anew"
    return Moment(label, always, values, whenever, always)
