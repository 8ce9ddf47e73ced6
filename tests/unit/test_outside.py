"""Sources and outside state: input paths, observe functions, stated data versions."""

from __future__ import annotations

import functools
import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import anyio
import pytest
from pydantic import BaseModel, SecretStr

from flowstone import Asset, AssetGraph, Context, DataVersion, Flowstone, InputPath, asset
from flowstone.core.config import MASK, Config, parse_setting, resolve
from flowstone.core.hashing import combine, content_digest, digest
from flowstone.core.outside import Observed
from flowstone.errors import ConfigError, DefinitionError, RunFailedError
from flowstone.log import step_logger
from flowstone.sources.observe import observe, read_inputs
from flowstone.sources.paths import Content, contents
from flowstone.store.memory import MemoryStore
from flowstone.testing import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from flowstone.core.asset import AnyAsset

pytestmark = pytest.mark.anyio

SECRET = "hunter2"  # noqa: S105 - what must be seen nowhere


def configured(made: AnyAsset, *settings: str) -> Config:
    """The config of an asset, with settings as the command line takes them."""
    return resolve(AssetGraph([made]), dict(map(parse_setting, settings)))[made.name]


def problem(made: AnyAsset) -> str:
    with pytest.raises(DefinitionError) as caught:
        AssetGraph([made])
    return str(caught.value)


@asset
def orders(source: InputPath = Path("data/orders.csv")) -> int:
    return source.stat().st_size


