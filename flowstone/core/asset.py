"""``@asset``: a function that makes a named piece of data, and what its signature says."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeAlias, TypeVar, overload

from flowstone.core.signature import Names, Parameter, name_of, read_parameters
from flowstone.errors import DefinitionError, SignatureError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

P = ParamSpec("P")
R = TypeVar("R")

#: Names go into selections, files and tables: a letter first, then letters, digits, ``_ . / -``.
_NAME = re.compile(r"[^\W\d][\w./-]*\Z")
_NAME_BYTES = 512


class Asset(Generic[P, R]):
    """A named data artifact and the function that makes it.

    Calling an asset calls the function. ``@asset`` builds one from a function; without a
    function, ``Asset(name="c", depends_on=["a", "b"])`` serves graphs alone.

    ``parameters`` is the signature as dependencies, context and config; ``depends_on`` names the
    direct dependencies in order, without repetition; ``place`` is ``file:line`` of the function.
    ``problems`` holds what is wrong with the definition; building a graph raises it, so that all
    errors of a module are told at once.
    """

    def __init__(
        self,
        fn: Callable[P, R] | None = None,
        *,
        name: str | None = None,
        depends_on: Iterable[str] = (),
        deps: Iterable[AnyAsset | str] | Mapping[str, AnyAsset | str] = (),
        metadata: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        group: str | None = None,
        description: str | None = None,
        owners: Iterable[str] = (),
        code_version: str | None = None,
        keep: bool = True,
    ) -> None:
        if fn is not None and not is_function(fn):
            msg = f"@asset needs a function, got {type(fn).__name__}"
            raise SignatureError(msg)
        if fn is not None:
            functools.update_wrapper(self, fn)
        self.fn = fn
        self.name: str = name if name is not None else getattr(fn, "__name__", "")
        self.metadata = dict(metadata or {})
        self.tags = frozenset(_words(tags))
        self.group = group
        self.description = description
        self.owners = tuple(_words(owners))
        self.code_version = code_version
        self.keep = keep
        self.parameters: tuple[Parameter, ...] = ()
        self.extra: tuple[AnyAsset | str, ...] = ()
        self.problems: list[DefinitionError] = []
        self._read(deps)
        wanted = [*depends_on, *map(name_of, self.sources())]
        self.depends_on: list[str] = list(dict.fromkeys(wanted))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself: no graph, no record."""
        if self.fn is None:
            msg = f"asset {self.name!r} has no function to call"
            raise TypeError(msg)
        return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        needs = f" <- {', '.join(self.depends_on)}" if self.depends_on else ""
        return f"<Asset {self.name}{needs}>"

    @property
    def place(self) -> str:
        """``file:line`` of the function, or an empty string."""
        code = getattr(inspect.unwrap(self.fn), "__code__", None) if self.fn else None
        return f"{code.co_filename}:{code.co_firstlineno}" if code else ""

    @property
    def namespace(self) -> Mapping[str, Any]:
        """The global names of the function's module."""
        return Names(self.fn).globals if self.fn else {}

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return inspect.iscoroutinefunction(self.fn)

    @functools.cached_property
    def returns(self) -> Any:
        """The evaluated return annotation, or ``Any``."""
        if self.fn is None:
            return Any
        return Names(self.fn).evaluate(inspect.signature(self.fn).return_annotation)

    @property
    def config(self) -> list[Parameter]:
        """The config parameters."""
        return [parameter for parameter in self.parameters if parameter.kind == "config"]

    @property
    def edges(self) -> list[tuple[str, str]]:
        """``(parameter, asset)`` of every dependency; no parameter where nothing is passed."""
        passed = [(p.name, p.asset) for p in self.parameters if p.kind == "dependency"]
        taken = {asset for _, asset in passed}
        return passed + [("", name) for name in self.depends_on if name not in taken]

    def annotation(self, parameter: Parameter) -> Any:
        """The evaluated annotation of a parameter, or ``Any``."""
        return Names(self.fn).evaluate(parameter.annotation) if self.fn else Any

    def sources(self) -> list[AnyAsset | str]:
        """What each dependency was written as: an asset, or the name of one."""
        passed = [p.source or p.name for p in self.parameters if p.kind == "dependency"]
        return [*passed, *self.extra]

    def _read(self, deps: Iterable[AnyAsset | str] | Mapping[str, AnyAsset | str]) -> None:
        self._check_name()
        explicit: Mapping[str, AnyAsset | str] = deps if isinstance(deps, Mapping) else {}
        if not isinstance(deps, Mapping):
            self.extra = (deps,) if isinstance(deps, (str, Asset)) else tuple(deps)
        if self.fn is None:
            return
        parameters, problems = read_parameters(self.fn, explicit)
        self.parameters = tuple(parameters)
        self.problems += [SignatureError(f"{self.label}: {problem}") for problem in problems]
        if inspect.isgeneratorfunction(self.fn) or inspect.isasyncgenfunction(self.fn):
            msg = f"{self.label}: a generator is not a value; return a list instead of yielding"
            self.problems.append(SignatureError(msg))

    def _check_name(self) -> None:
        if not _NAME.match(self.name) or len(self.name.encode("utf-8", "replace")) > _NAME_BYTES:
            msg = (
                f"{self.name[:80]!r} ({self.place}) can't name an asset: begin with a letter or _,"
                f" go on with letters, digits, _ . / -, at most {_NAME_BYTES} bytes; set name="
            )
            self.problems.append(SignatureError(msg))

    @property
    def label(self) -> str:
        """The asset as error messages name it."""
        return f"asset {self.name!r} ({self.place})" if self.place else f"asset {self.name!r}"


