"""From references to definitions: through imports, re-exports and packages, without importing."""

from __future__ import annotations

import builtins
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from flowstone.core.fingerprint.names import joined

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from flowstone.core.code import Remark
    from flowstone.core.fingerprint.summary import Part, Summary

#: Builtins that are more than a name: they execute text, or read the world outside.
NOTED_BUILTINS = frozenset({"exec", "eval", "__import__", "open", "input"})
_BUILTIN = "builtins"
_DOC = "__doc__"
_BUILTINS = frozenset(dir(builtins))


class Node(NamedTuple):
    """Something that code may reach.

    ``def``: a name of a module. ``part``: one of its statements by number. ``root``: such a one as
    an asset's function. ``whole``: a module with all its names. ``live``: a global that no
    statement sets. ``doc``: a module's docstring. ``outside``: a dotted name beyond the project,
    ``builtin`` one of the builtins.
    """

    kind: str
    module: str
    name: str = ""
    number: int = -1


@dataclass(slots=True)
class Module:
    """A module of the project: ``name`` is the one it is imported by, ``label`` the one to show.

    ``data`` is its text in UTF-8; ``namespace`` holds its live names, if it is loaded;
    ``trouble`` says why the text may be another one than what runs. In a notebook, the text is
    what was executed, cell after cell, and ``cells`` the number of lines before each.
    """

    name: str
    label: str
    file: str
    data: bytes = field(repr=False)
    summary: Summary = field(repr=False)
    package: str = ""
    namespace: Mapping[str, Any] | None = field(default=None, repr=False)
    trouble: Remark | None = None
    cells: Mapping[str, int] = field(default_factory=dict)

    def line_of(self, file: str, line: int) -> int:
        """The line of the text that a line of a file, or of a notebook's cell, is."""
        return line + self.cells.get(file, 0)

    def start_of(self, line: int) -> int:
        """The first byte of a line of ``data``."""
        before = self.data.split(b"\n")[: line - 1]
        return sum(map(len, before)) + len(before)

    def last_line_of(self, part: Part) -> int:
        """The line that a statement ends in."""
        return part.line + self.data.count(b"\n", part.start, part.end)

    def place(self, line: int) -> str:
        """A line of the text as ``file:line``."""
        if not self.cells:
            return f"{self.file}:{line}"
        starts = [(offset, cell) for cell, offset in self.cells.items() if offset < line]
        offset, file = max(starts, default=(0, self.file))
        return f"{file}:{line - offset}"

    def parts(self, name: str) -> list[Part]:
        """The parts of one of its names, imports included."""
        return [self.summary.parts[number] for number in self.summary.names.get(name, ())]


class Modules(Protocol):
    """Where modules come from."""

    def module(self, name: str) -> Module | None:
        """The project's module of that name, or None."""

    def submodules(self, name: str) -> Sequence[str]:
        """The names of all modules directly inside a package."""


