"""What must hold after every call of the store, and after every history."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeAlias

from flowstone.core.records import Claim
from flowstone.core.status import OPEN, may_follow

if TYPE_CHECKING:
    import uuid
    from collections.abc import Sequence

    from flowstone.core.records import Draft, Materialization
    from flowstone.store.memory import MemoryStore
    from tests.simulation.model import Code
    from tests.simulation.shelf import Shelf
    from tests.simulation.world import World

Key: TypeAlias = "tuple[str, str | None]"

#: Seconds from a value to the batch that has it: those of the threads, and of the journal.
WRITTEN_SECONDS = 0.8

_MADE = ("success", "stale")


class Noticed(dict[Any, Any]):
    """A mapping that remembers what was set in it since it was last looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[tuple[Any, Any, Any]] = []

    def __setitem__(self, key: Any, value: Any) -> None:
        self.changes.append((key, self.get(key), value))
        super().__setitem__(key, value)


class Executed:
    """One call of an asset's function: what it was given, and what it made."""

    def __init__(self, code: Code, inputs: dict[str, int]) -> None:
        self.code, self.inputs = code, inputs
        #: When it gave its value; never, if it did not.
        self.done_at = math.inf


class Watch:
    """Looks at the store after every call.

    ``count`` is how many functions were called, ``executed`` the last calls by run and asset,
    ``excused`` how often what has this hash may be recorded again. ``truth`` is what each recorded
    value was when it was recorded.
    """

    def __init__(self, world: World, store: MemoryStore, shelf: Shelf) -> None:
        self._world, self._store, self._shelf = world, store, shelf
        self._rows, self._heads = Noticed(), Noticed()
        store._rows, store._current = self._rows, self._heads
        self._told: list[str] = []
        self._claimed: dict[Key, str] = {}
        self._fences: Counter[Key] = Counter()
        self._recorded: Counter[tuple[str, str | None, str | None]] = Counter()
        # Who planned before a version came and went can't see at its claim that it was there.
        self._moved_back: Counter[Key] = Counter()
        self.excused: Counter[tuple[str, str | None, str | None]] = Counter()
        self.count = 0
        self.truth: dict[uuid.UUID, int] = {}
        self._versions: dict[tuple[str, str | None], str] = {}
        self.executed: dict[tuple[str, str], Executed] = {}
        self.acknowledged: dict[uuid.UUID, str] = {}

    def told(self) -> str:
        """What was recorded with the last call, for people."""
        told, self._told = self._told, []
        return f": {', '.join(told)}" if told else ""

    def sends(self, run_id: str, drafts: Sequence[Draft], stopped_at: float) -> None:
        """A run sends a batch: all it has executed is in it or recorded, or was just executed.

        So no more is executed again after a crash than was in flight, or in that batch.
        """
        ended = {each.asset_name for each in drafts if each.status not in OPEN}
        for (run, name), executed in self.executed.items():
            late = max(executed.done_at, stopped_at) + WRITTEN_SECONDS < self._world.now
            if run == run_id and late and name not in ended and not self._has_ended(run, name):
                self._world.violate(f"{name} was made long ago, and is not written")

    def _has_ended(self, run_id: str, name: str) -> bool:
        return any(
            (row.run_id, row.asset_name) == (run_id, name) and row.status not in OPEN
            for row in self._rows.values()
        )

    def refused(self, verb: str) -> None:
        """A call that raised must have changed nothing."""
        changed = [new.asset_name for _, _, new in self._rows.changes if new.status not in OPEN]
        if verb == "write" and (changed or self._heads.changes):
            self._world.violate(f"a write that was refused was half done: {changed}")
        self._look()

    def did(self, verb: str, result: Any) -> None:
        """A call was carried out."""
        if isinstance(result, list) and result and isinstance(result[0], Claim):
            self._granted(result)
        self._look()
        if verb in ("start_run", "claim", "finish_run", "cancel_run"):
            self._are_closed()

    def _granted(self, claims: list[Claim]) -> None:
        for claim in claims:
            key: Key = (claim.asset_name, None)
            if claim.fence < self._fences[key]:
                self._world.violate(f"I3: the fence of {key} fell")
            self._fences[key] = claim.fence
            if claim.granted:
                self._claimed[key] = str(claim.holder)
            self._told.append(f"{claim.asset_name}{'' if claim.granted else ' is held'}")

    def _look(self) -> None:
        changes, self._rows.changes = self._rows.changes, []
        made = [new for _, old, new in changes if _is_made(old, new)]
        for row in made:
            self._is_there(row)
        for _, old, new in changes:
            self._changed(old, new)
        for row in made:
            self._success(row)
        heads, self._heads.changes = self._heads.changes, []
        for key, before, id_ in heads:
            row = self._rows.get(id_)
            if before is not None and row is not None and row.id < before:
                self._moved_back[key] += 1
            if row is None or row.status not in _MADE or row.asset_name != key[0]:
                self._world.violate(f"I3: what stands for {key} is no success of it")

    def _changed(self, old: Materialization | None, new: Materialization) -> None:
        violate = self._world.violate
        self._told.append(f"{new.asset_name} {new.status}")
        if old is not None and old.status != new.status and not may_follow(old.status, new.status):
            violate(f"I6: {new.asset_name} went from {old.status} to {new.status}")
        if old is not None and old.status not in OPEN and old.value != new.value:
            violate(f"I6: {new.asset_name} had ended, and its value was changed")

    def _success(self, row: Materialization) -> None:
        key: Key = (row.asset_name, row.partition)
        if self._store._claims.holder(key) not in (None, row.run_id):
            self._world.violate(f"{row.asset_name}: recorded while another run has the claim")
        if row.run_id not in self._store._claims._leases:
            self._world.violate(f"{row.asset_name}: recorded by {row.run_id}, taken for dead")
        same = (*key, row.dependency_hash)
        self._recorded[same] += 1
        if self._recorded[same] > 1 + self.excused[same] + self._moved_back[key]:
            self._world.violate(f"{row.asset_name}: recorded twice, made of the same")
        self._is_right(row)

    def _is_there(self, row: Materialization) -> None:
        pointer = row.value
        if pointer is None:
            self._world.violate(f"{row.asset_name}: a success without a value")
        elif pointer.inline is not None:
            self.truth[row.id] = json.loads(pointer.inline)
        else:
            found = self._shelf.at(pointer.location)
            if found is None:
                self._world.violate(f"{row.asset_name}: recorded before its value is there")
            else:
                self.truth[row.id] = found

    def _is_right(self, row: Materialization) -> None:
        """Closure (I1), edges (I2), and that the value is what the code makes of them."""
        name, inputs = row.asset_name, {}
        for edge in self._store._edges.get(row.id, ()):
            source = self._rows.get(edge.upstream_id)
            if source is None or source.status not in _MADE:
                self._world.violate(f"I1: {name} is recorded, {edge.parameter} it read is not")
                return
            inputs[edge.parameter] = self.truth.get(source.id, -1)
        executed = self.executed[row.run_id, name]
        code = executed.code
        if self._versions.setdefault((name, row.code_version), code.version) != code.version:
            self._world.violate(f"{name}: two codes have the version {row.code_version}")
        if sorted(inputs) != sorted(code.needs) or row.upstream_assets != list(code.needs):
            self._world.violate(f"I2: {name} needs {code.needs}, its edges are {sorted(inputs)}")
        elif inputs != executed.inputs:
            self._world.violate(f"I2: {name} read {executed.inputs}, its edges say {inputs}")
        elif self.truth.get(row.id) != code.value(name, None, inputs):
            self._world.violate(f"{name}: {self.truth.get(row.id)} is not what its code makes")

    def _are_closed(self) -> None:
        """No row is open whose run has no lease (I5)."""
        leases = self._store._claims._leases
        for row in self._rows.values():
            if row.status in OPEN and row.run_id not in leases:
                self._world.violate(f"I5: {row.asset_name} of {row.run_id} is {row.status}")

    def keeps(self) -> None:
        """All that was acknowledged is recorded still."""
        for id_, name in self.acknowledged.items():
            row = self._rows.get(id_)
            if row is None or row.status not in _MADE:
                self._world.violate(f"{name}: acknowledged, and lost")

    def made(self, row_id: uuid.UUID, name: str) -> None:
        """Somebody was told that this is made."""
        self.acknowledged[row_id] = name
        self.keeps()

    def end(self, *, all_closed: bool) -> None:
        """All invariants over all that is recorded; ``all_closed`` if every lease had run out."""
        self.keeps()
        self._are_closed()
        for row in self._rows.values():
            if row.status in OPEN and all_closed:
                self._world.violate(f"I5: {row.asset_name} of {row.run_id} is {row.status} still")
            if row.status in _MADE:
                self._is_right(row)


def _is_made(old: Materialization | None, new: Materialization) -> bool:
    return new.status == "success" and (old is None or old.status != "success")
