"""Any text reaches Postgres as it is, apart from what Postgres does not store."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowstone.core.records import Decision, Draft, Run, StepLog, ValuePointer
from flowstone.core.text import clean, jsonable
from flowstone.ids import materialization_id
from flowstone.store.copytext import array, binary, document, lines, moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.store.base import MaterializationStore

#: What text formats stumble over, and anything else.
ODD = st.text(st.sampled_from("\\\t\n\r\b\v\f\0\"',{}.N;\x7f\x85\u2028ä𝄞\ud800\udfff abNULL0"))
TEXTS = st.one_of(ODD, st.text(st.characters()), st.sampled_from([r"\N", r"\.", "NULL", "null"]))
# jsonb has decimal numbers: larger ones come back as whole numbers
NUMBERS = st.floats(-1e9, 1e9) | st.sampled_from([float("nan"), float("inf")])
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), NUMBERS, TEXTS),
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner),
    max_leaves=8,
)
QUICK = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def conn(migrated: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(migrated, autocommit=True) as conn:
        conn.execute("CREATE TEMP TABLE t (n int, a text, b text, c text[], d bytea, e jsonb)")
        yield conn


@QUICK
@given(rows=st.lists(st.tuples(TEXTS, st.none() | TEXTS, st.lists(st.none() | TEXTS)), min_size=1))
def test_rows_of_copy_and_arrays_give_texts_back(
    conn: psycopg.Connection[Any], rows: list[tuple[str, str | None, list[str | None]]]
) -> None:
    conn.execute("TRUNCATE t")
    told = [(str(number), a, b, array(c)) for number, (a, b, c) in enumerate(rows)]
    with conn.cursor() as cursor, cursor.copy("COPY t (n, a, b, c) FROM STDIN") as copy:
        for text in lines(told):
            copy.write(text)
    found = conn.execute("SELECT a, b, c FROM t ORDER BY n").fetchall()
    cleaned = [(clean(a), b and clean(b), [text and clean(text) for text in c]) for a, b, c in rows]
    assert found == cleaned
    texts = [a for a, _, _ in rows]
    row = conn.execute("SELECT %s::text[]", [array(texts)]).fetchone()
    assert row == ([clean(text) for text in texts],)


@QUICK
@given(value=st.dictionaries(TEXTS, JSON), data=st.binary())
def test_documents_and_bytes_are_given_back(
    conn: psycopg.Connection[Any], value: dict[str, Any], data: bytes
) -> None:
    conn.execute("TRUNCATE t")
    with conn.cursor() as cursor, cursor.copy("COPY t (d, e) FROM STDIN") as copy:
        copy.write("".join(lines([(binary(data), document(value))])))
    row = conn.execute("SELECT d, e::text FROM t").fetchone()
    assert row is not None
    assert row[0] == data
    assert json.loads(row[1]) == jsonable(value)


def test_a_time_keeps_its_moment(conn: psycopg.Connection[Any]) -> None:
    zone = dt.timezone(dt.timedelta(hours=5, minutes=45))
    for at in (
        dt.datetime(2026, 3, 4, 5, 6, 7, 8, zone),
        dt.datetime(9, 1, 1, tzinfo=dt.UTC),
        dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, dt.UTC),
    ):
        row = conn.execute("SELECT %s::timestamptz = %s", [moment(at), at]).fetchone()
        assert row == (True,)


POISON = 'tab\t, line\n\r, back\\slash \\N, "quotes", ä, 𝄞, nul \0, lone \ud800'


def poisoned(run_id: str) -> Draft:
    """A row each text of which is odd."""
    at = dt.datetime.now(dt.UTC)
    return Draft(
        id=materialization_id(),
        asset_name=POISON,
        partition=POISON,
        run_id=run_id,
        executor_node=POISON,
        upstream_assets=[POISON, "plain", ""],
        status="running",
        started_at=at,
        attempt=2,
        dependency_hash=POISON,
        code_version=POISON,
        data_version=POISON,
        inputs=document({POISON: POISON, "nan": float("nan")}),
        causes=[{"kind": POISON}],
        value=ValuePointer(
            codec=POISON, size=3, content_digest=POISON, inline=b"\\x\0\n", location=POISON
        ),
        metadata={POISON: [POISON, float("inf"), {1: 2}]},
        error_type=POISON,
        error_message=POISON,
        error_traceback="x" * 70_000 + POISON,
        attempts=[{"error": POISON}],
    )


@pytest.mark.anyio
@pytest.mark.parametrize("earlier", [False, True])
async def test_each_text_of_a_row_is_stored_cleaned_however_it_is_written(
    store: MaterializationStore, earlier: bool
) -> None:
    """At once, or first in another state."""
    await store.start_run(
        Run(run_id="r", status="running", target="a", started_at=dt.datetime.now(dt.UTC)), []
    )
    row, said = poisoned("r"), clean(POISON)
    if earlier:
        first = poisoned("r")
        bare = Draft(row.id, POISON, POISON, "r", POISON, row.upstream_assets, metadata={"a": 1})
        await store.write("r", [bare])
        assert (bare.recorded, first.recorded) == ("pending", None)
        row.recorded = "pending"
    log = StepLog(run_id="r", asset_name=POISON, partition=POISON, lines=POISON)
    async with store.journal("r") as session:
        await session.write([row], logs=[log])
    (made,) = await store.get_by_run_id("r")
    fields = made.model_dump()
    texts = {n for n, value in fields.items() if isinstance(value, str) and clean(value) == said}
    assert texts >= {
        "asset_name", "partition", "executor_node", "dependency_hash", "code_version",
        "data_version", "error_type", "error_message",
    }  # fmt: skip
    assert [clean(name) for name in made.upstream_assets] == [said, "plain", ""]
    assert [clean(key or "") for key in made.upstream_partitions] == [said] * 3
    assert (made.inputs, made.causes) == ({said: said, "nan": "nan"}, [{"kind": said}])
    assert made.metadata == {said: [said, "inf", {"1": 2}]}
    assert made.attempts == [{"error": said}]
    assert made.value is not None
    assert (made.value.size, made.value.inline) == (3, b"\\x\0\n")
    words = (made.value.codec, made.value.content_digest, made.value.location)
    assert [clean(word or "") for word in words] == [said] * 3
    assert made.error_traceback is not None
    assert len(made.error_traceback.encode()) <= 65_536
    assert made.error_traceback.endswith(said)
    assert [each.lines for each in await store.logs("r")] == [said]


ODD_KEY = 'tab\t, line\n\r, back\\slash \\N, "quotes", ä, 𝄞'


@pytest.mark.anyio
async def test_odd_names_are_claimed_made_current_and_decided(store: MaterializationStore) -> None:
    at = dt.datetime.now(dt.UTC)
    begun = Run(run_id="r", status="running", target="a", partition=ODD_KEY, started_at=at)
    await store.start_run(begun, [], claims=[ODD_KEY])
    row = poisoned("r")
    row.asset_name = row.partition = ODD_KEY
    row.status, row.completed_at = "success", at
    await store.write("r", [row])
    assert set(await store.current([ODD_KEY], ODD_KEY)) == {ODD_KEY}
    key: dict[str, Any] = {"run_id": "r", "asset_name": ODD_KEY, "partition": ODD_KEY}
    causes = [{"kind": "value_differs", "subject": ODD_KEY}]
    decision = Decision(**key, kind="differs", causes=causes, materialization_id=row.id)
    await store.write("r", [], [decision])
    assert await store.decisions("r") == [decision]
