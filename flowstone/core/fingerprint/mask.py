"""Source texts without the secrets written in them, to be shown and stored."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from typing import TYPE_CHECKING

from flowstone.core.config import MASK, is_secret, redact
from flowstone.core.fingerprint.scopes import dotted

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Cheap: does anything here read like the name of a secret, or like an address?
_SUSPECT = re.compile(
    r"pass|pwd|secret|credential|bearer|authorization|token|key|://", re.IGNORECASE
)


def masked(source: str) -> str:
    """The source with ``MASK`` for each text that has a secret's name.

    That is the name it is assigned to, its keyword, its key in a dict or its parameter. Passwords
    inside addresses are masked as well. What can't be read is masked as a whole.
    """
    if not _SUSPECT.search(source):
        return source
    text = textwrap.dedent(source)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return MASK
    lines = [line.encode("utf-8", "surrogatepass") for line in text.split("\n")]
    found = {id(node): node for held in _held(tree) for node in _texts(held)}
    for node in sorted(found.values(), key=_place, reverse=True):
        _cut(lines, node)
    return redact("\n".join(line.decode("utf-8", "surrogatepass") for line in lines))


def _held(tree: ast.AST) -> Iterator[ast.AST]:
    """What secrets' names stand for, anywhere in a tree."""
    for node in ast.walk(tree):
        for name, value in _named(node):
            if value is not None and is_secret(name):
                yield value


def _named(node: ast.AST) -> Iterator[tuple[str, ast.AST | None]]:
    """Names, each with the expression it stands for."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _targets(target, node.value)
    elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr)):
        yield from _targets(node.target, node.value)
    elif isinstance(node, ast.keyword):
        yield node.arg or "", node.value
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            yield _text(key), value
    elif isinstance(node, ast.arguments):
        positional = [*node.posonlyargs, *node.args][-len(node.defaults) or None :]
        yield from ((each.arg, value) for each, value in zip(positional, node.defaults))  # noqa: B905 - none if none has a default
        yield from zip((each.arg for each in node.kwonlyargs), node.kw_defaults, strict=True)
    elif isinstance(node, ast.Compare) and len(node.comparators) == 1:
        yield _last(node.left), node.comparators[0]
        yield _last(node.comparators[0]), node.left


def _targets(target: ast.AST, value: ast.AST | None) -> Iterator[tuple[str, ast.AST | None]]:
    if isinstance(target, (ast.Tuple, ast.List)):
        pairs = isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts)
        values = value.elts if pairs and isinstance(value, (ast.Tuple, ast.List)) else None
        for number, each in enumerate(target.elts):
            yield from _targets(each, values[number] if values else value)
    elif isinstance(target, ast.Subscript):
        yield _text(target.slice), value
        yield _last(target.value), value
    else:
        yield _last(target), value


def _last(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else dotted(node)


def _text(node: ast.AST | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _texts(node: ast.AST) -> Iterator[ast.Constant | ast.JoinedStr]:
    """The texts in an expression; of an f-string the whole, for its parts have no good place."""
    todo = [node]
    while todo:
        each = todo.pop()
        if isinstance(each, ast.JoinedStr):
            yield each
        elif isinstance(each, ast.Constant):
            if isinstance(each.value, (str, bytes)):
                yield each
        else:
            todo += ast.iter_child_nodes(each)


def _place(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _cut(lines: list[bytes], node: ast.expr) -> None:
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    tail = lines[last][node.end_col_offset :]
    lines[first : last + 1] = [lines[first][: node.col_offset] + f'"{MASK}"'.encode() + tail]