class TestInputParameters:
    def test_the_asset_stays_a_plain_function(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("123")
        assert orders(tmp_path / "a") == 3

    def test_a_path_is_passed_and_shown_and_has_no_digest_of_its_own(self) -> None:
        config = configured(orders)
        path = Path("data/orders.csv")
        assert config == Config({"source": path}, {}, {"source": str(path)}, {"source": path})

    def test_a_path_given_as_text_becomes_a_path(self) -> None:
        config = configured(orders, "orders.source=other.csv")
        assert config.values == config.inputs == {"source": Path("other.csv")}
        assert config.shown == {"source": "other.csv"}

    @pytest.mark.parametrize(
        ("annotation", "default", "setting", "value"),
        [
            (InputPath | None, None, "a", Path("a")),
            (Optional[InputPath], Path("a"), "null", None),  # noqa: UP045 - as people write it
            (list[InputPath], [], '["a", "b"]', [Path("a"), Path("b")]),
            (tuple[InputPath, ...], (), '["a"]', (Path("a"),)),
            (list[InputPath] | None, None, '["a"]', [Path("a")]),
            (dict[str, InputPath], {}, '{"x": "a"}', {"x": Path("a")}),
            (Annotated[InputPath, "told"], Path("a"), "b", Path("b")),
            (InputPath, Path("a"), "2024", Path("2024")),
        ],
    )
    def test_unions_with_none_and_containers_of_paths_are_inputs(
        self, annotation: Any, default: Any, setting: str, value: Any
    ) -> None:
        names: dict[str, Any] = {"annotation": annotation, "default": default}
        exec("def made(x: annotation = default): pass", names)  # noqa: S102 - a free annotation
        config = configured(asset(names["made"]), f"made.x={setting}")
        assert config.inputs == config.values == {"x": value}
        assert config.digests == {}

    def test_a_name_imported_for_type_checkers_only_is_known(self) -> None:
        names: dict[str, Any] = {"Path": Path}
        for annotation in ("InputPath", "'InputPath'", "flowstone.InputPath", "Absent[InputPath]"):
            exec(f"def made(x: {annotation} = Path('a')): pass", names)  # noqa: S102 - no imports
            assert configured(asset(names["made"])).inputs == {"x": Path("a")}

    def test_an_input_without_default_is_told_with_the_cure(self) -> None:
        def bare(source: InputPath) -> None: ...

        def either(source: InputPath | None) -> None: ...

        cure = "parameter 'source' is an input path without a default; write source: InputPath ="
        for fn in (bare, either):
            assert cure in problem(asset(fn))

    def test_an_input_inside_a_class_or_beside_other_paths_is_told(self) -> None:
        class Files(BaseModel):
            source: InputPath = Path("a")

        @dataclass
        class Others:
            sources: list[InputPath]

        for annotation in (Files, list[Others], InputPath | Path, dict[InputPath, int]):
            names: dict[str, Any] = {"annotation": annotation}
            exec("def made(x: annotation = None): pass", names)  # noqa: S102 - a free annotation
            with pytest.raises(ConfigError, match=r"config 'x': an InputPath stands alone.*own$"):
                configured(asset(names["made"]))

    def test_a_default_that_is_no_path_is_told(self) -> None:
        @asset
        def wrong(source: InputPath = 5) -> None: ...  # type: ignore[assignment]  # the point

        with pytest.raises(ConfigError, match=r"an input path is a pathlib\.Path, not int"):
            configured(wrong)

    def test_a_path_whose_name_is_a_secret_s_is_not_shown(self) -> None:
        @asset
        def signed(key: InputPath = Path("id_rsa")) -> None: ...

        assert configured(signed).shown == {"key": MASK}


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def settled() -> int:
    """A clock by which every file has been left alone for long."""
    return time.time_ns() + 60_000_000_000


class TestContents:
    @pytest.fixture
    def look(self, cache: Path) -> Callable[[Path], Content]:
        async def one(path: Path) -> Content:
            return (await contents([path], cache))[path]

        return lambda path: anyio.run(one, path)

    def test_a_file_counts_by_its_bytes_alone(
        self, data: Path, look: Callable[[Path], Content]
    ) -> None:
        one, other = data / "one", data / "other"
        one.write_bytes(b"abc")
        other.write_bytes(b"abc")
        other.chmod(0o700)
        found = look(one)
        assert found.digest == look(other).digest == combine("file", content_digest(b"abc"))
        assert found.shown == f"{one} (3 bytes, {content_digest(b'abc')[:8]})"
        one.write_bytes(b"abd")
        assert look(one).digest != found.digest

    def test_a_missing_path_is_absent_and_differs_from_what_is_empty(
        self, data: Path, look: Callable[[Path], Content]
    ) -> None:
        (data / "file").touch()
        (data / "folder").mkdir()
        absent = look(data / "none")
        assert absent == Content(combine("absent"), f"{data / 'none'} (absent)")
        assert look(data / "file" / "below").digest == absent.digest
        empty = [look(data / name).digest for name in ("file", "folder")]
        assert len({absent.digest, *empty}) == 3

    @pytest.mark.parametrize(
        "edit",
        [
            lambda folder: (folder / "b" / "c").write_text("2"),
            lambda folder: (folder / ".hidden").touch(),
            lambda folder: (folder / "a").rename(folder / "z"),
            lambda folder: (folder / "a").rename(folder / "b" / "a"),
            lambda folder: (folder / "a").unlink(),
            lambda folder: (folder / "link").unlink(),
            lambda folder: (folder / "nothing").symlink_to("a"),
            lambda folder: (folder / "gone").unlink(),
            lambda folder: (folder / "far" / "e").write_text("2"),
            lambda folder: os.rename(folder / "a", os.fsencode(folder) + b"/\xff"),  # noqa: PTH104 - bytes
        ],
    )
    def test_any_edit_below_a_folder_counts(
        self, data: Path, look: Callable[[Path], Content], edit: Callable[[Path], object]
    ) -> None:
        folder, beside = data / "folder", data / "beside"
        (folder / "b").mkdir(parents=True)
        beside.mkdir()
        for file in (folder / "a", folder / "b" / "c", beside / "e"):
            file.write_text("1")
        (folder / "link").symlink_to("b/c")
        (folder / "gone").symlink_to("nowhere")
        (folder / "far").symlink_to(beside)
        before = look(folder)
        assert before.shown.startswith(f"{folder} (5 files, 4 bytes, ")
        assert before == look(folder)
        edit(folder)
        assert look(folder).digest != before.digest

    def test_what_has_no_content_does_not_count(
        self, data: Path, look: Callable[[Path], Content]
    ) -> None:
        (data / "a").touch()
        before = look(data)
        (data / "empty").mkdir()
        os.mkfifo(data / "pipe")
        (data / "to_pipe").symlink_to("pipe")
        os.utime(data / "a", (0, 0))
        assert look(data) == before

    def test_a_moved_folder_counts_like_the_first(
        self, data: Path, look: Callable[[Path], Content]
    ) -> None:
        (data / "one").mkdir()
        (data / "one" / "a").write_text("1")
        before = look(data / "one")
        (data / "one").rename(data / "other")
        assert look(data / "other").digest == before.digest

    def test_what_cannot_be_read_is_told_with_path_and_reason(
        self, data: Path, look: Callable[[Path], Content]
    ) -> None:
        os.mkfifo(data / "pipe")
        (data / "loop").symlink_to("loop")
        (data / "ring" / "inner").mkdir(parents=True)
        (data / "ring" / "inner" / "outer").symlink_to("..")
        for path, reason in {
            data / "pipe": f"'{data}/pipe' is neither a file nor a folder",
            data / "loop": f"can't read '{data}/loop': Too many levels of symbolic links",
            data / "ring": f"folder '{data}/ring/inner/outer' contains itself; unlink it",
            data: f"can't read '{data}/loop': Too many levels of symbolic links",
            Path("a\0b"): "embedded null",
            data / ("x" * 300): "File name too long",
        }.items():
            found = look(path)
            assert reason in found.error
            assert found.digest == ""

    @pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc")
    def test_one_unreadable_file_makes_its_folder_unreadable(
        self, data: Path, look: Callable[[Path], Content]
    ) -> None:
        (data / "a").touch()
        (data / "b").symlink_to("/proc/self/mem")
        assert look(data).error == f"can't read '{data}/b': Input/output error"

    async def test_a_file_that_changes_while_it_is_read_is_read_again(
        self, data: Path, cache: Path
    ) -> None:
        """The clock is asked between the first look at a file and reading it."""
        file = data / "a"
        file.write_bytes(b"1")
        edits = [b"22", b"333"]

        def clock() -> int:
            if edits:
                file.write_bytes(edits.pop(0))
            return settled()

        found = (await contents([file], cache, clock=clock))[file]
        assert found.digest == combine("file", content_digest(b"333"))

    async def test_a_file_that_never_rests_is_told(self, data: Path, cache: Path) -> None:
        file = data / "log"
        file.touch()

        def clock() -> int:
            with file.open("a") as log:
                log.write("more")
            return settled()

        found = (await contents([file], cache, clock=clock))[file]
        assert found.error == f"'{file}' keeps changing while it is read; try again later"
        assert not await anyio.Path(cache).exists()


class TestRemembered:
    @staticmethod
    def plant(cache: Path, change: Callable[[str], str]) -> None:
        """Change the remembered digests, to see which are believed."""
        head, body = (cache / "inputs.json").read_bytes().split(b"\n")
        entries = {path: (mark, change(d)) for path, (mark, d) in json.loads(body).items()}
        body = json.dumps(entries).encode()
        head = json.dumps(json.loads(head) | {"digest": content_digest(body)}).encode()
        (cache / "inputs.json").write_bytes(head + b"\n" + body)

    async def test_a_file_that_rested_is_not_read_again(self, data: Path, cache: Path) -> None:
        file = data / "a"
        file.write_text("1")
        await contents([data, file], cache, clock=settled)
        self.plant(cache, lambda _: "0" * 40)
        found = await contents([data, file], cache)
        assert found[file].digest == combine("file", "0" * 40)
        assert found[data].digest == combine("folder", "a", "0" * 40)

    async def test_a_file_just_written_is_read_again(self, data: Path, cache: Path) -> None:
        """An edit in the same instant might leave its times and its size as they are."""
        (data / "a").write_text("1")
        os.utime(data / "a", (0, 0))
        await contents([data], cache)
        assert not await anyio.Path(cache).exists()

    async def test_a_file_dated_in_the_future_is_read_again(self, data: Path, cache: Path) -> None:
        (data / "a").write_text("1")
        (data / "b").write_text("1")
        os.utime(data / "a", (settled(), settled()))
        await contents([data], cache, clock=settled)
        assert list(json.loads((cache / "inputs.json").read_bytes().split(b"\n")[1])) == [
            str(data / "b")
        ]

    @pytest.mark.parametrize(
        "damage",
        [
            lambda file: file.write_bytes(b""),
            lambda file: file.write_bytes(file.read_bytes()[:-7]),
            lambda file: file.write_bytes(file.read_bytes().replace(b"a", b"b")),
            lambda file: file.write_bytes(b"\xff\n[1]"),
            lambda file: file.write_bytes(b"[]\n{}"),
            lambda file: (file.unlink(), file.mkdir()),
        ],
    )
    async def test_a_damaged_memory_is_ignored(
        self, data: Path, cache: Path, damage: Callable[[Path], object]
    ) -> None:
        (data / "a").write_text("1")
        before = await contents([data], cache, clock=settled)
        self.plant(cache, lambda _: "0" * 40)
        damage(cache / "inputs.json")
        assert await contents([data], cache, clock=settled) == before

    async def test_a_memory_that_cannot_be_written_costs_nothing_but_time(
        self, data: Path, tmp_path: Path
    ) -> None:
        (data / "a").write_text("1")
        (tmp_path / "file").touch()
        found = await contents([data], tmp_path / "file" / "cache", clock=settled)
        assert found[data].error == ""

    async def test_what_others_remembered_is_kept(self, data: Path, cache: Path) -> None:
        for name in ("a", "b"):
            (data / name).write_text("1")
            await contents([data / name], cache, clock=settled)
        self.plant(cache, lambda _: "0" * 40)
        found = await contents([data], cache)
        assert found[data].digest == combine("folder", "a", "0" * 40, "b", "0" * 40)
        assert os.listdir(cache) == ["inputs.json"]  # noqa: PTH208 - nothing is left aside


def context(made: AnyAsset) -> Context:
    return Context("run", made.name, step_logger("run", made.name, None), partition="mon")


async def seen(cache: Path, *assets: AnyAsset, **config: Any) -> dict[str, Observed]:
    configs = resolve(AssetGraph(assets), config)
    return await observe(assets, configs, context=context, cache=cache)


def watching(*observers: Callable[..., Any], name: str = "watched", **options: Any) -> AnyAsset:
    return Asset(lambda: None, name=name, observe=observers, **options)


def etag() -> str:
    return "v1"


async def later() -> dict[str, int]:
    await anyio.lowlevel.checkpoint()
    return {"rows": 3}


class TestObserve:
    async def test_each_function_gives_a_state_the_digest_of_what_it_returned(
        self, cache: Path
    ) -> None:
        found = await seen(cache, watching(etag, later), watching(etag, name="other"))
        assert found == {
            "watched": Observed(
                {"etag": digest("v1"), "later": digest({"rows": 3})},
                {"etag": "'v1'", "later": "{'rows': 3}"},
            ),
            "other": Observed({"etag": digest("v1")}, {"etag": "'v1'"}),
        }

    async def test_assets_with_nothing_outside_are_left_out(self, cache: Path) -> None:
        assert await seen(cache, watching(name="plain"), Asset(name="bare")) == {}
        assert not await anyio.Path(cache).exists()

    async def test_functions_of_one_name_are_told_apart(self, cache: Path) -> None:
        class Counter:
            async def __call__(self) -> int:
                return 7

        @asset(observe=[lambda: 1, lambda: 2, functools.partial(etag), etag, Counter()])
        def watched(etag: int = 0) -> None: ...

        found = await seen(cache, watched)
        assert found["watched"].shown == {
            "<lambda>": "1",
            "<lambda>#2": "2",
            "etag#2": "'v1'",
            "etag#3": "'v1'",
            "Counter": "7",
        }

    async def test_all_are_asked_at_the_same_time(self, cache: Path) -> None:
        """Each waits for the others, in a thread or on the loop."""
        together = threading.Barrier(2, timeout=60)
        met = [anyio.Event(), anyio.Event()]

        async def first() -> int:
            met[0].set()
            await met[1].wait()
            return 1

        async def second() -> int:
            met[1].set()
            await met[0].wait()
            return together.n_waiting * 0

        def waits() -> int:
            return together.wait() * 0

        def waits_too() -> int:
            return together.wait() * 0

        with anyio.fail_after(60):
            found = await seen(cache, watching(first, waits), watching(second, waits_too, name="b"))
        assert {each.error for each in found.values()} == {""}

    async def test_one_shared_with_the_same_arguments_is_called_once(self, cache: Path) -> None:
        calls: list[tuple[Any, ...]] = []

        def table(name: Any) -> int:
            calls.append((name,))
            return len(name)

        def alone() -> int:
            calls.append(())
            return 1

        def made(name: str, value: Any) -> AnyAsset:
            function = eval("lambda name=value: name", {"value": value})  # noqa: S307 - a free default
            return Asset(function, name=name, observe=[table, alone])

        given = {"a": ["x"], "b": ["x"], "c": ("x",), "d": ["y"]}
        found = await seen(cache, *(made(name, value) for name, value in given.items()))
        assert sorted(map(repr, calls)) == sorted(["()", "(('x',),)", "(['x'],)", "(['y'],)"])
        assert found["a"] == found["b"]

    async def test_any_callable_may_observe_and_take_secrets(self, cache: Path) -> None:
        @dataclass
        class Table:
            name: str

            def __call__(self, pin: SecretStr) -> int:
                return len(pin.get_secret_value())

        def made(name: str, secret: str) -> AnyAsset:
            function = eval("lambda pin=pin: pin", {"pin": SecretStr(secret)})  # noqa: S307 - a free default
            return Asset(function, name=name, observe=table)

        table = Table("orders")
        found = await seen(cache, made("a", SECRET), made("b", "other"))
        assert [each.shown["Table"] for each in found.values()] == ["7", "5"]

    async def test_config_is_passed_by_name_and_context_by_annotation(self, cache: Path) -> None:
        def table_etag(table: str, run: Context, *rest: int, times: int = 2) -> str:
            return f"{table} {run.asset} {run.partition} {times}" + "".join(map(str, rest))

        @asset(observe=table_etag)
        def rows(table: str = "orders") -> None: ...

        @asset(observe=table_etag)
        def more(table: str = "orders", times: int = 3) -> None: ...

        found = await seen(cache, rows, more, more={"table": "sales"})
        assert found["rows"].shown == {"table_etag": "'orders rows mon 2'"}
        assert found["more"].shown == {"table_etag": "'sales more mon 3'"}

    async def test_a_function_cannot_change_what_the_asset_gets(self, cache: Path) -> None:
        def clears(days: list[str]) -> int:
            days.clear()
            return 0

        @asset(observe=clears)
        def rows(days: list[str] = ["mon"]) -> None: ...  # noqa: B006 - the point

        configs = resolve(AssetGraph([rows]), {})
        await observe([rows], configs, context=context, cache=cache)
        assert configs["rows"].values == {"days": ["mon"]}

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (ConnectionError("refused\nagain"), "ConnectionError: refused"),
            (SystemExit(3), "SystemExit: 3"),
            (StopIteration(), "RuntimeError: coroutine raised StopIteration"),
            (ValueError(), "ValueError"),
            (
                OSError(f"no postgresql://me:{SECRET}@host"),
                f"OSError: no postgresql://me:{MASK}@host",
            ),
        ],
    )
    async def test_one_that_fails_is_told_and_blocks_its_own_asset_only(
        self, cache: Path, error: BaseException, told: str
    ) -> None:
        def table_etag() -> None:
            raise error

        async def table_rows() -> None:
            raise error

        found = await seen(
            cache,
            watching(etag, table_etag),
            watching(table_rows, name="b"),
            watching(etag, name="c"),
        )
        assert (
            found["watched"].error
            == f"observe function table_etag of asset 'watched' raised {told}"
        )
        assert found["b"].error == f"observe function table_rows of asset 'b' raised {told}"
        assert found["watched"].states == found["c"].states == {"etag": digest("v1")}
        assert found["c"].error == ""

    async def test_a_result_without_canonical_form_is_told_with_the_cure(self, cache: Path) -> None:
        def session() -> object:
            return [object()]

        found = await seen(cache, watching(session))
        assert found["watched"].error == (
            "observe function session of asset 'watched' returned a value without canonical form"
            " (a value of type 'object' has no canonical form (at [0])); return plain values,"
            " dataclasses or pydantic models"
        )

    async def test_secrets_in_results_are_neither_shown_nor_hashed(self, cache: Path) -> None:
        def login(secret: str) -> Callable[[], object]:
            return lambda: {"n": 1, "token": secret, "pin": SecretStr(secret)}

        one, other = (
            await seen(cache, watching(login(SECRET))),
            await seen(cache, watching(login(""))),
        )
        assert one == other
        assert SECRET not in str(one)
        assert one["watched"].states == {"<lambda>": digest({"n": 1, "token": MASK, "pin": MASK})}

    async def test_a_long_result_is_cut_where_it_is_shown(self, cache: Path) -> None:
        found = await seen(cache, watching(lambda: "x" * 10_000))
        assert len(found["watched"].shown["<lambda>"]) <= 256
        assert found["watched"].states == {"<lambda>": digest("x" * 10_000)}

    async def test_being_cancelled_it_waits_for_no_thread(self, cache: Path) -> None:
        free, started = threading.Event(), anyio.Event()

        def hangs() -> None:
            free.wait(60)

        async def begins() -> None:
            started.set()
            await anyio.sleep_forever()

        try:
            async with anyio.create_task_group() as group:
                group.start_soon(seen, cache, watching(hangs, begins))
                await started.wait()
                group.cancel_scope.cancel()
            assert not free.is_set()
        finally:
            free.set()


