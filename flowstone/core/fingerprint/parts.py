"""The parts of a module: one for each statement, and for each function that one of them makes."""

from __future__ import annotations

import ast
import builtins
from typing import TYPE_CHECKING, Any, NamedTuple

from flowstone.core import hashing
from flowstone.core.fingerprint import canonical
from flowstone.core.fingerprint.mask import may_hold_secrets, secrets_in
from flowstone.core.fingerprint.names import dotted, unquoted
from flowstone.core.fingerprint.reader import Reader
from flowstone.core.fingerprint.scopes import Inner, Scope, Uses
from flowstone.core.fingerprint.summary import Part
from flowstone.core.hashing import combine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowstone.core.fingerprint.canonical import Function

BUILTINS = frozenset(dir(builtins)) - {"__doc__", "exec", "eval", "__import__", "open", "input"}
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_HOOK = "__init_subclass__"


class Branch(NamedTuple):
    """Where a statement stands: the digest of the tests around it, and what they refer to."""

    digest: str = ""
    refs: dict[str, int] = {}  # noqa: RUF012 - never changed
    eager: tuple[str, ...] = ()


class Made(NamedTuple):
    """A statement's part, what it uses, and the parts of the functions and classes inside it."""

    part: Part
    uses: Uses
    inner: list[Part]


