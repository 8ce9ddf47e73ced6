"""A process that runs a user's project as it was after each of a row of edits.

It has Flowstone imported and forks for each run, so that every run has a fresh interpreter without
paying for its start. Orders and answers are lines of JSON on stdin and stdout.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import inspect
import json
import os
import pickle
import signal
import sys
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

import anyio

# What a run needs is imported before the forks, where that is once for all.
import numpy as np  # noqa: F401 - see above
import pydantic  # noqa: F401 - see above

from flowstone.api import Flowstone
from flowstone.core.asset import Asset
from flowstone.core.namespaces import is_asset
from flowstone.store.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, FunctionType, ModuleType

#: ``reload``: all runs are in one process and write the same files, of which each run imports all
#: anew. ``fresh``: each run is a process of its own, in a folder of its own.
Mode = Literal["fresh", "reload"]

_SECONDS = 60
#: Modules that are no project's, and the path they are found on.
_INSTALLED: set[str] = set()
_PATH = list(sys.path)


class State(TypedDict):
    """The project at one moment: its files, and the config its run is given.

    ``late`` are files as they are written after the import, before the run. ``elsewhere`` has
    them in another folder than the other states.
    """

    files: dict[str, str]
    config: dict[str, Any]
    late: NotRequired[dict[str, str]]
    elsewhere: NotRequired[bool]


class Order(TypedDict):
    """States to be run one after the other with one store, by mode; others with a store each.

    ``folder`` is an empty one.
    """

    folder: str
    target: str
    states: dict[Mode, list[State]]
    scratch: list[State]


class Outcome(TypedDict):
    """One run: how each step ended, whose functions were entered, causes, and values as text."""

    statuses: dict[str, str]
    entered: list[str]
    causes: dict[str, list[str]]
    values: dict[str, str]


class Answer(TypedDict):
    """An outcome for each state of the order in each mode; or what went wrong."""

    states: dict[Mode, list[Outcome]]
    scratch: list[Outcome]
    error: str


@dataclass(frozen=True)
class Project:
    """A folder with a user's modules, the one with the assets named."""

    folder: Path
    target: str

    def write(self, files: dict[str, str]) -> None:
        """Make the folder hold these files and no others."""
        for old in self.folder.rglob("*.py"):
            if str(old.relative_to(self.folder)) not in files:
                old.unlink()
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def load(self) -> ModuleType:
        """Import the target, all modules of projects anew."""
        for name in [name for name in sys.modules if name not in _INSTALLED]:
            if self._is_near(sys.modules[name]):
                del sys.modules[name]
        importlib.invalidate_caches()
        os.chdir(self.folder)
        sys.path[:] = [str(self.folder), *_PATH]
        return importlib.import_module(self.target)

    def _is_near(self, module: ModuleType) -> bool:
        """Whether a module is of this folder or of one beside it."""
        file = getattr(module, "__file__", None)
        # A namespace package has no file, and a path that can't be read without its parent.
        return file.startswith(f"{self.folder.parent}{os.sep}") if file else _is_package(module)


def _is_package(module: ModuleType) -> bool:
    return hasattr(module, "__path__")


