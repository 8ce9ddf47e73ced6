"""From a module's text to its summary: statement by statement, branch by branch."""

from __future__ import annotations

import ast
import builtins
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from flowstone.core import hashing
from flowstone.core.fingerprint import canonical
from flowstone.core.fingerprint.liveness import Event, live
from flowstone.core.fingerprint.mask import may_hold_secrets, secrets_in
from flowstone.core.fingerprint.scopes import (
    PURE,
    Inner,
    Reader,
    Scope,
    Uses,
    dotted,
    imported,
    modules_of,
    unquoted,
)
from flowstone.core.fingerprint.summary import Part, Summary
from flowstone.core.hashing import combine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowstone.core.fingerprint.canonical import Function

_BUILTINS = frozenset(dir(builtins)) - {"exec", "eval", "__import__", "open", "input"}
_LOOPS = (ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Match)
_TRIES = (ast.Try, ast.TryStar)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_HOOK = "__init_subclass__"


def summarise(text: str, upto: int | None = None) -> Summary:
    """What a module's text says; of its statements those that begin at or before line ``upto``.

    What the parser refuses is summed up by its digest alone, and says so.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Summary(whole=f"{type(error).__name__}: the parser refuses it")
    body = [each for each in tree.body if upto is None or _first_line(each) <= upto]
    return _Module(text).read(body)


class _Branch(NamedTuple):
    """Where a statement stands: the digest of the tests around it, and what they refer to."""

    digest: str = ""
    refs: dict[str, int] = {}  # noqa: RUF012 - never changed
    eager: tuple[str, ...] = ()


class _Module:
    """Collects the parts of one module."""

    def __init__(self, text: str) -> None:
        data = text.encode("utf-8", "surrogatepass")
        self._starts = [0]
        for line in data.split(b"\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)
        self._summary = Summary()
        self._events: list[Event] = []
        self._imports: dict[str, None] = {}
        self._asset: set[str] = set()
        self._ours: set[str] = set()
        self._branch = _Branch()
        self._data = data

    def read(self, body: list[ast.stmt]) -> Summary:
        summary = self._summary
        self._look_for_assets(body)
        self._body(body)
        summary.last_line = body[-1].end_lineno or 0 if body else 0
        summary.imports = list(self._imports)
        summary.names = live(self._events, self._reach())
        if not summary.stars:
            self._drop_builtins()
        return summary

    # What is known before

    def _look_for_assets(self, body: list[ast.stmt]) -> None:
        """The names by which the module knows ``@asset``, and our package."""
        for node in body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                for name, ref in imported(node):
                    module, _, inner = ref.partition(":")
                    if module.partition(".")[0] == "flowstone":
                        self._ours.add(name)
                        self._asset.add(name if inner else f"{name}.asset")
                    elif inner == "asset":
                        self._asset.add(name)

    def _undressed(self, decorator: ast.expr) -> bool:
        """Whether a decorator is ``@asset``, whose options count elsewhere or not at all."""
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = dotted(called)
        return name in self._asset and (name.rpartition(".")[2] == "asset" or name in self._ours)

    def _reach(self) -> dict[str, set[str]]:
        reach: dict[str, set[str]] = {}
        for event in self._events:
            refs = self._summary.parts[event.number].refs
            roots = {ref.partition(".")[0] for ref in refs if ":" not in ref}
            for name in event.binds:
                reach.setdefault(name, set()).update(roots)
        return reach

    def _drop_builtins(self) -> None:
        hidden = _BUILTINS - self._summary.names.keys()
        for part in self._summary.parts:
            for ref in [ref for ref in part.refs if ref.partition(".")[0] in hidden]:
                del part.refs[ref]

    # Statements

    def _body(self, body: Iterable[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                self._import(node)
            elif isinstance(node, _FUNCTIONS):
                self._function(node)
            elif isinstance(node, ast.ClassDef):
                self._class(node)
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    self._assign(target, node.value, node)
            elif isinstance(node, ast.AnnAssign):
                if node.value is not None:
                    self._assign(node.target, node.value, node)
            elif isinstance(node, ast.If):
                self._if(node)
            elif isinstance(node, _TRIES):
                self._try(node)
            elif isinstance(node, ast.Expr):
                if not isinstance(node.value, ast.Constant):
                    self._other(node, node.value, bare=True)
            elif not isinstance(node, ast.Pass):
                self._other(node, node, bare=isinstance(node, _LOOPS))

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            return
        self._imports.update(dict.fromkeys(modules_of(node)))
        for name, ref in imported(node):
            if name == "*":
                module = ref.removesuffix("*")
                self._summary.stars.append((len(self._summary.parts), module))
                continue
            part = self._part("import", name, combine("import"), node, Uses())
            self._add(part._replace(target=ref), (name,), replaces=True)

    def _function(self, node: Function) -> None:
        reader = Reader(self._undressed)
        uses = reader.read(node)
        digests = canonical.digests(node, self._undressed)
        part = self._part("function", node.name, digests.own, node, uses)
        self._add(
            part._replace(
                root=digests.root,
                docs=digests.docs,
                hints=self._hints(node, None),
                given=self._given(node, reader, uses),
                is_decorated=not all(map(self._undressed, node.decorator_list)),
            ),
            (node.name,),
            replaces=True,
        )
        self._inner(node, reader)

    def _given(self, node: Function, reader: Reader, uses: Uses) -> tuple[str, ...]:
        """What the defaults of a function's parameters refer to, and nothing else of it does."""
        if not (node.args.defaults or any(node.args.kw_defaults)):
            return ()
        dressed = [each for each in node.decorator_list if not self._undressed(each)]
        hints = [*canonical.annotations(node), node.returns] if dressed else []
        other = Reader(self._undressed).read(*dressed, *filter(None, hints)).refs
        inside = next(each.inside for each in reader.inner if each.node is node)
        own = reader.refs_inside()[inside]
        return tuple(ref for ref in uses.refs if ref not in other and ref not in own)

    def _class(self, node: ast.ClassDef) -> None:
        reader = Reader(self._undressed)
        uses = reader.read(node)
        own = canonical.digest("class", node, undressed=self._undressed)
        part = self._part("class", node.name, own.digest, node, uses)
        hooks = any(isinstance(each, _FUNCTIONS) and each.name == _HOOK for each in node.body)
        metas = [dotted(each.value) for each in node.keywords if each.arg == "metaclass"]
        self._add(
            part._replace(docs=own.docs, has_hooks=hooks, metas=tuple(filter(None, metas))),
            (node.name,),
            replaces=True,
        )
        self._inner(node, reader)

    def _assign(self, target: ast.expr, value: ast.expr, node: ast.stmt) -> None:
        if isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
            pairs = list(zip(target.elts, value.elts, strict=False))
            starred = any(isinstance(each, ast.Starred) for each in (*target.elts, *value.elts))
            if not starred and len(target.elts) == len(value.elts):
                for one, held in pairs:
                    self._assign(one, held, node)
                return
        reader = Reader(self._undressed)
        uses = reader.read(value, target)
        own = canonical.digest("assign", target, value, undressed=self._undressed)
        name = dotted(target) or next(iter(uses.binds), "")
        part = self._part("value", name, own.digest, node, uses)
        literal = _literal(value) if isinstance(target, ast.Name) else ""
        simple = isinstance(target, (ast.Name, ast.Tuple, ast.List))
        self._add(part._replace(literal=literal), tuple(uses.binds), replaces=simple)
        self._inner(node, reader)

    def _other(self, node: ast.stmt, read: ast.AST, *, bare: bool) -> None:
        """Any other statement counts as a whole, besides what it is added to."""
        reader = Reader(self._undressed)
        uses = reader.read(read, bare=bare)
        own = canonical.digest("code", node, undressed=self._undressed)
        name = next(iter(uses.binds), "") or next((each.ref for each in uses.touches), "")
        part = self._part("value", name, own.digest, node, uses)
        self._add(part, tuple(uses.binds), replaces=False)
        self._inner(node, reader)

    # Branches

    def _if(self, node: ast.If) -> None:
        if canonical.is_for_type_checkers(node):
            for each in node.body:
                if isinstance(each, (ast.Import, ast.ImportFrom)):
                    self._summary.typed.update(imported(each))
            self._body(node.orelse)
        elif _is_main(node.test):
            self._branched("main", None, [each for each in node.body if _sets(each)])
            self._branched("else", None, node.orelse)
        else:
            self._branched("if", node.test, node.body)
            self._branched("else", node.test, node.orelse)

    def _try(self, node: ast.Try | ast.TryStar) -> None:
        self._branched("try", None, node.body)
        for handler in node.handlers:
            self._branched("except", handler.type, handler.body)
        self._branched("else", None, node.orelse)
        self._branched("finally", None, node.finalbody)

    def _branched(self, kind: str, test: ast.expr | None, body: list[ast.stmt]) -> None:
        if not body:
            return
        outer = self._branch
        own = canonical.digest(kind, test, undressed=self._undressed).digest
        uses = Reader(self._undressed).read(*([test] if test else []))
        self._branch = _Branch(
            combine("branch", outer.digest, own),
            outer.refs | uses.refs,
            (*outer.eager, *uses.eager),
        )
        self._body(body)
        self._branch = outer

    # Parts

    def _part(self, kind: str, name: str, digest: str, node: Any, uses: Uses) -> Part:
        branch = self._branch
        self._imports.update(uses.imports)
        line = _first_line(node)
        start = self._starts[line - 1] + (node.col_offset if line == node.lineno else 0)
        end = self._starts[node.end_lineno - 1] + node.end_col_offset
        suspect = may_hold_secrets(self._data[start:end])
        if branch.digest:
            digest = combine("in", branch.digest, digest)
        return Part(
            kind=kind,
            name=name,
            digest=digest,
            line=line,
            end_line=node.end_lineno,
            start=start,
            end=end,
            refs=branch.refs | uses.refs,
            eager=(*branch.eager, *uses.eager),
            calls=tuple(uses.calls),
            mutates=tuple(uses.mutates),
            touches=tuple(uses.touches),
            reads_docs=uses.reads_docs,
            is_conditional=bool(branch.digest),
            secrets=tuple(map(self._span, secrets_in(node))) if suspect else (),
        )

    def _span(self, node: ast.expr) -> tuple[int, int]:
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        end = node.end_col_offset or 0
        return self._starts[first] + node.col_offset, self._starts[last] + end

    def _add(self, part: Part, binds: tuple[str, ...], *, replaces: bool) -> None:
        number = len(self._summary.parts)
        self._summary.parts.append(part)
        if not binds:
            self._summary.loose.append(number)
        reads = {ref.partition(".")[0]: None for ref in part.eager}
        idle = all(self._is_idle(callee) for callee in part.calls) and not binds
        replaces = replaces and not part.is_conditional
        self._events.append(Event(number, binds, replaces, () if idle else tuple(reads)))

    def _is_idle(self, callee: str) -> bool:
        """Whether a call leaves the module's names alone: ``print(...)``, ``materialize(...)``."""
        return callee in PURE or callee.partition(".")[0] in self._ours

    def _inner(self, node: ast.AST, reader: Reader) -> None:
        """Functions, lambdas and classes that are made while other code runs."""
        wanted = [each for each in reader.inner if each.node is not node and _is_made_alone(each)]
        if not wanted:
            return
        refs = reader.refs_inside()
        for inner in wanted:
            each = inner.node
            part = self._part("function", inner.inside.qualname, "", each, Uses())
            held: dict[str, Any] = {"refs": refs[inner.inside]}
            if isinstance(each, _FUNCTIONS):
                digests = canonical.digests(each, self._undressed)
                held |= digests._asdict() | {"hints": self._hints(each, inner.inside.parent)}
                held["digest"] = held.pop("own")
                held["is_decorated"] = not all(map(self._undressed, each.decorator_list))
            else:
                own = canonical.digest("code", each, undressed=self._undressed)
                kind = "class" if isinstance(each, ast.ClassDef) else "function"
                held |= {"digest": own.digest, "docs": own.docs, "kind": kind}
            held["reads_docs"] = reader.uses.reads_docs
            self._summary.inner.append(len(self._summary.parts))
            self._summary.parts.append(part._replace(**held))

    def _hints(self, fn: Function, around: Scope | None) -> tuple[str, ...]:
        """What the annotations of a function's parameters refer to, builtins left out."""
        found: dict[str, None] = {}
        for annotation in canonical.annotations(fn):
            if isinstance(annotation, ast.Name) and annotation.id in _BUILTINS:
                continue
            for root in unquoted(annotation):
                found.update(dict.fromkeys(_names(root)))
        resolved = [around.resolve(name) for name in found] if around else list(found)
        return tuple(ref for ref in resolved if ref and ref not in _BUILTINS)


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


def _first_line(node: Any) -> int:
    """The line a statement begins in, its decorators included."""
    return min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ()))])


def _is_made_alone(inner: Inner) -> bool:
    """Whether no class around counts for it."""
    around = inner.inside.parent
    while around is not None and around.kind == "comprehension":
        around = around.parent
    return around is not None and around.kind != "class"


def _is_main(test: ast.expr) -> bool:
    """Whether a test is ``__name__ == "__main__"``."""
    if not (isinstance(test, ast.Compare) and len(test.comparators) == 1):
        return False
    sides = (test.left, test.comparators[0])
    names = {dotted(side) for side in sides}
    values = {side.value for side in sides if isinstance(side, ast.Constant)}
    return "__name__" in names and "__main__" in values


def _sets(node: ast.stmt) -> bool:
    """Whether a statement of a script's main part sets something: calls of it don't count."""
    return isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Import, ast.ImportFrom))


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


__all__ = ["summarise"]
