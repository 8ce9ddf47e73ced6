"""The project's modules by name, found as the import system would, without importing any."""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowstone.core.code import Remark
from flowstone.core.fingerprint.link import Module
from flowstone.core.fingerprint.summary import Summary
from flowstone.sources.cells import cells_of, joined
from flowstone.sources.loaded import EditedError, text_of
from flowstone.sources.project import home, is_project, resolved

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from types import CodeType, FrameType

    from flowstone.sources.cache import Summaries

MAIN = "__main__"


class ProjectModules:
    """Finds modules, each once. Of an installed package, ``own`` makes it the project."""

    def __init__(self, summaries: Summaries, own: Path | None = None) -> None:
        self._summaries = summaries
        self._own = own
        self._known: dict[str, Module | None] = {}
        self._marks: dict[str, object] = {}
        self._by_namespace: dict[int, tuple[Mapping[str, Any], Module | None]] = {}
        self._last_lines: dict[int, int] = {}
        self._specs: dict[str, ModuleSpec | None] = {}
        self._places: dict[str, dict[tuple[int, str], list[int]]] = {}
        self.running = running_lines()

    def module(self, name: str) -> Module | None:
        """The project's module of that name, or None."""
        if name not in self._known:
            self._known[name] = self._found(name)
            self._marks[name] = self._mark(name)
        return self._known[name]

    def submodules(self, name: str) -> Sequence[str]:
        """The names of all modules directly inside a package."""
        spec = self._spec(name)
        found: set[str] = set()
        for folder in map(Path, (spec and spec.submodule_search_locations) or ()):
            for file in folder.glob("*.py"):
                if file.stem != "__init__":
                    found.add(f"{name}.{file.stem}")
            found.update(f"{name}.{init.parent.name}" for init in folder.glob("*/__init__.py"))
        return sorted(found)

    def is_current(self) -> bool:
        """Whether the same modules would be found, with the same texts."""
        self.running = running_lines()
        return all(self._mark(name) == mark for name, mark in self._marks.items())

    def _mark(self, name: str) -> object:
        """What tells whether a module is another one, or what is known of one that is not there.

        Of a loaded module that is its namespace; of others the file's size and time.
        """
        known = self._known[name]
        if name.startswith(f"{MAIN}@"):
            namespace = known.namespace if known is not None else None
            return None if namespace is None else cells_of(namespace, self._line(namespace))
        namespace = _loaded(name)
        if namespace is not None:
            cut = self._line(namespace) if known is not None else None
            return id(namespace), id(namespace.get("__spec__")), cut
        if known is not None:
            return _stamp(known.file) if known.file else None
        package, _, _ = name.rpartition(".")
        if package:
            spec = self._spec(package) if self._known.get(package) is not None else None
            return [_stamp(folder) for folder in (spec and spec.submodule_search_locations) or ()]
        return self._specs.get(name) is None and self._looked_up(name) is None

    def _line(self, namespace: Mapping[str, Any]) -> int | None:
        """The line that a module has come to which is just being executed."""
        line = self.running.get(id(namespace))
        last = self._last_lines.get(id(namespace))
        return None if line is None or (last is not None and line >= last) else line

    def of_namespace(self, namespace: Mapping[str, Any]) -> Module | None:
        """The module whose global names these are; None if it is not the project's."""
        known = self._by_namespace.get(id(namespace))
        if known is None or known[0] is not namespace:
            known = self._by_namespace[id(namespace)] = namespace, self._named(namespace)
        return known[1]

    def _named(self, namespace: Mapping[str, Any]) -> Module | None:
        name = namespace.get("__name__")
        if isinstance(name, str) and _loaded(name) is namespace:
            found = self.module(name)
            return self._notebook(namespace) if found is None and name == MAIN else found
        file = namespace.get("__file__")
        if not isinstance(file, str) or not Path(file).is_file():
            return self._notebook(namespace) if name == MAIN else None
        key = f"{name}@{id(namespace)}"
        if key not in self._known:
            path = resolved(file)
            is_ours = self._is_ours(path)
            self._known[key] = self._read(key, str(name), path, namespace) if is_ours else None
            self._marks[key] = self._mark(key)
        return self._known[key]

    def numbers_at(self, module: Module, code: CodeType) -> list[int]:
        """The numbers of the parts that a function's code may have been made from."""
        places = self._places.get(module.name)
        if places is None:
            places = self._places[module.name] = {}
            for number, part in enumerate(module.summary.parts):
                if part.kind == "function":
                    name = part.name.rpartition(".")[2]
                    places.setdefault((part.line, name), []).append(number)
        line = module.line_of(code.co_filename, code.co_firstlineno)
        return places.get((line, code.co_name), [])

    def _notebook(self, namespace: Mapping[str, Any]) -> Module | None:
        """The cells that were executed in a namespace, as a module."""
        key = f"{MAIN}@{id(namespace)}"
        if key not in self._known:
            cells = cells_of(namespace, self.running.get(id(namespace)))
            text, offsets = joined(cells)
            summary = self._summaries.of(text)
            self._known[key] = (
                Module(key, "notebook", "", _utf8(text), summary, "", namespace, None, offsets)
                if cells
                else None
            )
            self._marks[key] = self._mark(key)
        return self._known[key]

    def _is_ours(self, file: Path) -> bool:
        return is_project(file) or (self._own is not None and home(file) == self._own)

    def _found(self, name: str) -> Module | None:
        if name.partition(".")[0] in sys.stdlib_module_names:
            return None
        namespace = _loaded(name)
        file = None if namespace is None else namespace.get("__file__")
        spec = None if isinstance(file, str) else self._spec(name)
        if spec is not None:
            file = spec.origin
        if isinstance(file, str) and Path(file).is_file():
            path = resolved(file)
            return self._read(name, name, path, namespace) if self._is_ours(path) else None
        if isinstance(file, str) and file.endswith(".py") and self._is_ours(resolved(file)):
            return self._archived(name, file, namespace)
        places = (spec and spec.submodule_search_locations) or ()
        if any(self._is_ours(resolved(place)) for place in places):
            return Module(name, name, "", b"", Summary(), name, namespace)
        return None

    def _spec(self, name: str) -> ModuleSpec | None:
        if name not in self._specs:
            self._specs[name] = self._looked_up(name)
        return self._specs[name]

    def _looked_up(self, name: str) -> ModuleSpec | None:
        loaded = getattr(sys.modules.get(name), "__spec__", None)
        if isinstance(loaded, ModuleSpec):
            return loaded
        package, _, _ = name.rpartition(".")
        if package:
            around = self._spec(package)
            return _find_in((around and around.submodule_search_locations) or (), name)
        for finder in sys.meta_path:
            try:
                spec = finder.find_spec(name, None)
            except (ImportError, ValueError, AttributeError):
                continue
            if spec is not None:
                return spec
        return None

    def _read(
        self, name: str, label: str, file: Path, namespace: Mapping[str, Any] | None
    ) -> Module:
        spec = namespace.get("__spec__") if namespace else None
        if label == MAIN:
            label = spec.name if isinstance(spec, ModuleSpec) else file.stem
        package = _package(name, file, namespace)
        trouble = None
        data = b""
        if any(file.name.endswith(suffix) for suffix in EXTENSION_SUFFIXES):
            summary = Summary(whole="compiled")
            data = file.read_bytes()
        else:
            try:
                text = text_of(file, namespace)
                data = _utf8(text)
                summary = self._summary(text, namespace)
            except EditedError:
                said = f"{label} was edited after it was imported; start again"
                trouble, summary = Remark("unknown", said, f"{file}:1"), Summary(whole="edited")
            except OSError as error:
                said = f"{label} can't be read: {error.strerror}"
                trouble, summary = Remark("unknown", said, f"{file}:1"), Summary(whole="unreadable")
        return Module(name, label, str(file), data, summary, package, namespace, trouble)

    def _archived(self, name: str, file: str, namespace: Mapping[str, Any] | None) -> Module | None:
        """A module without a file of its own, such as one in a zip archive."""
        spec = self._spec(name)
        get_source = getattr(spec and spec.loader, "get_source", None)
        text = get_source(name) if get_source is not None else None
        if text is None:
            return None
        summary = self._summaries.of(text)
        package = _package(name, Path(file), namespace)
        return Module(name, name, file, _utf8(text), summary, package, namespace)

    def _summary(self, text: str, namespace: Mapping[str, Any] | None) -> Summary:
        """What a module says; of one that is just being executed, what it said so far."""
        summary = self._summaries.of(text)
        if namespace is None:
            return summary
        self._last_lines[id(namespace)] = summary.last_line
        line = self._line(namespace)
        return summary if line is None else self._summaries.of(text, line)


