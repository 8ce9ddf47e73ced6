"""``@asset``: a function that makes a named piece of data, and what its signature says."""

from __future__ import annotations

import copy
import datetime as dt
import functools
import inspect
import itertools
from collections.abc import Mapping
from dataclasses import replace
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeAlias, TypeVar, Unpack, overload

from flowstone.core.annotations import Names
from flowstone.core.display import Displayed
from flowstone.core.naming import checked, is_legal, name_of, named, no_name
from flowstone.core.outputs import Outputs, output_names, output_types
from flowstone.core.policy import (
    PLAIN,
    POLICY_OPTIONS,
    Policy,
    PolicyOptions,
    read_policy,
    unknown_option,
)
from flowstone.core.signature import Parameter, read_observers, read_parameters
from flowstone.core.text import kind_of
from flowstone.errors import DefinitionError, SignatureError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from collections.abc import Set as AbstractSet

    from flowstone.core.outside import Observer

    #: Says what state something outside is in, at once or as a coroutine.
    ObserveFunction: TypeAlias = Callable[..., Any]

P = ParamSpec("P")
R = TypeVar("R")


class Asset(Displayed, Generic[P, R]):
    """A named data artifact and the function that makes it.

    Calling an asset calls the function. ``@asset`` builds one from a function; without a
    function, ``Asset(name="c", depends_on=["a", "b"])`` serves graphs alone.

    ``parameters`` is the signature as dependencies, context, resources and config; ``extra`` what
    is needed without being passed; ``depends_on`` names the direct dependencies in order, without
    repetition; ``edges`` are pairs of a parameter and the asset it takes, and of no parameter
    (an empty text) and an asset that is not passed; ``linked`` are the dependencies that were
    given as assets, not by name; ``config`` the config parameters; ``observers`` the observe
    functions and how they are called; ``policy`` how it is executed. ``problems`` holds what is
    wrong with the definition; building a graph raises it, so that all errors of a module are told
    at once.

    Which parameters take resources is known in a graph only: it holds copies of those assets, made
    by ``taking``, whose ``original`` is the asset itself and whose ``resource_versions`` are the
    declared versions by name.
    """

    # What most assets have none of stands here: an instance with more than 30 attributes of its
    # own costs Python twice the time and memory.
    extra: tuple[AnyAsset | str, ...] = ()
    config: Sequence[Parameter] = ()
    linked: Sequence[AnyAsset] = ()
    observers: tuple[Observer, ...] = ()
    resource_versions: Mapping[str, str] = MappingProxyType({})
    maker: AnyAsset | None = None
    outputs: Mapping[str, AnyAsset] = MappingProxyType({})
    policy: Policy = PLAIN
    _original: AnyAsset | None = None

    def __init__(
        self,
        fn: Callable[P, R] | None = None,
        *,
        name: str | None = None,
        depends_on: Iterable[AnyAsset | str] = (),
        deps: Iterable[AnyAsset | str] | Mapping[str, AnyAsset | str] = (),
        metadata: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        group: str | None = None,
        description: str | None = None,
        owners: Iterable[str] = (),
        code_version: str | None = None,
        ignore: Iterable[Any] = (),
        track: Iterable[str] = (),
        observe: ObserveFunction | Iterable[ObserveFunction] = (),
        max_age: dt.timedelta | None = None,
        always: bool = False,
        aliases: Iterable[str] = (),
        keep: bool = True,
        share: bool = False,
        io: Any = "default",
        validate: bool | None = None,
        outputs: Outputs | None = None,
        **policy: Unpack[PolicyOptions],
    ) -> None:
        if fn is not None:
            self._dress(fn)
        self.fn = fn
        self.name: str = named(name if name is not None else getattr(fn, "__name__", ""))
        self.metadata = dict(metadata or {})
        self.tags = frozenset(_listed(tags)) if tags else _NO_TAGS
        self.group = group
        self._names = Names(fn) if fn is not None else None
        self.description = description if description is not None else self._docstring()
        self.owners = tuple(_listed(owners)) if owners else ()
        self.code_version = code_version
        self.ignore = tuple(_listed(ignore)) if ignore else ()
        self.track = tuple(_listed(track)) if track else ()
        self.observe = (observe,) if callable(observe) else tuple(_listed(observe))
        self.max_age = max_age
        self.always = always
        self.aliases = tuple(map(named, _listed(aliases))) if aliases else ()
        self.keep = keep
        self.share = share
        self.io = io
        self.validate = validate
        self.problems: list[DefinitionError] = []
        self._check_words()
        by_parameter = deps if deps and isinstance(deps, Mapping) else {}
        if depends_on or (deps and not by_parameter):
            self._read_extra(depends_on, () if by_parameter else deps)
        self.parameters: tuple[Parameter, ...] = self._read_signature(by_parameter)
        self.edges: list[tuple[str, str]] = []
        self.depends_on: list[str] = self._needs()
        if self.aliases or self.track or self.observe or max_age is not None:
            self._check_rules()
        if policy:
            self._read_policy(policy)
        if outputs is not None:
            self._split(outputs)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself: no graph, no record."""
        if self.fn is None:
            msg = f"asset {self.name!r} has no function to call"
            raise TypeError(msg)
        return self.fn(*args, **kwargs)

    def __repr__(self) -> str:
        needs = f" <- {', '.join(self.depends_on)}" if self.depends_on else ""
        makes = f" ({', '.join(self.outputs)})" if self.outputs else ""
        return f"<Asset {self.name}{makes}{needs}>"

    @property
    def place(self) -> str:
        """``file:line`` of the function, or an empty string."""
        code = getattr(self._names and self._names.fn, "__code__", None)
        return f"{code.co_filename}:{code.co_firstlineno}" if code else ""

    @property
    def label(self) -> str:
        """The asset as error messages name it."""
        return f"asset {self.name!r} ({self.place})" if self.place else f"asset {self.name!r}"

    @property
    def namespace(self) -> Mapping[str, Any]:
        """The global names of the function's module."""
        return self._names.globals if self._names else _NOWHERE

    @property
    def is_local(self) -> bool:
        """Whether it was defined inside a function."""
        return "<locals>" in getattr(self, "__qualname__", "")

    @property
    def is_async(self) -> bool:
        """Whether calling the function does nothing but make a coroutine.

        A decorated one counts by its outermost layer: that is what is called.
        """
        return inspect.iscoroutinefunction(self.fn)

    @functools.cached_property
    def returns(self) -> Any:
        """The evaluated return annotation, or ``Any``."""
        if self.maker is not None:
            return self.maker.output_types.get(self.name, Any)
        if self.fn is None or self._names is None or self.problems:
            return Any
        return self._names.evaluate(inspect.signature(self.fn).return_annotation)

    @property
    def place_among_outputs(self) -> int | None:
        """The position among the outputs of its maker, from 0; None for an asset on its own."""
        return None if self.maker is None else list(self.maker.outputs).index(self.name)

    def check_outputs(self) -> list[DefinitionError]:
        """What can't be right about the outputs, now that annotations can be evaluated."""
        try:
            output_types(self.returns, tuple(self.outputs))
        except SignatureError as error:
            return [SignatureError(f"{self.label}: {error}")]
        return []

    @functools.cached_property
    def output_types(self) -> dict[str, Any]:
        """The type of each output, as far as the return annotation tells."""
        return {} if self.check_outputs() else output_types(self.returns, tuple(self.outputs))

    def annotation(self, parameter: Parameter) -> Any:
        """The evaluated annotation of a parameter, or ``Any``."""
        return self.evaluate(parameter.annotation)

    def evaluate(self, annotation: Any, /) -> Any:
        """An annotation of the function, evaluated if it is a text; ``Any`` if it can't be."""
        return self._names.evaluate(annotation) if self._names else Any

    @property
    def written_return(self) -> Any:
        """The return annotation as it is written; ``inspect.Parameter.empty`` for none."""
        fn = self.fn
        if self.maker is not None or fn is None:
            return self.returns
        if type(fn) is FunctionType and not fn.__dict__:
            return fn.__annotations__.get("return", inspect.Parameter.empty)
        return Any if self.problems else inspect.signature(fn).return_annotation

    @property
    def original(self) -> AnyAsset:
        """What was defined, of which this may be a graph's copy."""
        return self._original or self

    @property
    def resources(self) -> list[str]:
        """The names of the resources it takes, in signature order."""
        return [each.name for each in self.parameters if each.kind == "resource"]

    def taking(self, names: AbstractSet[str], versions: Mapping[str, str]) -> AnyAsset:
        """A copy whose parameters of these names take resources, of these declared versions."""
        bound = copy.copy(self)
        bound._original = self.original  # noqa: SLF001 - it is one of us
        bound.parameters = tuple(
            replace(each, kind="resource") if each.is_by_name and each.name in names else each
            for each in self.parameters
        )
        bound.config, bound.edges, bound.linked = (), [], ()
        bound.depends_on = bound._needs()  # noqa: SLF001 - it is one of us
        bound.resource_versions = versions
        return bound

    def sources(self) -> list[AnyAsset | str]:
        """What each dependency was written as: an asset, or the name of one."""
        passed = [p.source or p.name for p in self.parameters if p.kind == "dependency"]
        return [*passed, *self.extra]

    def _split(self, outputs: Outputs) -> None:
        """Make an asset of each output; what is wrong stays with the maker."""
        try:
            names = output_names(outputs)
        except SignatureError as error:
            self.problems.append(SignatureError(f"{self.label}: {error}"))
            return
        if self.aliases:
            msg = "aliases= are former names of one asset, and outputs= makes several; drop one"
            self.problems.append(SignatureError(f"{self.label}: {msg}"))
        wrong = [name for name in names if not is_legal(name)]
        self.problems += [no_name(name, self.place) for name in wrong]
        made: dict[str, AnyAsset] = {}
        for name in names:
            output = made[name] = copy.copy(self)
            output.name, output.maker, output.problems = name, self, []
        self.outputs = made

    def _needs(self) -> list[str]:
        """Sort the parameters by kind, and give the names of all that is needed, once each."""
        names: dict[str, None] = {}
        for parameter in self.parameters:
            if parameter.kind == "dependency":
                source = parameter.source
                if isinstance(source, Asset):
                    self.linked = [*self.linked, source]
                name = parameter.name if source is None else name_of(source)
                self.edges.append((parameter.name, name))
                names[name] = None
            elif parameter.kind == "config":
                self.config = [*self.config, parameter]
        for extra in self.extra:
            name = name_of(extra)
            if isinstance(extra, Asset):
                self.linked = [*self.linked, extra]
            if name not in names:
                self.edges.append(("", name))
                names[name] = None
        return list(names)

    def _dress(self, fn: Callable[P, R]) -> None:
        """Look like the function, as ``functools.wraps`` does, but without its attributes."""
        if type(fn) is not FunctionType and not is_function(fn):
            msg = f"@asset needs a function, got {_kind(fn)}"
            raise SignatureError(msg)
        for attribute in _LOOKS:
            value = getattr(fn, attribute, None)
            if value is not None:
                setattr(self, attribute, value)
        self.__wrapped__ = fn

    def _docstring(self) -> str | None:
        text = self._names.fn.__doc__ if self._names else None  # None has a docstring of its own
        return inspect.cleandoc(text) if isinstance(text, str) else None

    def _check_words(self) -> None:
        if not is_legal(self.name):
            self.problems.append(no_name(self.name, self.place))
        if not (self.tags or self.group or self.owners):
            return
        for what, given in (("tags", self.tags), ("group", [self.group]), ("owners", self.owners)):
            wrong = [word for word in given if not isinstance(word, str) and word is not None]
            if wrong:
                msg = f"{self.label}: {what} are text, not {type(wrong[0]).__name__}"
                self.problems.append(SignatureError(msg))

    def _check_rules(self) -> None:
        """What decides about freshness: rules that can't work are mistakes."""
        told: list[object] = []
        if self.max_age is not None and not _is_span(self.max_age):
            told.append(f"max_age= is a timedelta above zero, not {self.max_age!r}")
        told += [
            f"aliases= are names the asset had before, not {name[:80]!r}"
            for name in self.aliases
            if name == self.name or not is_legal(name)
        ]
        told += [
            f"track= takes names of distributions, not {_kind(each)}"
            for each in self.track
            if not isinstance(each, str)
        ]
        if self.observe:
            told += self._read_observers()
        self.problems += [SignatureError(f"{self.label}: {each}") for each in told]

    def _read_policy(self, options: PolicyOptions) -> None:
        unknown = [name for name in options if name not in POLICY_OPTIONS]
        if unknown:
            raise unknown_option(unknown[0], _OWN_OPTIONS)
        self.policy, told = read_policy(options)
        if self.policy.executor == "loop" and self.policy.timeout and not self.is_async:
            told.append(
                "timeout= can't end a plain function on the event loop; set executor='thread' or"
                " executor='process'"
            )
        self.problems += [SignatureError(f"{self.label}: {each}") for each in told]

    def _read_observers(self) -> list[object]:
        functions = [each for each in self.observe if is_function(each)]
        config = [each.name for each in self.config]
        found, problems = read_observers(functions, config)
        self.observers = tuple(found)
        refused = (each for each in self.observe if not is_function(each))
        return [*problems, *(f"observe= takes functions, not {_kind(each)}" for each in refused)]

    def _read_extra(self, *given: Iterable[AnyAsset | str]) -> None:
        for source in itertools.chain(*map(_listed, given)):
            try:
                self.extra += _named_sources(checked(source))
            except SignatureError as error:
                self.problems.append(SignatureError(f"{self.label}: deps= {error}"))

    def _read_signature(self, explicit: Mapping[str, AnyAsset | str]) -> tuple[Parameter, ...]:
        if self.fn is None or self._names is None:
            return ()
        parameters, problems = read_parameters(self.fn, explicit, self._names)
        if problems:
            self.problems += [SignatureError(f"{self.label}: {problem}") for problem in problems]
        code = getattr(self._names.fn, "__code__", None)
        if code is not None and code.co_flags & _YIELDS:
            msg = f"{self.label}: a generator is not a value; return a list instead of yielding"
            self.problems.append(SignatureError(msg))
        return tuple(parameters)


