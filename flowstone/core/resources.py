"""Resources: what assets take by name and a run opens for them; only who provides what.

A provider is a function (sync or async), a generator function that yields once, a class, or a
context manager. Its parameters name other resources. Nothing here calls one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from flowstone.core.annotations import underlying
from flowstone.core.asset import AnyAsset, Asset
from flowstone.core.naming import named
from flowstone.core.signature import read_needs
from flowstone.core.text import clean, kind_of
from flowstone.errors import (
    DefinitionError,
    SignatureError,
    UnknownDependencyError,
    did_you_mean,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

OF_CALL = "resources="
OF_CONNECTION = "resources= of the connection"
_VERSION_LENGTH = 200
_NAME = "resources"
_NONE: Mapping[str, Any] = {}

#: Providers by the names that parameters take them by.
Providers: TypeAlias = Mapping[str, Any]


class Resource:
    """A provider with a declared version, for ``resources={"prices": Resource(connect, ...)}``.

    The version is part of the dependency hash of every asset that takes the resource, by itself
    or through another one: a change makes them outdated. What the provider gives never counts.

    Args:
        provider: a function, a generator function, a class or a context manager.
        version: a short text; None declares nothing.
    """

    __slots__ = ("provider", "version")

    def __init__(self, provider: Any, *, version: str | None = None) -> None:
        self.provider = provider
        self.version = version

    def __repr__(self) -> str:
        return f"Resource({kind_of(self.provider)}, version={self.version!r})"


@dataclass(frozen=True, slots=True)
class Provider:
    """What provides a resource: how it is made, and the resources that takes.

    ``versions`` are the declared versions of the resource and of all that it needs, by name.
    """

    name: str
    make: Any = field(repr=False)
    needs: tuple[str, ...] = ()
    version: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The resource as error messages name it."""
        code = getattr(underlying(self.make), "__code__", None) if _is_code(self.make) else None
        place = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
        return f"resource {self.name!r}{place}"


@dataclass(frozen=True, slots=True, repr=False)
class Offered:
    """Providers by where they come from: ``given`` comes before ``standing``, that before modules.

    ``given`` is for one graph, which takes all of them; ``standing`` for all graphs of a
    connection. ``namespaces`` are those of modules, besides those the assets live in.
    """

    given: Providers = field(default_factory=dict)
    standing: Providers = field(default_factory=dict)
    namespaces: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, resources: Providers | Offered | None) -> Offered:
        """What is offered, where there may be nothing but a mapping."""
        return resources if isinstance(resources, Offered) else cls(resources or _NONE)


def is_manager(value: object) -> bool:
    """Whether a value is a context manager, sync or async; never runs code of the value."""
    kind = type(value)
    return any(hasattr(kind, f"__{verb}__") for verb in ("enter", "aenter"))


def gather(
    assets: Mapping[str, AnyAsset], offered: Offered
) -> tuple[dict[str, Provider], list[DefinitionError]]:
    """The providers a graph has, by name, and all that is wrong with them."""
    problems = [
        *unusable(OF_CALL, offered.given),
        *unusable(OF_CONNECTION, offered.standing),
    ]
    if problems:
        return {}, problems
    found = _in_modules(assets, offered)
    given = _by_name(offered.given)
    chosen = {name: each[0][1] for name, each in found.items()}
    chosen |= _by_name(offered.standing) | given
    if not chosen:
        return {}, []
    explicit = given.keys() | offered.standing.keys()
    problems += (
        _ambiguous(name, [place for place, _ in several])
        for name, several in found.items()
        if len(several) > 1 and name not in explicit
    )
    providers: dict[str, Provider] = {}
    wanted: dict[str, list[tuple[str, bool]]] = {}
    for name, value in chosen.items():
        try:
            providers[name], wanted[name] = _read(name, value)
        except SignatureError as error:
            providers[name] = Provider(name, None)
            problems.append(error)
    problems += _link(providers, wanted, assets)
    problems += _untaken(assets, given.keys() - found.keys(), providers)
    return providers, problems


def bind(
    assets: dict[str, AnyAsset], providers: Mapping[str, Provider]
) -> Iterator[DefinitionError]:
    """Put copies that take resources in the place of assets that do; gives what is wrong.

    What one function makes has one copy of that function in common.
    """
    makers: dict[int, AnyAsset] = {}
    for name, asset in assets.items():
        taken = {p.name for p in asset.parameters if p.is_by_name and p.name in providers}
        if not taken:
            continue
        versions: dict[str, str] = {}
        for each in sorted(taken):
            versions |= providers[each].versions
        bound = assets[name] = asset.taking(taken, versions)
        if asset.maker is None:
            yield from _mistaken(asset, taken, assets)
            continue
        if id(asset.maker) not in makers:
            makers[id(asset.maker)] = asset.maker.taking(taken, versions)
            yield from _mistaken(asset.maker, taken, assets)
        bound.maker = makers[id(asset.maker)]