def running_lines() -> dict[int, int]:
    """For each namespace whose module is just being executed, the line it has come to."""
    lines: dict[int, int] = {}
    for top in sys._current_frames().values():  # noqa: SLF001 - there is no other way to see them
        frame: FrameType | None = top
        while frame is not None:
            if frame.f_code.co_name == "<module>":
                lines.setdefault(id(frame.f_globals), frame.f_lineno)
            frame = frame.f_back
    return lines


def _find_in(places: Iterable[str], name: str) -> ModuleSpec | None:
    """The spec of a module in a package's folders.

    It is looked for by its last name: for a dotted one, parts of the import system want the package
    to be loaded.
    """
    folders = list(places)
    spec = PathFinder.find_spec(name.rpartition(".")[2], folders) if folders else None
    if spec is not None and spec.submodule_search_locations is not None:
        spec.submodule_search_locations = list(spec.submodule_search_locations)
    return spec


def _loaded(name: str) -> dict[str, Any] | None:
    """The global names of a module that is loaded; what else may stand in its place has none."""
    namespace = getattr(sys.modules.get(name), "__dict__", None)
    return namespace if isinstance(namespace, dict) else None


def _stamp(file: str) -> tuple[int, int] | None:
    try:
        stat = Path(file).stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _package(name: str, file: Path, namespace: Mapping[str, Any] | None) -> str:
    """The package that relative imports of a module start from."""
    given = namespace.get("__package__") if namespace else None
    if isinstance(given, str) and (given or "@" not in name):
        return given
    return name if file.name == "__init__.py" else name.rpartition(".")[0]
