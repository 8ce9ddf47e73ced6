"""Annotations, looked at only as far as needed to tell the kinds of parameters apart.

Under ``from __future__ import annotations`` they are strings, and evaluating thousands of them
would cost more than building the graph.
"""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import re
import sys
import types
import typing
from typing import TYPE_CHECKING, Annotated, Any, ForwardRef, TypeAlias, TypeGuard

from flowstone.core.context import Context
from flowstone.core.naming import name_of
from flowstone.core.outside import INPUT, InputMark, InputPath, mentions_input
from flowstone.errors import SignatureError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from flowstone.core.asset import AnyAsset

EMPTY = inspect.Parameter.empty

_DOTTED = re.compile(r"\s*([^\W\d]\w*(?:\.[^\W\d]\w*)*)\s*(\[?)")
_WORD = re.compile(r"[^\W\d]\w*")
_UNRESOLVED = object()
_BUILTINS = vars(builtins)
_FORMS: tuple[Any, ...] = (Annotated, typing.Optional, typing.Union)
_MAX_WRAPPINGS = 100


class From:
    """Names the asset a parameter takes, when their names differ.

    ``def revenue(rows: Annotated[list, From(orders)])`` passes the asset ``orders`` as ``rows``.
    ``source`` is an asset or the name of one. ``check=False`` passes the value whatever the
    annotations of both sides say about its type.
    """

    __slots__ = ("check", "source")

    def __init__(self, source: AnyAsset | str, *, check: bool = True) -> None:
        self.source = source
        self.check = check

    def __repr__(self) -> str:
        return f"From({name_of(self.source)!r})"


#: What an annotation says about its parameter besides the type.
Hint: TypeAlias = From | type[Context] | InputMark | None


def is_plain(fn: object) -> TypeGuard[types.FunctionType]:
    """Whether something is a function with nothing around it."""
    return type(fn) is types.FunctionType and not fn.__dict__


def underlying(fn: Any) -> Any:
    """The plain function below decorators, partials, methods and callable objects."""
    if is_plain(fn):
        return fn
    for _ in range(_MAX_WRAPPINGS):
        if isinstance(fn, functools.partial):
            fn = fn.func
        elif getattr(fn, "__wrapped__", None) is not None:
            fn = fn.__wrapped__
        elif isinstance(fn, types.MethodType):
            fn = fn.__func__
        elif not hasattr(fn, "__code__") and isinstance(type(fn).__call__, types.FunctionType):
            fn = type(fn).__call__
        else:
            break
    return fn


def says_type_only(annotation: Any, fn: types.FunctionType) -> bool:
    """Whether an annotation of a plain function is surely nothing but a type.

    That is a class, a builtin one with arguments of that sort, or the text of either.
    """
    kind = type(annotation)
    if kind is type:
        return annotation is not Context and annotation is not From
    if kind is types.GenericAlias:
        return all(says_type_only(each, fn) for each in annotation.__args__)
    if kind is not str or "|" in annotation or "<locals>" in fn.__qualname__:
        return False
    head = annotation.partition("[")[0]
    return head in _BUILTINS and head not in fn.__globals__