def _is_span(value: object) -> bool:
    return isinstance(value, dt.timedelta) and value > dt.timedelta()


_NO_TAGS: frozenset[str] = frozenset()
_NOWHERE: dict[str, Any] = {}
_LOOKS = ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__")
_YIELDS = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def is_function(value: object) -> bool:
    """Whether a value can be an asset's function: callable, but neither a class nor an asset."""
    return callable(value) and not isinstance(value, (type, Asset))


AnyAsset: TypeAlias = Asset[..., Any]
_OWN_OPTIONS = tuple(Asset.__init__.__kwdefaults__ or ())


def _named_sources(source: AnyAsset | str) -> tuple[AnyAsset | str, ...]:
    if isinstance(source, str):
        return (named(source),)
    return tuple(source.outputs.values()) or (source,)


def _listed(given: Any) -> Iterable[Any]:
    """What was given as a list, also where it is a single text or asset."""
    return (given,) if isinstance(given, (str, Asset)) else given


def _kind(value: object) -> str:
    return "an asset already" if isinstance(value, Asset) else kind_of(value)


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
    ignore: Iterable[Any] = ...,
    track: Iterable[str] = ...,
    observe: ObserveFunction | Iterable[ObserveFunction] = ...,
    max_age: dt.timedelta | None = ...,
    always: bool = ...,
    aliases: Iterable[str] = ...,
    keep: bool = ...,
    share: bool = ...,
    io: Any = ...,
    validate: bool | None = ...,
    outputs: Outputs | None = ...,
    **policy: Unpack[PolicyOptions],
) -> Callable[[Callable[P, R]], Asset[P, R]]: ...


