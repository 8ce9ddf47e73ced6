"""What changed in code: from two versions to the definitions that differ, and how they differ."""

from __future__ import annotations

import ast
import difflib
import io
import tokenize
from dataclasses import replace
from typing import TYPE_CHECKING

from flowstone.core.cause import Cause
from flowstone.core.ingredients import short

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from flowstone.core.code import Code
    from flowstone.core.plan import Plan, Step

_CONTEXT_LINES = 1
_PLAIN = Cause("code_changed")


def with_definitions(plan: Plan, before: Mapping[str, Mapping[str, tuple[str, str]]]) -> Plan:
    """The plan with a cause for each definition in place of "code changed".

    ``before`` gives the definitions of earlier code versions: digest and place by name.
    """
    changed: dict[str, Step] = {}
    for step in plan:
        made = step.before
        earlier = before.get(made.code_version or "") if made else None
        if earlier is not None and _PLAIN in step.causes:
            told = list(definition_causes(step.code, earlier)) or [_PLAIN]
            place = step.causes.index(_PLAIN)
            causes = (*step.causes[:place], *told, *step.causes[place + 1 :])
            changed[step.name] = replace(step, causes=causes)
    return plan.replaced(changed) if changed else plan


def definition_causes(code: Code, before: Mapping[str, tuple[str, str]]) -> Iterator[Cause]:
    """What differs between earlier definitions and those of now, by name."""
    now = {each.name: each for each in code.definitions}
    for name in sorted({*before, *now}):
        old, place = before.get(name, (None, ""))
        new = now.get(name)
        if new is None or new.digest != old:
            where = new.place if new else place
            digest = new.digest if new else None
            yield Cause("code_changed", name, short(old), short(digest), where)


def difference(old: str, new: str) -> list[str]:
    """A small diff of two sources, without comments, docstrings and empty lines.

    The lines are the user's own, or Python's where that says it in less: after a change of layout.
    """
    found = [_diff(*map(form, (old, new))) for form in (_bare, normalised)]
    return min(found, key=lambda lines: sum(map(len, lines)))


def _diff(old: str, new: str) -> list[str]:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), n=_CONTEXT_LINES, lineterm="")
    return list(lines)[2:]


def normalised(source: str) -> str:
    """A source as Python itself would write it; as it is, if it can't be read."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source
    for node in _documented(tree):
        node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _bare(source: str) -> str:
    """A source without comments, docstrings and empty lines; as it is, if it can't be read."""
    try:
        tree = ast.parse(source)
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        return source
    lines = source.splitlines()
    for token in tokens:
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in _documented(tree):
        text = node.body[0]
        for row in range(text.lineno, (text.end_lineno or text.lineno) + 1):
            lines[row - 1] = ""
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _documented(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """Functions and classes whose bodies begin with a docstring."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            yield node
