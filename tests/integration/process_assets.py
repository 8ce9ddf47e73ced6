"""Assets that the tests of processes have made elsewhere."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from flowstone import Context, asset


@dataclass
class Row:
    """A value of a class of ours."""

    name: str
    number: int


class OddError(Exception):
    """Can't be rebuilt from its arguments, as pickle tries to."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")


@asset(keep=False)
def pid() -> int:
    return os.getpid()


@asset(keep=False)
def setting() -> tuple[str, str, str, list[str]]:
    return str(Path.cwd()), os.environ["FLOWSTONE_TEST"], sys.path[0], sys.argv


@asset
def rows() -> list[Row]:
    return [Row("first", 1), Row("second", 2)]


@asset(outputs=("low", "high"))
def ends(rows: list[Row]) -> tuple[int, int]:
    return min(row.number for row in rows), max(row.number for row in rows)


@asset
def zeros() -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.zeros(200_000)


@asset(keep=False)
def looked_at(zeros: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[int, bool]:
    return zeros.nbytes, zeros.flags.writeable


@asset(keep=False)
def unkept(start: int = 0) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.arange(start, start + 200_000)


@asset(keep=False)
async def slowly(number: int) -> int:
    return number + 1


@asset(keep=False)
def talks(context: Context) -> None:
    sys.stdout.write("to stdout\n")
    sys.stderr.write("to stderr")
    context.logger.info("counted", number=3, odd=Row("a", 1), partition=context.partition)


@asset(keep=False)
def raises(kind: str) -> None:
    if kind == "odd":
        raise OddError(1, 2)
    if kind == "exit":
        sys.exit(4)
    try:
        raise KeyError(kind)
    except KeyError:
        raise ValueError("wrong")  # noqa: B904 - the context is told as well


@asset(keep=False)
def dies(how: str) -> None:
    if how == "exit":
        os._exit(3)
    if how == "after a fork":
        if os.fork() == 0:
            signal.pause()
        os._exit(4)
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    ctypes.string_at(0)


@asset(keep=False)
def hangs(file: str) -> NoReturn:
    Path(file).write_text(str(os.getpid()))
    while True:
        signal.pause()


@asset(keep=False)
def locked() -> Any:
    return threading.Lock()


@asset(keep=False)
def given(thing: Any) -> None:
    assert thing


@asset(keep=False)
def nested() -> str:
    """What a process says to starting another."""
    from tests.integration.test_processes import nested_failure  # noqa: PLC0415 - there only

    return nested_failure()
