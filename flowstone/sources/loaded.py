"""The text that runs: of a loaded module, its source as it was when it was imported.

An edit without a reload changes the file, not what runs. So the text is kept when a loaded module
is first seen, and an edit before that is told by the times: of the file, of its compiled form, of
the import (noted from here on by a finder that finds nothing), of the start of the process. Where
times are too close, the module's functions are compared with those of the text.
"""

from __future__ import annotations

import functools
import os
import sys
import time
import warnings
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import decode_source
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

from flowstone.core.objects import peek

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

_PYC_HEADER = 16
_UINT32 = 0xFFFFFFFF
_NS = 1_000_000_000
#: File systems stamp with a clock that lags; an interpreter takes longer to start.
_LAG = 20_000_000


class _Imports:
    """Notes when each module is looked for."""

    def __init__(self) -> None:
        self.times: dict[str, int] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> None:
        """Find nothing, so that the next finder is asked."""
        del path, target
        self.times[name] = time.time_ns()


def _process_start() -> int:
    """When this process began, or, where that isn't told, now."""
    try:
        fields = Path("/proc/self/stat").read_text("utf-8").rpartition(")")[2].split()
        ticks = int(fields[19]) * _NS // os.sysconf("SC_CLK_TCK")
        # both clocks at once: whatever passes in between makes the start look earlier
        return time.time_ns() - (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - ticks)
    except (OSError, ValueError, IndexError, AttributeError):
        return time.time_ns()


_imports = _Imports()
sys.meta_path.insert(0, _imports)
_watching_since = time.time_ns()
_process_start_time = _process_start()

#: What was read of a file when its loaded module was first seen, with that module's mark.
_as_loaded: dict[Path, tuple[object, str]] = {}


class EditedError(Exception):
    """A file was edited after its module was imported; what ran can't be had."""


def text_of(file: Path, namespace: Mapping[str, Any] | None) -> str:
    """The source of a module: as it was loaded, or, of one that is not loaded, as it is.

    Raises:
        EditedError: if it was edited between the import and the first look.
        OSError: if it can't be read.
    """
    if namespace is None:
        return _decoded(file.read_bytes())
    mark = namespace.get("__spec__") or _mark(id(namespace))
    known = _as_loaded.get(file)
    if known is not None and known[0] is mark:
        return known[1]
    text = _decoded(file.read_bytes())
    edited = _edited_since(file, namespace)
    if edited or (edited is None and not _could_run(text, namespace)):
        raise EditedError(str(file))
    _as_loaded[file] = (mark, text)
    return text


@functools.lru_cache(maxsize=1024)
def _mark(_namespace: int) -> object:
    """The mark of a namespace without specification, such as a script's."""
    return object()


def _decoded(raw: bytes) -> str:
    try:
        return decode_source(raw)
    except (SyntaxError, UnicodeDecodeError, LookupError):
        return raw.decode("latin-1")


def _edited_since(file: Path, namespace: Mapping[str, Any]) -> bool | None:
    """Whether a file was edited after its import; None if the clock is too coarse to tell."""
    spec = namespace.get("__spec__")
    stat = file.stat()
    if isinstance(spec, ModuleSpec):
        compiled = _compiled_from(spec)
        present = (stat.st_mtime_ns // _NS & _UINT32, stat.st_size & _UINT32)
        if compiled is not None and compiled != present:
            return True
        imported = _imports.times.get(spec.name)
        if imported is not None:
            near = imported - 2 * _LAG < stat.st_mtime_ns <= imported
            return None if near else stat.st_mtime_ns > imported
        if compiled is not None:
            return stat.st_mtime_ns > _watching_since
    return stat.st_mtime_ns > _process_start_time + _LAG


def _could_run(text: str, namespace: Mapping[str, Any]) -> bool:
    """Whether the functions of a module are those that a text defines."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            todo = [compile(text, "<text>", "exec", dont_inherit=True)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    known: set[CodeType] = set()
    while todo:
        inner = [each for each in todo.pop().co_consts if isinstance(each, CodeType)]
        known.update(inner)
        todo += inner
    held = [peek(each, "__wrapped__", each) for each in list(namespace.values())]
    functions = [each for each in held if isinstance(each, FunctionType)]
    return all(each.__code__ in known for each in functions if each.__globals__ is namespace)


def _compiled_from(spec: ModuleSpec) -> tuple[int, int] | None:
    """Seconds and size of the source that a module's compiled form was made from."""
    if type(spec.loader) is not SourceFileLoader or sys.dont_write_bytecode or not spec.cached:
        return None
    try:
        with Path(spec.cached).open("rb") as compiled:
            header = compiled.read(_PYC_HEADER)
    except OSError:
        return None
    flags, seconds, size = (int.from_bytes(header[i : i + 4], "little") for i in (4, 8, 12))
    return (seconds, size) if flags == 0 else None
