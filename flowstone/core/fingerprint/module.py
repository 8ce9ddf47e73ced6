"""From a module's text to its summary: statement by statement, branch by branch."""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING

from flowstone.core.fingerprint.canonical import is_for_type_checkers
from flowstone.core.fingerprint.liveness import Event, live
from flowstone.core.fingerprint.names import dotted, imported, modules_of
from flowstone.core.fingerprint.parts import BUILTINS, FUNCTIONS, Made, Maker, first_line
from flowstone.core.fingerprint.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Iterable

_IMPORTS = (ast.Import, ast.ImportFrom)
_ALL = "__all__"


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
    body = [each for each in tree.body if upto is None or first_line(each) <= upto]
    summary = _Module(text).read(body)
    summary.doc = ast.get_docstring(tree, clean=False) or ""
    return summary


class _Module:
    """Collects the parts of one module."""

    def __init__(self, text: str) -> None:
        self._make = Maker(text, self._undressed)
        self._summary = Summary()
        self._events: list[Event] = []
        self._imports: dict[str, None] = {}
        self._asset: set[str] = set()

    def read(self, body: list[ast.stmt]) -> Summary:
        summary = self._summary
        self._look_for_assets(body)
        self._body(body)
        summary.last_line = body[-1].end_lineno or 0 if body else 0
        summary.imports = list(self._imports)
        summary.exports = self._exports(body)
        summary.names, past = live(self._events, self._reach())
        for number, gone in past.items():
            summary.parts[number] = summary.parts[number]._replace(past=tuple(gone))
        if not summary.stars:
            self._drop_builtins()
        return summary

    # What is known before

    def _look_for_assets(self, body: list[ast.stmt]) -> None:
        """The names by which the module knows ``@asset``."""
        for node in body:
            for name, ref in imported(node) if isinstance(node, _IMPORTS) else ():
                module, _, inner = ref.partition(":")
                if inner == "asset":
                    self._asset.add(name)
                elif module.partition(".")[0] == "flowstone" and not inner:
                    self._asset.add(f"{name}.asset")

    def _undressed(self, decorator: ast.expr) -> bool:
        """Whether a decorator is ``@asset``, whose options count elsewhere or not at all."""
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        return dotted(called) in self._asset

    def _reach(self) -> dict[str, set[str]]:
        reach: dict[str, set[str]] = {}
        for event in self._events:
            refs = self._summary.parts[event.number].refs
            roots = {ref.partition(".")[0] for ref in refs if ":" not in ref}
            for name in event.binds:
                reach.setdefault(name, set()).update(roots)
        return reach

    def _drop_builtins(self) -> None:
        hidden = BUILTINS - self._summary.names.keys()
        for part in self._summary.parts:
            for ref in [ref for ref in part.refs if ref.partition(".")[0] in hidden]:
                del part.refs[ref]

    def _exports(self, body: list[ast.stmt]) -> list[str] | None:
        """What ``__all__`` lists, if one statement says it in words and none changes it."""
        said = [
            node.value
            for node in body
            if isinstance(node, ast.Assign) and list(map(dotted, node.targets)) == [_ALL]
        ]
        bound = sum(_ALL in event.binds for event in self._events)
        touched = any(t.ref == _ALL for part in self._summary.parts for t in part.touches)
        if (
            len(said) != 1
            or bound != 1
            or touched
            or not isinstance(said[0], (ast.List, ast.Tuple))
        ):
            return None
        names = [each.value for each in said[0].elts if isinstance(each, ast.Constant)]
        texts = [name for name in names if isinstance(name, str)]
        return texts if len(texts) == len(said[0].elts) else None

    # Statements

    def _body(self, body: Iterable[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, _IMPORTS):
                self._import(node)
            elif isinstance(node, FUNCTIONS):
                self._add(self._make.function(node), replaces=True)
            elif isinstance(node, ast.ClassDef):
                self._add(self._make.klass(node), replaces=True)
            elif isinstance(node, (ast.If, ast.Try, ast.TryStar)):
                self._if(node) if isinstance(node, ast.If) else self._try(node)
            else:
                self._simple(node)

    def _simple(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._assign(target, node.value, node)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self._assign(node.target, node.value, node)
        elif isinstance(node, ast.Expr):
            if not isinstance(node.value, ast.Constant):
                self._add(self._make.other(node))
        elif not isinstance(node, ast.Pass):
            self._add(self._make.other(node))

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            return
        self._imports.update(dict.fromkeys(modules_of(node)))
        for name, ref in imported(node):
            if name == "*":
                self._summary.stars.append((len(self._summary.parts), ref.removesuffix("*")))
            else:
                self._add(self._make.imported(name, ref, node), (name,), replaces=True)

    def _assign(self, target: ast.expr, value: ast.expr, node: ast.stmt) -> None:
        pairs = _pairs(target, value)
        for one, held in pairs:
            self._assign(one, held, node)
        if not pairs:
            simple = isinstance(target, (ast.Name, ast.Tuple, ast.List))
            self._add(self._make.assignment(target, value, node), replaces=simple)

    # Branches

    def _if(self, node: ast.If) -> None:
        if is_for_type_checkers(node):
            for each in node.body:
                if isinstance(each, _IMPORTS):
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
        outer = self._make.branch
        self._make.branch, uses = self._make.under(kind, test)
        self._imports.update(uses.imports)
        self._body(body)
        self._make.branch = outer

    # Parts

    def _add(
        self, made: Made, binds: tuple[str, ...] | None = None, *, replaces: bool = False
    ) -> None:
        part, summary = made.part, self._summary
        names = tuple(made.uses.binds) if binds is None else binds
        number = len(summary.parts)
        summary.parts += [part, *made.inner]
        summary.inner += range(number + 1, len(summary.parts))
        if not names:
            summary.loose.append(number)
        self._imports.update(made.uses.imports)
        reads = {ref.partition(".")[0]: None for ref in part.eager}
        replaces = replaces and not part.is_conditional
        self._events.append(Event(number, names, replaces, tuple(reads)))


def _pairs(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """``A, B = 1, 2`` as two assignments, if that is what it is."""
    if not (isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List))):
        return []
    starred = any(isinstance(each, ast.Starred) for each in (*target.elts, *value.elts))
    same = len(target.elts) == len(value.elts)
    return list(zip(target.elts, value.elts, strict=True)) if same and not starred else []


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
    return isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign, *_IMPORTS))
