"""Folders of source files, imported anew for every question."""

from __future__ import annotations

import sys
import textwrap
from importlib import import_module
from typing import TYPE_CHECKING

from flowstone.sources import codes

if TYPE_CHECKING:
    from pathlib import Path

    from flowstone.core.code import Code


class Project:
    """A folder of source files that heads the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            file = self.folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text), "utf-8")

    def forget(self) -> None:
        places = (self.folder, self.folder / "site-packages")
        own = {file.stem for place in places if place.is_dir() for file in place.iterdir()}
        for name in list(sys.modules):
            if name.partition(".")[0] in own:
                del sys.modules[name]

    def code(self, module: str = "pipeline", name: str = "made") -> Code:
        self.forget()
        return codes([getattr(import_module(module), name)])[name]

    def version(self, module: str = "pipeline", name: str = "made") -> str | None:
        return self.code(module, name).version

    def versions(self, *steps: dict[str, str]) -> list[str | None]:
        """The version after each of some steps, each of which writes files."""
        found: list[str | None] = []
        for files in steps:
            self.write(files)
            found.append(self.version())
        return found