class Entered:
    """Takes down which assets' functions the interpreter enters, whatever the engine says."""

    def __init__(self, module: ModuleType) -> None:
        self._functions: dict[int, list[tuple[FunctionType, str]]] = {}
        for value in vars(module).values():
            if is_asset(value):
                function = _below(value.fn)
                self._functions.setdefault(id(function.__code__), []).append((function, value.name))
        self._frames: list[FrameType] = []

    @property
    def names(self) -> list[str]:
        """Each asset as often as it was entered, sorted."""
        return sorted(self._name(frame) for frame in self._frames)

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    def _profile(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or id(frame.f_code) not in self._functions:
            return
        # A coroutine is entered again after each await, in the same frame. A call from another
        # asset's function is that function's own business.
        if frame not in self._frames and not self._is_inside(frame.f_back):
            self._frames.append(frame)

    def _is_inside(self, frame: FrameType | None) -> bool:
        while frame is not None:
            if id(frame.f_code) in self._functions:
                return True
            frame = frame.f_back
        return False

    def _name(self, frame: FrameType) -> str:
        """The asset, of those that share the code of a frame, whose closure the frame has."""
        sharing = self._functions[id(frame.f_code)]
        seen = [name for function, name in sharing if _closes_over(function, frame)]
        return seen[0] if len(seen) == 1 else f"one of {sorted(name for _, name in sharing)}"


def _below(function: Any) -> FunctionType:
    """The function below its decorators."""
    while isinstance(function, functools.partial):
        function = function.func
    below: FunctionType = inspect.unwrap(function)
    return below


def _closes_over(function: FunctionType, frame: FrameType) -> bool:
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return all(frame.f_locals.get(name) is cell.cell_contents for name, cell in cells)


def run(project: Project, state: State, store: MemoryStore, home: Path) -> Outcome:
    """Make all assets of the project, whose files are written as ``state`` has them."""
    module = project.load()
    if "late" in state:
        project.write(state["late"])
    entered = Entered(module)

    async def make() -> Outcome:
        async with Flowstone(store=store, home=home) as fs:
            with entered():
                made = await fs.materialize(module, config=state["config"], raise_on_error=False)
            return {
                "statuses": dict(made.statuses),
                "entered": entered.names,
                "causes": {step.name: [c.kind for c in step.causes] for step in made.plan},
                "values": {name: repr(made[name]) for name in made.statuses if name in made},
            }

    return anyio.run(make)


def in_fork(work: Callable[[], Any]) -> Any:
    """What ``work`` returns in a fork of this process; its exception, as text, is raised here."""
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receiving)
        signal.alarm(_SECONDS)
        _work_and_exit(work, sending)
    os.close(sending)
    with open(receiving, "rb") as pipe:  # noqa: PTH123 - opened by its descriptor
        data = pipe.read()
    os.waitpid(child, 0)
    ok, made = pickle.loads(data) if data else (False, "the fork died")  # noqa: S301 - our own
    if not ok:
        raise RuntimeError(made)
    return made


def _work_and_exit(work: Callable[[], Any], sending: int) -> None:
    try:
        made = (True, work())
    except BaseException:  # noqa: BLE001 - the fork must not go on as its parent
        made = (False, traceback.format_exc())
    with open(sending, "wb") as pipe:
        pickle.dump(made, pipe)
    os._exit(0)


def answer(order: Order) -> Answer:
    """Run all states of an order."""
    root = Path(order["folder"]).resolve()
    told: Answer = {"states": {}, "scratch": [], "error": ""}
    try:
        told["scratch"], told["states"]["reload"] = in_fork(lambda: _reload(root, order))
        if "fresh" in order["states"]:
            told["states"]["fresh"] = _fresh(root, order)
    except RuntimeError as error:
        told["error"] = str(error)
    return told


def _reload(root: Path, order: Order) -> tuple[list[Outcome], list[Outcome]]:
    """From scratch, each state with a store of its own; and one after the other with one store."""
    target, scratch = order["target"], []
    for n, state in enumerate(order["scratch"]):
        project = Project(root / f"scratch-{n}", target)
        project.write(state["files"])
        scratch.append(run(project, state, MemoryStore(), project.folder / "home"))
    store, made = MemoryStore(), []
    for state in order["states"]["reload"]:
        project = Project(root / ("elsewhere" if state.get("elsewhere") else "here"), target)
        project.write(state["files"])
        made.append(run(project, state, store, root / "home"))
    return scratch, made


def _fresh(root: Path, order: Order) -> list[Outcome]:
    """One after the other, with one store that goes from process to process."""
    store, made = MemoryStore(), []
    for n, state in enumerate(order["states"]["fresh"]):
        project = Project(root / f"fresh-{n}", order["target"])
        project.write(state["files"])
        outcome, store = in_fork(functools.partial(_with_store, project, state, store, root))
        made.append(outcome)
    return made


def _with_store(
    project: Project, state: State, store: MemoryStore, root: Path
) -> tuple[Outcome, MemoryStore]:
    return run(project, state, store, root / "fresh-home"), store


def _warm_up() -> None:
    """Have everything imported that a run needs, so that no fork has to."""

    def nothing() -> None:
        return None

    async def make() -> None:
        async with Flowstone(store=MemoryStore()) as fs:
            await fs.materialize(Asset(nothing, name="warm"))

    anyio.run(make)
    _INSTALLED.update(sys.modules)
    gc.freeze()


def main() -> None:
    """Answer orders until stdin ends; what projects print goes to stderr."""
    sys.dont_write_bytecode = True
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    _warm_up()
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    main()
