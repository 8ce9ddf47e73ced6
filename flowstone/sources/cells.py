"""Notebooks: the code that really ran, cell after cell, as one module.

A cell that failed counts up to the statement that did. Cells that ran before we were listening
count as a whole; live values tell where that can't be (``live.py``).
"""

from __future__ import annotations

import ast
import linecache
import sys
import types
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowstone.core.asset import Asset

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_LABEL = "notebook"


@dataclass(frozen=True, slots=True)
class Cell:
    """What was executed of a cell, and the file name its code objects bear."""

    file: str
    text: str


@dataclass(slots=True)
class _History:
    """The cells of one shell since we are listening."""

    cells: list[Cell] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)


_histories: dict[int, _History] = {}


def listen() -> None:
    """Have IPython, if it is running, say how each cell ends."""
    shell = _shell()
    if shell is not None and id(shell) not in _histories:
        history = _histories[id(shell)] = _History()

        def ended(result: Any) -> None:
            history.numbers.add(result.execution_count)
            history.cells += _executed(shell, result)

        shell.events.register("post_run_cell", ended)


def cells_of(namespace: Mapping[str, Any], line: int | None) -> list[Cell]:
    """What was executed in a namespace so far; of the running cell, up to ``line``.

    Outside IPython, the cells are those in which the functions there were defined.
    """
    shell = _shell()
    if shell is not None and shell.user_ns is namespace:
        return list(_of_shell(shell, line))
    found = dict.fromkeys(_files(namespace.values(), namespace))
    texts = ((file, "".join(linecache.getlines(file))) for file in found)
    return [Cell(file, text) for file, text in texts if text]


def joined(cells: Iterable[Cell]) -> tuple[str, dict[str, int]]:
    """The cells as one text, and the number of lines before each; of equal ones, the last."""
    text: list[str] = []
    offsets: dict[str, int] = {}
    lines = 0
    for cell in cells:
        offsets[cell.file] = lines
        text.append(cell.text if cell.text.endswith("\n") else f"{cell.text}\n")
        lines += text[-1].count("\n")
    return "".join(text), offsets


def _shell() -> Any:
    module = sys.modules.get("IPython")
    find = getattr(module, "get_ipython", None)
    return find() if find is not None else None


def _of_shell(shell: Any, line: int | None) -> Iterator[Cell]:
    history = _histories.get(id(shell), _History())
    manager = shell.history_manager
    raw, parsed = manager.input_hist_raw, manager.input_hist_parsed
    running: list[Cell] = []
    for number in range(1, len(parsed)):
        if number in history.numbers:
            continue
        name = shell.compile.get_code_name(raw[number], parsed[number], number)
        if number == len(parsed) - 1:
            running.append(
                Cell(name, parsed[number] if line is None else _upto(parsed[number], line))
            )
        else:
            yield Cell(name, parsed[number])
    yield from history.cells
    yield from running


def _executed(shell: Any, result: Any) -> list[Cell]:
    """What was executed of a cell that has ended."""
    raw = result.info.raw_cell
    if result.error_before_exec is not None or not isinstance(raw, str):
        return []
    try:
        text = shell.transform_cell(raw)
    except Exception:  # noqa: BLE001 - transformers are anybody's
        return []
    name = shell.compile.get_code_name(raw, text, result.execution_count)
    error = result.error_in_exec
    if error is None:
        return [Cell(name, text)]
    lines = [line for file, line in _trace(error) if file == name]
    return [Cell(name, _before(text, lines[0]))] if lines else []


def _trace(error: BaseException) -> Iterator[tuple[str, int]]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next


def _parsed(text: str) -> list[ast.stmt]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _upto(text: str, line: int) -> str:
    """The statements that begin at or before a line."""
    ends = [each.end_lineno or 0 for each in _parsed(text) if each.lineno <= line]
    return "\n".join(text.split("\n")[: max(ends, default=0)])


def _before(text: str, line: int) -> str:
    """What ran before the line that failed; of a block that it stands in, the beginning."""
    lines = text.split("\n")
    begun = "\n".join(lines[: line - 1])
    inside = [each for each in _parsed(text) if each.lineno < line <= (each.end_lineno or 0)]
    blocks = (ast.For, ast.While, ast.If, ast.With, ast.AsyncFor, ast.AsyncWith)
    if any(isinstance(each, blocks) for each in inside) and _parsed(begun):
        return begun
    ends = [each.end_lineno or 0 for each in _parsed(text) if (each.end_lineno or 0) < line]
    return "\n".join(lines[: max(ends, default=0)])


def _files(values: Iterable[Any], namespace: Mapping[str, Any]) -> Iterator[str]:
    """The files of the functions, methods included, that were made in a namespace."""
    todo = list(values)[::-1]
    seen: set[int] = set()
    while todo:
        value = todo.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Asset):
            todo.append(value.fn)
        elif isinstance(value, types.FunctionType):
            if value.__globals__ is namespace:
                yield value.__code__.co_filename
            todo += [value.__wrapped__] if hasattr(value, "__wrapped__") else []
            todo += [cell.cell_contents for cell in value.__closure__ or () if _is_filled(cell)]
        elif isinstance(value, type) and value.__module__ == namespace.get("__name__"):
            todo += vars(value).values()


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False
