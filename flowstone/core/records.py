"""The rows Flowstone keeps, as frozen pydantic models shared by every layer."""

from __future__ import annotations

import datetime as dt
import functools
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from flowstone.core.code import UNKNOWN_CODE, Code
from flowstone.core.status import RunStatus, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

# What is frozen is set all the same while it is made.
_set_dict, _set_fields, _set_extra, _set_private = (
    vars(BaseModel)[slot].__set__
    for slot in (
        "__dict__",
        "__pydantic_fields_set__",
        "__pydantic_extra__",
        "__pydantic_private__",
    )
)

DecisionKind = Literal["cut_off", "history", "alias", "verified", "differs"]


class Record(BaseModel):
    """A row: frozen, compared by value."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    @classmethod
    def trusted(cls, fields: dict[str, Any]) -> Self:
        """A record of what is known to be right: every field, unchecked.

        ``fields`` becomes the record's own. What ``model_construct`` does for any model, without
        looking at each field: reading thousands of rows would cost more there than in the database.
        """
        made = cls.__new__(cls)
        _set_dict(made, fields)
        _set_fields(made, _fields(cls))
        _set_extra(made, None)
        _set_private(made, None)
        return made


@functools.cache
def _fields(kind: type[Record]) -> set[str]:
    return set(kind.model_fields)


class ValuePointer(Record):
    """Where a value is kept and how to read it back.

    ``inline`` holds the bytes themselves when they are small; empty means that the row holds
    them and they were not read along with it. Otherwise ``location`` is the absolute path of a
    file or folder that is itself the asset (codecs ``path`` and ``folder``), the address an IO
    manager made (codec ``io``, with the data version as ``content_digest``), or None for a file of
    the value store, which is named by ``content_digest``. ``size`` is in bytes.
    """

    codec: str
    size: int
    content_digest: str
    inline: bytes | None = None
    location: str | None = None

    @property
    def unread(self) -> bool:
        """Whether the row holds the bytes and they were not read along with it."""
        return self.inline == b""

    @property
    def is_path(self) -> bool:
        """Whether a file or folder is itself the asset."""
        return self.codec in ("path", "folder")


class Materialization(Record):
    """What one run did to make one (asset, partition).

    ``duration_ms`` is the time from start to completion in milliseconds. ``upstream_assets``
    names the direct dependencies in order, ``upstream_partitions`` the partition read of each.
    ``attempts`` holds the error and the times of every failed attempt before the last.
    """

    id: uuid.UUID
    asset_name: str
    partition: str | None = None
    run_id: str
    status: Status = "pending"
    attempt: int = 1
    started_at: dt.datetime | None = None
    completed_at: dt.datetime | None = None
    duration_ms: float | None = None
    upstream_assets: list[str] = Field(default_factory=list)
    upstream_partitions: list[str | None] = Field(default_factory=list)
    dependency_hash: str | None = None
    code_version: str | None = None
    data_version: str | None = None
    inputs: dict[str, Any] = Field(default_factory=dict)
    causes: list[dict[str, Any]] = Field(default_factory=list)
    value: ValuePointer | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    error_type: str | None = None
    error_message: str | None = None
    error_traceback: str | None = None
    attempts: list[dict[str, Any]] = Field(default_factory=list)
    executor_node: str | None = None
    inserted_at: dt.datetime
    updated_at: dt.datetime


class LineageEdge(Record):
    """One version read: ``materialization_id`` took ``upstream_id`` as ``parameter``.

    ``parameter`` is an empty string for a dependency that is not passed to the function.
    """

    materialization_id: uuid.UUID
    upstream_id: uuid.UUID
    parameter: str


class Run(Record):
    """One execution of a plan. ``counts`` says how many steps ended in which way.

    ``request`` is what it was asked for, as ``flowstone.core.repeat`` writes it; None in lists of
    runs, and for runs that an older Flowstone recorded.
    """

    run_id: str
    status: RunStatus
    target: str
    partition: str | None = None
    config: dict[str, Any] = Field(default_factory=dict)
    counts: dict[str, int] = Field(default_factory=dict)
    executor_node: str | None = None
    started_at: dt.datetime
    completed_at: dt.datetime | None = None
    request: dict[str, Any] | None = None


class Decision(Record):
    """How a run decided about a step that it did not materialize, other than plain reuse.

    ``kind`` is ``cut_off`` (its inputs turned out to be the same), ``history`` (an earlier success
    became current), ``alias`` (what was recorded under a former name did), ``verified`` or
    ``differs`` (it was executed and compared). ``materialization_id`` is the version that stands.
    """

    run_id: str
    asset_name: str
    partition: str | None = None
    kind: DecisionKind
    causes: list[dict[str, Any]] = Field(default_factory=list)
    materialization_id: uuid.UUID


class Act(Record):
    """What a person did: who, when, to which asset (of a run: which, in ``details``), and why.

    ``db_role`` is the role of the database that recorded it, which says so itself.
    """

    at: dt.datetime
    actor: str
    action: Literal["accept", "invalidate", "cancel"]
    asset_name: str | None = None
    partition: str | None = None
    reason: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)
    db_role: str | None = None


class StepLog(Record):
    """What a step printed and logged in one attempt; ``left_out`` bytes of it are missing."""

    run_id: str
    asset_name: str
    partition: str | None = None
    attempt: int = 1
    lines: str
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Claim:
    """What a run was answered that asked to be the only recorder of an asset.

    ``holder`` is the run that has the claim, the asking one if it was ``granted``. ``current`` is
    the version that stands now. ``fence`` counts how often the claim was granted.
    """

    asset_name: str
    holder: str | None
    current: uuid.UUID | None
    fence: int
    granted: bool = False


@dataclass(slots=True, eq=False)
class Draft:
    """A row that a run is still writing; the journal takes down its state from time to time.

    ``recorded`` is the status the store knows, None before the first write. The other fields are
    those of ``Materialization``, ``inputs`` as the text of a JSON object. ``edges`` are the
    versions it read, each with the parameter that took it (empty for one that is not passed); they
    are written with a success, and so is the ``code`` that was run. A field that was written is
    not emptied again.
    """

    id: uuid.UUID
    asset_name: str
    partition: str | None
    run_id: str
    executor_node: str | None
    upstream_assets: list[str]
    status: Status = "pending"
    recorded: Status | None = None
    attempt: int = 1
    started_at: dt.datetime | None = None
    completed_at: dt.datetime | None = None
    duration_ms: float | None = None
    dependency_hash: str | None = None
    code_version: str | None = None
    data_version: str | None = None
    inputs: str = "{}"
    causes: Sequence[dict[str, Any]] = ()
    value: ValuePointer | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    error_type: str | None = None
    error_message: str | None = None
    error_traceback: str | None = None
    attempts: Sequence[dict[str, Any]] = ()
    edges: Sequence[tuple[uuid.UUID, str]] = ()
    code: Code = UNKNOWN_CODE