class Linker:
    """Resolves references; every answer is remembered."""

    def __init__(self, modules: Modules) -> None:
        self._modules = modules
        self._known: dict[str, dict[str, tuple[Node, ...]]] = {}

    def module(self, name: str) -> Module | None:
        """The project's module of that name, or None."""
        return self._modules.module(name)

    def submodules(self, name: str) -> Sequence[str]:
        """The names of all modules directly inside a package."""
        return self._modules.submodules(name)

    def resolve(self, module: Module, ref: str) -> tuple[Node, ...]:
        """What a reference in a module means: nothing for builtins, several where it depends."""
        known = self._known.setdefault(module.name, {})
        found = known.get(ref)
        if found is None:
            found = known[ref] = self._own(module, ref) or tuple(
                dict.fromkeys(self._resolve(module, ref, set()))
            )
        return found

    def _own(self, module: Module, ref: str) -> tuple[Node, ...]:
        """What a reference means in the simplest case, which is the most frequent one."""
        root = ref.partition(".")[0]
        numbers = module.summary.names.get(root, ())
        if len(numbers) != 1 or module.summary.stars:
            return ()
        is_import = module.summary.parts[numbers[0]].kind == "import"
        return () if is_import else (Node("def", module.name, root),)

    def imported(self, module: Module, ref: str) -> list[str]:
        """The project's modules that an import of ``ref`` executes, packages included."""
        head, _, name = ref.partition(":")
        whole = absolute(module, head)
        parts = whole.split(".")
        names = [".".join(parts[: end + 1]) for end in range(len(parts))]
        if name:
            names.append(f"{whole}.{name.partition('.')[0]}")
        return [each for each in names if self.module(each) is not None]

    def _resolve(self, module: Module, ref: str, seen: set[tuple[str, str]]) -> list[Node]:
        head, colon, path = ref.partition(":")
        if colon:
            names = path.split(".") if path else []
            return self._below(absolute(module, head), names, seen)
        root, *rest = ref.split(".")
        found = self._named(module, root, rest, seen)
        return self._unbound(module, root, rest) if found is None else found

    def _unbound(self, module: Module, root: str, rest: list[str]) -> list[Node]:
        """A name that no statement of the module binds."""
        if root == _DOC:
            return [Node("doc", module.name)]
        if root in _BUILTINS:
            return [Node("builtin", _BUILTIN, root)] if root in NOTED_BUILTINS else []
        strange = [
            base
            for _, ref in module.summary.stars
            if self.module(base := absolute(module, ref.removesuffix(":"))) is None
        ]
        if strange:
            return [Node("outside", "", ".".join([base, root, *rest])) for base in strange]
        return _live(module, root)

    def _below(self, name: str, path: list[str], seen: set[tuple[str, str]]) -> list[Node]:
        """What an attribute path below a module means."""
        module = self.module(name)
        if module is None or not path or module.summary.whole:
            outside = Node("outside", "", ".".join([name, *path]))
            return [outside if module is None else Node("whole", name)]
        first, *rest = path
        found = self._named(module, first, rest, seen)
        if found is not None:
            return found
        if first == _DOC:
            return [Node("doc", name)]
        if self.module(f"{name}.{first}") is not None:
            return self._below(f"{name}.{first}", rest, seen)
        if "__getattr__" in module.summary.names:
            return [Node("def", name, "__getattr__")]
        return _live(module, first)

    def _named(
        self, module: Module, name: str, rest: list[str], seen: set[tuple[str, str]]
    ) -> list[Node] | None:
        """What a module's own name means, or None if it has none, or is just being asked for it."""
        numbers = module.summary.names.get(name)
        if numbers is None and not module.summary.stars:
            return None
        if (module.name, name) in seen:
            return None
        seen.add((module.name, name))
        found: list[Node] = []
        for part in module.parts(name):
            if part.kind != "import" or part.is_conditional:
                found.append(Node("def", module.name, name))
            if part.kind == "import":
                found += self._resolve(module, joined(part.target, ".".join(rest)), seen)
        starred = self._starred(module, name, rest, numbers[-1] if numbers else -1, seen)
        seen.discard((module.name, name))
        return None if numbers is None and starred is None else [*found, *(starred or ())]

    def _starred(
        self, module: Module, name: str, rest: list[str], after: int, seen: set[tuple[str, str]]
    ) -> list[Node] | None:
        """What the name means by an ``import *`` that comes later than its own bindings."""
        for order, ref in reversed(module.summary.stars):
            source = self.module(absolute(module, ref.removesuffix(":")))
            if order < after or source is None:
                continue
            listed = "__all__" in source.summary.names
            exports = source.summary.exports
            if name not in exports if exports is not None else name.startswith("_") and not listed:
                continue
            found = self._named(source, name, rest, seen)
            if found is None and listed and self.module(f"{source.name}.{name}") is not None:
                found = self._below(f"{source.name}.{name}", rest, seen)
            if found is not None:
                unread = listed and exports is None
                return [*found, *([Node("def", source.name, "__all__")] if unread else [])]
        return None


def absolute(module: Module, head: str) -> str:
    """The full name of a module as an import inside ``module`` names it."""
    rest = head.lstrip(".")
    level = len(head) - len(rest)
    if not level:
        return head or module.name
    around = module.package.split(".")
    base = ".".join(around[: len(around) - level + 1])
    return f"{base}.{rest}" if base and rest else base or rest


def _live(module: Module, name: str) -> list[Node]:
    """A name that a loaded module has, though no statement sets it."""
    held = module.namespace or {}
    special = name.startswith("__") and name.endswith("__")
    return [Node("live", module.name, name)] if name in held and not special else []
