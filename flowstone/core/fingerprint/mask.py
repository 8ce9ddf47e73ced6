"""Source texts without the secrets written in them, to be shown and stored."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from flowstone.core.config import MASK, is_secret, redact
from flowstone.core.fingerprint.names import dotted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WORDS = (b"pass", b"pw", b"secret", b"credential", b"bearer", b"authorization", b"token", b"key")


def may_hold_secrets(text: bytes) -> bool:
    """Whether a text has a word in it that secrets are called by, and a quote."""
    lowered = text.lower()
    return any(map(lowered.__contains__, _WORDS)) and (b'"' in text or b"'" in text)


def secrets_in(node: ast.AST) -> list[ast.expr]:
    """The texts in a tree that have a secret's name, in order.

    That is the name they are assigned to, their keyword, their key in a dict, their parameter, or
    what they are compared with.
    """
    found = {id(text): text for held in _held(node) for text in _texts(held)}
    return sorted(found.values(), key=_place)


def cut(data: bytes, start: int, end: int, spans: Sequence[Sequence[int]]) -> str:
    """The text between two places, ``MASK`` for each of the spans, no passwords in addresses."""
    if not spans:
        return _shown(_text_of(data[start:end]))
    text = ""
    for first, last in spans:
        text += f'{_text_of(data[start:first])}"{MASK}"'
        start = last
    return _shown(text + _text_of(data[start:end]))


def _shown(text: str) -> str:
    return redact(text) if "://" in text or "password" in text else text


def _text_of(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


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


def _texts(node: ast.AST) -> Iterator[ast.expr]:
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
