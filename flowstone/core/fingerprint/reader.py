"""What a statement of a module reads, changes and calls outside itself."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, ClassVar

from flowstone.core.fingerprint.calls import executed, held, loaded
from flowstone.core.fingerprint.canonical import hints_of, is_for_type_checkers
from flowstone.core.fingerprint.names import (
    MUTATORS,
    PURE,
    READERS,
    dotted,
    holder,
    imported,
    joined,
    modules_of,
    unquoted,
    words,
)
from flowstone.core.fingerprint.scopes import MUTATE, Inner, Inward, Scope, Touch, Uses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from flowstone.core.fingerprint.canonical import Function

_DOCS = frozenset({"__doc__", "getdoc"})
_HINTS = words("__annotations__ get_annotations get_type_hints getfullargspec signature")
_LOOKS = frozenset({"__doc__", "__annotations__"})
_LOADERS = frozenset({"exec_module", "load_module"})
_DYNAMIC_LOADER = "importlib.util:exec_module"


class Reader:
    """Reads pieces of one statement; ``uses`` holds what they refer to, ``inner`` what they hold.

    ``around`` is the scope they stand in, by default the module's.
    """

    def __init__(self, undressed: Callable[[ast.expr], bool]) -> None:
        self.uses = Uses()
        self.inner: list[Inner] = []
        self._undressed = undressed
        self._scope = Scope("module", None)
        self._scopes = [self._scope]
        self._todo: list[tuple[Scope, list[Any]]] = []
        self._stack: list[Any] = []
        self._bare: set[int] = set()  # calls whose results nothing takes
        self._is_bare = False

    def read(self, *nodes: ast.AST) -> Uses:
        """Read nodes of the module's scope."""
        self._todo.append((self._scope, list(nodes)))
        while self._todo:
            self._scope, self._stack = self._todo.pop()
            self._walk()
        return self._resolved()

    def refs_inside(self) -> dict[Scope, dict[str, int]]:
        """The references of each function, lambda and class that was read, by its scope."""
        found: dict[Scope, dict[str, int]] = {each.inside: {} for each in self.inner}
        for scope in self._scopes:
            refs = [(scope.resolve(name), line) for how, name, line in scope.names if how != MUTATE]
            around: Scope | None = scope
            while around is not None:
                if around in found:
                    found[around].update((ref, line) for ref, line in refs if ref)
                around = around.parent
        return found

    def _resolved(self) -> Uses:
        uses = self.uses
        for scope in self._scopes:
            if scope.outer:
                uses.mutates.update(dict.fromkeys(scope.rebound()))
            for kind, name, line in scope.names:
                ref = scope.resolve(name)
                if not ref:
                    continue
                if kind == MUTATE:
                    uses.mutates[ref] = None
                    continue
                uses.refs.setdefault(ref, line)
                if scope.eager:
                    uses.eager[ref] = None
                    if kind == "call":
                        uses.calls[ref] = None
        return uses

    # One scope

    def _walk(self) -> None:
        stack, scope = self._stack, self._scope
        pop, names = stack.pop, scope.names
        while stack:
            node = pop()
            kind = type(node)
            if kind is ast.Name:
                if type(node.ctx) is ast.Load:
                    names.append(("read", node.id, node.lineno))
                else:
                    self._bind(node.id)
            elif kind is ast.Constant:
                if node.value in _LOOKS:
                    self._look(node.value)
            else:
                handler = self._HANDLERS.get(kind)
                if handler is not None:
                    handler(self, node)
                else:
                    stack.extend(_children(node))

    def _bind(self, name: str, ref: str = "") -> None:
        scope = self._scope
        if scope.kind == "comprehension":  # a walrus
            while scope.kind == "comprehension" and scope.parent is not None:
                scope = scope.parent
        if scope.kind == "module":
            self.uses.binds[name] = None
        elif ref or name not in scope.bound:
            scope.bound[name] = ref

    def _name(self, how: str, node: ast.AST, name: str) -> None:
        self._scope.names.append((how, name, getattr(node, "lineno", 0)))

    def _attribute(self, node: ast.Attribute) -> None:
        name = dotted(node)
        self._look(node.attr)
        if type(node.ctx) is not ast.Load:
            self._store(node, name or holder(node))
        elif name:
            self._name("read", node, name)
        if not name:
            self._below(node)
        elif node.attr in _LOADERS:
            self._name("read", node, _DYNAMIC_LOADER)

    def _below(self, node: ast.Attribute) -> None:
        """An attribute of something that is no name, such as the result of a call."""
        names: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            names.append(inner.attr)
            inner = inner.value
        ref = loaded(inner)
        if ref:
            self._refer(node, joined(ref, ".".join(names[::-1])))
        else:
            self._stack.append(inner)
            if names[0] in _LOADERS:
                self._refer(node, _DYNAMIC_LOADER)

    def _look(self, name: str) -> None:
        """Note what looks at docstrings or annotations."""
        if name in _DOCS:
            self.uses.reads_docs = True
        elif name in _HINTS:
            self.uses.reads_hints = True

    def _refer(self, node: ast.expr | ast.stmt, ref: str) -> None:
        if ref != ":":
            self.uses.imports[ref] = None
        self.uses.refs.setdefault(ref, node.lineno)
        if self._scope.eager:
            self.uses.eager[ref] = None

    def _store(self, node: ast.AST, name: str) -> None:
        """An attribute or item is set or deleted: that changes what holds it."""
        if not name:
            return
        self._name("read", node, name)
        if self._scope.eager:
            self._is_bare = False
            self._touch("store", name)
        else:
            self._name(MUTATE, node, name)

    def _subscript(self, node: ast.Subscript) -> None:
        ref = loaded(node)
        if ref:
            self._refer(node, ref)
        if type(node.ctx) is not ast.Load:
            self._store(node, holder(node))
        self._stack += [node.value, node.slice]

    def _augmented(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._name("read", node, node.target.id)
        self._stack += [node.value, node.target]

    def _touch(self, kind: str, name: str, callee: str = "") -> None:
        ref = self._scope.resolve(name)
        if ref:
            self.uses.touches.append(Touch(kind, ref, callee, self._is_bare))

    # Calls

    def _call(self, node: ast.Call) -> None:
        ref = loaded(node)
        if ref:
            self._refer(node, ref)
            return
        callee = dotted(node.func)
        body = executed(node) if callee in {"exec", "eval"} else None
        if body is not None:
            self._stack += [*body, *node.args[1:]]
            self._effects(node, callee)
            return
        if callee in {"setattr", "delattr"}:
            self._set_by_name(node)
        self._look(callee.rpartition(".")[2])
        if callee == "globals":
            self._refer(node, ":")
        if callee:
            self._name("call", node, callee)
            if isinstance(node.func, ast.Attribute) and node.func.attr in _LOADERS:
                self._name("read", node, _DYNAMIC_LOADER)
        else:
            self._stack.append(node.func)
        self._stack += node.args
        self._stack += [keyword.value for keyword in node.keywords]
        self._effects(node, callee)

    def _expression(self, node: ast.Expr) -> None:
        call = node.value.value if isinstance(node.value, ast.Await) else node.value
        self._bare.add(id(call))
        self._stack.append(node.value)

    def _effects(self, node: ast.Call, callee: str) -> None:
        self._is_bare = id(node) in self._bare
        receiver, method = "", ""
        if isinstance(node.func, ast.Attribute):
            receiver, method = holder(node.func.value), node.func.attr
        if not self._scope.eager:
            if receiver and method in MUTATORS:
                self._name(MUTATE, node, receiver)
            return
        changes = method not in READERS if callee else self._is_bare or method in MUTATORS
        if receiver and changes:
            self._touch("receiver", receiver, callee)
        elif callee and self._is_bare:
            self._touch("call", callee, callee)
        if callee in PURE:
            return
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        for name in held(given, items=self._is_bare):
            self._touch("argument", name, callee)

    def _set_by_name(self, node: ast.Call) -> None:
        """``setattr(settings, "RATE", 2)`` is ``settings.RATE = 2``."""
        match [*node.args[:2]]:
            case [held, ast.Constant(value=str(attribute))] if dotted(held):
                self._store(node, f"{dotted(held)}.{attribute}")

    # Scopes inside

    def _open(self, kind: str, name: str, node: Inward) -> Scope:
        """The scope of a function, lambda or class; its inside is read later."""
        inside = Scope(kind, self._scope, self._qualified(name))
        self._scopes.append(inside)
        self.inner.append(Inner(node, inside))
        for each in getattr(node, "type_params", ()):
            inside.bound[each.name] = ""
        self._todo.append((inside, list(node.body) if isinstance(node.body, list) else [node.body]))
        return inside

    def _qualified(self, name: str) -> str:
        scope: Scope | None = self._scope
        while scope is not None and scope.kind == "comprehension":
            scope = scope.parent
        if scope is None or not scope.qualname:
            return name
        middle = "." if scope.kind == "class" else ".<locals>."
        return f"{scope.qualname}{middle}{name}"

    def _function(self, node: Function | ast.Lambda) -> None:
        name = "<lambda>"
        if not isinstance(node, ast.Lambda):
            name = node.name
            self._bind(name)
            if self._decorators(node):
                hints = [*hints_of(node), *([node.returns] if node.returns else [])]
                self._stack += [part for each in hints for part in unquoted(each)]
        self._stack += node.args.defaults
        self._stack += [each for each in node.args.kw_defaults if each is not None]
        inside, given = self._open("function", name, node), node.args
        for each in (*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg):
            if each is not None:
                inside.bound[each.arg] = ""

    def _class(self, node: ast.ClassDef) -> None:
        self._bind(node.name)
        self._decorators(node)
        self._stack += node.bases
        self._stack += [keyword.value for keyword in node.keywords]
        self._open("class", node.name, node)

    def _decorators(self, node: Function | ast.ClassDef) -> bool:
        """Decorators are calls with the function or class as their argument; are there any?"""
        dressed = [each for each in node.decorator_list if not self._undressed(each)]
        for each in dressed:
            name = dotted(each)
            if not name:
                self._stack.append(each)
                inner = each.func if isinstance(each, ast.Call) else each
                name = dotted(inner)
            else:
                self._name("call", each, name)
            if name and self._scope.eager:
                receiver, _, _ = name.rpartition(".")
                kind = "decorator" if receiver else "call"
                ref = self._scope.resolve(receiver or name)
                if ref:
                    self.uses.touches.append(Touch(kind, ref, name, bare=True))
        return bool(dressed)

    def _comprehension(self, node: Any) -> None:
        first, *others = node.generators
        self._stack.append(first.iter)
        inside = Scope("comprehension", self._scope)
        self._scopes.append(inside)
        held = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        for each in (first.target, *(each.target for each in others)):
            for name in _targets(each):
                inside.bound[name] = ""
        later = [*first.ifs]
        for each in others:
            later += [each.iter, *each.ifs]
        self._todo.append((inside, held + later))

    # Statements

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.uses.imports.update(dict.fromkeys(modules_of(node)))
        for name, ref in imported(node):
            if name == "*":
                continue
            before = self._scope.bound.get(name, ref)
            self._bind(name, ref)
            if self._scope.kind != "function":
                self._refer(node, ref)
            elif before and before != ref:  # it depends which of them the name means
                self._refer(node, before)
                self._refer(node, ref)

    def _outer(self, node: ast.Global | ast.Nonlocal) -> None:
        for name in node.names:
            self._scope.outer[name] = isinstance(node, ast.Global)

    def _handler(self, node: ast.ExceptHandler) -> None:
        if node.name:
            self._bind(node.name)
        self._stack += [node.type, *node.body] if node.type else node.body

    def _pattern(self, node: Any) -> None:
        name = getattr(node, "rest" if isinstance(node, ast.MatchMapping) else "name", None)
        if name:
            self._bind(name)
        self._stack += _children(node)

    def _annotated(self, node: ast.AnnAssign) -> None:
        self._stack += [node.target, node.value] if node.value else [node.target]
        if self._scope.kind == "class":
            self._stack += unquoted(node.annotation)

    def _if(self, node: ast.If) -> None:
        hidden = is_for_type_checkers(node)
        self._stack += node.orelse if hidden else [node.test, *node.body, *node.orelse]

    _HANDLERS: ClassVar[dict[type, Callable[[Reader, Any], None]]] = {
        ast.Attribute: _attribute,
        ast.Subscript: _subscript,
        ast.AugAssign: _augmented,
        ast.Expr: _expression,
        ast.Call: _call,
        ast.FunctionDef: _function,
        ast.AsyncFunctionDef: _function,
        ast.Lambda: _function,
        ast.ClassDef: _class,
        ast.ListComp: _comprehension,
        ast.SetComp: _comprehension,
        ast.DictComp: _comprehension,
        ast.GeneratorExp: _comprehension,
        ast.Import: _import,
        ast.ImportFrom: _import,
        ast.Global: _outer,
        ast.Nonlocal: _outer,
        ast.ExceptHandler: _handler,
        ast.MatchAs: _pattern,
        ast.MatchStar: _pattern,
        ast.MatchMapping: _pattern,
        ast.AnnAssign: _annotated,
        ast.If: _if,
    }


def _children(node: ast.AST) -> list[ast.AST]:
    found: list[ast.AST] = []
    for name in node._fields:
        held = getattr(node, name, None)
        if isinstance(held, list):
            found += [each for each in held if isinstance(each, ast.AST)]
        elif isinstance(held, ast.AST):
            found.append(held)
    return found


def _targets(node: ast.expr) -> Iterable[str]:
    return [each.id for each in ast.walk(node) if isinstance(each, ast.Name)]
