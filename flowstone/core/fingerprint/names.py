"""References: texts for what code means by a dotted name.

``helper.number`` starts at a global name of the module; ``..shop:rates.fee`` is an attribute path
below a module that an import inside the code named, and ``:`` is the code's own module.
"""

from __future__ import annotations

import ast


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


#: Methods that change what they are called on.
MUTATORS = words(
    "add append appendleft clear difference_update discard extend extendleft insert"
    " intersection_update pop popitem popleft register remove reverse setdefault sort"
    " symmetric_difference_update update __setitem__"
)
#: Methods that don't.
READERS = words(
    "copy count decode encode endswith format get index isoformat items join keys lower replace"
    " split startswith strip title upper values"
)
#: Builtins that leave their arguments as they are.
PURE = words(
    "abs all any ascii bin bool bytearray bytes callable chr classmethod complex dict divmod"
    " enumerate filter float format frozenset getattr hasattr hash hex id int isinstance issubclass"
    " iter len list map max min object oct ord pow print property range repr reversed round set"
    " slice sorted staticmethod str sum super tuple type zip"
)


def joined(ref: str, rest: str) -> str:
    """A reference and an attribute path below it."""
    if not rest:
        return ref
    return f"{ref}{rest}" if ref.endswith(":") else f"{ref}.{rest}"


def imported(node: ast.Import | ast.ImportFrom) -> list[tuple[str, str]]:
    """The names an import binds, each with what it refers to."""
    if isinstance(node, ast.Import):
        whole = ((alias, alias.name.partition(".")[0]) for alias in node.names)
        return [(a.asname or top, f"{a.name if a.asname else top}:") for a, top in whole]
    base = "." * node.level + (node.module or "")
    return [(alias.asname or alias.name, f"{base}:{alias.name}") for alias in node.names]


def modules_of(node: ast.Import | ast.ImportFrom) -> list[str]:
    """What an import may execute: modules, and names of packages that may be modules."""
    if isinstance(node, ast.Import):
        return [f"{alias.name}:" for alias in node.names]
    base = "." * node.level + (node.module or "")
    return [f"{base}:{'' if alias.name == '*' else alias.name}" for alias in node.names]


def dotted(node: ast.AST) -> str:
    """``a.b.c`` for a name or an attribute of one, else an empty text."""
    names: list[str] = []
    while type(node) is ast.Attribute:
        names.append(node.attr)
        node = node.value
    if type(node) is not ast.Name:
        return ""
    names.append(node.id)
    return ".".join(names[::-1])


def holder(node: ast.AST) -> str:
    """The dotted name that items and attributes are held by: ``t`` of ``t["a"].b[0]``."""
    name = dotted(node)
    while not name and isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
        name = dotted(node)
    return name


def unquoted(annotation: ast.expr) -> list[ast.expr]:
    """An annotation, and the expressions in its texts."""
    found = [annotation]
    for node in ast.walk(annotation):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            try:
                found.append(ast.parse(node.value.strip(), mode="eval").body)
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
    return found
