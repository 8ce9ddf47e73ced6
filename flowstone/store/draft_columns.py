"""The rows of a run column by column, each a text as Postgres reads it, not yet escaped.

By columns because most of them are plain for a whole batch, or empty, and one look says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowstone.core.text import cap, clean, jsonable
from flowstone.store.copytext import array, binary, document, moment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import LiteralString, TypeAlias

    from flowstone.core.records import Draft

    Column: TypeAlias = Sequence[str | None]

#: What columns hold that a draft leaves out, where that is not NULL.
_DEFAULTS = {"inputs": "{}", "causes": "[]", "metadata": "{}", "attempts": "[]"}
_FILLED: frozenset[LiteralString] = frozenset({"status", "attempt"})


def inserted(drafts: Sequence[Draft]) -> list[Column]:
    """The columns of new rows, in the order of ``DRAFT_COLUMNS``."""
    partitions = {
        key: array([key[0]] * key[1])
        for key in {(draft.partition, len(draft.upstream_assets)) for draft in drafts}
    }
    return [
        [draft.id.hex for draft in drafts],
        [draft.asset_name for draft in drafts],
        [draft.partition for draft in drafts],
        [draft.run_id for draft in drafts],
        [array(draft.upstream_assets) for draft in drafts],
        [partitions[draft.partition, len(draft.upstream_assets)] for draft in drafts],
        [draft.executor_node for draft in drafts],
        *_all_changing(drafts).values(),
    ]


def changing(drafts: Sequence[Draft]) -> dict[LiteralString, Column]:
    """The columns that change after the insert, without those that all the drafts leave out."""
    return {
        name: column
        for name, column in _all_changing(drafts).items()
        if name in _FILLED or any(each != _DEFAULTS.get(name) for each in column)
    }


def _all_changing(drafts: Sequence[Draft]) -> dict[LiteralString, Column]:
    values = [draft.value for draft in drafts]
    return {
        "status": [draft.status for draft in drafts],
        "attempt": [str(draft.attempt) for draft in drafts],
        "started_at": [moment(draft.started_at) for draft in drafts],
        "completed_at": [moment(draft.completed_at) for draft in drafts],
        "duration_ms": [_number(draft.duration_ms) for draft in drafts],
        "dependency_hash": [draft.dependency_hash for draft in drafts],
        "code_version": [draft.code_version for draft in drafts],
        "data_version": [draft.data_version for draft in drafts],
        "inputs": [draft.inputs for draft in drafts],
        "causes": [document(draft.causes) for draft in drafts],
        "codec": [None if value is None else value.codec for value in values],
        "value_size": [None if value is None else str(value.size) for value in values],
        "content_digest": [None if value is None else value.content_digest for value in values],
        "value_inline": [None if value is None else binary(value.inline) for value in values],
        "value_location": [None if value is None else value.location for value in values],
        "metadata": [_metadata(draft) for draft in drafts],
        "error_type": [_text(draft.error_type) for draft in drafts],
        "error_message": [_text(draft.error_message) for draft in drafts],
        "error_traceback": [_text(draft.error_traceback) for draft in drafts],
        "attempts": [document(draft.attempts) for draft in drafts],
    }


def _metadata(draft: Draft) -> str:
    """What somebody wrote in a definition, or added while it ran: anything, and of any size."""
    return document(jsonable(draft.metadata)) if draft.metadata else "{}"


def _text(text: str | None) -> str | None:
    return text and cap(clean(text))


def _number(number: float | None) -> str | None:
    return None if number is None else repr(number)
