"""A target of the command line: the module it names, imported, and its graph."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from flowstone.core.dag import AssetGraph
from flowstone.core.namespaces import defined_in
from flowstone.errors import EmptySelectionError, TargetError, did_you_mean
from flowstone.runner.failure import describe
from flowstone.telling.frames import shown, syntax

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


@dataclass(frozen=True, slots=True)
class Target:
    """What was named: a module's graph, the module's ``own`` assets, and a selection after ``::``.

    The graph also has what the module's assets need from elsewhere.
    """

    label: str
    graph: AssetGraph
    own: tuple[str, ...]
    selection: str = ""

    def choose(self, selections: Sequence[str], exclude: Sequence[str]) -> list[str]:
        """The assets that are meant, in execution order; the module's own if none is named.

        Raises:
            SelectionError: for what can't be read, or names an unknown asset.
            EmptySelectionError: when nothing is left.
        """
        terms = [*filter(None, [self.selection]), *selections]
        chosen = self.graph.select(*terms, exclude=exclude)
        if not terms:
            chosen = [name for name in chosen if name in self.own]
        if not chosen:
            raise EmptySelectionError(f"{self.label} without {' '.join(exclude)} has no asset left")
        return chosen


def load(text: str) -> Target:
    """Import the module a target names, and collect its assets.

    Args:
        text: a module (``shop.pipeline``) or a file (``shop/pipeline.py``), perhaps followed by
            ``::`` and a selection. The folder of a file heads ``sys.path``; a file inside a
            package is imported as that package's module. Neither ever runs as ``__main__``.

    Raises:
        TargetError: if it can't be found, can't be imported, or has no assets.
        DefinitionError: if its assets are no graph; all errors at once.
    """
    label, _, selection = text.partition("::")
    # The installed program, unlike ``python -m``, does not look in the current folder.
    if not {"", str(Path.cwd())} & set(sys.path):
        sys.path.insert(0, str(Path.cwd()))
    module = _file(label) if _is_path(label) else _module(label)
    own = [asset.name for asset in defined_in(vars(module))]
    if not own:
        raise TargetError(f"{label} has no assets; decorate a function in it with @asset")
    return Target(label, AssetGraph.from_module(module), tuple(own), selection)


def _is_path(label: str) -> bool:
    return label.endswith(".py") or os.sep in label


def _file(label: str) -> ModuleType:
    file = Path(label).resolve()
    if not file.is_file():
        raise _no_file(label, file)
    name, folder = _real_name(file)
    if file.suffix != ".py" or "." in file.stem:
        raise TargetError(f"{label} can't be imported: name a file like pipeline.py")
    sys.path.insert(0, str(folder))
    present = sys.modules.get(name)
    if present is None:
        spec = find_spec(name) if "." not in name else None
        found = spec.origin if spec else None
    else:
        found = getattr(present, "__file__", None) or "the interpreter"
    if found is not None and Path(found).resolve() != file:
        raise TargetError(f"{label} is hidden by the module {name!r} ({found}); rename the file")
    return _imported(name, label)


def _real_name(file: Path) -> tuple[str, Path]:
    """The name a file is imported under, and the folder that must be on the path for it."""
    parts = [] if file.name == "__init__.py" else [file.stem]
    folder = file.parent
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts), folder


def _no_file(label: str, file: Path) -> TargetError:
    if file.is_dir():
        return TargetError(f"{label} is a folder; name a file in it, or a module")
    if not file.parent.is_dir():
        return TargetError(f"no file {label}: there is no folder {file.parent}")
    near = did_you_mean(file.name, (other.name for other in file.parent.glob("*.py")))
    return TargetError(f"no file {file.name!r} in {file.parent}{near}")


def _module(label: str) -> ModuleType:
    if not _DOTTED.fullmatch(label):
        raise TargetError(
            f"{label!r} is no target; name a module (shop.pipeline) or a file (pipeline.py)"
        )
    if label == "__main__":
        raise TargetError("__main__ is this program; name a module or a file")
    return _imported(label, label)


def _imported(name: str, label: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the user's module raises
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{name}.".startswith(f"{missing}."):
            raise _no_module(name, missing) from None
        raise _broken(label, error) from None


def _no_module(name: str, missing: str) -> TargetError:
    """The error for a module, or a package it lies in, that is not there."""
    parent, _, _ = missing.rpartition(".")
    holder = sys.modules.get(parent)
    folders = list(getattr(holder, "__path__", [])) if parent else [str(Path.cwd())]
    there = [f"{parent}.{m.name}".lstrip(".") for m in pkgutil.iter_modules(folders)]
    if parent and not folders:
        return TargetError(f"no module {name!r}: {parent!r} is a module, not a package")
    where = f"in {folders[0]}" if parent else f"in {folders[0]} or elsewhere on the path"
    return TargetError(f"no module {missing!r} {where}{did_you_mean(missing, there)}")


def _broken(label: str, error: BaseException) -> TargetError:
    """The error for a module that raises while it is imported, with the user's frames only."""
    failure = describe(error)
    places = syntax(error) if isinstance(error, SyntaxError) else shown(failure.traceback)
    return TargetError("\n".join([f"{label} can't be imported: {failure.line}", *places]))
