"""What a run was asked for, as its row keeps it, so that the same can be asked for again.

A config value is kept as JSON, or as the text it was given as. One that is secret, or that holds
something secret, is not kept; nor is one that JSON would not bring back as it was.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowstone.core.config import (
    MASK,
    Written,
    adapter_of,
    given_by_asset,
    mentions_secret,
    public,
    redact,
)
from flowstone.core.hashing import digest
from flowstone.core.text import TEXT_LIMIT, clean
from flowstone.errors import ResumeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from flowstone.core.asset import AnyAsset
    from flowstone.core.config import Config
    from flowstone.core.dag import AssetGraph
    from flowstone.core.plan import Request
    from flowstone.core.records import Run

_VERSION = 1
_PLAIN = (type(None), bool, int, float, str, list, dict)


@dataclass(frozen=True, slots=True)
class Given:
    """The config values that a run was given: ``kept`` by parameter, and those that are not."""

    kept: dict[str, dict[str, Any]] = field(default_factory=dict)
    unkept: tuple[str, ...] = ()


NOTHING_GIVEN = Given()


def given(graph: AssetGraph, overrides: Mapping[str, Any], resolved: Mapping[str, Config]) -> Given:
    """The config values that were given, which ``resolve`` has found to be in order."""
    if not overrides:
        return NOTHING_GIVEN
    kept: dict[str, dict[str, Any]] = {}
    unkept: set[str] = set()
    for name, values in given_by_asset(graph, overrides, []).items():
        asset = graph[name].maker or graph[name]
        for parameter, value in values.items():
            key = f"{asset.name}.{parameter}"
            written = _written(asset, parameter, value, resolved[name])
            if written is None:
                unkept.add(key)
            else:
                kept[key] = written
    return Given(kept, tuple(sorted(unkept)))


def _written(asset: AnyAsset, parameter: str, value: Any, config: Config) -> dict[str, Any] | None:
    annotation = asset.annotation(next(p for p in asset.config if p.name == parameter))
    final = config.values[parameter]
    try:
        if config.shown[parameter] == MASK or mentions_secret(annotation, set()):
            return None
        if public(final) is not final:
            return None
        if isinstance(value, Written):
            kept, text = {"text": value.text}, value.text
        else:
            plain = value if _is_plain(value) else _dumped(annotation, final)
            back = adapter_of(annotation).validate_python(plain)
            if type(back) is not type(final) or digest(back) != digest(final):
                return None
            kept, text = {"value": plain}, json.dumps(plain, ensure_ascii=False)
    except Exception:  # noqa: BLE001 - whatever a user's class raises: it has no form to be kept
        return None
    if len(text) > TEXT_LIMIT or "\\u0000" in text:
        return None
    return kept if text == clean(text) == redact(text) else None


def _is_plain(value: Any) -> bool:
    """Whether JSON brings back just this."""
    if type(value) not in _PLAIN or (type(value) is float and not abs(value) < float("inf")):
        return False
    if type(value) is dict:
        return all(type(key) is str and _is_plain(item) for key, item in value.items())
    return type(value) is not list or all(map(_is_plain, value))


def _dumped(annotation: Any, value: Any) -> Any:
    dumped = adapter_of(annotation).dump_python(value, mode="json", exclude_unset=True)
    return dumped if _is_plain(dumped) else None


def recorded(request: Request) -> dict[str, Any]:
    """What was asked for, as plain JSON."""
    document: dict[str, Any] = {"version": _VERSION, "targets": list(request.targets)}
    options = {
        "config": request.given.kept,
        "unkept": list(request.given.unkept),
        "force": sorted(request.force),
        "only": request.only,
        "verify": request.verify,
    }
    return document | {name: option for name, option in options.items() if option}


@dataclass(frozen=True, slots=True)
class Repeated:
    """What is to be asked for, so that it is what a run was asked for."""

    targets: tuple[str, ...]
    partition: str | None
    config: dict[str, Any]
    force: tuple[str, ...]
    only: bool
    verify: bool


def repeated(run: Run, config: Mapping[str, Any]) -> Repeated:
    """What a run was asked for, with ``config`` in place of what was not kept, or was otherwise.

    Raises:
        ResumeError: if that is not recorded, or a value that was not kept is not given again.
    """
    asked = run.request
    if asked is None:
        raise ResumeError(
            f"run {run.run_id} does not say what it was asked for: an older Flowstone recorded it,"
            f" or it only accepted versions; run what is wanted instead"
        )
    if asked["version"] > _VERSION:
        raise ResumeError(
            f"run {run.run_id} was asked for something that this Flowstone does not know;"
            f" upgrade it: pip install -U flowstone"
        )
    missing = [name for name in asked.get("unkept", ()) if not _is_given(name, config)]
    if missing:
        raise ResumeError(
            f"run {run.run_id} was given {', '.join(missing)}, which is not recorded because it is"
            f" secret or no plain value; give it again: --set {missing[0]}=... or config="
        )
    kept = {
        name: Written(value["text"]) if "text" in value else value["value"]
        for name, value in asked.get("config", {}).items()
    }
    return Repeated(
        tuple(asked["targets"]),
        run.partition,
        {**kept, **config},
        tuple(asked.get("force", ())),
        asked.get("only", False),
        asked.get("verify", False),
    )


def _is_given(name: str, config: Mapping[str, Any]) -> bool:
    asset, _, parameter = name.rpartition(".")
    of_asset = config.get(asset)
    return name in config or (isinstance(of_asset, dict) and parameter in of_asset)