def is_function(value: object) -> bool:
    """Whether a value can be an asset's function: callable, but neither a class nor an asset."""
    return callable(value) and not isinstance(value, (type, Asset))


AnyAsset: TypeAlias = Asset[..., Any]


def _words(words: Iterable[str]) -> Iterable[str]:
    return (words,) if isinstance(words, str) else words


@overload
def asset(fn: Callable[P, R], /) -> Asset[P, R]: ...


@overload
def asset(
    *,
    name: str | None = ...,
    deps: Iterable[AnyAsset | str] | Mapping[str, AnyAsset | str] = ...,
    metadata: Mapping[str, Any] | None = ...,
    tags: Iterable[str] = ...,
    group: str | None = ...,
    description: str | None = ...,
    owners: Iterable[str] = ...,
    code_version: str | None = ...,
    keep: bool = ...,
) -> Callable[[Callable[P, R]], Asset[P, R]]: ...


def asset(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function an asset; its parameters name what it depends on.

    A parameter is, in this order: an explicit dependency (``Annotated[T, From(other)]`` or
    ``deps={"parameter": other}``), the run's :class:`Context` (by annotation), config (if it has
    a default), else a dependency on the asset of that name. The function's type is kept, and
    calling the asset calls the function.

    Args:
        fn: the function, sync or async, in ``@asset`` without parentheses.
        name: the asset's name; the function's when left out.
        deps: assets (or names) this one needs without being passed their values, or a mapping
            from parameters to the assets they take.
        metadata: anything worth keeping with each materialization, as JSON.
        tags: words for selections (``tag:nightly``).
        group: one word for selections and pictures (``group:raw``).
        description: what the data is; the function's docstring when left out.
        owners: people or teams that answer for it.
        code_version: pins the code version: only a change of this string, not of the code,
            makes the asset outdated.
        keep: False for a value that can't be stored; it then lives for one run.
        **options: the keywords above.

    Raises:
        SignatureError: for anything but a function. What is wrong inside the signature is
            raised when a graph is built, together with all other errors.
    """

    def decorate(function: Callable[P, R]) -> Asset[P, R]:
        return Asset(function, **options)

    return decorate if fn is None else decorate(fn)
