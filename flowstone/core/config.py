"""Config parameters: their values for one run, validated, hashed, and shown without secrets.

A secret is a ``SecretStr`` or ``SecretBytes``, or anything whose name (of a parameter, a field or
a key, at any depth) reads like one. Secrets are passed on, never shown, never hashed. In text
that reads as an address, the password is not shown.
"""

from __future__ import annotations

import copy
import datetime as dt
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from decimal import Decimal
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin
from uuid import UUID

from pydantic import (
    BaseModel,
    PydanticUserError,
    Secret,
    SecretBytes,
    SecretStr,
    TypeAdapter,
    ValidationError,
)

from flowstone.core.hashing import MAX_DEPTH, digest
from flowstone.core.objects import attributes
from flowstone.core.outside import mentions_input, paths_in, takes_paths
from flowstone.core.text import cap, clean, safe_repr, safe_str
from flowstone.errors import (
    ConfigError,
    DefinitionError,
    DefinitionErrors,
    HashingError,
    did_you_mean,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flowstone.core.asset import AnyAsset
    from flowstone.core.dag import AssetGraph
    from flowstone.core.signature import Parameter

MASK = "**********"

_SECRET = re.compile(
    r"(?:\A|_)(?:pass(?:word|wd|phrase)|pwd|pw|secret|credential|bearer|authorization)s?\Z"
    r"|(?:\A|_)token\Z"
    r"|(?:\A|_)(?:api|access|secret|private|auth|encryption|signing|ssh|account)_?keys?\Z"
    r"|\Akey\Z",
    re.IGNORECASE,
)
_HUMP = re.compile(r"[-.\s]|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_ADDRESS = re.compile(r"(?<=://)([^\s/?#@:]*):[^\s/?#]*(?=@)")
_PASSWORD = re.compile(r"\b(password\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s'&]+)", re.IGNORECASE)
_SECRET_TYPES = (Secret, SecretStr, SecretBytes)
SHOWN_BYTES = 256
"""Bytes of UTF-8 that are shown of a value."""

#: Types whose text is never JSON: ``1.50`` stays exact, ``true`` is no number.
_FROM_TEXT = (int, float, bool, Decimal, dt.date, dt.datetime, dt.time, dt.timedelta, UUID)


@dataclass(frozen=True, slots=True)
class Config:
    """One asset's config: ``values`` to pass, ``digests`` to hash, ``shown`` to record.

    Secrets are passed, shown as a mask, and never hashed. The values of input paths stand in
    ``inputs`` as well and have no digest here: what they hold is looked at outside.
    """

    values: dict[str, Any] = field(default_factory=dict, repr=False)
    digests: dict[str, str] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)

    @property
    def secrets(self) -> list[str]:
        """The texts that are secret, to be masked wherever they turn up."""
        hidden = [self.values.get(name) for name, shown in self.shown.items() if shown == MASK]
        bare = [
            each.get_secret_value() if isinstance(each, _SECRET_TYPES) else each for each in hidden
        ]
        return [each for each in bare if isinstance(each, str)]


NO_CONFIG = Config()


@dataclass(frozen=True, slots=True)
class Written:
    """A value as text, which its parameter's annotation will read: as JSON if that fits."""

    text: str = field(repr=False)

    def readings(self, annotation: Any) -> list[Any]:
        """What the text may mean under an annotation, the likelier first."""
        if annotation in _FROM_TEXT:
            return [self.text]
        try:
            return [json.loads(self.text), self.text]
        except (ValueError, RecursionError):
            return [self.text]


def resolve(graph: AssetGraph, overrides: Mapping[str, Any]) -> dict[str, Config]:
    """The config of every asset that has any, by asset name.

    ``overrides`` is ``{"asset": {"parameter": value}}`` or ``{"asset.parameter": value}``.

    Raises:
        ConfigError: for an unknown asset or parameter, a value the annotation refuses, or one
            without canonical form.
    """
    errors: list[DefinitionError] = []
    given = given_by_asset(graph, overrides, errors)
    resolved: dict[str, Config] = {}
    of_makers: dict[int, Config] = {}
    for asset in graph:
        maker = asset.maker or asset
        if asset.config and id(maker) in of_makers:
            resolved[asset.name] = of_makers[id(maker)]
        elif asset.config:
            resolved[asset.name] = of_makers[id(maker)] = config = Config()
            for parameter in asset.config:
                try:
                    _resolve_one(maker, parameter, given.get(asset.name, {}), config)
                except ConfigError as error:
                    errors.append(error)
    DefinitionErrors.raise_any(errors)
    return resolved


def parse_setting(text: str) -> tuple[str, Any]:
    """``asset.parameter=value`` as a key and a value for ``resolve``.

    The value is read when its annotation is known: as JSON where that fits, else as text.

    Raises:
        ConfigError: if the text has another form.
    """
    key, equals, value = text.partition("=")
    name, _, parameter = key.strip().rpartition(".")
    if not (equals and name and parameter):
        msg = f"can't read the setting {cap(key, 80)!r}; write asset.parameter=value"
        raise ConfigError(msg)
    return key.strip(), Written(value)


def is_secret(name: str, value: object = None) -> bool:
    """Whether a value must stay out of rows, logs, errors and hashes, by its name or type."""
    return isinstance(value, _SECRET_TYPES) or bool(_SECRET.search(_HUMP.sub("_", name)))


def redact(text: str) -> str:
    """A text without the passwords of the addresses and connection strings in it."""
    return _PASSWORD.sub(rf"\1{MASK}", _ADDRESS.sub(rf"\1:{MASK}", text))


def public(value: Any) -> Any:
    """The value without its secrets: itself if it holds none, else a plain rendition.

    Fields and items that are secret are ``MASK`` in the rendition; objects become the name of
    their class and what they hold.

    Raises:
        HashingError: for a ring, or what is nested too deeply.
    """
    return _public(value, 0)


def _public(value: Any, depth: int) -> Any:
    if is_secret("", value):
        return MASK
    if depth > MAX_DEPTH:
        raise HashingError(f"value is nested deeper than {MAX_DEPTH} levels or contains itself")
    if isinstance(value, dict):
        return _public_dict(value, depth)
    held = _fields(value)
    if held is not None:
        shown = _public_dict(held, depth)
        return value if shown is held else {type(value).__qualname__: shown}
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [_public(item, depth + 1) for item in value]
        if _same(items, value):
            return value
        return items if isinstance(value, (list, tuple)) else sorted(items, key=repr)
    return value


def _fields(value: Any) -> dict[str, Any] | None:
    """What an object with named fields holds; None for any other value."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    if isinstance(value, BaseModel) or (is_dataclass(value) and not isinstance(value, type)):
        return attributes(value)
    return None


def _public_dict(value: dict[Any, Any], depth: int) -> dict[Any, Any]:
    held = {
        key: MASK if isinstance(key, str) and is_secret(key) else _public(item, depth + 1)
        for key, item in value.items()
    }
    return value if _same(held.values(), value.values()) else held


def _same(ours: Iterable[Any], theirs: Iterable[Any]) -> bool:
    return all(mine is other for mine, other in zip(ours, theirs, strict=True))


def given_by_asset(
    graph: AssetGraph, overrides: Mapping[str, Any], errors: list[DefinitionError]
) -> dict[str, dict[str, Any]]:
    """The config values given, by asset and parameter; what is wrong goes to ``errors``."""
    given: dict[str, dict[str, Any]] = {}
    items: Iterable[tuple[Any, Any]] = overrides.items()
    for key, value in items:
        if not isinstance(key, str):
            msg = f"config: a key is the name of an asset, not {safe_repr(key, 80)}"
            errors.append(ConfigError(msg))
            continue
        name, dot, parameter = key.rpartition(".")
        is_known = key in graph or bool(graph.made_by(key))
        if isinstance(value, Mapping) and (is_known or not dot):
            name, entries = key, dict(value)
        elif dot:
            entries = {parameter: value}
        else:
            cure = " to a mapping of its parameters" if is_known else ""
            errors.append(ConfigError(f"config: set {key!r}{cure} or 'asset.parameter' to a value"))
            continue
        several = graph.made_by(name)
        if not several and name not in graph:
            hint = did_you_mean(name, graph.names)
            errors.append(ConfigError(f"config: no asset named {name!r}{hint}"))
            continue
        maker = None if several else graph[name].maker
        if maker is not None:
            msg = f"config: {name!r} is made along with others; set '{maker.name}.parameter'"
            errors.append(ConfigError(msg))
            continue
        names = several or [name]
        asked = graph[names[0]].maker or graph[names[0]]
        known = [parameter.name for parameter in asked.config]
        errors += [
            ConfigError(
                f"config: {asked.label} has no config parameter {safe_repr(unknown, 80)}"
                + (did_you_mean(str(unknown), known) or f"; it has {', '.join(known) or 'none'}")
            )
            for unknown in entries
            if unknown not in known
        ]
        for each in names:
            given.setdefault(each, {}).update(entries)
    return given


def _resolve_one(
    asset: AnyAsset, parameter: Parameter, given: Mapping[str, Any], config: Config
) -> None:
    name = parameter.name
    if name in given:
        value = _validated(asset, parameter, given[name])
    else:  # a function that changes its default in place must not change the next run's
        value = copy.deepcopy(parameter.default) if _is_mutable(parameter) else parameter.default
    config.values[name] = value
    annotation = asset.annotation(parameter)
    if is_secret(name, value) or _holds_secret(annotation):
        config.shown[name] = MASK
        return
    if mentions_input(annotation):
        config.shown[name] = _shown_paths(asset, name, annotation, value)
        config.inputs[name] = value
        return
    config.shown[name] = display(value)
    try:
        config.digests[name] = digest(public(value))
    except HashingError as error:
        msg = (
            f"{asset.label}: config {name!r} has no canonical form ({error}); use plain values,"
            f" dataclasses or pydantic models"
        )
        raise ConfigError(msg) from None


def _is_mutable(parameter: Parameter) -> bool:
    return isinstance(parameter.default, (list, dict, set, bytearray))


def _shown_paths(asset: AnyAsset, name: str, annotation: Any, value: Any) -> str:
    """The paths of an input parameter in words; an error if they can't be found in its value."""
    if not takes_paths(annotation):
        msg = (
            f"{asset.label}: config {name!r}: an InputPath stands alone, with None, or in a list,"
            f" tuple or dict of such; give it a parameter of its own"
        )
        raise ConfigError(msg)
    try:
        paths = [str(path) for path in paths_in(value)]
    except TypeError as error:
        raise ConfigError(f"{asset.label}: config {name!r}: {error}") from None
    return cap(redact(clean(", ".join(paths))), SHOWN_BYTES) or str(value)


def display(value: Any, limit: int = SHOWN_BYTES) -> str:
    """A value in at most ``limit`` bytes, without secrets."""
    try:
        return cap(redact(safe_repr(public(value))), limit)
    except HashingError:
        return f"<{type(value).__name__}>"


def _holds_secret(annotation: Any) -> bool:
    """Whether an annotation is a secret's, or a union with one."""
    origin = get_origin(annotation)
    if origin in (Annotated, Union, UnionType):
        return any(map(_holds_secret, get_args(annotation)))
    kind = origin or annotation
    return isinstance(kind, type) and issubclass(kind, _SECRET_TYPES)


def mentions_secret(annotation: Any, seen: set[int]) -> bool:
    """Whether a value of the annotation may hold a secret, at any depth."""
    if id(annotation) in seen:
        return False
    seen.add(id(annotation))
    if _holds_secret(annotation):
        return True
    inner = list(get_args(annotation))
    names: list[str] = []
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        names = list(annotation.model_fields)
        inner += [each.annotation for each in annotation.model_fields.values()]
    elif is_dataclass(annotation) or hasattr(annotation, "__annotations__"):
        names = list(getattr(annotation, "__annotations__", {}))
        inner += getattr(annotation, "__annotations__", {}).values()
    return any(map(is_secret, names)) or any(mentions_secret(each, seen) for each in inner)


def _validated(asset: AnyAsset, parameter: Parameter, value: Any) -> Any:
    annotation = asset.annotation(parameter)
    if annotation is Any and parameter.default is not None:
        annotation = type(parameter.default)
    readings = value.readings(annotation) if isinstance(value, Written) else [value]
    secret = is_secret(parameter.name, readings[-1]) or mentions_secret(annotation, set())
    what = f"config {asset.name}.{parameter.name}"
    problem = ""
    try:
        adapter = adapter_of(annotation)
        for reading in readings:
            try:
                return adapter.validate_python(reading)
            except ValidationError as error:
                problem = first_error(error, secret=secret)
    except (PydanticUserError, NameError) as error:
        first = str(error).partition("\n")[0]
        raise ConfigError(f"{what}: its annotation can't be checked: {first}") from None
    except Exception as error:  # noqa: BLE001 - validators are the user's code
        told = "" if secret else f": {safe_str(error, SHOWN_BYTES)}"
        problem = f": validation raised {type(error).__name__}{told}"
    shown = MASK if secret else display(readings[-1], 80)
    raise ConfigError(f"{what} = {shown}{problem}")


def adapter_of(annotation: Any) -> TypeAdapter[Any]:
    """What validates values of an annotation; a class it knows nothing of, by ``isinstance``.

    Raises:
        PydanticUserError: for an annotation it can't validate, ``NameError`` for names in quotes.
    """
    try:
        return TypeAdapter(annotation, config={"arbitrary_types_allowed": True})
    except PydanticUserError:  # models and dataclasses carry their own configuration
        return TypeAdapter(annotation)


def first_error(error: ValidationError, *, secret: bool) -> str:
    """What is wrong, and where inside the value; of a secret, nothing its validator wrote."""
    first = error.errors(include_url=False, include_input=False)[0]
    if secret or any(is_secret(str(part)) for part in first["loc"]):
        own = first["type"] in ("value_error", "assertion_error")
        return ": it is refused" if own else f": {first['msg']}"
    where = "".join(f"[{part!r}]" for part in first["loc"])
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{': at ' + where if where else ''}: {cap(first['msg'], SHOWN_BYTES)}{more}"
