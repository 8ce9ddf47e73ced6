"""Code versions: digests of an asset's function and of the project code it can reach.

A function of a project file takes in that file and every project file it imports, however
deeply, comments, docstrings and layout left out. A function without a file (a notebook cell)
takes in its own source and, by the names it uses, that of the functions and classes and the
values of the constants it reaches. That is at times too much, never too little: what can't be
followed makes the version None, and the asset always runs.
"""

from __future__ import annotations

import ast
import functools
import inspect
import site
import sys
import sysconfig
import textwrap
import types
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowstone.core.asset import AnyAsset, Asset
from flowstone.core.hashing import combine, digest
from flowstone.errors import HashingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class UnknownCodeError(Exception):
    """Code that can't be followed; the message says what and why."""


def code_versions(assets: Iterable[AnyAsset]) -> dict[str, str | None]:
    """The code version of each asset by name; None where it can't be told.

    Each file is read once.
    """
    reader = _Reader()
    return {asset.name: reader.version(asset) for asset in assets}


class _Reader:
    """One look at the code: files are read once, functions followed once."""

    def __init__(self) -> None:
        self._files: dict[Path, str] = {}
        self._imports: dict[Path, tuple[Path, ...]] = {}
        self._digests: dict[Path, str] = {}

    def version(self, asset: AnyAsset) -> str | None:
        if asset.code_version is not None:
            return combine("pinned", asset.code_version)
        try:
            return combine("code", *self._parts(asset.fn, set()))
        except UnknownCodeError:
            return None

    def _parts(self, value: Any, seen: set[int]) -> list[str]:  # noqa: PLR0911 - one for each kind
        """Digests of all that ``value`` is made of, in a fixed order."""
        if id(value) in seen:
            return []
        seen.add(id(value))
        match value:
            case Asset():
                return self._parts(value.fn, seen)
            case functools.partial():
                held = [value.func, *value.args, *value.keywords.values()]
                return ["partial", *(part for each in held for part in self._parts(each, seen))]
            case types.FunctionType():
                return self._function(value, seen)
            case types.MethodType():
                return self._parts(value.__func__, seen) + self._parts(value.__self__, seen)
            case types.ModuleType():
                return self._module(value)
            case type():
                return self._class(value, seen)
            case types.BuiltinFunctionType():
                return [f"{value.__module__}.{value.__qualname__}"]
        return [_value(value)]

    def _function(self, fn: types.FunctionType, seen: set[int]) -> list[str]:
        wrapped = getattr(fn, "__wrapped__", None)
        inner = self._parts(wrapped, seen) if wrapped is not None else []
        cells = [part for cell in fn.__closure__ or () for part in self._cell(cell, seen)]
        file = _source_file(fn.__code__.co_filename)
        if file is not None:
            whole = [self._project(file)] if is_project(file) else []
            return [fn.__qualname__, *whole, *cells, *inner]
        names = sorted(_names(fn.__code__))
        used = [(name, fn.__globals__[name]) for name in names if name in fn.__globals__]
        reached = [part for name, each in used for part in (name, *self._parts(each, seen))]
        return [_source(fn), *reached, *cells, *inner]

    def _class(self, cls: type, seen: set[int]) -> list[str]:
        module = sys.modules.get(cls.__module__)
        file = _source_file(getattr(module, "__file__", None) or "")
        if file is not None:
            return [cls.__qualname__, *([self._project(file)] if is_project(file) else [])]
        if cls.__module__ == "builtins" or _is_builtin(module):
            return [f"{cls.__module__}.{cls.__qualname__}"]
        parts = [_source(cls)]
        for held in vars(cls).values():
            function = getattr(held, "__func__", held)
            if isinstance(function, types.FunctionType):
                parts += self._function(function, seen)
        return parts + [part for base in cls.__bases__ for part in self._parts(base, seen)]

    def _module(self, module: types.ModuleType) -> list[str]:
        file = _source_file(getattr(module, "__file__", None) or "")
        return [self._project(file)] if file and is_project(file) else [module.__name__]

    def _cell(self, cell: types.CellType, seen: set[int]) -> list[str]:
        try:
            return self._parts(cell.cell_contents, seen)
        except ValueError:  # not assigned yet
            return ["empty"]

    def _project(self, file: Path) -> str:
        """Digest of a project file and of every project file it imports."""
        if file not in self._digests:
            reached = {file}
            todo = [file]
            while todo:
                new = set(self._read(todo.pop())) - reached
                reached |= new
                todo += new
            self._digests[file] = combine("files", *sorted(self._files[each] for each in reached))
        return self._digests[file]

    def _read(self, file: Path) -> tuple[Path, ...]:
        """Take in one file and give the project files it imports."""
        if file not in self._imports:
            try:
                text = file.read_bytes()
            except OSError as error:
                msg = f"{file} can't be read: {error.strerror}"
                raise UnknownCodeError(msg) from None
            self._files[file], imports = _summary(text)
            found = {each for name in imports for each in _resolve(name, file)}
            self._imports[file] = tuple(sorted(found))
        return self._imports[file]


