"""Files of the user's project: which a file imports, and the digest of all it reaches."""

from __future__ import annotations

import functools
import importlib
import site
import sys
import sysconfig
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from flowstone.core.hashing import combine
from flowstone.core.syntax import Import, Summary, summary

if TYPE_CHECKING:
    from collections.abc import Iterator

_PYC_HEADER = 16
_UINT32 = 0xFFFFFFFF


class UnknownCodeError(Exception):
    """Code that can't be followed; the message says what and why."""


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


#: What was read of a file when its loaded module was first seen, with that module's mark.
_as_loaded: dict[Path, tuple[object, bytes]] = {}


class Files:
    """One look at the files: each is read once.

    Of a module that is loaded, what counts is its source as it was when first looked at: an edit
    without a reload changes the file, not what runs.
    """

    def __init__(self) -> None:
        importlib.invalidate_caches()
        self._sources: dict[str, Path | None] = {}
        self._summaries: dict[Path, Summary] = {}
        self._imports: dict[tuple[Path | None, Path], list[list[Path]]] = {}
        self._digests: dict[tuple[Path | None, Path], str | UnknownCodeError] = {}
        self._loaded = dict(_loaded_modules())

    def source(self, name: str) -> Path | None:
        """The file of that name, if there is one."""
        if name not in self._sources:
            path = Path(name)
            self._sources[name] = path.resolve() if name and path.is_file() else None
        return self._sources[name]

    def digest(self, file: Path) -> str:
        """Digest of a file and of every project file it imports, however deeply.

        The files are numbered as they are reached, so neither names nor places of folders are in
        the digest, but what imports what is. For an installed file, its package is the project.

        Raises:
            UnknownCodeError: if a file can't be read, or one executes code or imports modules in
                a way that can't be followed.
        """
        own = None if is_project(file) else home(file)
        if (own, file) not in self._digests:
            try:
                self._digests[own, file] = self._digest(own, file)
            except UnknownCodeError as error:
                self._digests[own, file] = error
        found = self._digests[own, file]
        if isinstance(found, UnknownCodeError):
            raise UnknownCodeError(*found.args)
        return found

    def found(self, imports: tuple[Import, ...]) -> list[str]:
        """Digests of the project files that a piece of code without a file imports."""
        files = [file for each in imports for file in self._resolve(each, None, None)]
        return [self.digest(file) for file in files]

    def _digest(self, own: Path | None, file: Path) -> str:
        numbers = {file: 0}
        order = [file]
        edges: list[str] = []
        for each in order:  # it grows
            for imported in self._importing(own, each):
                new = [found for found in imported if found not in numbers]
                for found in dict.fromkeys(new):
                    numbers[found] = len(order)
                    order.append(found)
                edges.append(" ".join(str(numbers[found]) for found in imported))
            edges.append(";")
        summaries = [self._summaries[each] for each in order]
        docs = any(each.reads_docs for each in summaries)
        texts = [each.documented if docs else each.plain for each in summaries]
        return combine("files", *texts, ",".join(edges))

    def _importing(self, own: Path | None, file: Path) -> list[list[Path]]:
        """For each import of a file the project files it runs; its packages come first."""
        if (own, file) not in self._imports:
            read = self._summaries[file] = summary(self._text(file))
            if read.dynamic:
                raise UnknownCodeError(f"{file} uses {read.dynamic}")
            found = [_packages(file), *(list(self._resolve(i, file, own)) for i in read.imports)]
            self._imports[own, file] = [each for each in found if each]
        return self._imports[own, file]

    def _text(self, file: Path) -> bytes:
        mark = self._loaded.get(file)
        known = _as_loaded.get(file)
        if known is not None and known[0] is mark:
            return known[1]
        try:
            text = file.read_bytes()
            edited = mark is not None and _edited_since(mark, file)
        except OSError as error:
            raise UnknownCodeError(f"{file} can't be read: {error.strerror}") from None
        if edited:
            raise UnknownCodeError(f"{file} was edited after it was imported")
        if mark is not None:
            _as_loaded[file] = (mark, text)
        return text

    def _resolve(self, name: Import, importer: Path | None, own: Path | None) -> Iterator[Path]:
        """The project files that importing a name runs: its packages' ``__init__`` and itself."""
        level, dotted = name
        parts = dotted.split(".") if dotted else []
        search: list[str] | None = None
        if level and importer is not None:
            folder = importer.parents[min(level, len(importer.parents)) - 1]
            search = [str(folder)]
            yield from _existing(folder / "__init__.py")
        for depth, part in enumerate(parts):
            if part == "*":
                yield from _submodules(search or [])
                return
            spec = (
                _find(part, search, importer) if depth == 0 else PathFinder.find_spec(part, search)
            )
            if spec is None:
                return
            file = self.source(spec.origin or "")
            if file is not None:
                if not is_project(file) and not (own and file.is_relative_to(own)):
                    return
                yield file
            search = list(spec.submodule_search_locations or [])
            if not search:
                return


def _find(name: str, search: list[str] | None, importer: Path | None) -> ModuleSpec | None:
    """The spec of a module or of a top-level package, without importing anything."""
    if search is not None:
        return PathFinder.find_spec(name, search)
    if name in sys.stdlib_module_names:
        return None
    loaded = sys.modules.get(name)
    spec = getattr(loaded, "__spec__", None)
    if isinstance(spec, ModuleSpec):
        return spec
    for finder in sys.meta_path:
        spec = finder.find_spec(name, None)
        if spec is not None:
            return spec
    return PathFinder.find_spec(name, [str(importer.parent)]) if importer else None


def _packages(file: Path) -> list[Path]:
    """The ``__init__`` of each package around a file, outermost first."""
    folders = file.parents if file.name != "__init__.py" else file.parent.parents
    found: list[Path] = []
    for folder in folders:
        init = folder / "__init__.py"
        if not init.is_file():
            break
        found.insert(0, init)
    return found


def _existing(file: Path) -> list[Path]:
    return [file] if file.is_file() else []


def _submodules(folders: list[str]) -> list[Path]:
    """Everything a package holds: ``import *`` takes what its ``__all__`` says."""
    found: list[Path] = []
    for folder in map(Path, folders):
        inner = (init.resolve() for init in folder.glob("*/__init__.py"))
        found += sorted([*(file.resolve() for file in folder.glob("*.py")), *inner])
    return found


def _loaded_modules() -> Iterator[tuple[Path, object]]:
    """Files of loaded project modules; the mark of each is another one after a reload."""
    modules: list[object] = list(sys.modules.values())
    for module in modules:
        if isinstance(module, ModuleType):
            name = vars(module).get("__file__")
            if isinstance(name, str) and name.endswith(".py"):
                yield _resolved(name), vars(module).get("__spec__") or module


@functools.lru_cache(maxsize=16384)
def _resolved(name: str) -> Path:
    return Path(name).resolve()


def _edited_since(mark: object, file: Path) -> bool:
    """Whether a source is another one than its compiled form, written when it was imported."""
    if not isinstance(mark, ModuleSpec) or type(mark.loader) is not SourceFileLoader:
        return False
    if sys.dont_write_bytecode or not mark.cached or not Path(mark.cached).is_file():
        return False
    with Path(mark.cached).open("rb") as compiled:
        header = compiled.read(_PYC_HEADER)
    flags, seconds, size = (int.from_bytes(header[i : i + 4], "little") for i in (4, 8, 12))
    now = file.stat()
    present = (int(now.st_mtime) & _UINT32, now.st_size & _UINT32)
    return flags == 0 and (seconds, size) != present
