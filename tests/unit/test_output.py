"""What a step prints and logs is kept with it, within bounds, and still arrives where it went."""

# ruff: noqa: T201 - what is printed is the point

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import io
import logging
import re
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstone.log import configure, step_logger
from flowstone.runner.output import LINE_BYTES, TEXT_BYTES, Output, capturing, read, watching

if TYPE_CHECKING:
    from collections.abc import Iterator

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (.*)")


def told(output: Output) -> list[str]:
    """The lines without their times."""
    found = [_TIME.fullmatch(line) for line in output.text().splitlines()]
    return [each[1] for each in found if each is not None]


@contextlib.contextmanager
def kept(*, secrets: tuple[str, ...] = ()) -> Iterator[Output]:
    """An output of what is told inside; no fixture, for pytest changes the streams after those."""
    with watching(), capturing(Output(secrets)) as output:
        yield output


@pytest.fixture
def no_structlog() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


class TestStreams:
    def test_what_is_printed_is_kept_and_passed_on(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with watching(), capturing(Output()) as output:
            print("one")
            print("two", "three", file=sys.stderr)
            sys.stdout.writelines(["a\n", "b\n"])
        assert told(output) == ["out one", "err two three", "out a", "out b"]
        assert capsys.readouterr() == ("one\na\nb\n", "two three\n")
        assert not output.truncated

    def test_pieces_of_a_line_are_one_line(self) -> None:
        with kept() as output:
            print("half", end=" ")
            print("between", file=sys.stderr)
            print("whole")
            print("unended", end="")
            assert told(output) == ["err between", "out half whole", "out unended"]

    def test_of_a_line_that_is_written_over_the_last_is_kept(self) -> None:
        with kept() as output:
            for percent in range(0, 101, 10):
                print(f"\r{percent}%", end="")
            print("\nwindows\r\nlines\r\n", end="")
            print("50%\r", end="")
            print("60%\r", end="")
            assert told(output) == ["out 100%", "out windows", "out lines", "out 60%"]

    def test_colours_and_what_postgres_refuses_are_left_out(self) -> None:
        with kept() as output:
            print("\x1b[31mred\x1b[0m \x1b]8;;http://a\x07link\x1b]8;;\x07 nul\0")
            assert told(output) == [r"out red link nul\x00"]

    def test_passwords_and_given_secrets_are_masked(self) -> None:
        with kept(secrets=("hunter22", "a")) as output:
            print("postgres://me:open@host/db uses hunter22")
            print("x" * 3000 + " postgres://me:open@host")
        text = output.text()
        assert "open" not in text
        assert "hunter22" not in text
        assert "uses" in text

    def test_nothing_printed_is_nothing_to_record(self) -> None:
        with kept() as output:
            assert output.text() == ""
            assert output.record("run", "made") is None
            print("something")
            found = output.record("run", "made", "mon", 2)
            assert found is not None
            assert (found.run_id, found.asset_name, found.partition, found.attempt) == (
                "run",
                "made",
                "mon",
                2,
            )
            assert found.lines.endswith(" out something")

    def test_nobody_keeps_what_is_printed_outside(self) -> None:
        with kept() as output:
            with capturing(Output()) as other:
                print("inside")
            print("outside")
            assert (told(other), told(output)) == (["out inside"], ["out outside"])


class TestBounds:
    def test_the_first_and_the_last_lines_are_kept(self) -> None:
        with kept() as output:
            for number in range(20_000):
                print(f"line {number}")
            text = output.text()
            lines = text.splitlines()
            assert len(text.encode()) <= TEXT_BYTES
            assert lines[0].endswith("out line 0")
            assert lines[-1].endswith("out line 19999")
            assert output.truncated
            assert sum("bytes left out" in line for line in lines) == 1

    def test_a_long_line_is_cut_in_the_middle(self) -> None:
        with kept() as output:
            print("a" + "b" * 100_000 + "c")
            (line,) = told(output)
            assert line.startswith("out ab")
            assert "bytes left out" in line
            assert len(line) <= LINE_BYTES + 4
            assert output.truncated

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.text(max_size=12) | st.sampled_from(["ü\ud800" * 700, "x" * 9000, "\r", "\n"]),
                st.integers(1, 40),
            ),
            max_size=12,
        )
    )
    def test_whatever_is_printed_the_text_is_clean_and_within_bounds(
        self, pieces: list[tuple[str, int]]
    ) -> None:
        output = Output()
        for text, times in pieces:
            for _ in range(times):
                output.write("out", text)
                output.line("info", text)
        kept = output.text()
        assert len(kept.encode()) <= TEXT_BYTES
        assert "\0" not in kept
        assert output.text() == kept


