"""Records as rows: which columns there are and how values go in and out of them."""

from __future__ import annotations

import datetime as dt
import json
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from flowstone.core.records import (
    Act,
    Decision,
    LineageEdge,
    Materialization,
    Run,
    StepLog,
    ValuePointer,
)
from flowstone.core.status import OPEN, STATUSES
from flowstone.core.text import cap, clean, jsonable
from flowstone.errors import RunActiveError, StoreError, did_you_mean

if TYPE_CHECKING:
    import uuid
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from flowstone.core.code import Code
    from flowstone.core.records import Draft

Key: TypeAlias = tuple[str, str | None]

#: Fields of a Materialization that a caller may set besides its key and status.
SETTABLE = frozenset(Materialization.model_fields) - {
    "id",
    "asset_name",
    "partition",
    "run_id",
    "status",
    "inserted_at",
    "updated_at",
}
_TEXTS = frozenset({"error_type", "error_message", "error_traceback", "executor_node"})
# Without a look for white space around, which the database does not write.
_raw_decode = json.JSONDecoder().raw_decode
_NO_ERROR = {"error_type": None, "error_message": None, "error_traceback": None}
DOCUMENTS = frozenset({"inputs", "causes", "metadata", "attempts"})


def now() -> dt.datetime:
    """The time, with its zone."""
    return dt.datetime.now(dt.UTC)


def storable(name: str, value: Any) -> Any:
    """A field's value as it can be stored: text and JSON cleaned, capped."""
    if value is not None and name in _TEXTS:
        return cap(clean(str(value)))
    if name in DOCUMENTS:
        # An asset may have any number of inputs, and a hash is compared with all of them.
        return jsonable(value) if name == "metadata" else jsonable(value, sys.maxsize, sys.maxsize)
    return value


def filled(status: str, columns: Mapping[str, Any], made: Materialization | None) -> dict[str, Any]:
    """The columns to set with a status: cleaned, and with the times the status needs.

    Raises:
        StoreError: for an unknown column or status.
    """
    _known("status", status, STATUSES)
    for name in columns:
        _known("column", name, SETTABLE)
    values = {name: storable(name, value) for name, value in columns.items()}
    moment = now()
    if status in ("running", "success", "failed") and not (made and made.started_at):
        values.setdefault("started_at", moment)
    if status not in OPEN and not (made and made.completed_at):
        values.setdefault("completed_at", max(moment, values.get("started_at") or moment))
    started = values.get("started_at") or (made and made.started_at)
    if values.get("completed_at") and started:
        values.setdefault("duration_ms", milliseconds(started, values["completed_at"]))
    return values


def milliseconds(started: dt.datetime, completed: dt.datetime) -> float:
    """The time between, never negative."""
    return max((completed - started).total_seconds() * 1000, 0.0)


