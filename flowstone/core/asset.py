"""``@asset``: a function that makes a named piece of data, and what its signature says."""

from __future__ import annotations

import copy
import functools
import inspect
import itertools
from collections.abc import Mapping
from dataclasses import replace
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeAlias, TypeVar, Unpack, overload

from flowstone.core import rules
from flowstone.core.annotations import Names, is_plain, underlying
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
from flowstone.core.signature import (
    Parameter,
    plain_parameters,
    read_observers,
    read_parameters,
    yields,
)
from flowstone.core.text import kind_of
from flowstone.errors import DefinitionError, SignatureError

if TYPE_CHECKING:
    import datetime as dt
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

    # What most assets have none of stands here: to set it costs each of them, and an instance with
    # more than 30 attributes of its own costs Python twice the time and memory. Lists of their own
    # would be looked at by each collection of garbage; tuples of texts are not.
    extra: tuple[AnyAsset | str, ...] = ()
    config: Sequence[Parameter] = ()
    linked: Sequence[AnyAsset] = ()
    tags: frozenset[str] = frozenset()
    group: str | None = None
    owners: tuple[str, ...] = ()
    code_version: str | None = None
    ignore: tuple[Any, ...] = ()
    track: tuple[str, ...] = ()
    observe: tuple[ObserveFunction, ...] = ()
    observers: tuple[Observer, ...] = ()
    max_age: dt.timedelta | None = None
    always: bool = False
    aliases: tuple[str, ...] = ()
    keep: bool = True
    share: bool = False
    io: Any = "default"
    validate: bool | None = None
    resource_versions: Mapping[str, str] = MappingProxyType({})
    maker: AnyAsset | None = None
    outputs: Mapping[str, AnyAsset] = MappingProxyType({})
    problems: tuple[DefinitionError, ...] = ()
    policy: Policy = PLAIN
    _original: AnyAsset | None = None
    _direct: tuple[str, ...] | None = None
    __name__: str
    __qualname__: str

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
        self.fn = fn
        if fn is not None:
            self._dress(fn)
        self.name: str = named(name if name is not None else getattr(fn, "__name__", ""))
        self.metadata = dict(metadata) if metadata else {}
        if not is_legal(self.name):
            self.problems += (no_name(self.name, self.place),)
        if description is not None or tags or owners or group is not None:
            self._describe(description, tags, group, owners)
        self.parameters: tuple[Parameter, ...] = self._read_needs(depends_on, deps)
        self.edges: tuple[tuple[str, str], ...] = self._needs()
        if not keep or share or validate is not None or io is not Asset.io:
            self.keep, self.share, self.io, self.validate = keep, share, io, validate
        if code_version is not None or ignore or track:
            self._follow(code_version, ignore, track)
        if max_age is not None or always or aliases or observe != ():
            self._rule(observe, max_age, always, aliases)
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

    @functools.cached_property
    def _names(self) -> Names | None:
        """What annotations can name; made when it is needed, but at once for a local function."""
        return None if self.fn is None else Names(self.fn)

    @functools.cached_property
    def description(self) -> str | None:
        """What the data is: as given, or the function's docstring."""
        text = self._names.fn.__doc__ if self._names else None  # None has a docstring of its own
        return inspect.cleandoc(text) if isinstance(text, str) else None

    @property
    def depends_on(self) -> list[str]:
        """The names of the direct dependencies in order, once each."""
        return list(self.direct)

    @property
    def direct(self) -> tuple[str, ...]:
        """The same as a tuple, which is made once: runs ask for it at each step."""
        found = self._direct
        if found is None:
            found = self._direct = tuple(dict.fromkeys([name for _, name in self.edges]))
        return found

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
        fn = self.fn
        if is_plain(fn):
            return fn.__globals__
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
        fn: object = self.fn
        if isinstance(fn, FunctionType) and fn.__code__.co_flags & inspect.CO_COROUTINE:
            return True
        return inspect.iscoroutinefunction(fn)

    @functools.cached_property
    def returns(self) -> Any:
        """The evaluated return annotation, or ``Any``."""
        if self.maker is not None:
            return self.maker.output_types.get(self.name, Any)
        if self.fn is None or self._names is None or self.problems:
            return Any
        return self._names.evaluate(self.written_return)

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
        if is_plain(fn):
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
        bound.config, bound.linked = (), ()
        bound.edges = bound._needs()  # noqa: SLF001 - it is one of us
        bound._direct = None  # noqa: SLF001 - it is one of us
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
            self._wrong([error])
            return
        self._wrong(rules.split_aliases(self.aliases))
        wrong = [name for name in names if not is_legal(name)]
        self.problems += tuple(no_name(name, self.place) for name in wrong)
        made: dict[str, AnyAsset] = {}
        for name in names:
            output = made[name] = copy.copy(self)
            output.name, output.maker, output.problems = name, self, ()
        self.outputs = made

    def _needs(self) -> tuple[tuple[str, str], ...]:
        """Sort the parameters by kind, and give the edges of all that is needed."""
        edges: list[tuple[str, str]] = []
        for parameter in self.parameters:
            if parameter.kind == "dependency":
                source = parameter.source
                if isinstance(source, Asset):
                    self.linked = [*self.linked, source]
                name = parameter.name if source is None else name_of(source)
                edges.append((parameter.name, name))
            elif parameter.kind == "config":
                self.config = [*self.config, parameter]
        if self.extra:
            self._note_extra(edges)
        return tuple(edges)

    def _note_extra(self, edges: list[tuple[str, str]]) -> None:
        names = {name for _, name in edges}
        for extra in self.extra:
            name = name_of(extra)
            if isinstance(extra, Asset):
                self.linked = [*self.linked, extra]
            if name not in names:
                edges.append(("", name))
                names.add(name)

    def _dress(self, fn: Callable[P, R]) -> None:
        """Look like the function, as ``functools.wraps`` does, but without its attributes."""
        if is_plain(fn):
            self.__module__, self.__name__ = fn.__module__, fn.__name__
            self.__qualname__, self.__annotations__ = fn.__qualname__, fn.__annotations__
            if fn.__doc__ is not None:
                self.__doc__ = fn.__doc__
            if "<locals>" in fn.__qualname__:
                self._names = Names(fn)
        elif is_function(fn):
            for attribute in _LOOKS:
                value = getattr(fn, attribute, None)
                if value is not None:
                    setattr(self, attribute, value)
            self._names = Names(fn)
        else:
            msg = f"@asset needs a function, got {_kind(fn)}"
            raise SignatureError(msg)
        self.__wrapped__ = fn

    def _describe(
        self,
        description: str | None,
        tags: Iterable[str],
        group: str | None,
        owners: Iterable[str],
    ) -> None:
        """What is said about the data, in words."""
        if description is not None:
            self.description = description
        self.group, self.owners = group, tuple(_listed(owners))
        if tags:
            self.tags = frozenset(_listed(tags))
        self._wrong(
            rules.wrong_words({"tags": self.tags, "group": (group,), "owners": self.owners})
        )

    def _follow(
        self, code_version: str | None, ignore: Iterable[Any], track: Iterable[str]
    ) -> None:
        """What counts as its code."""
        self.code_version = code_version
        self.ignore, self.track = tuple(_listed(ignore)), tuple(_listed(track))
        self._wrong(rules.wrong_distributions(self.track))

    def _rule(
        self,
        observe: ObserveFunction | Iterable[ObserveFunction],
        max_age: dt.timedelta | None,
        always: bool,  # noqa: FBT001 - the option's own type
        aliases: Iterable[str],
    ) -> None:
        """What decides about freshness besides code and inputs."""
        self.observe = (observe,) if callable(observe) else tuple(_listed(observe))
        self.max_age, self.always = max_age, always
        self.aliases = tuple(map(named, _listed(aliases)))
        self._wrong(rules.wrong_age(max_age))
        self._wrong(rules.wrong_aliases(self.aliases, self.name))
        functions = [each for each in self.observe if is_function(each)]
        found, problems = read_observers(functions, [each.name for each in self.config])
        self.observers = tuple(found)
        self._wrong(problems)
        refused = (each for each in self.observe if not is_function(each))
        self._wrong(f"observe= takes functions, not {_kind(each)}" for each in refused)

    def _wrong(self, told: Iterable[object]) -> None:
        """Keep what is wrong with the definition, for the graph to tell."""
        self.problems += tuple(SignatureError(f"{self.label}: {each}") for each in told)

    def _read_policy(self, options: PolicyOptions) -> None:
        unknown = [name for name in options if name not in POLICY_OPTIONS]
        if unknown:
            raise unknown_option(unknown[0], _OWN_OPTIONS)
        self.policy, told = read_policy(options)
        self._wrong([*told, *rules.unendable(self.policy, is_async=self.is_async)])

    def _read_needs(
        self,
        depends_on: Iterable[AnyAsset | str],
        deps: Iterable[AnyAsset | str] | Mapping[str, AnyAsset | str],
    ) -> tuple[Parameter, ...]:
        by_parameter = deps if deps and isinstance(deps, Mapping) else {}
        if depends_on or (deps and not by_parameter):
            self._read_extra(depends_on, () if by_parameter else deps)
        return self._read_signature(by_parameter)

    def _read_extra(self, *given: Iterable[AnyAsset | str]) -> None:
        for source in itertools.chain(*map(_listed, given)):
            try:
                self.extra += _named_sources(checked(source))
            except SignatureError as error:
                self._wrong([f"deps= {error}"])

    def _read_signature(self, explicit: Mapping[str, AnyAsset | str]) -> tuple[Parameter, ...]:
        fn = self.fn
        if fn is None:
            return ()
        if not explicit and is_plain(fn):
            known = plain_parameters(fn)
            if known is not None:
                return known
        parameters, problems = read_parameters(fn, explicit, self._names or Names(fn))
        self._wrong(problems)
        if yields(underlying(fn)):
            self._wrong(["a generator is not a value; return a list instead of yielding"])
        return tuple(parameters)


_NOWHERE: dict[str, Any] = {}
_LOOKS = ("__module__", "__name__", "__qualname__", "__doc__", "__annotations__")


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
    if fn is not None:
        return Asset(fn, **options)

    def decorate(function: Callable[P, R]) -> Asset[P, R]:
        return Asset(function, **options)

    return decorate
