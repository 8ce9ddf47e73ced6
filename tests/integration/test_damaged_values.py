"""Values that were lost or altered are never used, and no consumer sees what another one does."""

from __future__ import annotations

import asyncio
import datetime as dt
import shutil
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import numpy as np
import pandas as pd
import psycopg
import pytest

from flowstone import Asset, Flowstone
from flowstone.core.records import Run
from flowstone.errors import ValueLostError
from flowstone.runner.events import Event, StepFinished, StepWaiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from flowstone.core.asset import AnyAsset
    from flowstone.result import RunResult

pytestmark = pytest.mark.anyio

#: Values of more than 64 kB, which go to files, and small ones, which go to the database; those of
#: a pair take equally many bytes.
LARGE = {"one": ["first"] * 20_000, "two": ["other"] * 20_000}
SMALL = {"one": ["first"] * 2, "two": ["other"] * 2}


@dataclass
class Makers:
    """The assets ``one`` and ``two``, and who was called to make them."""

    values: dict[str, list[str]]
    calls: list[str] = field(default_factory=list)

    def assets(self, *consumers: str) -> list[AnyAsset]:
        """Both, and consumers of both: each returns what comes first and last in its inputs."""
        made: list[AnyAsset] = [self._make(name) for name in self.values]
        return made + [Asset(_ends, name=name, code_version="1") for name in consumers]

    def _make(self, name: str) -> AnyAsset:
        def make() -> list[str]:
            self.calls.append(name)
            return list(self.values[name])

        return Asset(make, name=name, code_version="1")


def _ends(one: list[str], two: list[str]) -> list[str]:
    return [one[0], one[-1], two[0], two[-1]]


def _edited() -> list[str]:
    return ["edited"]


ENDS = ["first", "first", "other", "other"]


def file_of(opened: Flowstone, value: list[str]) -> Path:
    """The one file of the value store that holds a value."""
    store = opened.settings.home / "values"
    files = (path for path in store.rglob("*") if path.is_file())
    (found,) = [file for file in files if value[0].encode() in file.read_bytes()]
    found.chmod(0o600)
    return found


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def make_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def link(file: Path) -> None:
    """The very bytes, but elsewhere: what a link leads to may be changed by anybody."""
    elsewhere = file.with_name("elsewhere")
    file.rename(elsewhere)
    flip(elsewhere)
    file.symlink_to(elsewhere)


#: Damage that size or kind of the file gives away, so that planning sees it.
VISIBLE: dict[str, Callable[[Path], Any]] = {
    "lost": Path.unlink,
    "truncated": lambda file: file.write_bytes(file.read_bytes()[:-7]),
    "emptied": lambda file: file.write_bytes(b""),
    "longer": lambda file: file.write_bytes(file.read_bytes() + b" "),
    "a link": link,
}
#: Damage that only reading the bytes finds.
HIDDEN: dict[str, Callable[[Path], Any]] = {
    "bit-flipped": flip,
    "all zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)),
}


def right_or_refused(result: RunResult, name: str, value: object) -> bool:
    """Whether a value read from a result is the right one, or there is an error instead."""
    try:
        return bool(result[name] == value)
    except ValueLostError:
        return True


