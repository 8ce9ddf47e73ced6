"""A function's signature, read as dependencies, context and config."""

from __future__ import annotations

import functools
import inspect
import itertools
import types
import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from flowstone.core.annotations import EMPTY, From, Names, says_type_only
from flowstone.core.context import Context
from flowstone.core.naming import checked, name_of
from flowstone.core.outside import INPUT, Observer
from flowstone.errors import SignatureError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from flowstone.core.asset import AnyAsset

Kind = Literal["dependency", "context", "config", "resource"]


@dataclass(slots=True)
class Parameter:
    """One parameter: its kind, and for a dependency the name of the asset it takes.

    ``check`` is False where the types of both sides of the dependency don't matter. Its ``repr``
    is without the default, which may be a secret.
    """

    name: str
    kind: Kind
    annotation: Any = EMPTY
    default: Any = field(default=EMPTY, repr=False)
    source: AnyAsset | str | None = None
    check: bool = True

    @property
    def asset(self) -> str:
        """The name of the asset that a dependency takes."""
        return self.name if self.source is None else name_of(self.source)

    @property
    def is_by_name(self) -> bool:
        """Whether nothing but its name says what it takes, so that a resource may come first."""
        return self.source is None and self.kind in ("dependency", "config")


@functools.lru_cache(maxsize=4096)
def _dependency(name: str, annotation: Any = EMPTY) -> Parameter:
    """A dependency by name alone: one object for all that take it."""
    return Parameter(name, "dependency", annotation)


def plain_parameters(fn: types.FunctionType) -> tuple[Parameter, ...] | None:
    """The parameters of a function that takes nothing but assets by their names.

    None for any other: ``read_parameters`` knows.
    """
    code = fn.__code__
    if code.co_flags & _SPECIAL or code.co_posonlyargcount or fn.__defaults__ or fn.__kwdefaults__:
        return None
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    hints = fn.__annotations__
    if not hints:
        return tuple(map(_dependency, names))
    found = [hints.get(name, EMPTY) for name in names]
    if all(says_type_only(each, fn) for each in found):
        return tuple(map(_dependency, names, found))
    return None


def yields(fn: object) -> bool:
    """Whether calling a function gives a generator."""
    code = getattr(fn, "__code__", None)
    return code is not None and bool(code.co_flags & _YIELDS)


_YIELDS = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_SPECIAL = _YIELDS | inspect.CO_VARARGS | inspect.CO_VARKEYWORDS


def read_parameters(
    fn: Callable[..., Any],
    explicit: Mapping[str, AnyAsset | str],
    names: Names,
) -> tuple[list[Parameter], list[SignatureError]]:
    """The parameters of ``fn`` and everything about them that can't work.

    ``explicit`` maps parameters to the assets they take (``deps=``), before any annotation, which
    is read with ``names``.
    """
    try:
        raw = _raw_parameters(fn)
    except (ValueError, TypeError) as error:
        return [], [_unreadable(error)]
    found: list[Parameter] = []
    problems: list[SignatureError] = []
    for parameter in raw:
        name, mark, annotation, default = parameter
        if annotation is EMPTY and default is EMPTY and not mark and not explicit:
            found.append(Parameter(name, "dependency"))
            continue
        try:
            found.append(_read(parameter, names, explicit))
        except SignatureError as error:
            problems.append(error)
    if explicit:
        known = [name for name, *_ in raw]
        problems.extend(
            SignatureError(
                f"deps= names the parameter {unknown!r}, which the function does not have"
                + did_you_mean(unknown, known)
            )
            for unknown in explicit
            if unknown not in known
        )
    return found, problems


def read_observers(
    fns: Iterable[Callable[..., Any]], config: Collection[str]
) -> tuple[list[Observer], list[SignatureError]]:
    """How the observe functions of an asset are called, and what about them can't work.

    A parameter takes the config parameter of its name, or the ``Context`` by annotation; one with
    a default may take neither. Their names differ from each other and from ``config``.
    """
    found: list[Observer] = []
    problems: list[SignatureError] = []
    taken = set(config)
    for fn in fns:
        plain = _function_name(fn)
        try:
            from_config, from_context = _read_observer(fn, config)
        except SignatureError as error:
            problems.append(SignatureError(f"observe function {plain}: {error}"))
            continue
        numbered = (f"{plain}#{number}" for number in itertools.count(2))
        name = next(each for each in itertools.chain([plain], numbered) if each not in taken)
        taken.add(name)
        found.append(Observer(name, fn, from_config, from_context))
    return found, problems


