"""Why a step is what it is: one reason, in a form that can be recorded and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CauseKind = Literal[
    "never_made",
    "code_changed",
    "code_unknown",
    "input_changed",
    "config_changed",
    "outside_changed",
    "resource_changed",
    "value_lost",
    "invalidated",
    "forced",
    "always",
    "too_old",
    "upstream_will_run",
    "upstream_missing",
    "observation_failed",
    "value_differs",
    "outputs_changed",
    "made_together",
]

_TOLD = 4
_WORDS: dict[CauseKind, str] = {
    "code_changed": "code of {subject} changed",
    "code_unknown": "its code can't be followed",
    "input_changed": "input {subject} changed",
    "config_changed": "config {subject} changed",
    "outside_changed": "{subject} changed outside",
    "resource_changed": "resource {subject} changed",
    "value_lost": "value not kept ({subject})",
    "invalidated": "invalidated",
    "always": "always made",
    "too_old": "older than {subject}",
    "upstream_will_run": "upstream {subject} will run",
    "upstream_missing": "upstream {subject} has no value and is not selected",
    "observation_failed": "{subject}",
    "value_differs": "executed again, it gives {subject}",
    "outputs_changed": "its place among the outputs changed",
    "made_together": "made together with {subject}",
}
_WITHOUT_SUBJECT: dict[CauseKind, str] = {
    "code_changed": "code changed",
    "value_lost": "value lost",
    "value_differs": "executed again, it gives another value",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """One reason: its kind, what it is about, the old and new version of that, and its place.

    ``subject`` is the definition of a code change, the parameter of an input or config change,
    the upstream asset, the resource, or what was observed outside. ``place`` is ``file:line`` for
    code.
    """

    kind: CauseKind
    subject: str = ""
    old: str | None = None
    new: str | None = None
    place: str = ""

    def __str__(self) -> str:
        plain = None if self.subject else _WITHOUT_SUBJECT.get(self.kind)
        words = plain or _WORDS.get(self.kind) or self.kind.replace("_", " ")
        told = words.replace("{subject}", self.subject)
        if self.old or self.new:
            told += self._change()
        return f"{told} ({self.place})" if self.place else told

    def _change(self) -> str:
        gone, new = self.old and not self.new, self.new and not self.old
        if self.kind == "code_changed":
            # what changed is shown as a diff, not as two digests
            return ": reached no more" if gone else ": newly reached" if new else ""
        if self.kind == "input_changed" and (gone or new):
            return ": taken no more" if gone else ": newly taken"
        if self.kind == "resource_changed" and (gone or new):
            return ": without a version now" if gone else f": version {self.new} now"
        return f" {self.old} -> {self.new}" if self.old and self.new else ""

    def to_dict(self) -> dict[str, Any]:
        """The cause as it is recorded: its fields that say something."""
        told: dict[str, Any] = {"kind": self.kind}
        if self.subject:
            told["subject"] = self.subject
        if self.old:
            told["old"] = self.old
        if self.new:
            told["new"] = self.new
        if self.place:
            told["place"] = self.place
        return told

    @classmethod
    def of(cls, recorded: Mapping[str, Any]) -> Self:
        """The cause that ``to_dict`` wrote down."""
        return cls(**recorded)


def in_words(causes: Sequence[Cause]) -> str:
    """Several causes in one line; of very many, the first."""
    told = list(map(str, causes[:_TOLD]))
    if len(causes) > _TOLD:
        told.append(f"and {len(causes) - _TOLD} more")
    return "; ".join(told)