class TestObserverDefinitions:
    def test_a_parameter_that_gets_nothing_is_told_with_the_nearest(self) -> None:
        def table_etag(tabel: str) -> str:
            return tabel

        @asset(observe=table_etag)
        def rows(table: str = "orders") -> None: ...

        assert problem(rows).endswith(
            "observe function table_etag: parameter 'tabel' is no config parameter of the asset;"
            " did you mean 'table'?"
        )
        told = problem(watching(lambda orders: orders))
        assert told.endswith("'orders' is no config parameter of the asset; it has none")

    def test_a_positional_only_parameter_is_told(self) -> None:
        assert "parameter 'x' is positional-only" in problem(watching(lambda x, /: x))

    def test_a_callable_without_signature_is_told_with_the_cure(self) -> None:
        told = problem(watching(min))
        assert "observe function min: its signature can't be read: " in told
        assert told.endswith("; wrap it in a function")

    @pytest.mark.parametrize(
        ("given", "kind"), [(orders, "an asset already"), (int, "the class int"), (3, "int")]
    )
    def test_what_is_no_function_is_told(self, given: Any, kind: str) -> None:
        assert f"observe= takes functions, not {kind}" in problem(watching(given))

    def test_all_mistakes_are_told_at_once(self) -> None:
        made = watching(lambda a: a, lambda b: b, track=[3], aliases=["1", "watched"])
        assert len(made.problems) == 5


