"""What a perfect engine would do: it remembers all that was ever recorded, and sees all damage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from flowstone.core.hashing import content_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from flowstone.core.records import Materialization, ValuePointer
    from tests.property.rebuild_model import Ingredients, Now

#: Why a step runs; only ``changed`` is one that no record could stand in for. With its twin's
#: reason runs what has none: ``together`` if it was asked for and is there, else ``along``.
Reason = Literal["changed", "forced", "always", "verified", "lost", "together", "along"]
#: How a stored value is; ``altered`` shows only when it is read.
Condition = Literal["sound", "gone", "altered"]


@dataclass(frozen=True)
class Asked:
    """What one run is asked for; no targets are all assets."""

    targets: frozenset[str] = frozenset()
    force: frozenset[str] = frozenset()
    verify: bool = False


@dataclass
class Expected:
    """Why each step runs that runs, how each ends, and the numbers in all values.

    ``in_vain`` are lost values that may be made again for steps which then can't run, because
    something else that they need failed. ``perhaps`` was not asked for, and is made again with its
    lost twin only if that was known to be lost before the run.
    """

    reasons: dict[str, Reason] = field(default_factory=dict)
    endings: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    in_vain: set[str] = field(default_factory=set)
    perhaps: set[str] = field(default_factory=set)

    @property
    def hindered(self) -> set[str]:
        """Steps that read nothing, but might have, had nothing failed."""
        skipped = {name for name, ending in self.endings.items() if ending == "skipped"}
        return skipped | self.in_vain

    def remake(self, name: str, reason: Reason = "lost") -> None:
        """A lost value is made again, or what goes along with one."""
        self.reasons[name] = reason
        self.endings[name] = "materialized"

    def agrees_with(self, endings: Mapping[str, str]) -> bool:
        """Whether steps ended as expected."""
        perhaps = [endings[name] for name in self.perhaps if name in endings]
        sure = {name: each for name, each in endings.items() if name not in self.perhaps}
        return sure == self.endings and set(perhaps) <= {"materialized"}


class Oracle:
    """Remembers ingredients and where the value that was made of them is."""

    def __init__(self, values: Path) -> None:
        self.values = values
        self._records: dict[Ingredients, ValuePointer] = {}

    def learn(self, now: Now, rows: Iterable[Materialization]) -> None:
        """Take in the successes among the rows of a run."""
        numbers = now.numbers()
        for row in rows:
            if row.status == "success" and row.value is not None:
                self._records[now.ingredients(row.asset_name, numbers)] = row.value

    def forget(self, name: str) -> bool:
        """Whatever was recorded of an asset is invalid; whether there was anything."""
        known = [key for key in self._records if key[0] == name]
        for key in known:
            del self._records[key]
        return bool(known)

    def knows(self, now: Now, name: str) -> bool:
        """Whether a success of just these ingredients was recorded."""
        return now.ingredients(name, now.numbers()) in self._records

    def is_of(self, now: Now, name: str, made: Materialization) -> bool:
        """Whether a materialization has the value that the ingredients of now come to."""
        value = self._records[now.ingredients(name, now.numbers())]
        return made.value is not None and made.value.content_digest == value.content_digest

    def file(self, now: Now, name: str) -> Path | None:
        """Where the recorded value of an asset is, unless there is none or it is in its row."""
        pointer = self._records.get(now.ingredients(name, now.numbers()))
        if pointer is None or pointer.inline is not None:
            return None
        return self.values / pointer.content_digest[:2] / pointer.content_digest

    def condition(self, now: Now, name: str) -> Condition:
        """How the recorded value of an asset is now."""
        file, pointer = self.file(now, name), self._records[now.ingredients(name, now.numbers())]
        if file is None:
            return "sound"
        if not file.is_file() or file.stat().st_size != pointer.size:
            return "gone"
        digest = content_digest(file.read_bytes())
        return "sound" if digest == pointer.content_digest else "altered"

    def expect(self, now: Now, asked: Asked) -> Expected:
        """What a run must do, and what it must come to."""
        found = Expected(numbers=now.numbers())
        order = set(now.shape.needed(asked.targets))
        for function, outputs in now.shape.functions.items():
            names = [each.name for each in outputs]
            wanted = [name for name in names if name in order]
            sources = {take.name for take in outputs[0].takes}
            reasons = {name: self._reason(now, name, asked) for name in wanted}
            if not wanted:
                continue
            if any(found.endings[source] in {"failed", "skipped"} for source in sources):
                found.endings |= dict.fromkeys(names, "skipped")
            elif set(reasons.values()) <= {None, "verified"}:
                found.reasons |= {name: "verified" for name in wanted if asked.verify}
                found.endings |= dict.fromkeys(wanted, "verified" if asked.verify else "reused")
            else:
                found.reasons |= {name: self._along(now, name, reasons) for name in names}
                ending = "failed" if function in now.state.broken else "materialized"
                found.endings |= dict.fromkeys(names, ending)
        self._remake(now, asked, found)
        return found

    def _along(self, now: Now, name: str, reasons: Mapping[str, Reason | None]) -> Reason:
        """Why one of several is made, the function being called."""
        own = reasons.get(name)
        if own is not None and own != "verified":
            return own
        is_there = name in reasons and self.condition(now, name) == "sound"
        return "together" if is_there else "along"

    def _reason(self, now: Now, name: str, asked: Asked) -> Reason | None:
        if not self.knows(now, name):
            return "changed"
        if now.shape.assets[name].always:
            return "always"
        if name in asked.force:
            return "forced"
        return "verified" if asked.verify else None

    def _remake(self, now: Now, asked: Asked, found: Expected) -> None:
        """Lost values that are asked for, or that steps which run read, are made again.

        So are their twins.
        """
        order = set(now.shape.needed(asked.targets))
        asked_for = asked.targets or order
        for outputs in reversed(now.shape.functions.values()):
            names = [each.name for each in outputs if each.name in order]
            if not names or found.endings[names[0]] not in {"reused", "verified"}:
                continue
            state = {name: self.condition(now, name) for name in names}
            bad = {"gone"} if asked.verify else {"gone", "altered"}
            lost = [name for name in names if state[name] in bad]
            read = [name for name in lost if self._is_read(now, name, set(found.reasons))]
            wanted = [name for name in lost if state[name] == "gone" and name in asked_for]
            if read or wanted:
                for name in names:
                    is_cause = name in read or name in wanted
                    sound = state[name] == "sound"
                    reason: Reason = "lost" if is_cause else "together" if sound else "along"
                    found.remake(name, reason)
            elif any(self._is_read(now, name, found.hindered) for name in lost):
                found.in_vain.update(names)
            if lost:
                found.perhaps |= {each.name for each in outputs} - set(names)

    @staticmethod
    def _is_read(now: Now, source: str, by: set[str]) -> bool:
        takes = [take for name in by for take in now.shape.assets[name].takes]
        return any(take.name == source and take.passed for take in takes)