class TestLogs:
    def test_records_of_loggers_are_kept_with_their_level_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        with kept() as output:
            logging.getLogger("shop").warning("%s left", 3)
            logging.getLogger("shop").debug("not enabled")
            with contextlib.suppress(ZeroDivisionError):
                try:
                    1 / 0  # noqa: B018 - it raises
                except ZeroDivisionError:
                    logging.exception("boom")  # noqa: LOG015 - the root logger is meant
                    raise
            lines = told(output)
            assert lines[:2] == ["warning shop: 3 left", "error boom"]
            assert lines[-1] == "error ZeroDivisionError: division by zero"
            assert [each.message for each in caplog.records] == ["3 left", "boom"]

    def test_a_handler_on_our_streams_does_not_double_a_record(self) -> None:
        with kept() as output:
            logger = logging.getLogger("doubled")
            handler = logging.StreamHandler(sys.stderr)
            logger.addHandler(handler)
            try:
                logger.error("once")
            finally:
                logger.removeHandler(handler)
            assert told(output) == ["error doubled: once"]

    def test_a_record_whose_arguments_do_not_fit_is_kept_as_written(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with kept() as output:
            monkeypatch.setattr(logging, "raiseExceptions", False)
            logger = logging.getLogger("wrong")
            logger.propagate = False  # pytest's own handler would raise
            logger.addHandler(logging.NullHandler())
            logger.warning("%d of", "three")
            assert told(output) == ["warning wrong: %d of"]

    @pytest.mark.usefixtures("no_structlog")
    @pytest.mark.parametrize("configured", [True, False])
    def test_the_contexts_logger_is_kept_without_secrets(
        self, configured: bool, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with kept() as output:
            if configured:
                configure("human")
            logger = step_logger("run", "made", "mon")
            logger.info("fetched", rows=3, password="open", url="http://me:open@host")  # noqa: S106 - no real one
            try:
                raise ValueError("boom")
            except ValueError:
                logger.error("failed", exc_info=True)  # noqa: G201 - our protocol has no exception()
            lines = told(output)
            assert lines[0] == (
                "info fetched rows=3 password=********** url='http://me:**********@host'"
            )
            assert lines[1] == "error failed"
            assert lines[-1] == "error ValueError: boom"
            shown = capsys.readouterr().err
            assert "fetched" in shown
            assert "open" not in shown


class TestWhose:
    async def test_tasks_are_told_apart(self) -> None:
        turn = asyncio.Event()

        async def step(name: str, *, first: bool) -> Output:
            with capturing(Output()) as kept:
                print(name, "begins")
                if first:
                    await turn.wait()
                else:
                    turn.set()
                print(name, "ends")
            return kept

        with watching():
            one, two = await asyncio.gather(step("a", first=True), step("b", first=False))
        assert told(one) == ["out a begins", "out a ends"]
        assert told(two) == ["out b begins", "out b ends"]

    pytestmark = pytest.mark.anyio

    def test_threads_are_told_apart(self) -> None:
        both = threading.Barrier(2)
        outputs = [Output(), Output()]

        def step(number: int) -> None:
            with capturing(outputs[number]):
                for turn in range(50):
                    both.wait()
                    print(number, turn)

        with watching():
            threads = [
                threading.Thread(target=contextvars.Context().run, args=(step, number))
                for number in range(2)
            ]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
        for number, output in enumerate(outputs):
            assert told(output) == [f"out {number} {turn}" for turn in range(50)]


class TestWatching:
    def test_streams_and_loggers_are_as_before_when_the_last_is_done(self) -> None:
        before = sys.stdout, sys.stderr, logging.Logger.callHandlers
        with watching():
            inside = sys.stdout
            with watching():
                assert sys.stdout is inside
            assert sys.stdout is inside is not before[0]
        assert (sys.stdout, sys.stderr, logging.Logger.callHandlers) == before

    def test_a_proxy_is_a_stream_like_the_one_it_stands_for(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", write_through=True)
        monkeypatch.setattr(sys, "stdout", stream)
        with watching():
            assert sys.stdout.encoding == "latin-1"
            assert sys.stdout.isatty() is False
            assert sys.stdout.write("abc") == 3
            with sys.stdout as inner:
                assert inner is sys.stdout
            assert sys.stdout.closed

    def test_what_somebody_else_put_in_place_stays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        mine, kept = io.StringIO(), Output()
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        with watching():
            proxy = sys.stdout
            monkeypatch.setattr(sys, "stdout", mine)
        assert sys.stdout is mine
        sys.stdout = proxy  # as the end of a redirect_stdout that began while it was in place
        with watching(), capturing(kept):
            print("once")
        assert told(kept) == ["out once"]

    def test_a_stream_that_writes_to_a_proxy_keeps_a_line_once(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        with watching():
            inner = sys.stdout

            class Tee(io.StringIO):
                def write(self, text: str) -> int:
                    return inner.write(text)

            monkeypatch.setattr(sys, "stdout", Tee())
        with watching(), capturing(Output()) as output:
            print("once")
        assert told(output) == ["out once"]

    def test_a_program_without_a_console_has_no_streams(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "stdout", None)
        with watching(), capturing(Output()):
            print("nothing")
            assert sys.stdout is None


def test_what_is_recorded_can_be_read_back() -> None:
    output = Output()
    output.write("out", "a b\n" * 3)
    output.line("error", "")
    found = list(read(output.text()))
    assert [(level, text) for _, level, text in found] == [("out", "a b")] * 3 + [("error", "")]
    assert all(at is not None and at.tzinfo is not None for at, _, _ in found)
    assert list(read("[... 3 bytes left out ...]")) == [(None, "", "[... 3 bytes left out ...]")]
