"""What a piece of source says: a digest without its layout, what it imports, what it hides."""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowstone.core.hashing import combine

if TYPE_CHECKING:
    from collections.abc import Iterator

#: An import: leading dots, dotted name. A last part ``*`` stands for all of a package.
Import = tuple[int, str]

#: Fields that say nothing more, or not the same on every Python.
_SKIPPED = {"ctx", "kind", "type_comment", "type_ignores"}
_EXECUTES = {"exec", "eval", "__import__", "exec_module", "import_module", "run_module", "run_path"}
_BUILTIN = {"exec", "eval", "__import__"}


@dataclass(frozen=True, slots=True)
class Summary:
    """What one source says.

    ``plain`` is the digest without docstrings, ``documented`` with them; comments and layout are
    in neither, and both are the same on every supported Python. ``reads_docs`` tells that the
    code looks at docstrings, ``dynamic`` names what it executes or imports by computed name.
    """

    plain: str
    documented: str
    imports: tuple[Import, ...] = ()
    reads_docs: bool = False
    dynamic: str = ""


@functools.lru_cache(maxsize=4096)
def summary(source: bytes | str) -> Summary:
    """Read one source; what is no Python is digested as it is."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raw = combine("text", source)
        return Summary(raw, raw)
    return summary_of(tree)


def summary_of(tree: ast.AST) -> Summary:
    """What a syntax tree says."""
    documented = combine("tree", "\n".join(_tokens(tree, docs=True)))
    plain = combine("tree", "\n".join(_tokens(tree, docs=False)))
    imports = _Imports(tree)
    reads_docs = any(map(_reads_docs, ast.walk(tree)))
    dynamic = next(filter(None, (_executes(node, imports.literal) for node in ast.walk(tree))), "")
    return Summary(plain, documented, tuple(imports.found), reads_docs, dynamic)


class _Token(str):
    """A piece of the text that is digested, as opposed to a value still to be written."""

    __slots__ = ()


def _tokens(tree: ast.AST, *, docs: bool) -> Iterator[str]:
    """A tree as text without line breaks, in pieces; without recursion, for code nests deep."""
    todo: list[Any] = [tree]
    while todo:
        item = todo.pop()
        if isinstance(item, _Token):
            yield item
        elif isinstance(item, ast.AST):
            yield f"{type(item).__name__}("
            todo.append(_Token(")"))
            for name, held in reversed(list(ast.iter_fields(item))):
                value = _filled(held) if isinstance(item, ast.JoinedStr) else held
                if name not in _SKIPPED and value is not None and value != []:
                    todo += [value, _Token(f"{name}=")]
        elif isinstance(item, list):
            yield "["
            kept = item if docs else [each for each in item if not _is_doc(each)]
            todo += [_Token("]"), *reversed(kept)]
        else:
            shown = hex(item) if type(item) is int else ascii(item)
            yield f"{type(item).__name__}:{shown}"


def _filled(parts: list[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string without the empty texts that Python 3.12 alone puts there."""
    return [each for each in parts if not (isinstance(each, ast.Constant) and each.value == "")]


def _is_doc(node: object) -> bool:
    """Whether a statement is a text that nothing takes, as docstrings are."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


class _Imports:
    """All that a tree imports, anywhere, in order."""

    def __init__(self, tree: ast.AST) -> None:
        self.found: dict[Import, None] = {}
        #: Nodes that import or execute something that is written out.
        self.literal: set[int] = set()
        self._bound: dict[str, Import] = {}
        nodes = list(ast.walk(tree))
        for node in nodes:
            if isinstance(node, ast.Import):
                self._import(node)
            elif isinstance(node, ast.ImportFrom):
                self._from(node)
            elif isinstance(node, ast.Call):
                self._call(node)
        for node in nodes:
            self._attribute(node)

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.found[0, alias.name] = None
            whole = alias.name if alias.asname else alias.name.partition(".")[0]
            self._bound[alias.asname or whole] = (0, whole)

    def _from(self, node: ast.ImportFrom) -> None:
        self.found[node.level, node.module or ""] = None
        for alias in node.names:
            inner = node.level, f"{node.module or ''}.{alias.name}".lstrip(".")
            self.found[inner] = None
            self._bound[alias.asname or alias.name] = inner

    def _call(self, node: ast.Call) -> None:
        match _name(node.func), node.args:
            case "__import__" | "import_module", [ast.Constant(value=str(name))]:
                if not (node.keywords or name.startswith(".")):
                    self.found[0, name] = None
                    self.literal.add(id(node.func))
            case "exec" | "eval", [ast.Constant() | ast.JoinedStr() as text, *_]:
                if "import" not in ast.unparse(text):
                    self.literal.add(id(node.func))

    def _attribute(self, node: ast.AST) -> None:
        """``import shop`` and ``shop.rates.now()``: somebody else may have imported shop.rates."""
        root, names = _chain(node)
        if names and root in self._bound:
            level, base = self._bound[root]
            self.found[level, ".".join([base, *names])] = None


def _chain(node: ast.AST) -> tuple[str, list[str]]:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, names[::-1]) if isinstance(node, ast.Name) else ("", [])


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _executes(node: ast.AST, literal: set[int]) -> str:
    """The name of what executes or imports something that is not written out, or nothing."""
    name = _name(node)
    if name not in _EXECUTES or id(node) in literal:
        return ""
    # ``frame.eval(...)`` and ``model.eval()`` are methods of libraries
    return "" if isinstance(node, ast.Attribute) and name in _BUILTIN else name


def _reads_docs(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return node.value == "__doc__"
    return _name(node) in {"__doc__", "getdoc"}
