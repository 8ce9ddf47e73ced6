"""The promises of every metadata store: memory, PostgreSQL 18 and PostgreSQL 15."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from flowstone.core.records import Draft, Run, ValuePointer
from flowstone.core.status import STATUSES, TRANSITIONS, Status
from flowstone.errors import (
    IllegalTransitionError,
    NotFoundError,
    RunActiveError,
    RunLostError,
    StoreError,
)
from flowstone.ids import materialization_id

if TYPE_CHECKING:
    from flowstone.store.base import MaterializationStore

pytestmark = pytest.mark.anyio

INLINE = ValuePointer(codec="json", size=1, content_digest="d" * 40, inline=b"7")


def run(run_id: str = "run-1") -> Run:
    return Run(run_id=run_id, status="running", target="a", started_at=dt.datetime.now(dt.UTC))


def ended(begun: Run) -> Run:
    done = {"status": "success", "completed_at": dt.datetime.now(dt.UTC), "counts": {"reused": 1}}
    return begun.model_copy(update=done)


def draft(name: str, run_id: str = "run-1", **fields: Any) -> Draft:
    return Draft(
        id=materialization_id(),
        asset_name=name,
        partition=fields.pop("partition", None),
        run_id=run_id,
        executor_node="here",
        upstream_assets=fields.pop("upstream_assets", []),
        **fields,
    )


def succeed(row: Draft, *edges: tuple[uuid.UUID, str]) -> Draft:
    row.status = "success"
    row.started_at = row.completed_at = dt.datetime.now(dt.UTC)
    row.dependency_hash, row.data_version, row.value = "h" * 40, "v" * 40, INLINE
    row.edges = list(edges)
    return row


class TestCreate:
    async def test_gives_the_row_back(self, store: MaterializationStore) -> None:
        made = await store.create(asset_name="orders", run_id="run-1")
        assert (made.asset_name, made.run_id, made.status) == ("orders", "run-1", "pending")
        assert await store.get_by_id(made.id) == made

    @pytest.mark.parametrize("status", STATUSES)
    async def test_takes_any_status_and_fills_the_times_it_needs(
        self, store: MaterializationStore, status: Status
    ) -> None:
        made = await store.create(asset_name="a", run_id="r", status=status)
        assert made.status == status
        assert (made.completed_at is None) == (status in ("pending", "running", "waiting_approval"))

    async def test_keeps_every_column(self, store: MaterializationStore) -> None:
        moment = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
        columns: dict[str, Any] = {
            "attempt": 3,
            "started_at": moment,
            "completed_at": moment + dt.timedelta(seconds=2),
            "upstream_assets": ["x", "y"],
            "upstream_partitions": [None, "p"],
            "dependency_hash": "h",
            "code_version": "c",
            "data_version": "v",
            "inputs": {"upstream": {"x": "1"}},
            "causes": [{"kind": "never_made"}],
            "value": INLINE,
            "metadata": {"rows": 3, "deep": {"er": [1, None]}},
            "attempts": [{"error": "first"}],
            "executor_node": "host:1",
        }
        made = await store.create(asset_name="a", run_id="r", status="success", **columns)
        assert {name: getattr(made, name) for name in columns} == columns
        assert made.duration_ms == 2000

    async def test_refuses_an_unknown_column_and_names_the_nearest(
        self, store: MaterializationStore
    ) -> None:
        with pytest.raises(StoreError, match="'metadta'; did you mean 'metadata'"):
            await store.create(asset_name="a", run_id="r", metadta={})

    async def test_refuses_an_unknown_status(self, store: MaterializationStore) -> None:
        with pytest.raises(StoreError, match="did you mean 'success'"):
            await store.create(asset_name="a", run_id="r", status="sucess")  # type: ignore[arg-type]  # the point

    @pytest.mark.parametrize("partition", [None, "2026-01-01"])
    async def test_refuses_a_second_row_of_run_asset_and_partition(
        self, store: MaterializationStore, partition: str | None
    ) -> None:
        first = await store.create(asset_name="a", run_id="r", partition=partition)
        with pytest.raises(StoreError, match="has a row for that asset and partition"):
            await store.create(asset_name="a", run_id="r", partition=partition)
        assert await store.get_by_run_id("r") == [first]

    async def test_takes_text_that_postgres_does_not(self, store: MaterializationStore) -> None:
        made = await store.create(
            asset_name="a",
            run_id="r",
            status="failed",
            error_message="nul \0, lone \ud800",
            metadata={"k\0": float("nan"), "s": "\udfff"},
        )
        assert made.error_message == "nul \\x00, lone \\ud800"
        assert "NaN" in str(made.metadata).replace("nan", "NaN")

    async def test_caps_a_huge_error_message(self, store: MaterializationStore) -> None:
        made = await store.create(
            asset_name="a", run_id="r", status="failed", error_message="ä" * 25_000_000
        )
        assert made.error_message is not None
        assert len(made.error_message.encode()) <= 65_536


class TestGet:
    async def test_gives_the_newest(self, store: MaterializationStore) -> None:
        for run_id in ("r1", "r2", "r3"):
            await store.create(asset_name="a", run_id=run_id)
        assert (await store.get("a")).run_id == "r3"

    async def test_keeps_partitions_apart(self, store: MaterializationStore) -> None:
        await store.create(asset_name="a", run_id="r", partition=None)
        await store.create(asset_name="a", run_id="r", partition="p")
        await store.create(asset_name="a", run_id="r", partition="")
        found = [(await store.get("a", partition)).partition for partition in (None, "p", "")]
        assert found == [None, "p", ""]

    async def test_names_what_is_not_there(self, store: MaterializationStore) -> None:
        with pytest.raises(NotFoundError, match="'nothing' of partition 'p'"):
            await store.get("nothing", "p")
        with pytest.raises(NotFoundError):
            await store.get_by_id(uuid.uuid4())

    async def test_by_run_id_gives_its_rows_oldest_first(self, store: MaterializationStore) -> None:
        made = [await store.create(asset_name=name, run_id="r") for name in "cab"]
        await store.create(asset_name="z", run_id="other")
        assert await store.get_by_run_id("r") == made
        assert await store.get_by_run_id("none") == []

    async def test_exists(self, store: MaterializationStore) -> None:
        await store.create(asset_name="a", run_id="r", partition="p")
        assert await store.exists("a", "p")
        assert not await store.exists("a")
        assert not await store.exists("b", "p")


class TestListByStatus:
    async def test_pages_through_all_of_a_status(self, store: MaterializationStore) -> None:
        made = [await store.create(asset_name=f"a{n}", run_id="r") for n in range(5)]
        await store.create(asset_name="b", run_id="r", status="success")
        first = await store.list_by_status("pending", limit=2)
        rest = await store.list_by_status("pending", after=first[-1].id)
        assert [row.id for row in first + rest] == [row.id for row in made]


class TestUpdateStatus:
    @pytest.mark.parametrize("present", STATUSES)
    @pytest.mark.parametrize("wanted", STATUSES)
    async def test_moves_along_legal_transitions_only(
        self, store: MaterializationStore, present: Status, wanted: Status
    ) -> None:
        made = await store.create(asset_name="a", run_id="r", status=present)
        if wanted in TRANSITIONS[present]:
            moved = await store.update_status(made.id, wanted)
            assert moved.status == wanted
            return
        with pytest.raises(IllegalTransitionError) as caught:
            await store.update_status(made.id, wanted)
        assert repr(present) in str(caught.value)
        assert repr(wanted) in str(caught.value)
        assert await store.get_by_id(made.id) == made

    async def test_sets_columns_and_times(self, store: MaterializationStore) -> None:
        made = await store.create(asset_name="a", run_id="r")
        running = await store.update_status(made.id, "running")
        assert running.started_at is not None
        done = await store.update_status(made.id, "success", data_version="v", value=INLINE)
        assert (done.data_version, done.value) == ("v", INLINE)
        assert done.completed_at is not None
        assert done.completed_at >= running.started_at
        assert done.duration_ms is not None

    async def test_names_a_missing_row(self, store: MaterializationStore) -> None:
        with pytest.raises(NotFoundError):
            await store.update_status(uuid.uuid4(), "running")

    async def test_leaves_rows_of_a_live_run_alone(self, store: MaterializationStore) -> None:
        row = draft("a")
        begun = run()
        await store.start_run(begun, [row])
        with pytest.raises(RunActiveError, match="run-1"):
            await store.update_status(row.id, "cancelled")
        await store.finish_run(ended(begun))
        assert (await store.update_status(row.id, "cancelled")).status == "cancelled"


class TestRun:
    async def test_writes_rows_through_their_life(self, store: MaterializationStore) -> None:
        row, begun = draft("a", upstream_assets=["x"]), run()
        await store.start_run(begun, [row])
        assert (await store.get("a")).status == "pending"
        row.status, row.started_at = "running", dt.datetime.now(dt.UTC)
        await store.write("run-1", [row])
        assert (await store.get("a")).status == "running"
        await store.write("run-1", [succeed(row)])
        made = await store.get("a")
        assert (made.status, made.value, made.upstream_assets) == ("success", INLINE, ["x"])
        assert made.upstream_partitions == [None]

    async def test_writes_a_success_with_lineage_and_current_version(
        self, store: MaterializationStore
    ) -> None:
        await store.start_run(run(), [])
        up = succeed(draft("up", partition="p"))
        down = draft("down", partition="p")
        edges = [(up.id, parameter) for parameter in ("", "up", "again")]
        await store.write("run-1", [up, succeed(down, *edges)])
        assert {e.parameter for e in await store.lineage(down.id)} == {"", "up", "again"}
        current = await store.current(["up", "down", "none"], "p")
        assert {name: row.id for name, row in current.items()} == {"up": up.id, "down": down.id}
        assert await store.current(["up"], None) == {}

    async def test_reads_inline_values_apart_from_current_versions(
        self, store: MaterializationStore
    ) -> None:
        await store.start_run(run(), [])
        row = succeed(draft("a"))
        await store.write("run-1", [row])
        pointer = (await store.current(["a"]))["a"].value
        assert pointer is not None
        assert pointer.unread
        assert await store.inline_values([row.id, uuid.uuid4()]) == {row.id: b"7"}

    async def test_reads_what_it_was_made_of_apart_from_current_versions(
        self, store: MaterializationStore
    ) -> None:
        """Nor is anything else read along that no decision needs."""
        await store.start_run(run(), [])
        row = succeed(draft("a"))
        row.inputs = '{"upstream": {"x": "1"}}'
        row.causes, row.metadata = [{"kind": "forced"}], {"owner": "ops"}
        await store.write("run-1", [row])
        made = (await store.current(["a"]))["a"]
        whole = await store.get_by_id(row.id)
        empty: dict[str, Any] = {"inputs": {}, "causes": [], "metadata": {}, "upstream_assets": []}
        empty |= {"upstream_partitions": [], "value": made.value}
        assert made.model_dump() == whole.model_copy(update=empty).model_dump()
        assert await store.inputs([row.id, uuid.uuid4()]) == {row.id: {"upstream": {"x": "1"}}}

    async def test_a_later_success_becomes_current(self, store: MaterializationStore) -> None:
        for run_id in ("r1", "r2"):
            await store.start_run(run(run_id), [])
            await store.write(run_id, [succeed(draft("a", run_id))])
        assert (await store.current(["a"]))["a"].run_id == "r2"

    async def test_a_row_made_by_hand_is_never_current(self, store: MaterializationStore) -> None:
        await store.create(asset_name="a", run_id="r", status="success")
        assert await store.current(["a"]) == {}

    async def test_an_illegal_step_back_writes_nothing(self, store: MaterializationStore) -> None:
        row = draft("a")
        await store.start_run(run(), [row])
        await store.write("run-1", [succeed(row)])
        row.status, row.completed_at = "running", None
        with pytest.raises(StoreError):
            await store.write("run-1", [row])
        assert (await store.get("a")).status == "success"

    async def test_finishing_records_the_end_and_gives_up_the_lease(
        self, store: MaterializationStore
    ) -> None:
        begun = run()
        await store.start_run(begun, [])
        await store.beat("run-1")
        await store.finish_run(ended(begun))
        found = await store.get_run("run-1")
        assert (found.status, found.counts) == ("success", {"reused": 1})
        with pytest.raises(RunLostError):
            await store.beat("run-1")
        with pytest.raises(RunLostError):
            await store.write("run-1", [draft("a")])
        assert not await store.exists("a")

    async def test_a_run_with_nothing_to_do_is_one_row(self, store: MaterializationStore) -> None:
        await store.record_run(ended(run()))
        assert [found.run_id for found in await store.list_runs()] == ["run-1"]
        with pytest.raises(NotFoundError, match="'run-2'"):
            await store.get_run("run-2")