def _mistaken(
    asset: AnyAsset, taken: AbstractSet[str], assets: Mapping[str, AnyAsset]
) -> Iterator[DefinitionError]:
    """What is wrong with an asset's taking these resources."""
    yield from (_either(asset, each) for each in sorted(taken & assets.keys()))
    for observer in asset.observers:
        yield from (
            SignatureError(
                f"{asset.label}: observe function {observer.name} takes {each!r}, which is a"
                f" resource; observe functions take config"
            )
            for each in sorted(taken & set(observer.config))
        )


def _either(asset: AnyAsset, name: str) -> DefinitionError:
    return DefinitionError(
        f"{asset.label}: parameter {name!r} names a resource, and an asset has that name too;"
        f" rename one of them, or write Annotated[..., From({name!r})] for the asset"
    )


def unusable(where: str, resources: Any) -> Iterator[DefinitionError]:
    """What makes a mapping of providers no such thing."""
    if not isinstance(resources, Mapping):
        yield DefinitionError(
            f"{where} is a mapping like {{'name': provider}}, not {kind_of(resources)}"
        )
        return
    for name in resources:
        if not isinstance(name, str):
            yield DefinitionError(f"{where}: a name is text, not {kind_of(name)}")


def _by_name(resources: Mapping[Any, Any]) -> dict[str, Any]:
    return {named(name): value for name, value in resources.items() if isinstance(name, str)}


def _in_modules(
    assets: Mapping[str, AnyAsset], offered: Offered
) -> dict[str, list[tuple[str, Any]]]:
    """What modules provide by name: the module and the provider, once each.

    A variable ``resources`` counts if something takes one of its names, and gets a provider there
    or else nothing at all; any other is the module's own affair.
    """
    spaces = {id(space): space for space in [asset.namespace for asset in assets.values()]}
    spaces |= {id(space): space for space in offered.namespaces}
    waiting = [space for space in spaces.values() if _is_mapping(space.get(_NAME))]
    if not waiting:
        return {}
    by_name = [p for asset in assets.values() for p in asset.parameters if p.is_by_name]
    taken = {p.name for p in by_name}
    lacking = {p.name for p in by_name if p.kind == "dependency"} - assets.keys()
    for value in (*offered.given.values(), *offered.standing.values()):
        taken |= _takes(value)
    found: dict[str, list[tuple[str, Any]]] = {}
    meant = waiting
    while meant:
        meant = [space for space in waiting if _is_meant(_by_name(space[_NAME]), taken, lacking)]
        waiting = [space for space in waiting if all(space is not each for each in meant)]
        for space in meant:
            for name, value in _by_name(space[_NAME]).items():
                several = found.setdefault(name, [])
                if not any(_is_same(value, other) for _, other in several):
                    several.append((str(space.get("__name__", "a namespace")), value))
                taken |= _takes(value)
    return found


def _is_mapping(value: object) -> bool:
    return issubclass(type(value), Mapping)


def _is_meant(
    resources: Mapping[str, Any], taken: AbstractSet[str], lacking: AbstractSet[str]
) -> bool:
    names = resources.keys() & taken
    return any(name in lacking or not _refused(_provider_of(resources[name])) for name in names)


def _provider_of(value: Any) -> Any:
    return value.provider if isinstance(value, Resource) else value


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, Resource) and isinstance(other, Resource):
        return one.provider is other.provider and one.version == other.version
    return one is other


def _ambiguous(name: str, places: Sequence[str]) -> DefinitionError:
    return DefinitionError(
        f"resource {name!r} has different providers in {' and '.join(places)}; keep one, or say"
        f" resources={{{name!r}: ...}} in the call"
    )


def _takes(value: Any) -> set[str]:
    """The names a provider could be given."""
    provider = _provider_of(value)
    if _refused(provider) or not _is_code(provider):
        return set()
    try:
        return {name for name, _ in read_needs(provider)}
    except SignatureError:
        return set()


def _read(name: str, given: Any) -> tuple[Provider, list[tuple[str, bool]]]:
    """A provider, and the parameters it can be given: their names, and if it can do without."""
    resource = given if isinstance(given, Resource) else Resource(given)
    provider = Provider(name, resource.provider, version=resource.version)
    refused = _refused(resource.provider)
    if refused:
        raise SignatureError(f"resource {name!r}: {refused}")
    version = resource.version
    if version is not None and not _is_version(version):
        raise SignatureError(
            f"{provider.label}: version= is a text of at most {_VERSION_LENGTH} characters"
        )
    if not _is_code(resource.provider):
        return provider, []
    try:
        return provider, read_needs(resource.provider)
    except SignatureError as error:
        raise SignatureError(f"{provider.label}: {error}") from None


