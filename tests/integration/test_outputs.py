"""Several assets from one function: recorded, hashed and reused each as its own, on both stores."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.lowlevel
import pytest

from flowstone import Asset, Context, DataVersion, Flowstone
from flowstone.core.records import Run
from flowstone.errors import RunFailedError
from flowstone.runner.events import StepFinished, StepStarted

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowstone.core.asset import AnyAsset
    from flowstone.result import RunResult

pytestmark = pytest.mark.anyio

T = TypeVar("T")

CALLS: Counter[str] = Counter()
BIG = "x" * 100_000


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


def told(name: str, value: T) -> T:
    """``value``, and a note that ``name`` was executed."""
    CALLS[name] += 1
    return value


def pinned(name: str, fn: Callable[..., Any], version: str = "1", **options: Any) -> AnyAsset:
    return Asset(fn, name=name, code_version=version, **options)


def pipeline(cut: int = 2, values: tuple[int, ...] = (1, 2, 3, 4)) -> list[AnyAsset]:
    """Rows, their two parts from one function, and a consumer of each."""

    def split(rows: list[int]) -> Any:
        return told("split", (rows[:cut], [*rows[cut:], BIG]))

    return [
        pinned("rows", lambda: list(values), str(values)),
        pinned("split", split, str(cut), outputs=["train", "test"]),
        pinned("fitted", lambda train: told("fitted", sum(train))),
        pinned("scored", lambda test, fitted: told("scored", [len(test), fitted])),
    ]


def len_of(test: list[Any]) -> int:
    return len(test)


def lose(opened: Flowstone, result: RunResult, name: str) -> None:
    """The file of a value is gone."""
    (row,) = (row for row in result.rows if row.asset_name == name)
    assert row.value is not None
    digest = row.value.content_digest
    (opened.settings.values / digest[:2] / digest).unlink()


async def test_each_is_recorded_as_its_own(opened: Flowstone) -> None:
    result = await opened.materialize(assets=pipeline())
    assert CALLS["split"] == 1
    rows = {row.asset_name: row for row in result.rows}
    train, test = rows["train"], rows["test"]
    assert train.dependency_hash != test.dependency_hash
    assert train.data_version != test.data_version
    assert (result["train"], result["fitted"], result["scored"]) == ([1, 2], 3, [3, 3])
    read = {edge.upstream_id for edge in await opened.store.lineage(rows["fitted"].id)}
    assert read == {train.id}
    assert [edge.upstream_id for edge in await opened.store.lineage(test.id)] == [rows["rows"].id]


async def test_a_second_run_calls_nothing(opened: Flowstone) -> None:
    await opened.materialize(assets=pipeline())
    CALLS.clear()
    again = await opened.materialize(assets=pipeline())
    assert not CALLS
    assert set(again.statuses.values()) == {"reused"}


async def test_one_is_cut_off_when_the_other_changed(opened: Flowstone) -> None:
    await opened.materialize(assets=pipeline())
    CALLS.clear()
    again = await opened.materialize(assets=pipeline(values=(1, 2, 3, 9)))
    assert CALLS == {"split": 1, "scored": 1}
    assert again.statuses["fitted"] == "reused"


async def test_a_revert_comes_from_history_for_both(opened: Flowstone) -> None:
    await opened.materialize(assets=pipeline(2))
    await opened.materialize(assets=pipeline(3))
    CALLS.clear()
    back = await opened.materialize(assets=pipeline(2))
    assert not CALLS
    assert back["train"] == [1, 2]


async def test_what_one_target_needs_makes_the_other_too(opened: Flowstone) -> None:
    first = await opened.materialize("fitted", assets=pipeline())
    assert first.statuses["test"] == "materialized"
    CALLS.clear()
    again = await opened.materialize(assets=pipeline())
    assert CALLS == {"scored": 1}
    assert again.statuses["test"] == "reused"


async def test_what_was_not_asked_for_forces_nothing(opened: Flowstone) -> None:
    first = await opened.materialize(assets=pipeline())
    lose(opened, first, "test")
    await opened.invalidate("test", assets=pipeline(), reason="doubt")
    CALLS.clear()
    again = await opened.materialize("fitted", assets=pipeline())
    assert not CALLS
    assert "test" not in again.statuses


async def test_when_one_is_made_all_are_and_each_says_why(opened: Flowstone) -> None:
    await opened.materialize(assets=pipeline())
    await opened.invalidate("test", assets=pipeline(), reason="doubt")
    plan = await opened.plan(assets=pipeline())
    assert plan["train"].why == "made together with test"
    assert plan["test"].why == "invalidated"
    CALLS.clear()
    again = await opened.materialize(assets=pipeline())
    assert CALLS["split"] == 1
    assert {row.asset_name for row in again.rows} == {"train", "test"}


async def test_forcing_one_forces_the_other(opened: Flowstone) -> None:
    await opened.materialize(assets=pipeline())
    result = await opened.materialize("train", assets=pipeline(), force=True)
    assert result.statuses == {"rows": "reused", "train": "materialized", "test": "materialized"}


async def test_a_value_lost_while_running_is_made_again_with_the_other(opened: Flowstone) -> None:
    first = await opened.materialize(assets=pipeline())
    edited = [*pipeline()[:3], pinned("scored", len_of, "2", deps=["tick"])]

    def tick() -> int:
        lose(opened, first, "test")
        return 1

    result = await opened.materialize(assets=[*edited, pinned("tick", tick)])
    assert result["scored"] == 3
    assert CALLS["split"] == 2
    remade = {row.asset_name for row in result.rows}
    assert remade == {"tick", "train", "test", "scored"}


async def test_outputs_whose_input_was_lost_while_running_wait_for_it(opened: Flowstone) -> None:
    def source() -> list[Any]:
        return told("source", [1, BIG])

    def parts(version: str, *takes: str) -> AnyAsset:
        def both(source: list[Any]) -> Any:
            return told("parts", source)

        return pinned("parts", both, version, outputs=["a", "b"], deps=takes)

    first = await opened.materialize(assets=[pinned("source", source), parts("1")])

    def tick() -> int:
        lose(opened, first, "source")
        return 1

    result = await opened.materialize(
        assets=[pinned("source", source), parts("2", "tick"), pinned("tick", tick)]
    )
    assert CALLS == {"source": 2, "parts": 2}
    assert (result["a"], result["b"]) == (1, BIG)


async def test_one_that_can_t_be_kept_leaves_the_other_be(opened: Flowstone) -> None:
    assets = [
        pinned("pair", lambda: (1, lambda: 2), outputs=["good", "bad"]),
        pinned("fine", lambda good: good + 1),
        pinned("stuck", lambda bad: bad),
    ]
    result = await opened.materialize(assets=assets, raise_on_error=False)
    assert result.statuses == {
        "bad": "failed",
        "good": "materialized",
        "fine": "materialized",
        "stuck": "skipped",
    }
    assert "asset 'bad'" in result.failures["bad"].message


async def test_a_failure_is_that_of_all(opened: Flowstone) -> None:
    def broken() -> Any:
        raise ValueError("no split today")

    assets = [pinned("broken", broken, outputs=["a", "b"]), pinned("after", lambda a: a)]
    with pytest.raises(RunFailedError, match="no split today") as caught:
        await opened.materialize(assets=assets)
    result: Any = caught.value.result
    assert result.statuses == {"a": "failed", "b": "failed", "after": "skipped"}


async def test_too_few_values_are_told(opened: Flowstone) -> None:
    assets = [pinned("short", lambda: (1,), outputs=["a", "b"])]
    with pytest.raises(RunFailedError, match="returned 1 values, not 2: a, b"):
        await opened.materialize(assets=assets)


async def test_an_async_function_may_state_a_version_of_one(opened: Flowstone) -> None:
    async def table(context: Context) -> dict[str, Any]:
        return told("table", {"loaded": DataVersion("v1", 5), "name": context.asset})

    def made(version: str) -> list[AnyAsset]:
        return [
            pinned("table", table, version, outputs=["loaded", "name"]),
            pinned("after", lambda loaded: told("after", loaded)),
        ]

    result = await opened.materialize(assets=made("1"))
    assert (result["loaded"], result["name"], result["after"]) == (5, "table", 5)
    await opened.materialize(assets=made("2"))
    assert CALLS == {"table": 2, "after": 1}


async def test_another_order_of_names_is_another_meaning(opened: Flowstone) -> None:
    def made(*names: str) -> list[AnyAsset]:
        return [pinned("pair", lambda: (1, 2), outputs=names)]

    await opened.materialize(assets=made("a", "b"))
    again = await opened.materialize(assets=made("b", "a"))
    assert (again["a"], again["b"]) == (2, 1)
    assert "its place among the outputs changed" in again.plan["a"].why


async def test_verifying_calls_once_and_compares_each(opened: Flowstone) -> None:
    assets = pipeline()
    await opened.materialize(assets=assets)
    CALLS.clear()
    result = await opened.materialize(assets=assets, verify=True)
    assert CALLS["split"] == 1
    assert set(result.statuses.values()) == {"verified"}


async def test_listeners_hear_of_each(opened: Flowstone) -> None:
    events: list[tuple[str, str]] = []

    def listen(event: object) -> None:
        if isinstance(event, StepStarted | StepFinished):
            events.append((type(event).__name__, event.asset))

    await opened.materialize("train", assets=pipeline(), on_event=listen)
    assert set(events) == {
        (kind, name)
        for kind in ("StepStarted", "StepFinished")
        for name in ("rows", "train", "test")
    }


async def test_unkept_outputs_live_for_one_run(opened: Flowstone) -> None:
    assets = [
        pinned("pair", lambda: (object(), 2), outputs=["thing", "number"], keep=False),
        pinned("kind", lambda thing, number: f"{type(thing).__name__} {number}"),
    ]
    result = await opened.materialize(assets=assets)
    assert result["kind"] == "object 2"
    again = await opened.materialize("kind", assets=assets)
    assert again.statuses["kind"] == "reused"


async def test_what_was_not_asked_for_decides_nothing_while_running(opened: Flowstone) -> None:
    await opened.materialize(assets=pipeline())
    await opened.invalidate("test", assets=pipeline(), reason="doubt")
    same = [pinned("rows", lambda: [1, 2, 3, 4], "otherwise"), *pipeline()[1:]]
    CALLS.clear()
    again = await opened.materialize("fitted", assets=same)
    assert not CALLS
    assert again.statuses == {"rows": "materialized", "train": "reused", "fitted": "reused"}


async def test_what_was_left_out_leaves_the_pool_along_with_its_twin(opened: Flowstone) -> None:
    def assets(version: str) -> list[AnyAsset]:
        return [
            pinned("rows", lambda: [1], version),
            pinned("pair", lambda rows: (rows, 1), outputs=["wide", "other"], pool="gpu"),
            pinned("after", lambda other: -other, version, pool="gpu"),
        ]

    await opened.materialize(assets=assets("1"), pools={"gpu": 1})
    with anyio.fail_after(30):
        again = await opened.materialize("after", assets=assets("2"), pools={"gpu": 1})
    assert again.statuses == {"rows": "materialized", "other": "reused", "after": "materialized"}


async def test_a_step_whose_input_was_lost_leaves_its_pool_to_who_makes_it_again(
    opened: Flowstone,
) -> None:
    def assets(version: str, tick: Callable[[], int]) -> list[AnyAsset]:
        return [
            pinned("source", lambda: BIG, pool="gpu"),
            pinned("tick", tick, version),
            pinned("user", lambda source: source[0], version, deps=["tick"], pool="gpu"),
        ]

    first = await opened.materialize(assets=assets("1", lambda: 1), pools={"gpu": 1})

    def tick() -> int:
        lose(opened, first, "source")
        return 2

    with anyio.fail_after(30):
        again = await opened.materialize(assets=assets("2", tick), pools={"gpu": 1})
    assert again["user"] == "x"
    assert again.statuses["source"] == "materialized"


async def test_the_row_of_what_is_left_out_after_it_was_begun_is_closed(opened: Flowstone) -> None:
    """Its input was lost, and came out so that an earlier success stands in for its twin."""
    state = {"source": BIG}

    def assets(rows: int, source: str) -> list[AnyAsset]:
        def begin() -> int:
            if first is not None:
                lose(opened, first, "source")
            return rows

        return [
            pinned("rows", begin, f"{rows} {first is None}"),
            pinned("source", lambda: state["source"], source),
            pinned("pair", lambda rows, source: (rows, source[0]), outputs=["wide", "other"]),
            pinned("after", lambda other: other, str(rows)),
        ]

    first: RunResult | None = None
    await opened.materialize(assets=assets(2, "as then"))
    state["source"] = f"y{BIG}"
    first = await opened.materialize(assets=assets(1, "as now"))
    state["source"] = BIG
    again = await opened.materialize("after", assets=assets(2, "as now"))
    assert again.statuses["other"] == "reused"
    assert {row.asset_name: row.status for row in again.rows} == {
        "rows": "success",
        "source": "success",
        "wide": "cancelled",
        "other": "cancelled",
    }


async def test_the_claim_of_what_is_left_out_is_given_up(opened: Flowstone) -> None:
    began = dt.datetime.now(dt.UTC)
    await opened.store.start_run(Run(run_id="x", status="running", target="", started_at=began), [])

    async def after(other: int) -> bool:
        with anyio.move_on_after(10):
            while not (await opened.store.claim("x", ["wide"], None))[0].granted:  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(0.01)
            return other == 1
        return False

    def assets(version: str) -> list[AnyAsset]:
        return [
            pinned("rows", lambda: [1], version),
            pinned("pair", lambda rows: (rows, 1), outputs=["wide", "other"]),
            pinned("after", after if version == "2" else lambda other: other, version),
        ]

    await opened.materialize(assets=assets("1"))
    again = await opened.materialize("after", assets=assets("2"))
    assert again["after"] is True


async def test_what_was_left_out_is_made_with_a_lost_twin(opened: Flowstone) -> None:
    def pair(rows: list[int]) -> Any:
        return told("pair", ([*rows, BIG], 1))

    def assets(version: str) -> list[AnyAsset]:
        return [
            pinned("rows", lambda: [1], version),
            pinned("pair", pair, outputs=["wide", "other"]),
            pinned("after", len_of_wide, version),
        ]

    first = await opened.materialize(assets=assets("1"))
    await opened.invalidate("other", assets=assets("1"), reason="doubt")
    lose(opened, first, "wide")
    again = await opened.materialize("after", assets=assets("2"))
    assert again.statuses == {
        "rows": "materialized",
        "wide": "materialized",
        "other": "materialized",
        "after": "materialized",
    }
    causes = {row.asset_name: [cause["kind"] for cause in row.causes] for row in again.rows}
    assert (causes["wide"], causes["other"]) == (["value_lost"], ["made_together"])


def len_of_wide(wide: list[Any]) -> int:
    return len(wide)


async def test_each_says_why_also_where_that_shows_while_running(opened: Flowstone) -> None:
    await opened.materialize(assets=pipeline())
    await opened.invalidate("test", assets=pipeline(), reason="doubt")
    same = [pinned("rows", lambda: [1, 2, 3, 4], "otherwise"), *pipeline()[1:]]
    again = await opened.materialize(assets=same)
    causes = {row.asset_name: row.causes for row in again.rows}
    assert causes["train"] == [{"kind": "made_together", "subject": "test"}]
    assert [cause["kind"] for cause in causes["test"]] == ["invalidated"]
    told_why = str(await opened.why("train", assets=same, run=again.run_id))
    assert "made together with test" in told_why
    assert "invalidated" in told_why


async def test_only_some_of_the_assets_sees_what_is_made_along(opened: Flowstone) -> None:
    def assets(cut: int) -> list[AnyAsset]:
        return [*pipeline(cut)[:2], pinned("a_size", len_of, deps=["rows"])]

    await opened.materialize(assets=assets(2))
    again = await opened.materialize("a_size", "train", assets=assets(1), only=True)
    assert again.statuses == {
        "train": "materialized",
        "test": "materialized",
        "a_size": "materialized",
    }
    assert again["a_size"] == 4


async def test_parts_that_outputs_have_in_common_are_not(opened: Flowstone) -> None:
    def views() -> Any:
        shared = [{"n": 1}]
        return shared, {"rows": shared}, shared[0]

    def spoil(one: list[Any]) -> int:
        one[0]["n"] += 1
        return int(one.pop()["n"])

    def spoiled(two: dict[str, Any], three: dict[str, int]) -> list[Any]:
        two["rows"][0]["n"] += 1
        three["n"] += 1
        return [two, three]

    assets = [
        pinned("views", views, outputs=["one", "two", "three"]),
        pinned("spoil", spoil),
        pinned("spoiled", spoiled, deps=["spoil"]),
    ]
    result = await opened.materialize(assets=assets)
    assert (result["spoil"], result["spoiled"]) == (2, [{"rows": [{"n": 2}]}, {"n": 2}])


async def test_a_run_that_breaks_off_records_all_or_none(opened: Flowstone) -> None:
    class Stop(BaseException):
        pass

    def listen(event: object) -> None:
        if isinstance(event, StepFinished) and event.asset in ("train", "test"):
            raise Stop

    try:
        await opened.materialize(assets=pipeline(), on_event=listen)
    except* Stop:
        CALLS.clear()
    assert not CALLS
    again = await opened.materialize("train", "test", assets=pipeline())
    assert not CALLS
    assert set(again.statuses.values()) == {"reused"}


async def test_what_is_outside_is_asked_once_for_all(opened: Flowstone) -> None:
    def outside(context: Context) -> int:
        CALLS[context.asset] += 1
        return CALLS[context.asset]

    pair = pinned("pair", lambda: (1, 2), outputs=["a", "b"], observe=outside)
    await opened.materialize(assets=[pair])
    assert CALLS == {"pair": 1}


async def test_a_function_that_raises_is_told_once(opened: Flowstone) -> None:
    def pair() -> Any:
        raise ValueError("no")

    told = r"^failed: a and b \(ValueError: no\)$"
    with pytest.raises(RunFailedError, match=told):
        await opened.materialize(assets=[pinned("pair", pair, outputs=["a", "b"])])


async def test_outputs_are_made_with_a_resource_opened_once(opened: Flowstone) -> None:
    def pair(db: str) -> Any:
        return f"{db} a", f"{db} b"

    assets = [pinned("pair", pair, outputs=["a", "b"])]
    result = await opened.materialize(assets=assets, resources={"db": lambda: told("db", "of")})
    assert (result["a"], result["b"]) == ("of a", "of b")
    again = await opened.materialize(assets=assets, resources={"db": lambda: told("db", "of")})
    assert set(again.statuses.values()) == {"reused"}
    assert CALLS["db"] == 1


async def test_a_run_cancelled_while_it_begins_leaves_no_open_rows(
    opened: Flowstone, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = opened.store.start_run

    async def cut_off(*arguments: Any) -> None:
        await begin(*arguments)
        scope.cancel()
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr(opened.store, "start_run", cut_off)
    with anyio.CancelScope() as scope:
        await opened.materialize(assets=pipeline())
    assert not CALLS
    assert await opened.store.list_by_status("pending") == []
    cancelled = await opened.store.list_by_status("cancelled")
    assert sorted(row.asset_name for row in cancelled) == sorted(
        ["rows", "train", "test", "fitted", "scored"]
    )