class Names:
    """The names a function's annotations can see: closure, module, builtins.

    And, taken down when this is made, the variables of enclosing functions that annotations
    name: a closure holds only what the body uses.
    """

    __slots__ = ("_around", "fn", "globals")

    def __init__(self, fn: Callable[..., Any]) -> None:
        self.fn = underlying(fn)
        self.globals: dict[str, Any] = getattr(self.fn, "__globals__", {})
        self._around = _enclosing(self.fn)

    def closure(self) -> dict[str, Any]:
        """The function's filled closure cells by name."""
        code = getattr(self.fn, "__code__", None)
        if code is None or not code.co_freevars:
            return _NOTHING
        return dict(_filled_cells(code.co_freevars, self.fn.__closure__ or ()))

    def hint(self, parameter: str, annotation: Any) -> Hint:
        """The ``From``, the ``Context`` or the mark of ``InputPath`` in an annotation, else None.

        Raises:
            SignatureError: for a ``From`` that can't be evaluated or stands outside ``Annotated``.
        """
        if type(annotation) is str:
            head = annotation.partition("[")[0]
            if head in _BUILTINS and "|" not in annotation and not self._shadows(head):
                return None
        elif type(annotation) is type and annotation not in (Context, From):
            return None
        try:
            return self._hint(annotation)
        except SignatureError as error:
            raise SignatureError(f"parameter {parameter!r}: {error}") from None

    def evaluate(self, annotation: Any) -> Any:
        """The annotation itself, or ``Any`` when it is missing or can't be evaluated.

        An ``InputPath`` in it is never lost that way.
        """
        if annotation is EMPTY:
            return Any
        if not isinstance(annotation, str):
            return annotation
        try:
            return self.evaluate(self._eval(annotation))  # quotes may stand within quotes
        except Exception:  # noqa: BLE001 - names imported for type checkers only, or worse
            return self._by_name(annotation) if mentions_input(annotation) else Any

    def _by_name(self, text: str) -> Any:
        """An annotation that names ``InputPath``, which was imported for type checkers only."""
        try:
            return self._eval(text, {"InputPath": InputPath})
        except Exception:  # noqa: BLE001 - other names are missing as well
            return InputPath if _last(text) == "InputPath" else Annotated[Any, INPUT]

    def _eval(self, text: str, more: Mapping[str, Any] | None = None) -> Any:
        scope = {**(more or {}), **self._around, **self.closure()}
        return eval(text, self.globals, scope)  # noqa: S307 - it is their code

    def _hint(self, annotation: Any) -> Hint:
        if annotation is Context:
            return Context
        if isinstance(annotation, From) or annotation is From:
            raise _outside_annotated()
        if isinstance(annotation, ForwardRef):
            annotation = annotation.__forward_arg__
        if isinstance(annotation, str):
            return self._from_text(annotation)
        return None if isinstance(annotation, type) else self._from_form(annotation)

    def _from_form(self, annotation: Any) -> Hint:
        """What an ``Annotated``, a union or an alias of one holds."""
        marks = getattr(annotation, "__metadata__", None)
        if marks is not None:
            if any(mark is From for mark in marks):
                raise _without_asset()
            mark = _first(mark for mark in marks if isinstance(mark, From))
            if mark is None and INPUT in marks:
                return INPUT
            return mark or self._hint(typing.get_args(annotation)[0])
        if typing.get_origin(annotation) in (typing.Union, types.UnionType):
            return _first(map(self._hint, typing.get_args(annotation)))
        return self._hint(annotation.__value__) if _is_alias(annotation) else None

    def _from_text(self, text: str) -> Hint:
        """What a string annotation means, as far as it matters here, without evaluating most."""
        match = _DOTTED.match(text)
        if match is not None:
            value = self._lookup(match[1])
            if match.end() == len(text):
                if value is _UNRESOLVED:
                    # Imported under TYPE_CHECKING only: the name is all there is to go by.
                    return _KNOWN_NAMES.get(_last(match[1]))
                return self._hint(value)
            # Annotated is a class on some Pythons
            plain = isinstance(value, type) and value not in _FORMS
            if match[2] and plain and "|" not in text:
                return None
        tree = _parsed(text)
        return None if tree is None else self._from_tree(tree)

    def _from_tree(self, node: ast.expr) -> Hint:
        match node:
            case ast.Constant(value=str(text)):
                return self._from_text(text)
            case ast.Name() | ast.Attribute():
                return self._from_text(ast.unparse(node))
            case ast.BinOp(op=ast.BitOr()):
                return self._from_tree(node.left) or self._from_tree(node.right)
            case ast.Call() if self._is(node.func, From):
                raise _outside_annotated()
            case ast.Subscript():
                return self._from_subscript(node)
        return None

    def _from_subscript(self, node: ast.Subscript) -> Hint:
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if self._is(node.value, Annotated):
            return _first(map(self._mark, inner[1:])) or self._from_tree(inner[0])
        if self._is(node.value, typing.Optional) or self._is(node.value, typing.Union):
            return _first(map(self._from_tree, inner))
        value = self._lookup(ast.unparse(node.value))
        return self._hint(value) if hasattr(value, "__metadata__") or _is_alias(value) else None

    def _mark(self, node: ast.expr) -> From | None:
        """The ``From`` that an argument of ``Annotated`` is, evaluated by itself."""
        if isinstance(node, ast.Call) and self._is(node.func, From):
            text = ast.unparse(node)
            try:
                given = [self._eval(ast.unparse(each)) for each in node.args]
                named = {k.arg or "": self._eval(ast.unparse(k.value)) for k in node.keywords}
                return From(*given, **named)
            except Exception as error:  # noqa: BLE001 - whatever their expression raises
                raise SignatureError(
                    f"{text} can't be evaluated: {error}; name the asset in quotes or use deps="
                ) from None
        if isinstance(node, (ast.Name, ast.Attribute)):
            value = self._lookup(ast.unparse(node))
            if value is From:
                raise _without_asset()
            return value if isinstance(value, From) else None
        return None

    def _is(self, node: ast.expr, wanted: Any) -> bool:
        """Whether an expression names ``wanted``; by its name where it can't be looked up."""
        text = ast.unparse(node)
        value = self._lookup(text)
        if value is _UNRESOLVED:
            name = getattr(wanted, "__name__", None) or getattr(wanted, "_name", "")
            return bool(_last(text) == name)
        return value is wanted

    def _lookup(self, dotted: str) -> Any:
        head, *rest = dotted.split(".")
        value = self._global_or_local(head)
        for attribute in rest:
            if value is _UNRESOLVED:
                break
            value = getattr(value, attribute, _UNRESOLVED)
        return value

    def _shadows(self, name: str) -> bool:
        return name in self.globals or name in self._around or name in self.closure()

    def _global_or_local(self, name: str) -> Any:
        for scope in (self.closure(), self._around, self.globals, _BUILTINS):
            if name in scope:
                return scope[name]
        return _UNRESOLVED


