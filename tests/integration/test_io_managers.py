"""IO managers: values that live elsewhere are made, reused, found lost and made again."""

from __future__ import annotations

import gc
import json
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from flowstone import Asset, Flowstone, IOManager, Product
from flowstone.errors import RunFailedError, SettingsError, ValueLostError, ValueStoreError
from tests.integration.io_managers import Copies, JsonFiles, Versioned

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from flowstone.core.asset import AnyAsset

pytestmark = pytest.mark.anyio


@pytest.fixture
def files(tmp_path: Path) -> JsonFiles:
    return JsonFiles(tmp_path / "files")


def _orders() -> list[int]:
    return [3, 4]


def _revenue(orders: list[int]) -> int:
    return sum(orders)


def shop(io: Any = "default", code: str = "1", **options: Any) -> list[AnyAsset]:
    """Orders, kept by a manager, and their sum."""
    orders = Asset(_orders, name="orders", code_version="1", io=io, **options)
    return [orders, Asset(_revenue, name="revenue", code_version=code)]


async def test_a_value_is_kept_by_its_manager_and_reused(
    opened: Flowstone, files: JsonFiles
) -> None:
    first = await opened.materialize(assets=shop(files))
    assert (first["orders"], first["revenue"]) == ([3, 4], 7)
    (row,) = [row for row in first.rows if row.asset_name == "orders"]
    assert row.value is not None
    assert row.value.location == f"JsonFiles {files.folder / 'orders.json'}"
    files.calls.clear()
    again = await opened.materialize(assets=shop(files))
    assert set(again.statuses.values()) == {"reused"}
    assert files.calls == [("exists", "orders")]
    edited = await opened.materialize("revenue", assets=shop(files, code="2"))
    assert edited["revenue"] == 7
    assert files.calls[-1] == ("load", "orders")


async def test_equal_values_stop_the_rebuild(opened: Flowstone, files: JsonFiles) -> None:
    await opened.materialize(assets=shop(files))
    again = await opened.materialize(assets=shop(files), force="orders")
    assert again.statuses == {"orders": "materialized", "revenue": "reused"}


@pytest.mark.parametrize("damage", ["drop", "overwrite"])
async def test_a_product_dropped_or_overwritten_is_made_again(
    opened: Flowstone, files: JsonFiles, damage: str
) -> None:
    await opened.materialize(assets=shop(files))
    file = files.folder / "orders.json"
    file.unlink()
    if damage == "overwrite":
        file.write_text(json.dumps(["other", [9]]))
    plan = await opened.plan("orders", assets=shop(files))
    assert [cause.kind for cause in plan["orders"].causes] == ["value_lost"]
    result = await opened.materialize(assets=shop(files))
    assert result.statuses == {"orders": "materialized", "revenue": "reused"}
    assert result["orders"] == [3, 4]


