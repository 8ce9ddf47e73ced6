"""Starts processes that run the command line, each with a fault in it.

``python -m tests.faults.launcher`` takes an order from each line of stdin, and gives the pid of a
process forked for it; that has all modules imported already, which is what most of the time of a
short run goes into. When it has ended, its exit code is in the file named by the order. A fault is:

- ``point``: ``module:name:before|after:n``: the process is killed at the n-th call of a function
- ``files``: ``[folder, n]``: it is killed at the n-th time that something below the folder is
  opened to be written, renamed, made or removed
- ``constants``: numbers of ours, by name, that are something else in this process
- ``largest_file``: bytes that no file may exceed
- ``clock``: seconds by which the clock of this process is wrong
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import importlib
import inspect
import itertools
import json
import os
import resource
import select
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What a run needs.
MODULES = ("flowstone.cli", "flowstone.cli.run", "flowstone.api", "flowstone.store.connect")
_CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate")


class Order(TypedDict):
    """A process to be started: where, with what, and where its words and its exit code go."""

    folder: str
    arguments: list[str]
    environment: dict[str, str]
    said: str
    code: str
    fault: Injected


class Injected(TypedDict, total=False):
    """What goes wrong; see the module."""

    point: str
    files: tuple[str, int]
    constants: dict[str, float]
    largest_file: int
    clock: float


def main() -> None:
    """Fork a process for each order, until stdin ends."""
    for module in MODULES:
        importlib.import_module(module)
    codes: dict[int, str] = {}
    orders = b""
    while True:
        if select.select([0], [], [], 0.01)[0]:
            read = os.read(0, 65536)
            if not read:
                return
            orders += read
        while b"\n" in orders:
            line, _, orders = orders.partition(b"\n")
            order: Order = json.loads(line)
            if not (pid := os.fork()):
                _be(order)
                return
            codes[pid] = order["code"]
            os.write(1, b"%d\n" % pid)
        _reap(codes)


def _reap(codes: dict[int, str]) -> None:
    """Write down the exit codes of those that have ended."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            file = Path(codes.pop(ended[0]))
            with contextlib.suppress(FileNotFoundError):
                file.with_suffix(".new").write_text(str(os.waitstatus_to_exitcode(ended[1])))
                file.with_suffix(".new").rename(file)


def _be(order: Order) -> None:
    """Be the command line in a folder."""
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    said = os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for here, there in ((nothing, 0), (said, 1), (said, 2)):
        os.dup2(here, there)
    sys.path.insert(0, order["folder"])
    sys.argv = ["flowstone", *order["arguments"]]
    inject(order["fault"])
    importlib.import_module("flowstone.cli").main()


def inject(fault: Injected) -> None:
    """Arrange for a fault in this process."""
    for name, value in fault.get("constants", {}).items():
        _replace(name, value)
    if "clock" in fault:
        _replace("now", functools.partial(_wrong_time, dt.timedelta(seconds=fault["clock"])))
    if "largest_file" in fault:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault["largest_file"],) * 2)
    if "point" in fault:
        module, name, when, count = fault["point"].split(":")
        wrap(importlib.import_module(module), name, when, int(count), die)
    if "files" in fault:
        _watch(*fault["files"])


def found(point: str) -> Any:
    """The function at a point."""
    module, name = point.split(":")[:2]
    return functools.reduce(getattr, name.split("."), importlib.import_module(module))


def die() -> None:
    """End this process as nothing else can."""
    os.kill(os.getpid(), signal.SIGKILL)


def _wrong_time(by: dt.timedelta) -> dt.datetime:
    return dt.datetime.now(dt.UTC) + by


def _replace(name: str, value: object) -> None:
    """Give a name another value in every module of ours that has it."""
    having = [
        module
        for place, module in list(sys.modules.items())
        if place.startswith("flowstone.") and name in vars(module)
    ]
    if not having:
        raise LookupError(name)
    for module in having:
        setattr(module, name, value)


@contextlib.contextmanager
def replaced(constants: dict[str, float]) -> Iterator[None]:
    """Have numbers of ours be something else in this process, for the time of the block."""
    before = {name: _present(name) for name in constants}
    for name, value in constants.items():
        _replace(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            _replace(name, value)


def _present(name: str) -> float:
    modules = [module for place, module in sys.modules.items() if place.startswith("flowstone.")]
    return next(float(vars(module)[name]) for module in modules if name in vars(module))


def wrap(place: Any, path: str, when: str, count: int, act: Callable[[], object]) -> None:
    """Have something happen before or after the n-th call of a function, by its dotted name."""
    *owners, name = path.split(".")
    for each in owners:
        place = getattr(place, each)
    function = getattr(place, name)
    numbers = itertools.count(1)

    def is_it() -> bool:
        return next(numbers) == count

    @functools.wraps(function)
    def plain(*arguments: Any, **options: Any) -> Any:
        chosen = is_it()
        if chosen and when == "before":
            act()
        result = function(*arguments, **options)
        if chosen:
            act()
        return result

    @functools.wraps(function)
    async def awaited(*arguments: Any, **options: Any) -> Any:
        chosen = is_it()
        if chosen and when == "before":
            act()
        result = await function(*arguments, **options)
        if chosen:
            act()
        return result

    setattr(place, name, awaited if inspect.iscoroutinefunction(function) else plain)


def _watch(folder: str, count: int) -> None:
    numbers = itertools.count(1)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT
        is_one = (writes or event in _CHANGES) and str(arguments[0]).startswith(folder)
        if is_one and next(numbers) == count:
            die()

    sys.addaudithook(hook)


if __name__ == "__main__":
    main()
