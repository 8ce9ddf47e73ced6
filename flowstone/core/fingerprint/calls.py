"""Calls that say in words what they import, execute or set."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from flowstone.core.fingerprint.names import dotted, holder

if TYPE_CHECKING:
    from collections.abc import Iterable


_COMPUTED = "importlib:import_module"


def loaded(node: ast.AST) -> str:
    """What ``import_module("shop.rates")`` or ``sys.modules["shop.rates"]`` refers to.

    An empty text for anything else, and for an import whose name is not written out.
    """
    if isinstance(node, ast.Subscript) and dotted(node.value) == "sys.modules":
        name = _text(node.slice)
        own = dotted(node.slice) == "__name__"
        return f"{name}:" if name or own else _COMPUTED
    if isinstance(node, ast.Call) and node.args:
        return _imported(node, dotted(node.func), _text(node.args[0]))
    return ""


def _imported(node: ast.Call, callee: str, name: str) -> str:
    others = [*node.args[1:], *(each.value for each in node.keywords)]
    if callee == "__import__":
        return f"{name.partition('.')[0]}:" if name and not others else ""
    if not name or callee.rpartition(".")[2] != "import_module":
        return ""
    own = len(others) == 1 and dotted(others[0]) in {"__package__", "__name__"}
    return f"{name}:" if own or not name.startswith(".") else ""


def _text(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def executed(node: ast.Call) -> list[ast.stmt] | None:
    """The statements that ``exec`` or ``eval`` of a text written out executes, else None."""
    text = _text(node.args[0]) if node.args else ""
    if not text.strip():
        return None
    try:
        body = ast.parse(text.strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if any(isinstance(each, (ast.Import, ast.ImportFrom)) for each in body):
        return None
    for each in body:
        ast.increment_lineno(each, node.lineno - 1)
    return body


def held(nodes: list[ast.expr], *, items: bool = False) -> Iterable[str]:
    """Names that are passed on, also inside displays; those that hold passed ``items``, too."""
    todo = list(nodes)
    while todo:
        node = todo.pop()
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            todo += node.elts
        elif isinstance(node, ast.Dict):
            todo += node.values
        elif isinstance(node, ast.Starred):
            todo.append(node.value)
        else:
            name = holder(node) if items else dotted(node)
            if name:
                yield name