def flattened(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields as columns: a value pointer is five of them."""
    columns = dict(values)
    if "value" in columns:
        columns.update(pointer_columns(columns.pop("value")))
    return columns


def pointer_columns(pointer: ValuePointer | None) -> dict[str, Any]:
    """The five columns of a value pointer, all None for none."""
    return {
        "codec": pointer and pointer.codec,
        "value_size": pointer and pointer.size,
        "content_digest": pointer and pointer.content_digest,
        "value_inline": pointer and pointer.inline,
        "value_location": pointer and pointer.location,
    }


def materialization(row: dict[str, Any]) -> Materialization:
    """A record from its columns, which it takes over: JSON as text, errors may be left out."""
    pointer = {
        "codec": row.pop("codec"),
        "size": row.pop("value_size"),
        "content_digest": row.pop("content_digest"),
        "inline": row.pop("value_inline"),
        "location": row.pop("value_location"),
    }
    row["value"] = pointer["codec"] and ValuePointer.trusted(pointer)
    for name in DOCUMENTS:
        row[name] = _parsed(row[name])
    if "error_type" not in row:
        row |= _NO_ERROR
    return Materialization.trusted(row)


def _parsed(text: str) -> Any:
    if text == "{}":
        return {}
    return [] if text == "[]" else _raw_decode(text)[0]


def standing(row: Sequence[Any]) -> Materialization:
    """A current version from the columns that deciding needs; all others are empty."""
    codec, size, digest, is_inline, location = row[12:17]
    pointer = None
    if codec is not None:
        fields = {
            "codec": codec,
            "size": size,
            "content_digest": digest,
            "inline": b"" if is_inline else None,
            "location": location,
        }
        pointer = ValuePointer.trusted(fields)
    return Materialization.trusted(
        {
            "id": row[0],
            "asset_name": row[1],
            "partition": row[2],
            "run_id": row[3],
            "status": row[4],
            "attempt": row[5],
            "started_at": row[6],
            "completed_at": row[7],
            "duration_ms": row[8],
            "dependency_hash": row[9],
            "code_version": row[10],
            "data_version": row[11],
            "value": pointer,
            "executor_node": row[17],
            "inserted_at": row[18],
            "updated_at": row[19],
            **undecisive(),
        },
    )


def undecisive() -> dict[str, Any]:
    """The fields that current versions are read without: empty."""
    return {
        "upstream_assets": [],
        "upstream_partitions": [],
        "inputs": {},
        "causes": [],
        "metadata": {},
        "error_type": None,
        "error_message": None,
        "error_traceback": None,
        "attempts": [],
    }


def run(row: dict[str, Any]) -> Run:
    """A run from its columns."""
    return Run.trusted({"request": None} | row)


def edge(row: dict[str, Any]) -> LineageEdge:
    """A lineage edge from its columns."""
    return LineageEdge.trusted(row)


def decision(row: dict[str, Any]) -> Decision:
    """A decision from its columns."""
    return Decision.trusted(row)


def log(row: dict[str, Any]) -> StepLog:
    """What a step printed, from its columns."""
    return StepLog.trusted(row)


def act(row: dict[str, Any]) -> Act:
    """An act from its columns."""
    return Act.trusted(row)


def ends(drafts: Iterable[Draft], decisions: Iterable[Decision]) -> dict[Key, uuid.UUID | None]:
    """The steps that ended, each with the version that becomes current, None if none does.

    A step that was decided and then made after all, because the value was lost, stands as made.
    """
    found: dict[Key, uuid.UUID | None] = {}
    for each in decisions:
        moved = each.kind in ("history", "alias")
        found[each.asset_name, each.partition] = each.materialization_id if moved else None
    for draft in drafts:
        if draft.status == "success":
            found[draft.asset_name, draft.partition] = draft.id
        elif draft.status not in OPEN:
            found.setdefault((draft.asset_name, draft.partition), None)
    return found


class NewCode(NamedTuple):
    """Code versions with their definitions, and definitions with their texts, each sorted."""

    versions: list[tuple[str, dict[str, tuple[str, str]]]]
    sources: list[tuple[str, str]]


def new_code(codes: Iterable[Code], known: AbstractSet[str]) -> NewCode:
    """Code that has a version, without the definitions ``known`` to be recorded."""
    versions: dict[str, dict[str, tuple[str, str]]] = {}
    sources: dict[str, str] = {}
    for code in codes:
        if code.version is not None and code.version not in versions:
            found = code.definitions
            versions[code.version] = {each.name: (each.digest, clean(each.place)) for each in found}
            new = (each for each in found if each.digest not in known)
            sources |= {each.digest: clean(each.source) for each in new}
    return NewCode(sorted(versions.items()), sorted(sources.items()))


def kept(code: Code) -> Iterator[str]:
    """Under what names ``new_code`` knows that a code version is recorded."""
    if code.version is not None:
        yield code.version
        yield from (each.digest for each in code.definitions)


def draft_fields(draft: Draft) -> dict[str, Any]:
    """What a draft's row holds, cleaned."""
    fields: dict[str, Any] = {
        name: storable(name, getattr(draft, name)) for name in SETTABLE & set(draft.__slots__)
    }
    fields["upstream_partitions"] = [draft.partition] * len(draft.upstream_assets)
    fields["inputs"] = json.loads(draft.inputs)
    return fields


def _known(what: str, name: str, names: Iterable[str] | AbstractSet[str]) -> None:
    if name not in names:
        hint = did_you_mean(name, names) or f"; there are {', '.join(sorted(names))}"
        msg = f"a materialization has no {what} {name!r}{hint}"
        raise StoreError(msg)


def claimed(name: str, holder: str) -> RunActiveError:
    """What a run is told that records what another one is making."""
    return RunActiveError(
        f"{name!r} is being made by run {holder}, which is alive; wait for it, or cancel it"
    )
