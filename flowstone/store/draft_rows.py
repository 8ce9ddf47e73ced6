"""The rows of a run as texts that Postgres reads, not yet escaped."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from flowstone.core.text import cap, clean, jsonable
from flowstone.store.copytext import array, binary, document, moment
from flowstone.store.run_queries import CHANGING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, LiteralString, TypeAlias

    from flowstone.core.records import Draft, ValuePointer

    Row: TypeAlias = tuple[str | None, ...]

#: What columns hold that a draft leaves out, where that is not NULL.
_DEFAULTS = {"inputs": "{}", "causes": "[]", "metadata": "{}", "attempts": "[]"}
_NO_VALUE: Row = (None,) * 5
_FILLED: frozenset[LiteralString] = frozenset({"status", "attempt"})


def inserted(draft: Draft) -> Row:
    """A new row, in the order of ``DRAFT_COLUMNS``."""
    upstream = draft.upstream_assets
    return (
        draft.id.hex,
        draft.asset_name,
        draft.partition,
        draft.run_id,
        array(upstream),
        _partitions(draft.partition, len(upstream)),
        draft.executor_node,
        *_changing(draft),
    )


@functools.lru_cache
def _partitions(partition: str | None, count: int) -> str:
    return array([partition] * count)


def changing(drafts: Iterable[Draft]) -> dict[LiteralString, Row]:
    """The columns that change after the insert, without those that all the drafts leave out."""
    columns = zip(*map(_changing, drafts), strict=True)
    return {
        name: column
        for name, column in zip(CHANGING, columns, strict=True)
        if name in _FILLED or any(each != _DEFAULTS.get(name) for each in column)
    }


def _changing(draft: Draft) -> Row:
    """In the order of ``CHANGING``."""
    return (
        draft.status,
        str(draft.attempt),
        moment(draft.started_at),
        moment(draft.completed_at),
        _number(draft.duration_ms),
        draft.dependency_hash,
        draft.code_version,
        draft.data_version,
        draft.inputs,
        _causes(draft.causes),
        *(_value(draft.value) if draft.value else _NO_VALUE),
        _metadata(draft),
        draft.error_type and _text(draft.error_type),
        draft.error_message and _text(draft.error_message),
        draft.error_traceback and _text(draft.error_traceback),
        document(draft.attempts),
    )


def _value(pointer: ValuePointer) -> Row:
    size, inline = str(pointer.size), binary(pointer.inline)
    return pointer.codec, size, pointer.content_digest, inline, pointer.location


def _metadata(draft: Draft) -> str:
    """What somebody wrote in a definition, or added while it ran: anything, and of any size."""
    return document(jsonable(draft.metadata)) if draft.metadata else "{}"


def _causes(causes: Sequence[dict[str, Any]]) -> str:
    if len(causes) == 1 and causes[0].keys() == {"kind"}:
        return _cause(causes[0]["kind"])
    return document(causes)


@functools.lru_cache
def _cause(kind: str) -> str:
    """One cause without more to say: there are few of them."""
    return document([{"kind": kind}])


def _text(text: str) -> str:
    return cap(clean(text))


def _number(number: float | None) -> str | None:
    return None if number is None else repr(number)
