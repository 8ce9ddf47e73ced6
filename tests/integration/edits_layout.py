"""The same program, written differently: layout, comments, docstrings and line numbers."""

from __future__ import annotations

import ast
import contextlib
import io
import sys
import tokenize
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWNERS = (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def rewritten(text: str, *, docstrings: bool = True) -> str:
    """Python source that does the same as ``text``, on other lines and with comments everywhere.

    Every module, class and function gets another docstring, unless ``docstrings`` is False.
    """
    tree = ast.parse(text)
    if docstrings:
        for node in ast.walk(tree):
            if isinstance(node, _OWNERS):
                _document(node)
    with _deep():
        lines = ast.unparse(tree).splitlines()
    for row in _statement_ends("\n".join(lines)):
        lines[row - 1] += "    # as before"
    return "\n".join(["# nothing below is another", "", *lines, "", "# the end", ""])


@contextlib.contextmanager
def _deep() -> Iterator[None]:
    """Room for expressions of many terms."""
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        yield
    finally:
        sys.setrecursionlimit(usual)


def _document(node: ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
    told = ast.Expr(ast.Constant(f"About {len(node.body)} things,\n\nand no others."))
    if ast.get_docstring(node, clean=False) is not None:
        node.body[0] = told
    else:
        node.body.insert(0, told)


def _statement_ends(text: str) -> list[int]:
    """The lines on which a logical line ends."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [token.start[0] for token in tokens if token.type == tokenize.NEWLINE and token.line]
