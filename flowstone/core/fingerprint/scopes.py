"""Names as Python scopes them: which are local to a function, a class or a comprehension.

This is a resolver of our own: ``symtable`` and code objects tell other stories on other Pythons.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from flowstone.core.fingerprint.names import joined

Inward: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef


#: How a name is used: changed, while a function runs.
MUTATE = "mutate"


class Touch(NamedTuple):
    """What a statement may do to ``ref``, and how.

    It is the ``receiver`` or an ``argument`` of a call, a ``call`` itself, the ``decorator`` or
    what holds it, or it is set by ``store``.
    ``callee`` is what is called with it; ``bare`` tells that nothing takes the call's result.
    """

    kind: str
    ref: str
    callee: str = ""
    bare: bool = False


@dataclass(slots=True)
class Uses:
    """What a piece of code refers to outside itself.

    ``refs`` are all references with the line of the first; ``eager`` those that count when the
    module is executed, ``calls`` those it then calls; ``mutates`` what function bodies change or
    rebind; ``touches`` what the statement does to others when the module is executed; ``binds``
    the names it gives a value in the module; ``imports`` the modules it may import.
    """

    refs: dict[str, int] = field(default_factory=dict)
    eager: dict[str, None] = field(default_factory=dict)
    calls: dict[str, None] = field(default_factory=dict)
    mutates: dict[str, None] = field(default_factory=dict)
    touches: list[Touch] = field(default_factory=list)
    binds: dict[str, None] = field(default_factory=dict)
    imports: dict[str, None] = field(default_factory=dict)
    reads_docs: bool = False
    reads_hints: bool = False


class Scope:
    """One scope: ``bound`` maps its names to what an import gave them, or to nothing."""

    __slots__ = ("bound", "eager", "kind", "names", "outer", "parent", "qualname")

    def __init__(self, kind: str, parent: Scope | None, qualname: str = "") -> None:
        self.kind = kind
        self.parent = parent
        self.bound: dict[str, str] = {}
        self.outer: dict[str, bool] = {}  # names declared global (True) or nonlocal
        self.names: list[tuple[str, str, int]] = []  # how a dotted name is used, and in which line
        self.eager: bool = kind != "function" and (parent is None or parent.eager)
        self.qualname = qualname

    def resolve(self, dotted: str) -> str:
        """The reference a dotted name is, or an empty text for a local one."""
        root, _, rest = dotted.partition(".")
        scope: Scope = self
        while scope.parent is not None:
            declared = scope.outer.get(root)
            if declared:
                return dotted
            if declared is None and root in scope.bound and self._sees(scope):
                found = scope.bound[root]
                if found or scope.kind != "class":
                    return joined(found, rest) if found else ""
            scope = scope.parent
        return dotted

    def rebound(self) -> list[str]:
        """The names of the module that are bound anew here."""
        return [name for name in self.bound if self.outer.get(name)]

    def _sees(self, scope: Scope) -> bool:
        return scope.kind != "class" or scope is self


class Inner(NamedTuple):
    """A function, lambda or class inside a statement; ``inside`` is its scope."""

    node: Inward
    inside: Scope