class TestFiles:
    @pytest.mark.parametrize("damage", [*VISIBLE, *HIDDEN])
    async def test_a_consumer_never_gets_a_damaged_value(
        self, opened: Flowstone, damage: str
    ) -> None:
        """What was damaged is made again in the run that finds out; nothing else is."""
        makers = Makers(LARGE)
        await opened.materialize(assets=makers.assets("before"))
        (VISIBLE | HIDDEN)[damage](file_of(opened, LARGE["one"]))
        assets = makers.assets("before", "after")
        result = await opened.materialize("before", "after", assets=assets)
        assert (result["before"], result["after"]) == (ENDS, ENDS)
        assert sorted(makers.calls) == ["one", "one", "two"]
        assert result.statuses == {
            "one": "materialized",
            "two": "reused",
            "before": "reused",
            "after": "materialized",
        }
        again = await opened.materialize(assets=assets)
        assert set(again.statuses.values()) == {"reused"}
        assert again["one"] == LARGE["one"]

    @pytest.mark.parametrize("damage", VISIBLE)
    async def test_a_target_is_made_again(self, opened: Flowstone, damage: str) -> None:
        makers = Makers(LARGE)
        await opened.materialize(assets=makers.assets())
        VISIBLE[damage](file_of(opened, LARGE["one"]))
        result = await opened.materialize(assets=makers.assets())
        assert result.statuses == {"one": "materialized", "two": "reused"}
        assert result["one"] == LARGE["one"]

    @pytest.mark.parametrize("damage", HIDDEN)
    async def test_the_caller_never_gets_a_damaged_value(
        self, opened: Flowstone, damage: str
    ) -> None:
        makers = Makers(LARGE)
        await opened.materialize(assets=makers.assets())
        HIDDEN[damage](file_of(opened, LARGE["one"]))
        result = await opened.materialize(assets=makers.assets())
        assert right_or_refused(result, "one", LARGE["one"])
        assert result["two"] == LARGE["two"]
        mended = await opened.materialize("one", assets=makers.assets(), force=True)
        assert mended["one"] == LARGE["one"]

    async def test_files_swapped_with_each_other_are_not_taken_for_each_other(
        self, opened: Flowstone
    ) -> None:
        makers = Makers(LARGE)
        await opened.materialize(assets=makers.assets("before"))
        one, two = file_of(opened, LARGE["one"]), file_of(opened, LARGE["two"])
        aside = one.with_name("aside")
        one.rename(aside)
        two.rename(one)
        aside.rename(two)
        assets = makers.assets("before", "after")
        result = await opened.materialize("after", assets=assets)
        assert result["after"] == ENDS
        assert result.statuses == dict.fromkeys(["one", "two", "after"], "materialized")
        again = await opened.materialize(assets=assets)
        assert set(again.statuses.values()) == {"reused"}
        assert (again["one"], again["two"]) == (LARGE["one"], LARGE["two"])

    async def test_a_lost_value_of_two_assets_is_mended_for_both(self, opened: Flowstone) -> None:
        """Equal values are one file."""
        makers = Makers({"one": LARGE["one"], "two": LARGE["one"]})
        await opened.materialize(assets=makers.assets())
        flip(file_of(opened, LARGE["one"]))
        result = await opened.materialize("after", assets=makers.assets("after"))
        assert result["after"] == ["first"] * 4

    @pytest.mark.parametrize("damage", ["lost", "bit-flipped"])
    async def test_a_revert_to_a_damaged_value_makes_it_again(
        self, opened: Flowstone, damage: str
    ) -> None:
        """History has the version, but not its value."""
        makers = Makers(LARGE)
        await opened.materialize(assets=makers.assets())
        edited: AnyAsset = Asset(_edited, name="one", code_version="2")
        await opened.materialize(assets=[edited, *makers.assets()[1:]])
        (VISIBLE | HIDDEN)[damage](file_of(opened, LARGE["one"]))
        reverted = await opened.materialize(assets=makers.assets("after"))
        assert reverted["after"] == ENDS
        assert reverted["one"] == LARGE["one"]
        assert reverted.statuses["one"] == "materialized"


class TestRows:
    """Small values live in the row; somebody may have written to the table."""

    @pytest.mark.parametrize(
        "damage",
        [
            "set_byte(value_inline, 3, get_byte(value_inline, 3) # 1)",
            "substring(value_inline FROM 1 FOR octet_length(value_inline) - 1)",
            "value_inline || '\\x20'::bytea",
            "''::bytea",
        ],
    )
    async def test_a_damaged_row_is_not_used(
        self, database_18: str, tmp_path: Path, damage: str
    ) -> None:
        makers = Makers(SMALL)
        async with Flowstone(database_url=database_18, home=tmp_path / "home") as opened:
            await opened.materialize(assets=makers.assets("before"))
            _update(database_18, f"SET value_inline = {damage} WHERE asset_name = 'one'")
            result = await opened.materialize("after", assets=makers.assets("before", "after"))
            assert result["after"] == ENDS
            assert result.statuses["one"] == "materialized"
            assert result.statuses["two"] == "reused"

    async def test_values_swapped_between_rows_are_not_taken_for_each_other(
        self, database_18: str, tmp_path: Path
    ) -> None:
        makers = Makers(SMALL)
        async with Flowstone(database_url=database_18, home=tmp_path / "home") as opened:
            await opened.materialize(assets=makers.assets())
            _update(
                database_18,
                "AS own SET value_inline = other.value_inline"
                " FROM flowstone_materializations AS other"
                " WHERE own.asset_name <> other.asset_name",
            )
            unread = await opened.materialize(assets=makers.assets())
            for name in ("one", "two"):
                assert right_or_refused(unread, name, SMALL[name])
            result = await opened.materialize("after", assets=makers.assets("after"))
            assert result["after"] == ENDS


def _update(database: str, how: str) -> None:
    with psycopg.connect(database) as conn:
        changed = conn.execute(f"UPDATE flowstone_materializations {how}".encode())
        assert changed.rowcount > 0


def write_other(file: Path) -> None:
    """Another text of the same size."""
    file.write_text("FINE")


