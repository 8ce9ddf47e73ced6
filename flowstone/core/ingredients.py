"""All that decides what a step makes: equal ingredients have equal dependency hashes."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from json.encoder import encode_basestring_ascii as _quoted
from typing import TYPE_CHECKING, Any

from flowstone.core.cause import Cause
from flowstone.core.config import MASK, NO_CONFIG, Config
from flowstone.core.hashing import combine_named
from flowstone.core.outside import NOTHING_OBSERVED, STATED, Observed
from flowstone.core.text import TEXT_LIMIT, jsonable

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from flowstone.core.records import Materialization


@dataclass(slots=True)
class Ingredients:
    """All that decides what a step makes.

    ``upstream`` maps each parameter (``+name`` for an input that is not passed) to the data
    version it takes. ``code_version`` is None if the source can't be had: never reusable.
    ``outside`` is what was observed of the world outside, ``resources`` the declared versions of
    the resources it takes, and of those that they take, by name. ``output`` is the position among
    the outputs of its function, None for an asset on its own.
    """

    asset: str
    partition: str | None
    code_version: str | None
    upstream: Mapping[str, str]
    config: Config = NO_CONFIG
    outside: Observed = NOTHING_OBSERVED
    resources: Mapping[str, str] = field(default_factory=dict)
    output: int | None = None

    def dependency_hash(self, asset: str | None = None) -> str:
        """The digest of all of them, by name; ``asset`` is a name it had before."""
        texts = ["dependency", asset or self.asset, self.code_version, self.partition]
        # What takes no resources has the hash that it had before there were any.
        named = [self.upstream, self.config.digests, self.outside.states]
        if self.resources:
            named.append(self.resources)
        place = () if self.output is None else ("output", str(self.output))
        return combine_named(texts, named, place)

    def agree_with(self, made: Materialization) -> bool:
        """Whether an earlier materialization was made of just these."""
        return self.code_version is not None and made.dependency_hash == self.dependency_hash(
            made.asset_name
        )

    def recorded(self) -> dict[str, Any]:
        """The ingredients as the row keeps them, for later explanations."""
        recorded: dict[str, Any] = {
            "upstream": dict(self.upstream),
            "config": _shown(self.config.shown, self.config.digests),
            "outside": _shown(self.outside.shown, self.outside.states),
        }
        if self.resources:
            recorded["resources"] = dict(self.resources)
        if self.output is not None:
            recorded["output"] = self.output
        return recorded

    def recorded_json(self, before: str | None = None) -> str:
        """The same as the text of a JSON object that Postgres takes, built at once.

        ``before`` is the id of the materialization that was current, and is kept along.
        """
        plain = not (self.config.shown or self.config.digests or self.resources)
        if plain and self.output is None and not (self.outside.shown or self.outside.states):
            pairs = ",".join([f"{_quoted(name)}:{_quoted(v)}" for name, v in self.upstream.items()])
            known = _quoted(before) if before else "null"
            text = f'{{"upstream":{{{pairs}}},"config":{{}},"outside":{{}},"before":{known}}}'
            # NUL, half a character, or too much for one text
            odd = "\\u" in text and ("\\u0000" in text or "\\ud" in text)
            if not odd and len(text) < TEXT_LIMIT:
                return text
        told = self.recorded() | {"before": before}
        return json.dumps(jsonable(told, sys.maxsize, sys.maxsize), separators=(",", ":"))

    def causes(self, made: Materialization, unsettled: Container[str] = ()) -> Iterator[Cause]:
        """What is different from the ingredients of an earlier materialization.

        Of ``unsettled`` inputs it is not known yet.
        """
        if self.code_version is None:
            yield Cause("code_unknown")
        elif self.code_version != made.code_version:
            yield Cause("code_changed")
        if self.output != made.inputs.get("output"):
            yield Cause("outputs_changed")
        before: Mapping[str, str] = made.inputs.get("upstream", {})
        for name in sorted({*before, *self.upstream}) if before != self.upstream else ():
            old, new = before.get(name), self.upstream.get(name)
            if old != new and name not in unsettled:
                shown = short(old), short(new)
                # versions of values that aren't kept begin alike: nothing to show
                yield Cause("input_changed", name, *(shown if len({*shown}) > 1 else ()))
        now = _shown(self.config.shown, self.config.digests)
        for name, was, shown_now in _changed(made.inputs.get("config", {}), now):
            yield Cause("config_changed", name, was, shown_now)
        now = _shown(self.outside.shown, self.outside.states)
        for name, was, shown_now in _changed(made.inputs.get("outside", {}), now):
            yield Cause("outside_changed", name, was, shown_now)
        declared: Mapping[str, str] = made.inputs.get("resources", {})
        for name in sorted({*declared, *self.resources}):
            if declared.get(name) != self.resources.get(name):
                yield Cause("resource_changed", name, declared.get(name), self.resources.get(name))


_Shown = dict[str, dict[str, str | None]]


def _shown(texts: Mapping[str, str], digests: Mapping[str, str]) -> _Shown:
    if not (texts or digests):
        return {}
    names = {**texts, **digests}
    return {name: {"shown": texts.get(name), "digest": digests.get(name)} for name in names}


def _changed(
    before: Mapping[str, Mapping[str, str | None]], now: _Shown
) -> Iterator[tuple[str, str | None, str | None]]:
    for name in sorted({*before, *now}) if before != now else ():
        earlier, later = before.get(name, {}), now.get(name, {})
        if earlier.get("digest") != later.get("digest"):
            shown = later.get("shown")
            # A secret was perhaps none before: what was shown then is not shown again.
            yield name, None if shown == MASK else earlier.get("shown"), shown


def short(version: str | None) -> str | None:
    """A version as it is shown."""
    return version and version.removeprefix(STATED)[:8]
