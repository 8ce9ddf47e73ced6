"""The sources of a project's modules: those that run here, and those that another process has."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from flowstone.core.hashing import content_digest
from flowstone.core.objects import peek
from flowstone.errors import DefinitionError
from flowstone.sources.loaded import EditedError, text_of
from flowstone.sources.project import is_project, resolved

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


def texts() -> dict[str, str]:
    """A digest of the source that each loaded module of the project runs; empty if it is unknown.

    Scripts are left out: their functions go by value.
    """
    modules = [(name, module, _file(module)) for name, module in list(sys.modules.items())]
    return {
        name: _digest(module, file)
        for name, module, file in modules
        if file is not None and name != "__main__"
    }


class Comparison:
    """Compares the modules that are imported here with those of the process that calls.

    It has recorded what its own say; another text would be made under a false name.
    """

    def __init__(self, expected: dict[str, str]) -> None:
        self._expected = expected
        self._differs = ""

    def check(self) -> None:
        """Look at the modules that were imported since the last time.

        Raises:
            DefinitionError: if one is not as it was imported there, from then on each time.
        """
        for name in self._expected.keys() & sys.modules.keys():
            file, expected = _file(sys.modules[name]), self._expected.pop(name)
            # Assets whose source was not known there are recorded as such.
            if file and expected and _digest(sys.modules[name], file) != expected:
                self._differs = name
        if self._differs:
            raise DefinitionError(
                f"module {self._differs!r} was edited after it was imported here, and processes"
                " import it anew; import it again here too, or use executor='thread'"
            )


def _file(module: ModuleType) -> Path | None:
    """The source file of a module of the project."""
    name = peek(module, "__file__")
    if not isinstance(name, str) or not name.endswith(".py"):
        return None
    file = resolved(name)
    return file if is_project(file) else None


def _digest(module: ModuleType, file: Path) -> str:
    try:
        text = text_of(file, vars(module))
    except (EditedError, OSError):
        return ""
    return content_digest(text.encode("utf-8", "surrogatepass"))