def _is_version(version: object) -> bool:
    if not isinstance(version, str) or not 0 < len(version) <= _VERSION_LENGTH:
        return False
    return version.isprintable() and clean(version) == version


def _is_code(provider: object) -> bool:
    """Whether a provider is called; a context manager that stands ready is not."""
    return isinstance(provider, type) or not is_manager(provider)


def _refused(provider: Any) -> str:
    """Why a value is no provider; an empty text for one that is."""
    if isinstance(provider, Resource):
        return "a Resource holds a provider, not another Resource"
    if isinstance(provider, Asset):
        return f"the asset {provider.name!r} is no provider; a parameter takes it by its name"
    if isinstance(provider, type):
        return ""
    if _is_lock(type(provider)):
        kind = kind_of(provider)
        return f"a {kind} would be held for the whole run; give a function that returns it"
    if is_manager(provider) or callable(provider):
        return ""
    return (
        f"{kind_of(provider)} is no provider: give a function, a generator function, a class or a"
        f" context manager; for an object that is there already, lambda: it"
    )


def _is_lock(kind: type) -> bool:
    """Whether entering one means to hold it: a lock, a semaphore, a limiter. Pools are closed."""
    return hasattr(kind, "acquire") and hasattr(kind, "release") and not hasattr(kind, "close")


def _link(
    providers: dict[str, Provider],
    wanted: Mapping[str, list[tuple[str, bool]]],
    assets: Collection[str],
) -> list[DefinitionError]:
    """Give providers what they need, and the versions that come with it; gives what is wrong."""
    problems: list[DefinitionError] = []
    for name, parameters in wanted.items():
        provider = providers[name]
        problems += (
            _unknown(provider, parameter, providers, assets)
            for parameter, is_optional in parameters
            if not is_optional and parameter not in providers
        )
        needs = tuple(
            parameter
            for parameter, is_optional in parameters
            if parameter in providers and not (is_optional and parameter == name)
        )
        providers[name] = replace(provider, needs=needs)
    order, rings = _ordered(providers)
    for name in order:
        provider = providers[name]
        versions = {k: v for need in provider.needs for k, v in providers[need].versions.items()}
        if provider.version is not None:
            versions[name] = provider.version
        providers[name] = replace(provider, versions=versions)
    return [*problems, *rings]


def _unknown(
    provider: Provider, parameter: str, providers: Collection[str], assets: Collection[str]
) -> UnknownDependencyError:
    if parameter in assets:
        cure = ": it is an asset, and providers take resources only"
    else:
        others = sorted(set(providers) - {provider.name})
        cure = did_you_mean(parameter, others) or "; provide it, or give the parameter a default"
    return UnknownDependencyError(
        f"{provider.label}: parameter {parameter!r} names no resource{cure}"
    )


def _ordered(providers: Mapping[str, Provider]) -> tuple[list[str], list[DefinitionError]]:
    """The names, those that are needed first; and an error for each ring met on the way."""
    done: dict[str, None] = {}
    rings: list[DefinitionError] = []
    for start in sorted(providers):
        path = [(start, iter(providers[start].needs))] if start not in done else []
        while path:
            name, needs = path[-1]
            need = next((each for each in needs if each not in done), None)
            if need is None:
                done[name] = None
                path.pop()
                continue
            names = [each for each, _ in path]
            if need in names:
                rings.append(_ring(names[names.index(need) :]))
            else:
                path.append((need, iter(providers[need].needs)))
    return list(done), rings


def _ring(names: Sequence[str]) -> DefinitionError:
    shown = " -> ".join([*reversed(names), names[-1]])
    return DefinitionError(f"resources need each other in a ring: {shown}; remove one of these")


def _untaken(
    assets: Mapping[str, AnyAsset], names: Iterable[str], providers: Mapping[str, Provider]
) -> list[DefinitionError]:
    """An error for each name given that nothing takes: not here, nor where the assets live."""
    taken = {need for provider in providers.values() for need in provider.needs}
    taken |= {p.name for asset in assets.values() for p in asset.parameters if p.is_by_name}
    unknown = sorted(set(names) - taken)
    if not unknown:
        return []
    spaces = {id(asset.namespace): asset.namespace for asset in assets.values()}
    near = (v for space in spaces.values() for v in list(space.values()))
    others = [each for each in near if issubclass(type(each), Asset)]
    taken |= {p.name for other in others for p in other.parameters if p.is_by_name}
    return [
        DefinitionError(
            f"resources=: nothing takes {name!r}"
            + (did_you_mean(name, sorted(taken)) or "; leave it out")
        )
        for name in unknown
        if name not in taken
    ]