def asset(fn: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function an asset; its parameters name what it depends on.

    A parameter is, in this order: an explicit dependency (``Annotated[T, From(other)]`` or
    ``deps={"parameter": other}``), the run's ``Context`` (by annotation), a resource (by name),
    config (if it has a default), else a dependency on the asset of that name. The function's type
    is kept, and calling the asset calls the function.

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
        ignore: functions, classes or modules of the project, or their dotted names, whose edits
            don't matter to this asset, such as a logging helper.
        track: names of installed distributions whose versions are part of the code version.
        observe: functions that say what state the world outside is in, such as a table's last
            change; what they return is part of the dependency hash. They are called while
            planning, and may take config parameters of the asset by name, and its ``Context``.
            One that takes the same arguments for several assets is called once for all.
        max_age: how old the current version may get before it is made again.
        always: make it in every run, whatever is recorded.
        aliases: names the asset had before; what was recorded under them is its history.
        keep: False for a value that can't be stored; it then lives for one run, until its last
            consumer is done.
        share: True to hand the very object to all consumers, which then must not change it.
        io: the ``IOManager`` that keeps the value, or ``"package.module:object"``; None for the
            value store, ``"default"`` for what the connection says.
        validate: True checks all of the returned value against the return annotation, with
            pydantic in strict mode; False nothing of it; None, the default, what is cheap: the
            outer class and a few items.
        outputs: the names of several assets that the function makes at once, or a NamedTuple or
            TypedDict whose fields they are. It returns a tuple in that order, or a mapping by
            name. Each is recorded, hashed and reused as an asset of its own; when one of them has
            to be made, all are.
        retries: how often to try again after an error, or a ``Retry`` that says how long to wait
            in between and after which errors.
        timeout: seconds, or a timedelta, that one attempt may take.
        pool: the name of a pool; as many assets of it as it has places run at once, in all
            processes together.
        executor: where the function is called: on the event ``"loop"``, in a ``"thread"``, in a
            ``"process"``; ``"auto"`` and None leave it to the run.
        durability: ``"strict"`` commits its success before anything that needs it starts;
            ``"batch"``, the default, together with others a few milliseconds later.
        on_success: functions to call when its success is committed, each with the event.
        on_failure: functions to call when its failure is committed, after the last attempt.
        **options: the keywords above.

    Raises:
        TypeError: for an option that there is not.
        SignatureError: for anything but a function. What is wrong inside the signature is
            raised when a graph is built, together with all other errors.
    """

    def decorate(function: Callable[P, R]) -> Asset[P, R]:
        return Asset(function, **options)

    return decorate if fn is None else decorate(fn)
