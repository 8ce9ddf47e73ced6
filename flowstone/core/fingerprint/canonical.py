"""Syntax trees as text: equal for equal code, whatever its layout and whatever the Python.

A node is written as its kind and its fields, in alphabetical order and with fixed arity, lists and
texts with their length: no two trees share a text. Left out are positions, contexts, comments,
docstrings and other statements that do nothing, type parameters, what only type checkers see, and
the annotations that nothing reads: those of functions without decorator and of local variables.
What Python versions spell differently is spelt one way. Walks are iterative, for code nests
deeper than the interpreter's stack.
"""

from __future__ import annotations

import ast
import struct
import textwrap
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

from flowstone.core.hashing import combine, combine_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_SKIPPED = {"ctx", "kind", "type_comment", "type_ignores", "type_params"}


class Canonical(NamedTuple):
    """The digest of a piece of code, and that of what it leaves out but some code reads."""

    digest: str
    docs: str


class _Enter(NamedTuple):
    """A mark between nodes: from here on, annotations of variables count or don't."""

    in_function: bool


def digest(tag: str, *nodes: object, undressed: Callable[[ast.expr], bool]) -> Canonical:
    """The digest of nodes (or plain lists, texts and numbers) in order.

    ``docs`` is the digest of all docstrings in them, or an empty text. Decorators for which
    ``undressed`` is true don't count.
    """
    writer = _Writer(undressed)
    writer.write(nodes)
    docs = combine("docs", *writer.docs) if writer.docs else ""
    return Canonical(combine(tag, "".join(writer.out)), docs)


class FunctionDigests(NamedTuple):
    """Digests of a function: its own, as an asset's (no name, no defaults), of its docstrings."""

    own: str
    root: str
    docs: str


def digests(fn: Function, undressed: Callable[[ast.expr], bool]) -> FunctionDigests:
    """The digests of a function; its body is walked once."""
    dressed = [each for each in fn.decorator_list if not undressed(each)]
    writer = _Writer(undressed)
    writer.write((_Enter(in_function=True), fn.body))
    body = combine_texts(["body", "".join(writer.out)])
    if dressed:
        hints = [hints_of(fn), fn.returns]
        kind = type(fn).__name__
        shape = digest("shape", kind, dressed, *parameters(fn), hints, undressed=undressed).digest
    else:
        shape = combine_texts(["shape", _plain_shape(fn)])
    given = _NO_DEFAULTS
    if fn.args.defaults or fn.args.kw_defaults:
        given = digest("given", *defaults(fn), undressed=undressed).digest
    own = combine_texts(["function", shape, fn.name, given, body])
    docs = combine("docs", *writer.docs) if writer.docs else ""
    return FunctionDigests(own, combine_texts(["root", shape, body]), docs)


def _plain_shape(fn: Function) -> str:
    """What the writer writes for the shape of a function without decorators that count."""
    given = fn.args
    kinds = [
        "".join([f"[{len(each)}.", *[f"s{one.arg};" for one in each]]) if each else "[0."
        for each in (given.posonlyargs, given.args, given.kwonlyargs)
    ]
    var, rest = (f"s{each.arg};" if each else "-" for each in (given.vararg, given.kwarg))
    return f"s{type(fn).__name__};[0.{kinds[0]}{kinds[1]}{var}{kinds[2]}{rest}[0."


def is_for_type_checkers(statement: ast.stmt) -> bool:
    """Whether a statement is an ``if TYPE_CHECKING``."""
    if type(statement) is not ast.If:
        return False
    test = statement.test
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def hints_of(fn: Function) -> list[ast.expr]:
    """The annotations of a function's parameters."""
    given = fn.args
    held = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
    return [each.annotation for each in held if each is not None and each.annotation is not None]