class TestInputStates:
    async def test_content_decides_and_the_path_is_shown(self, data: Path, cache: Path) -> None:
        (data / "a").write_text("1")
        (data / "b").write_text("1")
        one = (await seen(cache, orders, orders={"source": data / "a"}))["orders"]
        other = (await seen(cache, orders, orders={"source": data / "b"}))["orders"]
        assert one.states == other.states
        assert list(one.states) == ["source"]
        assert one.shown == {"source": f"{data / 'a'} (1 bytes, {content_digest(b'1')[:8]})"}
        (data / "b").write_text("2")
        assert (await seen(cache, orders, orders={"source": data / "b"}))["orders"] != other

    async def test_the_form_of_a_value_counts(self, data: Path, cache: Path) -> None:
        @asset
        def made(x: list[InputPath] | tuple[InputPath, ...] | InputPath | None = None) -> None: ...

        (data / "a").write_text("1")
        (data / "b").write_text("2")
        a, b, none = data / "a", data / "b", data / "none"
        values: list[Any] = [None, a, b, none, [], [a], (a,), [a, b], [b, a], [none], [a, a]]
        configs = [
            Config({"x": value}, {}, {}, {"x": value}) for value in [*values, str(a), f"{data}/./a"]
        ]
        found = [await read_inputs({"made": config}, cache=cache) for config in configs]
        assert len({each["made"].states["x"] for each in found}) == len(configs)
        assert found[0]["made"].shown == {"x": "None"}
        assert found[4]["made"].shown == {"x": "[]"}

    async def test_inputs_are_read_alone_as_with_observe_functions(
        self, data: Path, cache: Path
    ) -> None:
        (data / "a").write_text("1")

        def fails() -> None:
            raise OSError

        @asset(observe=[etag, fails])
        def made(source: InputPath = data) -> None: ...

        found = (await seen(cache, made))["made"]
        alone = await read_inputs(resolve(AssetGraph([made]), {}), cache=cache)
        assert found.states == {**alone["made"].states, "etag": digest("v1")}
        assert alone["made"].error == ""
        assert await read_inputs({"made": Config()}, cache=cache) == {}

    async def test_an_input_that_cannot_be_read_is_told_and_blocks_its_own_asset_only(
        self, data: Path, cache: Path
    ) -> None:
        (data / "loop").symlink_to("loop")

        @asset
        def broken(source: InputPath = data / "loop", other: InputPath = data / "none") -> None: ...

        found = await seen(cache, broken, orders)
        assert found["broken"].error == (
            f"input 'source' of asset 'broken': can't read '{data}/loop': Too many levels of"
            " symbolic links"
        )
        assert list(found["broken"].states) == ["other"]
        assert found["orders"].error == ""