class Maker:
    """Makes parts of the statements of one text.

    ``undressed`` tells which decorators don't count; ``branch`` is where the statements stand.
    """

    def __init__(self, text: str, undressed: Callable[[ast.expr], bool]) -> None:
        self._undressed = undressed
        self._data = text.encode("utf-8", "surrogatepass")
        self._starts = [0]
        for line in self._data.split(b"\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)
        self.branch = Branch()

    def function(self, node: Function) -> Made:
        """The part of a function definition."""
        reader = Reader(self._undressed)
        uses = reader.read(node)
        digests = canonical.digests(node, self._undressed)
        dressed = self._dressed(node)
        part = self._part(
            "function",
            node.name,
            digests.own,
            node,
            uses,
            root=digests.root,
            docs=digests.docs,
            hints=_hints(node, None),
            given=self._given(node, reader, uses),
            is_decorated=bool(dressed),
            is_asset=len(dressed) < len(node.decorator_list),
        )
        return Made(part, uses, self._inner(node, reader))

    def klass(self, node: ast.ClassDef) -> Made:
        """The part of a class definition."""
        reader = Reader(self._undressed)
        uses = reader.read(node)
        own = canonical.digest("class", node, undressed=self._undressed)
        metas = [dotted(each.value) for each in node.keywords if each.arg == "metaclass"]
        part = self._part(
            "class",
            node.name,
            own.digest,
            node,
            uses,
            docs=own.docs,
            has_hooks=any(isinstance(each, FUNCTIONS) and each.name == _HOOK for each in node.body),
            metas=tuple(filter(None, metas)),
        )
        return Made(part, uses, self._inner(node, reader))

    def assignment(self, target: ast.expr, value: ast.expr, node: ast.stmt) -> Made:
        """The part of one target of an assignment."""
        reader = Reader(self._undressed)
        uses = reader.read(value, target)
        own = canonical.digest("assign", target, value, undressed=self._undressed)
        name = dotted(target) or next(iter(uses.binds), "")
        part = self._part("value", name, own.digest, node, uses)
        if isinstance(target, ast.Name):
            part = part._replace(literal=_literal(value))
        return Made(part, uses, self._inner(node, reader))

    def other(self, node: ast.stmt) -> Made:
        """The part of any other statement, which counts as a whole."""
        reader = Reader(self._undressed)
        uses = reader.read(node)
        own = canonical.digest("code", node, undressed=self._undressed)
        name = next(iter(uses.binds), "") or next((each.ref for each in uses.touches), "")
        part = self._part("value", name, own.digest, node, uses)
        return Made(part, uses, self._inner(node, reader))

    def imported(self, name: str, target: str, node: ast.stmt) -> Made:
        """The part of one name that an import binds."""
        part = self._part("import", name, combine("import"), node, Uses())
        return Made(part._replace(target=target), Uses(), [])

    def under(self, kind: str, test: ast.expr | None) -> tuple[Branch, Uses]:
        """The branch below the present one that a test decides about, and what the test uses."""
        own = canonical.digest(kind, test, undressed=self._undressed).digest
        uses = Reader(self._undressed).read(*([test] if test else []))
        digest = combine("branch", self.branch.digest, own)
        eager = (*self.branch.eager, *uses.eager)
        return Branch(digest, self.branch.refs | uses.refs, eager), uses

    def _part(self, kind: str, name: str, digest: str, node: Any, uses: Uses, **more: Any) -> Part:
        """The part of a statement; ``more`` are further fields."""
        branch = self.branch
        line = first_line(node)
        start = self._starts[line - 1] + (node.col_offset if line == node.lineno else 0)
        end = self._starts[node.end_lineno - 1] + node.end_col_offset
        suspect = may_hold_secrets(self._data[start:end])
        return Part(
            kind=kind,
            name=name,
            digest=combine("in", branch.digest, digest) if branch.digest else digest,
            line=line,
            start=start,
            end=end,
            refs=branch.refs | uses.refs,
            eager=(*branch.eager, *uses.eager),
            calls=tuple(uses.calls),
            mutates=tuple(uses.mutates),
            touches=tuple(uses.touches),
            reads_docs=uses.reads_docs,
            reads_hints=uses.reads_hints,
            is_conditional=bool(branch.digest),
            secrets=tuple(map(self._span, secrets_in(node))) if suspect else (),
            **more,
        )

    def _span(self, node: ast.expr) -> tuple[int, int]:
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        end = node.end_col_offset or 0
        return self._starts[first] + node.col_offset, self._starts[last] + end

    def _dressed(self, node: Function) -> list[ast.expr]:
        return [each for each in node.decorator_list if not self._undressed(each)]

    def _given(self, node: Function, reader: Reader, uses: Uses) -> tuple[str, ...]:
        """What the defaults of a function's parameters refer to, and nothing else of it does."""
        if not (node.args.defaults or any(node.args.kw_defaults)):
            return ()
        dressed = self._dressed(node)
        hints = [*canonical.hints_of(node), node.returns] if dressed else []
        other = Reader(self._undressed).read(*dressed, *filter(None, hints)).refs
        inside = next(each.inside for each in reader.inner if each.node is node)
        own = reader.refs_inside()[inside]
        # what calls refer to in words is in no scope, and may be the body's
        return tuple(r for r in uses.refs if ":" not in r and r not in other and r not in own)

    def _inner(self, node: ast.AST, reader: Reader) -> list[Part]:
        """Functions, lambdas and classes that are made while other code runs."""
        wanted = [each for each in reader.inner if each.node is not node and _is_made_alone(each)]
        if not wanted:
            return []
        refs = reader.refs_inside()
        return [self._inside(each, refs[each.inside], reader.uses) for each in wanted]

    def _inside(self, inner: Inner, refs: dict[str, int], uses: Uses) -> Part:
        node = inner.node
        part = self._part("function", inner.inside.qualname, "", node, Uses())
        part = part._replace(refs=refs, reads_docs=uses.reads_docs, reads_hints=uses.reads_hints)
        if not isinstance(node, FUNCTIONS):
            own = canonical.digest("code", node, undressed=self._undressed)
            kind = "class" if isinstance(node, ast.ClassDef) else "function"
            return part._replace(kind=kind, digest=own.digest, docs=own.docs)
        digests = canonical.digests(node, self._undressed)
        return part._replace(
            digest=digests.own,
            root=digests.root,
            docs=digests.docs,
            hints=_hints(node, inner.inside.parent),
            is_decorated=bool(self._dressed(node)),
        )


def _hints(fn: Function, around: Scope | None) -> tuple[str, ...]:
    """What the annotations of a function's parameters refer to, builtins left out."""
    found: dict[str, None] = {}
    hints = canonical.hints_of(fn)
    if not hints:
        return ()
    for annotation in hints:
        if isinstance(annotation, ast.Name) and annotation.id in BUILTINS:
            continue
        for root in unquoted(annotation):
            found.update(dict.fromkeys(_names(root)))
    resolved = [around.resolve(name) for name in found] if around else list(found)
    return tuple(ref for ref in resolved if ref and ref not in BUILTINS)


def _names(annotation: ast.expr) -> Iterable[str]:
    """Names of types in an annotation; what is called there, such as ``From(...)``, is none."""
    todo: list[ast.AST] = [annotation]
    while todo:
        node = todo.pop()
        name = dotted(node)
        if name:
            yield name
        elif not isinstance(node, ast.Call):
            todo += ast.iter_child_nodes(node)


def first_line(node: Any) -> int:
    """The line a statement begins in, its decorators included."""
    decorators = getattr(node, "decorator_list", ())
    line: int = min([node.lineno, *[each.lineno for each in decorators]])
    return line


def _is_made_alone(inner: Inner) -> bool:
    """Whether no class around counts for it."""
    around = inner.inside.parent
    while around is not None and around.kind == "comprehension":
        around = around.parent
    return around is not None and around.kind != "class"


def _literal(value: ast.expr) -> str:
    """The digest of a constant that is written out and can't be changed, or an empty text."""
    try:
        return hashing.digest(_plain(value))
    except ValueError:
        return ""


def _plain(node: ast.expr) -> object:
    if isinstance(node, ast.Constant) and node.value is not ...:
        held: object = node.value
        return held
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _plain(node.operand)
        if type(inner) in (int, float, complex):
            return -inner  # type: ignore[operator]  # checked on the line before
    if isinstance(node, ast.Tuple):
        return tuple(map(_plain, node.elts))
    raise ValueError
