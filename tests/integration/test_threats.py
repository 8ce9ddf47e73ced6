"""What somebody who can write where we read can not bring about, and what is never told."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from flowstone import Asset, Flowstone
from flowstone.errors import (
    DatabaseUnavailableError,
    RunFailedError,
    StoreError,
    ValueLostError,
    ValueStoreError,
)
from flowstone.settings import Settings
from flowstone.store import connect
from flowstone.store.memory import MemoryStore
from flowstone.values import ValueStore
from tests.integration.servers import PASSWORD, password_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowstone.core.asset import AnyAsset

pytestmark = pytest.mark.anyio


class Door:
    """Unpickled, it leaves a file behind."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return Path.touch, (Path(self.place),)


def pipeline(place: Path) -> list[AnyAsset]:
    """One that only pickle takes, and two that take it."""

    def door() -> Any:
        return Door(str(place))

    def one(door: Any) -> str:
        return type(door).__name__

    def other(door: Any) -> str:
        return type(door).__name__

    return [Asset(each, name=each.__name__, code_version="1") for each in (door, one, other)]


class TestPickle:
    async def test_without_pickle_writing_fails_the_asset_and_says_what_to_do(
        self, tmp_path: Path
    ) -> None:
        async with Flowstone(store=MemoryStore(), home=tmp_path, pickle=False) as opened:
            with pytest.raises(
                RunFailedError,
                match=r"failed: door \(.*Door can only be pickled, and pickle is off;"
                r" return something else, or use @asset\(keep=False\), or allow it:"
                r" FLOWSTONE_PICKLE=1",
            ):
                await opened.materialize(assets=pipeline(tmp_path / "open"))
        assert not (tmp_path / "open").exists()

    @pytest.mark.parametrize("target", ["door", "one"])
    async def test_without_pickle_what_was_pickled_before_is_not_read(
        self, tmp_path: Path, target: str
    ) -> None:
        """The asset that made it is named; nothing that is in the bytes is executed."""
        store, assets = MemoryStore(), pipeline(tmp_path / "open")
        async with Flowstone(store=store, home=tmp_path) as opened:
            await opened.materialize("door", assets=assets)
        assert not (tmp_path / "open").exists()
        async with Flowstone(store=store, home=tmp_path, pickle=False) as opened:
            with pytest.raises(RunFailedError, match=r"failed: door \(.*pickle is off"):
                await opened.materialize(target, assets=assets)
        assert not (tmp_path / "open").exists()

    async def test_a_result_read_without_pickle_names_the_asset_and_the_cure(
        self, tmp_path: Path
    ) -> None:
        async with Flowstone(store=MemoryStore(), home=tmp_path) as opened:
            result = await opened.materialize("door", assets=pipeline(tmp_path / "open"))
            opened.values._pickle = False
            with pytest.raises(ValueLostError, match=r"'door': .*pickle is off; allow it \(FLOW"):
                result["door"]
        assert not (tmp_path / "open").exists()


class TestLinks:
    """A folder of the store that is a link leads to where others may write."""

    @pytest.fixture
    def moved(self, tmp_path: Path) -> tuple[ValueStore, Any]:
        """A store with a value whose folder lies elsewhere."""
        kept = ValueStore(tmp_path / "values", inline_limit=0)
        pointer = kept.save("secret").pointer
        folder = tmp_path / "values" / pointer.content_digest[:2]
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
        return kept, pointer

    def test_nothing_is_read_through_it(self, moved: tuple[ValueStore, Any]) -> None:
        kept, pointer = moved
        with pytest.raises(ValueLostError, match="missing"):
            kept.load(pointer)
        assert "missing" in kept.damage(pointer)

    def test_nothing_is_written_through_it(
        self, moved: tuple[ValueStore, Any], tmp_path: Path
    ) -> None:
        kept, pointer = moved
        (tmp_path / "elsewhere" / pointer.content_digest).unlink()
        with pytest.raises(ValueStoreError, match="can't write to the value store"):
            kept.save("secret")
        assert list((tmp_path / "elsewhere").iterdir()) == []

    def test_the_store_itself_may_be_a_link(self, tmp_path: Path) -> None:
        (tmp_path / "disk").mkdir()
        (tmp_path / "values").symlink_to(tmp_path / "disk")
        kept = ValueStore(tmp_path / "values", inline_limit=0)
        assert kept.load(kept.save("value").pointer) == "value"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with password_server() as found:
        yield found


class TestPasswords:
    async def test_no_object_shows_the_connection_string(self, url: str, tmp_path: Path) -> None:
        async with Flowstone(database_url=url, home=tmp_path) as opened:
            held = [opened, opened.settings, opened.store, opened.values, opened._keeper(None)]
            shown = [*map(repr, held), *map(str, held), *map(str, vars(opened).values())]
        assert PASSWORD not in "".join(shown)
        assert PASSWORD not in repr(Settings.load(database_url=url))

    async def test_a_server_that_lets_nobody_in_any_more_gives_no_password_away(
        self,
        url: str,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Not in errors, nor in what the driver logs by itself."""
        monkeypatch.setattr(connect, "PATIENCE", 0.5)
        caplog.set_level(logging.DEBUG)
        with psycopg.connect(url, autocommit=True) as owner:
            owner.execute(f"CREATE ROLE guest LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
            guest = url.replace("//flowstone:", "//guest:")
            async with Flowstone(database_url=guest, home=tmp_path) as opened:
                await opened.store.list_runs()
                owner.execute("ALTER ROLE guest PASSWORD 'another'")
                owner.execute(
                    "SELECT pg_terminate_backend(pid, 9000) FROM pg_stat_activity"
                    " WHERE usename = 'guest'"
                )
                for _ in range(2):
                    with pytest.raises(StoreError) as caught:
                        await opened.store.list_runs()
                    assert PASSWORD not in str(caught.value) + repr(caught.value.__cause__)
            with pytest.raises(DatabaseUnavailableError) as refused:
                await Flowstone(database_url=guest, home=tmp_path).__aenter__()
            assert PASSWORD not in str(refused.value)
        assert caplog.records
        assert PASSWORD not in caplog.text

    @pytest.mark.parametrize(
        "dsn",
        [
            "postgresql://u:hunter2@[broken/db",
            "postgresql://u:hunter2@h:notaport/db",
            "host=h password=hunter2 nonsense=1",
            "hunter2",
            "postgresql://u@127.0.0.1:1/db?password=hunter2",
            "postgresql://u@127.0.0.1:1/db?sslpassword=hunter2",
        ],
    )
    async def test_a_connection_string_that_is_no_use_is_not_quoted(
        self, dsn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        with pytest.raises(StoreError) as caught:
            await Flowstone(database_url=dsn, home=tmp_path).__aenter__()
        assert "hunter2" not in str(caught.value) + caplog.text + os.linesep
