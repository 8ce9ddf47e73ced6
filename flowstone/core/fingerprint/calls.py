"""Calls that say in words what they import, execute or set."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from flowstone.core.fingerprint.names import dotted

if TYPE_CHECKING:
    from collections.abc import Iterable


def loaded(node: ast.AST) -> str:
    """What ``import_module("shop.rates")`` refers to, if the name is written out."""
    if not isinstance(node, ast.Call) or not node.args:
        return ""
    callee, first = dotted(node.func), node.args[0]
    if not (isinstance(first, ast.Constant) and isinstance(first.value, str)):
        return ""
    name = first.value
    if name and callee.rpartition(".")[2] == "import_module":
        if not name.startswith("."):
            return f"{name}:"
        package = node.args[1:] + [each.value for each in node.keywords]
        own = len(package) == 1 and dotted(package[0]) in {"__package__", "__name__"}
        return f"{name}:" if own else ""
    if callee == "__import__" and len(node.args) == 1 and not node.keywords:
        return f"{name.partition('.')[0]}:"
    return ""


def executed(node: ast.Call) -> list[ast.stmt] | None:
    """The statements that ``exec`` or ``eval`` of a text written out executes, else None."""
    first = node.args[0] if node.args else None
    if not (isinstance(first, ast.Constant) and isinstance(first.value, str)):
        return None
    try:
        body = ast.parse(first.value.strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if any(isinstance(each, (ast.Import, ast.ImportFrom)) for each in body):
        return None
    for each in body:
        ast.increment_lineno(each, node.lineno - 1)
    return body


def held(nodes: list[ast.expr]) -> Iterable[str]:
    """Names that are passed on, also inside displays."""
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
            name = dotted(node)
            if name:
                yield name
