"""What belongs to the user's project: source files neither of a library nor installed."""

from __future__ import annotations

import functools
import site
import sysconfig
from pathlib import Path


@functools.cache
def _outside() -> tuple[Path, ...]:
    """Folders whose code is not the project's: the standard library and this package."""
    paths = sysconfig.get_paths()
    stdlib = [paths["stdlib"], paths["platstdlib"]]
    installed = [paths["purelib"], paths["platlib"], site.getusersitepackages()]
    ours = str(Path(__file__).parent.parent)
    return tuple(Path(each).resolve() for each in [*stdlib, *installed, ours])


@functools.lru_cache(maxsize=16384)
def is_project(file: Path) -> bool:
    """Whether a source file belongs to the user's project: neither library nor installed."""
    if {"site-packages", "dist-packages"} & set(file.parts):
        return False
    return not any(file.is_relative_to(folder) for folder in _outside())


@functools.lru_cache(maxsize=16384)
def home(file: Path) -> Path:
    """The outermost package a file lies in, or the file itself."""
    found = file
    for folder in file.parents:
        if not (folder / "__init__.py").is_file():
            break
        found = folder
    return found


@functools.lru_cache(maxsize=16384)
def resolved(name: str) -> Path:
    """The absolute path of a file by that name."""
    return Path(name).resolve()