def read_needs(fn: Callable[..., Any]) -> list[tuple[str, bool]]:
    """The parameters a provider can be given by name, and whether it can do without each.

    Raises:
        SignatureError: if the signature can't be read, or needs an argument without a name.
    """
    try:
        raw = _raw_parameters(fn)
    except (ValueError, TypeError) as error:
        raise _unreadable(error) from None
    for name, mark, _, default in raw:
        if mark == "/" and default is EMPTY:
            raise SignatureError(
                f"parameter {name!r} is positional-only; resources are passed by name, drop the"
                f" '/' or wrap it in a function"
            )
    return [(name, default is not EMPTY) for name, mark, _, default in raw if not mark]


def _read_observer(
    fn: Callable[..., Any], config: Collection[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The parameters that take config, and those that take the context."""
    try:
        raw = _raw_parameters(fn)
    except (ValueError, TypeError) as error:
        raise _unreadable(error) from None
    names = Names(fn)
    from_config: list[str] = []
    from_context: list[str] = []
    for name, mark, annotation, default in raw:
        if mark == "/":
            raise SignatureError(f"parameter {name!r} is positional-only; drop the '/'")
        if mark:
            continue
        if annotation is not EMPTY and names.hint(name, annotation) is Context:
            from_context.append(name)
        elif name in config:
            from_config.append(name)
        elif default is EMPTY:
            hint = did_you_mean(name, config) or f"; it has {', '.join(config) or 'none'}"
            raise SignatureError(f"parameter {name!r} is no config parameter of the asset{hint}")
    return tuple(from_config), tuple(from_context)


def _function_name(fn: Any) -> str:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return getattr(fn, "__name__", None) or type(fn).__name__


#: A parameter as the function has it: name, mark (``*``, ``**``, ``/`` or nothing), annotation,
#: default.
_Raw: TypeAlias = tuple[str, str, Any, Any]

_MARKS = {
    inspect.Parameter.VAR_POSITIONAL: "*",
    inspect.Parameter.VAR_KEYWORD: "**",
    inspect.Parameter.POSITIONAL_ONLY: "/",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "",
    inspect.Parameter.KEYWORD_ONLY: "",
}


def _raw_parameters(fn: Callable[..., Any]) -> list[_Raw]:
    """What ``inspect.signature`` says; plain functions are read directly, ten times as fast."""
    if type(fn) is not types.FunctionType or fn.__dict__:
        parameters = inspect.signature(fn).parameters.values()
        return [(p.name, _MARKS[p.kind], p.annotation, p.default) for p in parameters]
    code, annotations = fn.__code__, fn.__annotations__
    names, count = code.co_varnames, code.co_argcount
    total = count + code.co_kwonlyargcount
    defaults = fn.__kwdefaults__ or {}
    if fn.__defaults__:
        last = zip(reversed(names[:count]), reversed(fn.__defaults__), strict=False)
        defaults = {**dict(last), **defaults}
    raw: list[_Raw] = [
        (name, "", annotations.get(name, EMPTY), defaults.get(name, EMPTY))
        for name in names[:total]
    ]
    for i in range(code.co_posonlyargcount):
        raw[i] = (names[i], "/", EMPTY, EMPTY)
    for flag, mark in ((inspect.CO_VARARGS, "*"), (inspect.CO_VARKEYWORDS, "**")):
        if code.co_flags & flag:
            raw.append((names[total], mark, EMPTY, EMPTY))
            total += 1
    return raw


def _read(raw: _Raw, names: Names, explicit: Mapping[str, AnyAsset | str]) -> Parameter:
    name, mark, annotation, default = raw
    if mark:
        raise _unusable(name, mark)
    hint = None if annotation is EMPTY else names.hint(name, annotation)
    check = hint.check if isinstance(hint, From) else True
    if name in explicit:
        source = _source(name, explicit[name])
        return Parameter(name, "dependency", annotation, EMPTY, source, check)
    if isinstance(hint, From):
        source = _source(name, hint.source)
        return Parameter(name, "dependency", annotation, EMPTY, source, check)
    if hint is Context:
        return Parameter(name, "context", annotation)
    if hint is INPUT and default is EMPTY:
        raise SignatureError(
            f"parameter {name!r} is an input path without a default; write"
            f" {name}: InputPath = Path(...)"
        )
    if default is not EMPTY:
        return Parameter(name, "config", annotation, default)
    return Parameter(name, "dependency", annotation)


def _unreadable(error: Exception) -> SignatureError:
    return SignatureError(f"its signature can't be read: {error}; wrap it in a function")


def _unusable(name: str, mark: str) -> SignatureError:
    if mark == "/":
        return SignatureError(
            f"parameter {name!r} is positional-only; dependencies are passed by name, drop the '/'"
        )
    return SignatureError(
        f"parameter '{mark}{name}' names no asset; write one parameter for each dependency"
    )


def _source(parameter: str, source: Any) -> AnyAsset | str:
    try:
        known = checked(source)
    except SignatureError as error:
        raise SignatureError(f"parameter {parameter!r}: {error}") from None
    return unicodedata.normalize("NFKC", known) if isinstance(known, str) else known