async def test_a_product_lost_in_mid_run_is_made_again(
    opened: Flowstone, files: JsonFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    await opened.materialize(assets=shop(files))
    (files.folder / "orders.json").unlink()
    monkeypatch.setattr(files, "_there", lambda _: True)  # planning sees nothing
    result = await opened.materialize("revenue", assets=shop(files, code="2"))
    assert result.statuses == {"orders": "materialized", "revenue": "materialized"}


async def test_another_manager_or_version_makes_it_again(
    opened: Flowstone, files: JsonFiles
) -> None:
    for io in (files, Versioned(files.folder), None, files):
        result = await opened.materialize("orders", assets=shop(io))
        assert result.statuses == {"orders": "materialized"}
    same_class = JsonFiles(files.folder)
    result = await opened.materialize("orders", assets=shop(same_class))
    assert result.statuses == {"orders": "reused"}


async def test_the_nearest_default_decides(
    tmp_path: Path, files: JsonFiles, database_18: str
) -> None:
    settings: dict[str, Any] = {"database_url": database_18, "home": tmp_path / "home"}
    async with Flowstone(io=files, **settings) as fs:
        await fs.materialize("orders", assets=shop())
        assert files.calls == [("save", "orders")]
        await fs.materialize("orders", assets=shop(None), force=True)
        other = JsonFiles(tmp_path / "others")
        await fs.materialize("orders", assets=shop(), io=other, force=True)
        assert ("save", "orders") in other.calls
        ours = await fs.materialize("orders", assets=shop(), io=None, force=True)
        assert ours.rows[0].value is not None
        assert ours.rows[0].value.codec == "json"
    assert files.calls.count(("save", "orders")) == 1


async def test_a_setting_names_the_default(
    tmp_path: Path, database_18: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ours_of_test.py").write_text(
        "from pathlib import Path\n"
        "from tests.integration.io_managers import JsonFiles\n"
        f"files = JsonFiles(Path({str(tmp_path / 'files')!r}))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("FLOWSTONE_IO", "ours_of_test:files")
    async with Flowstone(database_url=database_18, home=tmp_path / "home") as fs:
        await fs.materialize("orders", assets=shop())
    assert (tmp_path / "files" / "orders.json").exists()


class _Broken(JsonFiles):
    def save(self, value: Any, product: Product) -> str:
        super().save(value, product)
        raise PermissionError("the bucket is closed")


async def test_a_save_that_fails_is_the_failure_of_the_asset(
    opened: Flowstone, tmp_path: Path
) -> None:
    result = await opened.materialize(assets=shop(_Broken(tmp_path)), raise_on_error=False)
    assert result.statuses == {"orders": "failed", "revenue": "skipped"}
    assert "the bucket is closed" in result.failures["orders"].message
    assert "test_io_managers.py" in result.failures["orders"].traceback
    assert "keeper.py" not in result.failures["orders"].traceback


class _Unreadable(JsonFiles):
    def load(self, product: Product) -> Any:
        raise PermissionError(f"not yours to read: {product.asset}")


async def test_a_load_that_fails_is_the_failure_of_the_consumer(
    opened: Flowstone, tmp_path: Path
) -> None:
    io = _Unreadable(tmp_path)
    await opened.materialize("orders", assets=shop(io))
    with pytest.raises(RunFailedError, match=r"revenue .*not yours to read"):
        await opened.materialize("revenue", assets=shop(io))


class _Unsure(JsonFiles):
    def exists(self, products: Any) -> list[bool]:
        if len(self.calls) > 2:
            raise PermissionError(f"who are you, to ask {len(products)}")
        return []


async def test_a_manager_that_cannot_say_what_exists_stops_the_plan(
    opened: Flowstone, tmp_path: Path
) -> None:
    io = _Unsure(tmp_path)
    await opened.materialize("orders", assets=shop(io))
    with pytest.raises(ValueStoreError, match="0 answers for 1"):
        await opened.plan("orders", assets=shop(io))
    io.calls += [("",)] * 3
    with pytest.raises(
        ValueStoreError, match=r"_Unsure\.exists.* failed: PermissionError: who are"
    ):
        await opened.plan("orders", assets=shop(io))


class _Silent(JsonFiles):
    def save(self, value: Any, product: Product) -> Any:
        super().save(value, product)


async def test_a_manager_has_to_give_an_address(opened: Flowstone, tmp_path: Path) -> None:
    with pytest.raises(RunFailedError, match=r"_Silent.save\(\) gave no address"):
        await opened.materialize("orders", assets=shop(_Silent(tmp_path)))


async def test_many_products_are_asked_about_at_once(opened: Flowstone, files: JsonFiles) -> None:
    many = [Asset(_orders, name=f"a{n}", code_version="1", io=files) for n in range(20)]
    await opened.materialize(assets=many)
    files.calls.clear()
    await opened.materialize(assets=many)
    assert files.calls == [("exists", *sorted(each.name for each in many))]


async def test_a_manager_is_told_what_it_keeps(
    tmp_path: Path, files: JsonFiles, database_18: str
) -> None:
    url = f"{database_18} password=hush"
    async with Flowstone(database_url=url, home=tmp_path / "home") as fs:
        result = await fs.materialize("orders", assets=shop(files), partition="2025-01-15")
    (product,) = files.products
    assert (product.asset, product.partition) == ("orders", "2025-01-15")
    assert (product.run_id, product.annotation) == (result.run_id, list[int])
    assert product.database_url == url
    assert "hush" not in repr(product)
    assert isinstance(files, IOManager)


class _Async(JsonFiles):
    async def load(self, product: Product) -> Any:
        """Not awaited by anybody."""


@pytest.mark.parametrize(
    ("io", "reason"),
    [
        (object(), "no IO manager: it has no save, load, exists, data_version"),
        ("nowhere_at_all:io", "can't be imported"),
        ("tests.integration.io_managers:Nothing", "can't be imported"),
        ("tests.integration.io_managers", "names no object"),
    ],
)
async def test_what_is_no_manager_is_refused(opened: Flowstone, io: Any, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        await opened.plan("orders", assets=shop(), io=io)


async def test_a_manager_is_not_async(opened: Flowstone, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"load.* is async; write it with def"):
        await opened.plan("orders", assets=shop(), io=_Async(tmp_path))


class _Big:
    """Something that can be watched going away."""


def _watched(seen: list[weakref.ref[_Big]]) -> Callable[[], _Big]:
    def make() -> _Big:
        big = _Big()
        seen.append(weakref.ref(big))
        return big

    return make


def _takes(name: str, seen: list[weakref.ref[_Big]], alive: bool) -> AnyAsset:
    def taking(big: _Big) -> str:
        gc.collect()
        assert any(each() is not None for each in seen) is alive
        return type(big).__name__

    return Asset(taking, name=name, code_version="1")


def _left(seen: list[weakref.ref[_Big]]) -> int:
    gc.collect()
    return sum(each() is not None for each in seen)


@pytest.mark.parametrize("keep", [True, False])
async def test_a_value_is_let_go_with_its_last_consumer(opened: Flowstone, keep: bool) -> None:
    seen: list[weakref.ref[_Big]] = []
    assets = [
        Asset(_watched(seen), name="big", code_version="1", keep=keep),
        _takes("use", seen, alive=True),
        Asset(lambda use: [_left(seen), use][0], name="later", code_version="1"),
    ]
    result = await opened.materialize("later", assets=assets)
    assert result["later"] == 0
    if not keep:
        with pytest.raises(ValueLostError, match="'big' was not kept; make it a target"):
            result["big"]


async def test_a_value_is_let_go_when_its_consumers_are_cut_off_or_skipped(
    opened: Flowstone,
) -> None:
    seen: list[weakref.ref[_Big]] = []

    def both(big: _Big, one: int) -> list[Any]:
        return [one, type(big).__name__]

    def cut(big: _Big) -> str:
        return type(big).__name__

    def one() -> int:
        assert not seen[1:], "the second run fails here"
        return 1

    def assets(code: str) -> list[AnyAsset]:
        return [
            Asset(_watched(seen), name="big", code_version=code),
            Asset(one, name="one", code_version=code, deps=["big"]),
            Asset(both, name="both", code_version="1"),
            Asset(cut, name="cut", code_version="1"),
        ]

    await opened.materialize(assets=assets("1"))
    again = await opened.materialize(assets=assets("2"), raise_on_error=False)
    ends = {"big": "materialized", "cut": "reused", "one": "failed", "both": "skipped"}
    assert again.statuses == ends
    assert _left(seen) == 0


async def test_a_target_that_is_not_kept_stays_for_the_caller(opened: Flowstone) -> None:
    seen: list[weakref.ref[_Big]] = []
    big = Asset(_watched(seen), name="big", code_version="1", keep=False)
    use = _takes("use", seen, alive=True)
    result = await opened.materialize("big", "use", assets=[big, use])
    assert result["big"] is seen[0]()


async def test_what_is_shared_goes_to_all_consumers_itself(opened: Flowstone) -> None:
    made: list[Any] = []

    def rows() -> list[int]:
        made.append([1])
        found: list[int] = made[0]
        return found

    def taking(rows: list[int]) -> bool:
        return rows is made[0]

    for share in (True, False):
        made.clear()
        source = Asset(rows, name="rows", code_version=str(share), share=share)
        users = [Asset(taking, name=f"use{n}", code_version=str(share)) for n in range(3)]
        result = await opened.materialize(assets=[source, *users])
        assert sum(result[user.name] for user in users) == (3 if share else 1)


async def test_a_version_that_is_no_text_fails_the_asset(
    opened: Flowstone, files: JsonFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "data_version", lambda *_: 7)
    with pytest.raises(RunFailedError, match=r"JsonFiles.data_version\(\) gave a value of int"):
        await opened.materialize("orders", assets=shop(files))


async def test_a_file_counts_by_its_content_with_a_manager_too(
    opened: Flowstone, tmp_path: Path
) -> None:
    path = tmp_path / "report.txt"

    def assets(text: str) -> list[AnyAsset]:
        def report() -> Path:
            path.write_text(text)
            return path

        def words(report: Path) -> str:
            return report.read_text()

        reports = Asset(report, code_version=text, io=Copies(tmp_path / "copies"))
        return [reports, Asset(words, code_version="1")]

    assert (await opened.materialize(assets=assets("one")))["words"] == "one"
    assert (await opened.materialize(assets=assets("two")))["words"] == "two"
    assert (await opened.materialize(assets=assets("one")))["words"] == "one"
