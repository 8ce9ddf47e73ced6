"""The rows of a run as the floors write them: Flowstone's own, as text for COPY.

Names are those of ``graphs``, so that nothing has to be escaped.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import os
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NODE = f"bench:{os.getpid()}"

#: What a row is inserted with; the other columns keep their defaults.
COLUMNS = (
    "id, asset_name, run_id, status, upstream_assets, upstream_partitions, executor_node,"
    " started_at, completed_at, duration_ms, dependency_hash, code_version, data_version, inputs,"
    " causes, codec, value_size, content_digest, value_inline"
)
COPY_ROWS = f"COPY flowstone_materializations ({COLUMNS}) FROM STDIN"
COPY_EDGES = "COPY flowstone_lineage (materialization_id, upstream_id, parameter) FROM STDIN"
COPY_CLAIMS = "COPY flowstone_current (asset_name, claimed_by, fence) FROM STDIN"


@dataclass(slots=True)
class Begun:
    """What was begun and when, with all that is known of it by then."""

    run_id: str
    name: str
    id: str
    inputs: list[str]
    code_version: str
    began: float


@dataclass(slots=True)
class Made:
    """What was made: its data version, and the text of its row.

    ``edges`` are the columns of its edges, each with commas between; ``changes`` are the columns
    that a row gets which was recorded when it was begun.
    """

    name: str
    id: str
    data_version: str
    row: str = ""
    edges: tuple[str, str, str] | None = None
    changes: tuple[object, ...] = ()


def digest(text: str) -> str:
    """Forty hexadecimal digits, as Flowstone's are."""
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


def identifier() -> str:
    """A time-ordered UUID (RFC 9562, version 7), so that rows land at one end of an index."""
    milliseconds, fraction = divmod((time.time_ns() << 12) // 1_000_000, 4096)
    high = f"{milliseconds:012x}"
    low = f"{2 << 62 | random.getrandbits(62):016x}"
    return f"{high[:8]}-{high[8:]}-7{fraction:03x}-{low[:4]}-{low[4:]}"


def running(it: Begun) -> str:
    """The row of what has begun and not ended."""
    listed, partitions = _arrays(it.inputs)
    return (
        f"{it.id}\t{it.name}\t{it.run_id}\trunning\t{listed}\t{partitions}\t{NODE}"
        f"\t{_at(it.began)}\t\\N\t\\N\t\\N\t\\N\t\\N\t{{}}\t[]\t\\N\t\\N\t\\N\t\\N\n"
    )


def success(it: Begun, upstream: Sequence[Made], value: object, ended: float) -> Made:
    """What is recorded of a value: everything that Flowstone records of it."""
    kept = str(value)
    data_version, content = digest(f"int {kept}"), digest(kept)
    versions = ", ".join(f'"{each.name}": "{each.data_version}"' for each in upstream)
    dependency_hash = digest(f"{it.name} {it.code_version} {versions}")
    inputs = f'{{"before": null, "config": {{}}, "outside": {{}}, "upstream": {{{versions}}}}}'
    took, end = max(ended - it.began, 0.0) * 1000, _at(ended)
    listed, partitions = _arrays(it.inputs)
    row = (
        f"{it.id}\t{it.name}\t{it.run_id}\tsuccess\t{listed}\t{partitions}\t{NODE}"
        f"\t{_at(it.began)}\t{end}\t{took}\t{dependency_hash}\t{it.code_version}"
        f'\t{data_version}\t{inputs}\t[{{"kind": "never_made"}}]\tjson\t{len(kept)}\t{content}'
        f"\t\\\\x{kept.encode().hex()}\n"
    )
    edges = None
    if upstream:
        ids = ",".join([each.id for each in upstream])
        edges = ",".join([it.id] * len(upstream)), ids, ",".join(it.inputs)
    hashes = (dependency_hash, it.code_version, data_version)
    changes = (it.id, end, took, *hashes, inputs, content, kept.encode())
    return Made(it.name, it.id, data_version, row, edges, changes)


def arrays(columns: Iterable[Iterable[str]]) -> list[str]:
    """Array literals of columns, from rows of texts that need no quotes."""
    return [f"{{{','.join(column)}}}" for column in zip(*columns, strict=True)]


def _arrays(inputs: list[str]) -> tuple[str, str]:
    return "{" + ",".join(inputs) + "}", "{" + ",".join(["NULL"] * len(inputs)) + "}"


def _at(seconds: float) -> str:
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1_000_000):06d}+00"


@functools.lru_cache
def _second(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d %H:%M:%S")