@functools.lru_cache(maxsize=4096)
def _summary(source: bytes) -> tuple[str, tuple[tuple[int, str], ...]]:
    """Digest of normalised source and its imports as (leading dots, dotted name)."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return combine("text", source), ()
    imports: dict[tuple[int, str], None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= dict.fromkeys((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            imports[node.level, base] = None
            inner = (f"{base}.{alias.name}".lstrip(".") for alias in node.names)
            imports |= dict.fromkeys((node.level, name) for name in inner)
    return _normalised(tree), tuple(imports)


def _normalised(tree: ast.AST) -> str:
    """Digest of a syntax tree without docstrings; comments and layout are not in it."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(node, _WITH_DOCSTRING):
            first = body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                del body[0]
    try:
        return combine("tree", ast.dump(tree))
    except RecursionError as error:
        msg = "the expression is too deep to be read"
        raise UnknownCodeError(msg) from error


_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _resolve(name: tuple[int, str], importer: Path) -> Iterator[Path]:
    """The project files that importing a name runs: its packages' ``__init__`` and itself."""
    level, dotted = name
    parts = dotted.split(".") if dotted else []
    if level:
        search: list[str] | None = [str(importer.parents[level - 1])]
        init = importer.parents[level - 1] / "__init__.py"
        if init.is_file():
            yield init
    else:
        search = None
    for depth, part in enumerate(parts):
        spec = PathFinder.find_spec(part, search)
        if spec is None and not level and depth == 0:
            spec = PathFinder.find_spec(part, [str(importer.parent), *sys.path])
        if spec is None:
            return
        file = _source_file(spec.origin or "")
        if file is not None:
            if not is_project(file):
                return
            yield file
        search = list(spec.submodule_search_locations or [])
        if not search:
            return


def _source_file(name: str) -> Path | None:
    path = Path(name)
    return path.resolve() if name.endswith(".py") and path.is_file() else None


@functools.cache
def _outside() -> tuple[Path, ...]:
    """Folders whose code is not the project's: the standard library and this package."""
    paths = sysconfig.get_paths()
    stdlib = [paths["stdlib"], paths["platstdlib"]]
    installed = [paths["purelib"], paths["platlib"], site.getusersitepackages()]
    ours = str(Path(__file__).parent)
    return tuple(Path(each).resolve() for each in [*stdlib, *installed, ours])


@functools.lru_cache(maxsize=16384)
def is_project(file: Path) -> bool:
    """Whether a source file belongs to the user's project: neither library nor installed."""
    if {"site-packages", "dist-packages"} & set(file.parts):
        return False
    return not any(file.is_relative_to(folder) for folder in _outside())


def _is_builtin(module: types.ModuleType | None) -> bool:
    return module is not None and module.__name__ != "__main__" and not hasattr(module, "__file__")


def _names(code: types.CodeType) -> set[str]:
    """All names a code object and the functions inside it may look up as globals."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names(constant)
    return names


def _source(definition: Any) -> str:
    """Digest of the normalised source of a function or class without a file."""
    try:
        return _normalised(ast.parse(textwrap.dedent(inspect.getsource(definition))))
    except (OSError, TypeError, SyntaxError, ValueError) as error:
        msg = f"{definition!r} has no source"
        raise UnknownCodeError(msg) from error


def _value(value: Any) -> str:
    try:
        return digest(value)
    except HashingError as error:
        msg = f"a value of type {type(value).__name__} has no canonical form"
        raise UnknownCodeError(msg) from error