BY_HAND: dict[str, Callable[[Path], Any]] = {
    "edited": write_other,
    "edited to another size": lambda file: file.write_text("edited by hand"),
    "deleted": Path.unlink,
    "a folder": make_folder,
}


class TestPaths:
    @staticmethod
    def assets(file: Path, text: str = "fine", *, version: str = "1") -> list[AnyAsset]:
        """One that writes a file, and one that reads it."""

        def report() -> Path:
            if file.is_dir():
                file.rmdir()
            file.write_text(text)
            return file

        def read(report: Path) -> str:
            return report.read_text()

        written: AnyAsset = Asset(report, name="report", code_version=version)
        return [written, Asset(read, name="read", code_version="1")]

    @pytest.mark.parametrize("edit", BY_HAND)
    async def test_a_file_edited_by_hand_is_not_used(
        self, opened: Flowstone, tmp_path: Path, edit: str
    ) -> None:
        assets = self.assets(tmp_path / "report.txt")
        await opened.materialize("report", assets=assets)
        BY_HAND[edit](tmp_path / "report.txt")
        result = await opened.materialize("read", assets=assets)
        assert result["read"] == "fine"
        assert result.statuses == {"report": "materialized", "read": "materialized"}
        assert result["report"].read_text() == "fine"

    @pytest.mark.parametrize("edit", BY_HAND)
    async def test_the_caller_never_gets_a_file_edited_by_hand(
        self, opened: Flowstone, tmp_path: Path, edit: str
    ) -> None:
        assets = self.assets(tmp_path / "report.txt")
        await opened.materialize(assets=assets)
        BY_HAND[edit](tmp_path / "report.txt")
        result = await opened.materialize(assets=assets)
        assert result["read"] == "fine"
        assert result.statuses["read"] == "reused"
        try:
            assert result["report"].read_text() == "fine"
        except ValueLostError:
            assert edit == "edited"  # the only one that its size does not give away

    async def test_a_file_that_was_only_touched_is_used(
        self, opened: Flowstone, tmp_path: Path
    ) -> None:
        assets = self.assets(tmp_path / "report.txt")
        await opened.materialize("report", assets=assets)
        shutil.copyfile(tmp_path / "report.txt", tmp_path / "copy.txt")
        (tmp_path / "copy.txt").replace(tmp_path / "report.txt")
        result = await opened.materialize(assets=assets)
        assert result.statuses == {"report": "reused", "read": "materialized"}

    async def test_a_revert_brings_the_earlier_content_back(
        self, opened: Flowstone, tmp_path: Path
    ) -> None:
        """History has the version, but the file holds what was written since, as long as before."""
        file = tmp_path / "report.txt"
        await opened.materialize(assets=self.assets(file))
        edited = await opened.materialize(assets=self.assets(file, "FINE", version="2"))
        assert edited["read"] == "FINE"
        reverted = await opened.materialize(assets=self.assets(file))
        assert reverted["read"] == "fine"
        assert file.read_text() == "fine"
        assert reverted.statuses == {"report": "materialized", "read": "reused"}


@dataclass
class Basket:
    """Something users change in place."""

    items: list[int]


def _spoil_array(value: np.ndarray[Any, Any]) -> None:
    try:
        value[0] = 99
    except ValueError:  # it went out read-only
        value.flags.writeable = True
        value[0] = 99


def _spoil_frame(value: pd.DataFrame) -> None:
    value.loc[0, "a"] = 99


SPOILED: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "list": (lambda: [1, 2], lambda value: value.append(99)),
    "dict": (lambda: {"a": 1}, lambda value: value.update(b=99)),
    "nested": (lambda: ({"a": [1]}, 2), lambda value: value[0]["a"].append(99)),
    "set": (lambda: {1}, lambda value: value.add(99)),
    "bytearray": (lambda: bytearray(b"ab"), lambda value: value.extend(b"c")),
    "dataclass": (lambda: Basket([1]), lambda value: value.items.append(99)),
    "large list": (lambda: [1] * 100_000, lambda value: value.append(99)),
    "array": (lambda: np.arange(3), _spoil_array),
    "array in a dict": (lambda: {"a": np.arange(3)}, lambda value: _spoil_array(value["a"])),
    "frame": (lambda: pd.DataFrame({"a": [1, 2]}), _spoil_frame),
}
SIBLINGS = 4


def _told(value: object) -> str:
    return repr(value) if not isinstance(value, list) else f"{len(value)}: {value[-3:]}"