def _first(hints: Iterable[Hint]) -> Hint:
    return next((hint for hint in hints if hint is not None), None)


_NOTHING: dict[str, Any] = {}
_KNOWN_NAMES: dict[str, Hint] = {"Context": Context, "InputPath": INPUT}


def _enclosing(fn: Any) -> dict[str, Any]:
    """The variables of running functions around ``fn`` that its string annotations name."""
    code = getattr(fn, "__code__", None)
    if code is None or "<locals>" not in fn.__qualname__:
        return _NOTHING
    texts = " ".join(each for each in fn.__annotations__.values() if isinstance(each, str))
    wanted = set(_WORD.findall(texts))
    found: dict[str, Any] = {}
    frame: types.FrameType | None = sys._getframe()  # noqa: SLF001 - the one way to a caller
    while frame is not None and wanted:
        if any(each is code for each in frame.f_code.co_consts):
            code, names = frame.f_code, dict(frame.f_locals)
            found = {name: names[name] for name in wanted & names.keys()} | found
        frame = frame.f_back
    return found


@functools.lru_cache(maxsize=1024)
def _parsed(text: str) -> ast.expr | None:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _last(dotted: str) -> str:
    return dotted.rpartition(".")[2]


def _is_alias(value: object) -> bool:
    """Whether a value was made by a ``type`` statement, of Python's or of typing_extensions."""
    return type(value).__name__ == "TypeAliasType"


def _outside_annotated() -> SignatureError:
    return SignatureError("From(...) belongs inside Annotated: Annotated[list, From(other)]")


def _filled_cells(names: tuple[str, ...], cells: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(names, cells, strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # the enclosing function has not assigned it yet
            continue


def _without_asset() -> SignatureError:
    return SignatureError("From needs an asset: Annotated[list, From(other)]")