@pytest.fixture
async def fs(tmp_path: Path) -> AsyncIterator[Flowstone]:
    async with Flowstone(store=MemoryStore(), home=tmp_path / "home") as opened:
        yield opened


class Window(BaseModel):
    days: int


def stated(version: Any, value: Any, **options: Any) -> AnyAsset:
    """An asset ``table`` whose code changes each time."""

    def table() -> DataVersion:
        return DataVersion(version, value=value)

    return Asset(table, code_version=f"{version} {value}", **options)


@asset
def report(table: object) -> str:
    return f"report on {table}"


class TestStatedVersions:
    async def test_the_stated_version_decides_and_the_value_is_passed(self, fs: Flowstone) -> None:
        first = await fs.materialize(report, assets=[stated("v1", 3), report])
        assert (first["table"], first["report"]) == (3, "report on 3")
        recorder = Recorder()
        again = await fs.materialize(report, assets=[stated("v1", 4), report], on_event=recorder)
        assert recorder.ran == ["table"]
        assert (again["table"], again["report"]) == (4, "report on 3")
        other = await fs.materialize(report, assets=[stated("v2", 4), report])
        assert other["report"] == "report on 4"

    async def test_an_earlier_state_does_not_come_back_from_history(self, fs: Flowstone) -> None:
        """There is one product elsewhere: after a revert it has to be made again."""
        for version in ("v1", "v2", "v1"):
            recorder = Recorder()
            await fs.materialize(report, assets=[stated(version, 1), report], on_event=recorder)
            assert "table" in recorder.ran
        await fs.materialize(report, assets=[stated("v1", 2), report])
        recorder = Recorder()
        await fs.materialize(report, assets=[stated("v1", 1), report], on_event=recorder)
        assert recorder.ran == []

    async def test_a_stated_version_equals_no_value_s_own(self, fs: Flowstone) -> None:
        versions = set()
        for made in (stated("v", "v"), stated(digest("v"), "v"), Asset(lambda: "v", name="table")):
            row = (await fs.materialize(made)).rows[0]
            versions.add(row.data_version)
        assert len(versions) == 3

    @pytest.mark.parametrize("value", [None, {"a": (1, b"x")}, Window(days=3), Path(__file__)])
    @pytest.mark.parametrize("annotation", [DataVersion, Any, "DataVersion | Window"])
    async def test_the_value_comes_back_as_it_was(
        self, fs: Flowstone, value: Any, annotation: Any
    ) -> None:
        async def table() -> Any:
            await anyio.lowlevel.checkpoint()
            return DataVersion("v1", value)

        table.__annotations__["return"] = annotation
        made = Asset(table)
        for _ in range(2):
            back = (await fs.materialize(made))["table"]
            assert back == value
            assert type(back) is type(value)

    async def test_a_value_that_is_not_kept_may_state_its_version(self, fs: Flowstone) -> None:
        lock = threading.Lock()
        await fs.materialize(report, assets=[stated("v1", lock, keep=False), report])
        recorder = Recorder()
        made = stated("v1", object(), keep=False)
        result = await fs.materialize("table", "report", assets=[made, report], on_event=recorder)
        assert recorder.ran == ["table"]
        assert result["report"] == f"report on {lock}"

    @pytest.mark.parametrize(
        ("version", "told"),
        [
            (None, "TypeError: DataVersion takes a version as text, not NoneType; write"),
            (3, "not int; write DataVersion(str(...))"),
            (b"v1", "not bytes; write"),
            ("", "ValueError: DataVersion takes a version that tells states apart, not an empty"),
            (" \n", "not an empty text"),
        ],
    )
    async def test_one_that_says_nothing_fails_the_asset(
        self, fs: Flowstone, version: Any, told: str
    ) -> None:
        with pytest.raises(RunFailedError) as caught:
            await fs.materialize(report, assets=[stated(version, 1), report])
        assert told in str(caught.value)
        assert "skipped for it: report" in str(caught.value)

    def test_it_is_frozen(self) -> None:
        with pytest.raises(AttributeError):
            DataVersion("v1").version = "v2"  # type: ignore[misc]  # the point
        assert DataVersion("v1") == DataVersion("v1", None)