def hints_in(source: str) -> str:
    """The digest of all annotations of functions in a source, or an empty text."""
    try:
        tree = ast.parse(textwrap.dedent(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return combine("unread", source)
    functions = (
        node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    hints = [[*hints_of(each), each.returns] for each in functions]
    return digest("hints", *hints, undressed=lambda _: False).digest if hints else ""


def parameters(fn: Function | ast.Lambda) -> list[object]:
    """The names of a function's parameters by kind."""
    given = fn.args
    return [
        [each.arg for each in given.posonlyargs],
        [each.arg for each in given.args],
        given.vararg and given.vararg.arg,
        [each.arg for each in given.kwonlyargs],
        given.kwarg and given.kwarg.arg,
    ]


def defaults(fn: Function) -> list[object]:
    """The defaults of a function's parameters."""
    return [fn.args.defaults, fn.args.kw_defaults]


class _Writer:
    """Texts of nodes, one after the other; ``docs`` collects the docstrings left out."""

    def __init__(self, undressed: Callable[[ast.expr], bool]) -> None:
        self.out: list[str] = []
        self.docs: list[str] = []
        self._undressed = undressed
        self._in_function = False

    def write(self, nodes: Iterable[object]) -> None:
        stack: list[Any] = list(nodes)[::-1]
        out, pop, push = self.out, stack.pop, stack.append
        while stack:
            item = pop()
            kind = type(item)
            if kind is ast.Name:
                out.append(f"n{item.id};")
            elif kind is ast.Constant:
                out.append(_constant(item.value))
            elif kind is ast.Attribute:
                out.append(f"a{item.attr};")
                push(item.value)
            elif kind is str:
                out.append(f"s{item};")
            elif kind is list:
                held = self._statements(item) if item and type(item[0]) in _STATEMENTS else item
                out.append(f"[{len(held)}.")
                stack += held[::-1]
            elif item is None:
                out.append("-")
            elif kind is int or kind is bool:
                out.append(f"{item};")
            elif kind is _Enter:
                self._in_function = item.in_function
            else:
                special = self._SPECIAL.get(kind)
                children = special(self, item) if special else self._plain(item, kind)
                stack += children[::-1]

    def _plain(self, node: ast.AST, kind: type[ast.AST]) -> list[Any]:
        tag, fields = _PLANS.get(kind) or _planned(kind)
        self.out.append(tag)
        return fields(node)

    def _statements(self, body: list[ast.stmt]) -> list[ast.stmt]:
        """The statements of a body that do something."""
        kept: list[ast.stmt] = []
        for each in body:
            kind = type(each)
            if kind is ast.Expr and type(each.value) is ast.Constant:  # type: ignore[attr-defined]  # checked on the line
                if type(each.value.value) is str:  # type: ignore[attr-defined]  # as above
                    self.docs.append(each.value.value)  # type: ignore[attr-defined]  # as above
            elif kind is ast.If and is_for_type_checkers(each):
                kept += self._statements(each.orelse)  # type: ignore[attr-defined]  # as above
            elif kind is not ast.Pass:
                kept.append(each)
        return kept

    def _function(self, node: Function) -> list[Any]:
        dressed = [each for each in node.decorator_list if not self._undressed(each)]
        hints = [hints_of(node), node.returns] if dressed else []
        self.out.append(f"{type(node).__name__};")
        outside = self._in_function
        head = [node.name, dressed, *parameters(node), *defaults(node), hints]
        return [*head, _Enter(in_function=True), node.body, _Enter(outside)]

    def _class(self, node: ast.ClassDef) -> list[Any]:
        self.out.append("Class;")
        outside = self._in_function
        head = [node.name, node.decorator_list, node.bases, node.keywords]
        return [*head, _Enter(in_function=False), node.body, _Enter(outside)]

    def _annotated(self, node: ast.AnnAssign) -> list[Any]:
        self.out.append("Annotated;")
        hint = None if self._in_function else node.annotation
        return [node.target, hint, node.value]

    def _joined(self, node: ast.JoinedStr) -> list[Any]:
        """An f-string: Python 3.12 splits its texts, and adds empty ones, where others don't."""
        parts: list[Any] = []
        for each in node.values:
            text = each.value if isinstance(each, ast.Constant) else None
            if not isinstance(text, str):
                parts.append(each)
            elif parts and isinstance(parts[-1], str):
                parts[-1] += text
            elif text:
                parts.append(text)
        self.out.append(f"Joined{len(parts)}.")
        return [ast.Constant(each) if isinstance(each, str) else each for each in parts]

    _SPECIAL: ClassVar[dict[type, Callable[[_Writer, Any], list[Any]]]] = {
        ast.FunctionDef: _function,
        ast.AsyncFunctionDef: _function,
        ast.ClassDef: _class,
        ast.AnnAssign: _annotated,
        ast.JoinedStr: _joined,
    }


def _constant(value: Any) -> str:
    kind = type(value)
    if kind is str:
        return f"'{len(value)}:{value}"
    if kind is int:
        return f"{value:x}i"
    if kind is bytes:
        return f"b{value.hex()};"
    if kind is float:
        return f"f{_bits(value)};"
    if kind is complex:
        return f"c{_bits(value.real)}{_bits(value.imag)};"
    return f"{value};"


def _bits(value: float) -> str:
    return struct.pack(">d", value).hex()


def _planned(kind: type[ast.AST]) -> tuple[str, Callable[[Any], list[Any]]]:
    """How a kind of node is written: its tag, and what gives its fields."""
    names = sorted(set(kind._fields) - _SKIPPED)
    get: Any = attrgetter(*names) if names else None

    def fields(node: ast.AST) -> list[Any]:
        if len(names) > 1:
            return list(get(node))
        return [get(node)] if names else []

    _PLANS[kind] = plan = (f"{kind.__name__};", fields)
    return plan


_NO_DEFAULTS = digest("given", [], [], undressed=lambda _: False).digest
_PLANS: dict[type[ast.AST], tuple[str, Callable[[Any], list[Any]]]] = {}
_STATEMENTS = frozenset(ast.stmt.__subclasses__())
