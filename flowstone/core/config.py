"""Config parameters: their values for one run, validated, hashed, and shown without secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import PydanticUserError, SecretBytes, SecretStr, TypeAdapter, ValidationError

from flowstone.core.hashing import digest
from flowstone.core.text import cap, safe_repr
from flowstone.errors import (
    ConfigError,
    DefinitionError,
    DefinitionErrors,
    HashingError,
    did_you_mean,
)

if TYPE_CHECKING:
    from flowstone.core.asset import AnyAsset
    from flowstone.core.dag import AssetGraph
    from flowstone.core.signature import Parameter

MASK = "**********"

_SECRET = re.compile(
    r"(?:\A|_)(?:password|passwd|pwd|secret|token|credentials?)\Z"
    r"|(?:\A|_)(?:api|access|secret|private|auth|encryption|signing|ssh|account)_?key\Z"
    r"|\Akey\Z",
    re.IGNORECASE,
)
_SHOWN_BYTES = 256


@dataclass(frozen=True, slots=True)
class Config:
    """One asset's config: ``values`` to pass, ``digests`` to hash, ``shown`` to record.

    Secrets are passed, shown as a mask, and never hashed.
    """

    values: dict[str, Any] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)


NO_CONFIG = Config()


def resolve(graph: AssetGraph, overrides: Mapping[str, Any]) -> dict[str, Config]:
    """The config of every asset that has any, by asset name.

    ``overrides`` is ``{"asset": {"parameter": value}}`` or ``{"asset.parameter": value}``.

    Raises:
        ConfigError: for an unknown asset or parameter, a value the annotation refuses, or one
            without canonical form.
    """
    errors: list[DefinitionError] = []
    given = _by_asset(graph, overrides, errors)
    resolved: dict[str, Config] = {}
    for asset in graph:
        if asset.config:
            resolved[asset.name] = config = Config()
            for parameter in asset.config:
                try:
                    _resolve_one(asset, parameter, given.get(asset.name, {}), config)
                except ConfigError as error:
                    errors.append(error)
    DefinitionErrors.raise_any(errors)
    return resolved


def parse_setting(text: str) -> tuple[str, Any]:
    """``asset.parameter=value`` as a key and a value: JSON where it reads as such, else text.

    Raises:
        ConfigError: if the text has another form.
    """
    key, equals, value = text.partition("=")
    if not equals or "." not in key:
        msg = f"can't read the setting {key!r}; write asset.parameter=value"
        raise ConfigError(msg)
    try:
        return key.strip(), json.loads(value)
    except ValueError:
        return key.strip(), value


def is_secret(name: str, value: object = None) -> bool:
    """Whether a value must stay out of rows, logs, errors and hashes, by its name or type."""
    return isinstance(value, (SecretStr, SecretBytes)) or bool(_SECRET.search(name))


def _by_asset(
    graph: AssetGraph, overrides: Mapping[str, Any], errors: list[DefinitionError]
) -> dict[str, dict[str, Any]]:
    given: dict[str, dict[str, Any]] = {}
    for key, value in overrides.items():
        name, dot, parameter = key.rpartition(".")
        if key in graph and isinstance(value, Mapping):
            name, entries = key, dict(value)
        elif dot:
            entries = {parameter: value}
        else:
            cure = " to a mapping of its parameters" if key in graph else ""
            errors.append(ConfigError(f"config: set {key!r}{cure} or 'asset.parameter' to a value"))
            continue
        if name not in graph:
            hint = did_you_mean(name, graph.names)
            errors.append(ConfigError(f"config: no asset named {name!r}{hint}"))
            continue
        known = [parameter.name for parameter in graph[name].config]
        errors += [
            ConfigError(
                f"config: {graph[name].label} has no config parameter {unknown!r}"
                + (did_you_mean(unknown, known) or f"; it has {', '.join(known) or 'none'}")
            )
            for unknown in entries
            if unknown not in known
        ]
        given.setdefault(name, {}).update(entries)
    return given


def _resolve_one(
    asset: AnyAsset, parameter: Parameter, given: Mapping[str, Any], config: Config
) -> None:
    name = parameter.name
    value = parameter.default
    if name in given:
        value = _validated(asset, parameter, given[name])
    config.values[name] = value
    if is_secret(name, value):
        config.shown[name] = MASK
        return
    config.shown[name] = cap(safe_repr(value), _SHOWN_BYTES)
    try:
        config.digests[name] = digest(value)
    except HashingError as error:
        msg = (
            f"{asset.label}: config {name!r} has no canonical form ({error}); use plain values,"
            f" dataclasses or pydantic models"
        )
        raise ConfigError(msg) from None


def _validated(asset: AnyAsset, parameter: Parameter, value: Any) -> Any:
    annotation = asset.annotation(parameter)
    if annotation is Any and parameter.default is not None:
        annotation = type(parameter.default)
    try:
        return TypeAdapter(annotation, config={"arbitrary_types_allowed": True}).validate_python(
            value
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = "".join(f"[{part!r}]" for part in first["loc"])
        shown = MASK if is_secret(parameter.name, value) else cap(safe_repr(value), 80)
        msg = f"config {asset.name}.{parameter.name}{where} = {shown}: {first['msg']}"
        raise ConfigError(msg) from None
    except PydanticUserError:  # models and dataclasses carry their own configuration
        return TypeAdapter(annotation).validate_python(value)