def _siblings(spoil: Callable[[Any], None]) -> Iterator[AnyAsset]:
    """Assets that all hold the value of ``source`` when each of them changes its own."""
    together = threading.Barrier(SIBLINGS, timeout=60)

    def change(source: Any) -> list[str]:
        before = _told(source)
        together.wait()
        spoil(source)
        together.wait()
        return [before, _told(source)]

    for n in range(SIBLINGS):
        yield Asset(change, name=f"sibling_{n}", code_version="1")


@pytest.mark.parametrize("kind", SPOILED)
@pytest.mark.parametrize("from_store", [False, True], ids=["just made", "reused"])
async def test_siblings_that_change_their_input_do_not_see_each_other(
    opened: Flowstone, kind: str, from_store: bool
) -> None:
    make, spoil = SPOILED[kind]
    annotated = make
    annotated.__annotations__["return"] = type(make())
    source: AnyAsset = Asset(annotated, name="source", code_version="1")
    if from_store:
        await opened.materialize(source)
    assets = [source, *_siblings(spoil)]
    result = await opened.materialize(assets=assets, max_concurrency=SIBLINGS + 1)
    assert result.statuses["source"] == ("reused" if from_store else "materialized")
    pristine, changed = make(), make()
    spoil(changed)
    for n in range(SIBLINGS):
        assert result[f"sibling_{n}"] == [_told(pristine), _told(changed)]
    assert _told(result["source"]) == _told(pristine)
    assert (await opened.store.get("source")).data_version == await _version(opened, make)


async def _version(opened: Flowstone, make: Callable[[], Any]) -> str | None:
    """The data version of a value that nobody has touched."""
    result = await opened.materialize(Asset(make, name="untouched", code_version="1"))
    assert result.statuses == {"untouched": "materialized"}
    return (await opened.store.get("untouched")).data_version


def pinned(name: str, fn: Callable[..., Any], version: str = "1", **options: Any) -> AnyAsset:
    return Asset(fn, name=name, code_version=version, **options)


async def test_what_was_reused_and_is_made_again_is_claimed_again(opened: Flowstone) -> None:
    """Its claim was freed when it was reused; another run has taken it meanwhile."""
    began = dt.datetime.now(dt.UTC)
    other = Run(run_id="x", status="running", target="", started_at=began)

    async def tick(one: list[str]) -> int:
        if made_before:
            await opened.store.start_run(other, [])
            while not (await opened.store.claim("x", ["one"], None))[0].granted:  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(0.01)
            file_of(opened, LARGE["one"]).unlink()
        return len(one)

    def listener(event: Event) -> None:
        if isinstance(event, StepWaiting):
            waited.append(event.holder)
            ending.append(asyncio.create_task(opened.store.finish_run(other)))

    def assets(version: str) -> list[AnyAsset]:
        return [
            pinned("source", lambda: 1, version),
            pinned("one", lambda source: LARGE["one"][source - 1 :]),
            pinned("tick", tick, version),
            pinned("user", lambda one: one[-1], version, deps=["tick"]),
        ]

    made_before: list[bool] = []
    waited: list[str | None] = []
    ending: list[asyncio.Task[None]] = []
    await opened.materialize(assets=assets("1"))
    made_before.append(True)
    result = await opened.materialize(assets=assets("2"), on_event=listener)
    assert waited == ["x"]
    assert result["user"] == "first"
    assert result.statuses["one"] == "materialized"


async def test_a_step_that_was_looked_up_meanwhile_takes_what_was_made_again(
    opened: Flowstone,
) -> None:
    """What is recorded as its input is what it took."""
    made_again = anyio.Event()
    values = [LARGE["one"], LARGE["two"]]
    again: list[bool] = []

    async def slow() -> AsyncIterator[str]:
        if again:
            await made_again.wait()
        yield "slow"

    def tick(one: list[str]) -> int:
        if again:
            file_of(opened, LARGE["one"]).unlink()
        return len(one)

    def listener(event: Event) -> None:
        if isinstance(event, StepFinished) and event.asset == "one":
            made_again.set()

    def assets(version: str) -> list[AnyAsset]:
        return [
            pinned("one", lambda: values.pop(0)),
            pinned("tick", tick, version),
            pinned("quick", lambda one: one[0], version, deps=["tick"]),
            pinned("late", lambda one, slow: one[0] + slow, version, deps=["tick"]),
        ]

    await opened.materialize(assets=assets("1"), resources={"slow": slow})
    again.append(True)
    result = await opened.materialize(
        assets=assets("2"), resources={"slow": slow}, on_event=listener
    )
    assert (result["quick"], result["late"]) == ("other", "otherslow")
    rows = {row.asset_name: row for row in result.rows}
    assert rows["late"].inputs["upstream"]["one"] == rows["one"].data_version
