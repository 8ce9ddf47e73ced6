"""A function's signature, read as dependencies, context and config.

Annotations are looked at only as far as needed to tell the kinds apart: under
``from __future__ import annotations`` they are strings, and evaluating thousands of them would
cost more than building the graph.
"""

from __future__ import annotations

import builtins
import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from flowstone.core.context import Context
from flowstone.errors import SignatureError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from flowstone.core.asset import AnyAsset

EMPTY = inspect.Parameter.empty

Kind = Literal["dependency", "context", "config"]

_DOTTED = re.compile(r"\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*(\[?)")
_UNRESOLVED = object()


class From:
    """Names the asset a parameter takes, when their names differ.

    ``def revenue(rows: Annotated[list, From(orders)])`` passes the asset ``orders`` as ``rows``.
    ``source`` is an asset or the name of one.
    """

    __slots__ = ("source",)

    def __init__(self, source: AnyAsset | str) -> None:
        self.source = source

    def __repr__(self) -> str:
        return f"From({name_of(self.source)!r})"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: its kind, and for a dependency the name of the asset it takes."""

    name: str
    kind: Kind
    annotation: Any = EMPTY
    default: Any = EMPTY
    source: AnyAsset | str | None = None

    @property
    def asset(self) -> str:
        """The name of the asset that a dependency takes."""
        return self.name if self.source is None else name_of(self.source)


def name_of(source: AnyAsset | str) -> str:
    """The name of an asset given as itself or by name."""
    return source if isinstance(source, str) else source.name


def read_parameters(
    fn: Callable[..., Any],
    explicit: Mapping[str, AnyAsset | str],
) -> tuple[list[Parameter], list[SignatureError]]:
    """The parameters of ``fn`` and everything about them that can't work.

    ``explicit`` maps parameters to the assets they take (``deps=``), before any annotation.
    """
    names = Names(fn)
    found: list[Parameter] = []
    problems: list[SignatureError] = []
    signature = inspect.signature(fn)
    for parameter in signature.parameters.values():
        try:
            found.append(_read(parameter, names, explicit))
        except SignatureError as error:
            problems.append(error)
    problems.extend(
        SignatureError(
            f"deps= names the parameter {unknown!r}, which the function does not have"
            + did_you_mean(unknown, signature.parameters)
        )
        for unknown in explicit
        if unknown not in signature.parameters
    )
    return found, problems


def _read(
    parameter: inspect.Parameter,
    names: Names,
    explicit: Mapping[str, AnyAsset | str],
) -> Parameter:
    name, annotation, default = parameter.name, parameter.annotation, parameter.default
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        stars = "*" if parameter.kind is parameter.VAR_POSITIONAL else "**"
        msg = f"parameter '{stars}{name}' names no asset; write one parameter for each dependency"
        raise SignatureError(msg)
    if parameter.kind is parameter.POSITIONAL_ONLY:
        msg = (
            f"parameter {name!r} is positional-only; dependencies are passed by name, drop the '/'"
        )
        raise SignatureError(msg)
    if name in explicit:
        return Parameter(name, "dependency", annotation, source=explicit[name])
    hint = names.hint(annotation)
    if isinstance(hint, From):
        return Parameter(name, "dependency", annotation, source=hint.source)
    if hint is Context:
        return Parameter(name, "context", annotation)
    if default is not EMPTY:
        return Parameter(name, "config", annotation, default)
    return Parameter(name, "dependency", annotation)


class Names:
    """The names a function's annotations can see: its closure, its module, the builtins."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        fn = inspect.unwrap(fn)
        self._fn = fn
        self.globals: dict[str, Any] = getattr(fn, "__globals__", {})

    def closure(self) -> dict[str, Any]:
        """The function's filled closure cells by name."""
        code = getattr(self._fn, "__code__", None)
        return dict(_filled_cells(code.co_freevars, self._fn.__closure__ or ())) if code else {}

    def hint(self, annotation: Any) -> From | type[Context] | None:
        """The ``From`` or the ``Context`` an annotation stands for, else None."""
        if annotation is EMPTY:
            return None
        if isinstance(annotation, str):
            annotation = self._resolve(annotation)
        if annotation is Context:
            return Context
        if get_origin(annotation) is Annotated:
            return next((mark for mark in get_args(annotation) if isinstance(mark, From)), None)
        return None

    def evaluate(self, annotation: Any) -> Any:
        """The annotation itself, or ``Any`` when it is missing or can't be evaluated."""
        if annotation is EMPTY:
            return Any
        if not isinstance(annotation, str):
            return annotation
        try:
            return eval(annotation, self.globals, self.closure())  # noqa: S307 - it is their code
        except Exception:  # noqa: BLE001 - names imported for type checkers only, or worse
            return Any

    def _resolve(self, text: str) -> Any:
        """What a string annotation means, as far as it matters here, without evaluating most."""
        match = _DOTTED.match(text)
        if match is None:
            return self.evaluate(text)
        dotted, bracket = match.groups()
        value = self._lookup(dotted)
        if value is _UNRESOLVED:
            # Imported under TYPE_CHECKING only: the name is all there is to go by.
            whole = not bracket and match.end() == len(text)
            return Context if whole and dotted.rpartition(".")[2] == "Context" else None
        if bracket:
            return self.evaluate(text) if value is Annotated else None
        return value

    def _lookup(self, dotted: str) -> Any:
        head, *rest = dotted.split(".")
        for scope in (self.globals, vars(builtins)):
            if head in scope:
                value = scope[head]
                break
        else:
            value = self.closure().get(head, _UNRESOLVED)
        for attribute in rest:
            value = getattr(value, attribute, _UNRESOLVED)
        return value


def _filled_cells(names: tuple[str, ...], cells: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(names, cells, strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # the enclosing function has not assigned it yet
            continue
