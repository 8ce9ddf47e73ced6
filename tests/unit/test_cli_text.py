"""What the command line writes: words, tracebacks, plans, progress, errors."""

from __future__ import annotations

import datetime as dt
import uuid
from pathlib import Path

import click
import pytest

from flowstone.cli import faults
from flowstone.cli.app import COMMANDS, DB_COMMANDS, flowstone
from flowstone.cli.progress import PlainScreen, Progress, View
from flowstone.core.asset import Asset
from flowstone.core.cause import Cause
from flowstone.core.code import Code
from flowstone.core.dag import AssetGraph
from flowstone.core.plan import Plan, Request, Step
from flowstone.core.records import Materialization
from flowstone.errors import (
    ConfigError,
    CycleError,
    DatabaseUnavailableError,
    DefinitionErrors,
    EmptySelectionError,
    FlowstoneError,
    PartitionError,
    SelectionError,
    SettingsError,
    TargetError,
    ValueLostError,
)
from flowstone.runner.events import (
    Ending,
    Event,
    LoopBlocked,
    RunFinished,
    RunStarted,
    StepFinished,
    StepRetrying,
    StepStarted,
    StepWaiting,
)
from flowstone.runner.failure import describe
from flowstone.telling.frames import shown, syntax
from flowstone.telling.tables import document, summary, table, why
from flowstone.telling.words import ago, counted, duration, printable, relative, up_to_date

NOW = dt.datetime(2025, 1, 15, 12, tzinfo=dt.UTC)
HERE = Path("/project")


# ---- words


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [
        (0, "0 ms"),
        (99.4, "99 ms"),
        (99.6, "0.1 s"),
        (1000, "1.0 s"),
        (59_940, "59.9 s"),
        (59_960, "1 min 0 s"),
        (125_000, "2 min 5 s"),
        (3_599_600, "1 h 0 min"),
        (3_780_000, "1 h 3 min"),
    ],
)
def test_a_duration_is_told_in_one_or_two_units(milliseconds: float, words: str) -> None:
    assert duration(milliseconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "just now"),
        (59, "just now"),
        (60, "1 min ago"),
        (7200, "2 h ago"),
        (180_000, "2 d ago"),
    ],
)
def test_a_moment_is_told_by_its_largest_unit(seconds: int, words: str) -> None:
    assert ago(NOW - dt.timedelta(seconds=seconds), NOW) == words


def test_counts_have_their_plural() -> None:
    assert counted(1, "asset") == "1 asset"
    assert counted(1200, "asset") == "1,200 assets"
    assert up_to_date(1) == "1 asset is up to date"
    assert up_to_date(2) == "2 assets are up to date"


def test_paths_inside_the_folder_are_told_from_there() -> None:
    assert relative("at /project/a.py:3", HERE) == "at a.py:3"
    assert relative("at /projects/a.py", HERE) == "at /projects/a.py"
    assert relative("at /a.py", Path("/")) == "at /a.py"


def test_control_characters_of_a_message_do_not_reach_a_terminal() -> None:
    assert printable("ä\n\tok") == "ä\n\tok"
    assert printable("\x1b[2Jgone\r") == "\\x1b[2Jgone\\r"


# ---- tracebacks


def traced(code: str, file: str = "/project/shop.py") -> str:
    """The recorded traceback of what the code raises."""
    try:
        exec(compile(code, file, "exec"), {"__name__": "shop"})  # noqa: S102 - it is ours
    except Exception as error:  # noqa: BLE001 - any will do
        here = error.__traceback__
        return describe(error.with_traceback(here and here.tb_next)).traceback
    raise AssertionError("it raises nothing")


def test_a_traceback_is_shown_as_places_without_the_line_told_already() -> None:
    lines = shown(traced("def f():\n    1 / 0\nf()"))
    assert lines == ["  /project/shop.py:3 in <module>", "  /project/shop.py:2 in f"]


def test_frames_of_libraries_are_left_out_unless_all_are_wanted() -> None:
    text = traced("import json\njson.loads('{')")
    assert shown(text) == ["  /project/shop.py:2 in <module>"]
    assert any("decoder.py" in line for line in shown(text, everything=True))


def test_the_rest_of_a_long_message_is_cut() -> None:
    lines = shown(traced("raise ValueError('\\n'.join(map(str, range(100))))"))
    assert lines[:2] == ["  1", "  2"]
    assert "  ... 91 more lines" in lines
    assert lines[-1] == "  /project/shop.py:1 in <module>"
    assert len(lines) == 10


def test_what_caused_an_error_follows_it() -> None:
    text = traced("try:\n    1 / 0\nexcept Exception as e:\n    raise ValueError('no') from e")
    assert shown(text) == [
        "  /project/shop.py:4 in <module>",
        "  caused by ZeroDivisionError: division by zero",
        "  /project/shop.py:2 in <module>",
    ]


def test_deep_frames_are_cut_in_the_middle() -> None:
    code = "\n".join(f"def f{n}(): f{n + 1}()" for n in range(20)) + "\ndef f20(): 1 / 0\nf0()"
    lines = shown(traced(code))
    assert lines[2] == "  ... 16 more frames"
    assert lines[-1].endswith("in f20")
    assert len(lines) == 7


@pytest.mark.parametrize("text", ["", "ValueError: none", "Traceback (most recent call last):"])
def test_a_traceback_without_frames_shows_none(text: str) -> None:
    assert shown(text) == []


def test_a_syntax_error_is_shown_with_its_place_and_line() -> None:
    with pytest.raises(SyntaxError) as raised:
        compile("x = 1\ndef f(:\n", "/project/shop.py", "exec")
    assert syntax(raised.value) == ["  /project/shop.py:2", "    def f(:"]
    assert syntax(SyntaxError("made by hand")) == []


# ---- plans


def made(name: str, milliseconds: float = 1200.0) -> Materialization:
    """A recorded success two hours before NOW."""
    then = NOW - dt.timedelta(hours=2)
    return Materialization(
        id=uuid.uuid4(),
        asset_name=name,
        run_id="r",
        status="success",
        completed_at=then,
        duration_ms=milliseconds,
        inserted_at=then,
        updated_at=then,
    )


def plan_of(*steps: Step) -> Plan:
    graph = AssetGraph([step.asset for step in steps])
    names = tuple(step.name for step in steps)
    return Plan(Request(graph, names, dict.fromkeys(names, Code("1"))), list(steps), {})


def fresh(name: str) -> Step:
    return Step(Asset(name=name), "reuse", current=made(name))


def outdated(name: str, *causes: Cause, may_cut_off: bool = False) -> Step:
    told = causes or (Cause("code_changed"),)
    return Step(Asset(name=name), "materialize", told, made(name), may_cut_off=may_cut_off)


def new(name: str) -> Step:
    return Step(Asset(name=name), "materialize", (Cause("never_made"),))


def blocked(name: str) -> Step:
    return Step(Asset(name=name), "blocked", (Cause("upstream_missing", "x"),))


def test_a_plan_is_a_table_with_marks_causes_and_estimates() -> None:
    will_run = [Cause("upstream_will_run", name) for name in ("b", "orders")]
    plan = plan_of(
        fresh("orders"),
        outdated("b"),
        outdated("c", will_run[0], may_cut_off=True),
        outdated("d", *will_run, may_cut_off=True),
        new("e"),
        blocked("f"),
    )
    assert [f"{mark} {text}".rstrip() for mark, text in table(plan, NOW, HERE)] == [
        "  asset   last ok   est.  why",
        "= orders  2 h ago      -  up to date",
        "~ b       2 h ago  1.2 s  code changed",
        "~ c       2 h ago  1.2 s  only if b changes",
        "~ d       2 h ago  1.2 s  only if b or orders change",
        "+ e       -            ?  never made",
        "! f       -            -  upstream x has no value and is not selected",
        " 4 to materialize, 1 up to date, 1 blocked",
    ]


def test_of_many_inputs_a_few_are_named() -> None:
    causes = [Cause("upstream_will_run", name) for name in "abcde"]
    assert why(outdated("x", *causes, may_cut_off=True)) == "only if a or b or 3 others change"
    assert why(outdated("x", *causes[:3], may_cut_off=True)) == "only if a or b or c change"


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (plan_of(fresh("a"), fresh("b")), "nothing to do: 2 assets are up to date"),
        (plan_of(outdated("a"), outdated("b")), "2 to materialize; about 2.4 s of work"),
        (plan_of(outdated("a"), new("b")), "2 to materialize"),
        (plan_of(blocked("a")), "1 blocked"),
    ],
)
def test_a_plan_is_summed_up(plan: Plan, words: str) -> None:
    assert summary(plan) == words


def test_a_plan_as_json_says_when_each_asset_was_last_made() -> None:
    first, second = document(plan_of(fresh("a"), new("b")))["steps"]
    assert first["last_made_at"] == "2025-01-15T10:00:00+00:00"
    assert first["last_duration_ms"] == 1200.0
    assert (second["last_made_at"], second["last_duration_ms"]) == (None, None)


# ---- progress


def followed(plan: Plan, *events: Event, verbose: bool = False, quiet: bool = False) -> list[str]:
    """The lines a person sees of a run."""
    lines: list[str] = []
    progress = Progress(PlainScreen(lines.append), View(HERE, verbose=verbose, quiet=quiet))
    progress.planned(plan)
    for event in events:
        progress(event)
    progress.close()
    return lines


def ended(name: str, ending: Ending, detail: str = "", traceback: str = "") -> StepFinished:
    ran = ending in ("materialized", "failed")
    return StepFinished("r", name, ending, 1200.0 if ran else None, detail, traceback)


def finish(status: str = "success", **counts: int) -> RunFinished:
    return RunFinished("7f3a", status, counts, 2000.0)


def test_a_run_is_told_line_by_line_and_summed_up() -> None:
    lines = followed(
        plan_of(new("orders"), outdated("b")),
        RunStarted("r", 2, 2),
        StepStarted("r", "orders", "never made"),
        ended("orders", "materialized", "list of 2"),
        ended("b", "reused"),
        finish(materialized=1, reused=1),
    )
    assert lines == [
        "✓ orders    1.2 s  list of 2",
        "= b                its inputs came out the same",
        "1 materialized, 1 reused in 2.0 s  run 7f3a",
    ]


def test_a_run_with_nothing_to_do_says_only_that() -> None:
    assert followed(plan_of(fresh("a"), fresh("b")), finish(reused=2)) == [
        "nothing to do: 2 assets are up to date  run 7f3a"
    ]


def test_few_assets_that_are_up_to_date_are_named_and_many_are_counted() -> None:
    few = followed(plan_of(fresh("a"), new("b")))
    assert len(few) == 1
    assert few[0].startswith("= a           up to date (")
    many = plan_of(*(fresh(f"a{number}") for number in range(9)), new("b"))
    assert followed(many) == ["= 9 assets are up to date"]
    assert len(followed(many, verbose=True)) == 9


def test_failures_are_told_in_blocks_before_the_counts() -> None:
    asset = new("b")
    lines = followed(
        plan_of(asset, new("c")),
        ended("b", "failed", "ValueError: no", traced("def b():\n    raise ValueError('no')\nb()")),
        ended("c", "skipped", "b has no value"),
        finish("failed", failed=1, skipped=1),
    )
    assert lines == [
        "✗ b    1.2 s  ValueError: no",
        "- c           skipped: b has no value",
        "",
        "error: b failed: ValueError: no",
        "  shop.py:3 in <module>",
        "  shop.py:2 in b",
        "",
        "1 failed, 1 skipped in 2.0 s  run 7f3a",
    ]


def test_a_failure_without_frames_is_told_with_the_place_of_the_asset() -> None:
    def b() -> object:
        return object()

    failed = ended("b", "failed", "UnserializableValueError: no codec")
    lines = followed(plan_of(Step(Asset(b), "materialize")), failed)
    assert lines[-1] == f"  {__file__}:{b.__code__.co_firstlineno}"


def test_what_one_call_failed_to_make_is_told_once() -> None:
    pair = Asset(lambda: (1, 2), name="pair", outputs=["a", "b"])
    plan = plan_of(*(Step(each, "materialize") for each in pair.outputs.values()))
    lines = followed(plan, *(ended(name, "failed", "ValueError: no") for name in "ab"))
    assert [line for line in lines if line.startswith("error")] == [
        "error: a and b failed: ValueError: no"
    ]


def test_of_many_failures_the_first_ten_are_told() -> None:
    names = [f"a{number}" for number in range(14)]
    failed = [ended(name, "failed", "ValueError: no") for name in names]
    lines = followed(plan_of(*map(new, names)), *failed)
    assert sum(line.startswith("error: a") for line in lines) == 10
    assert lines[-1] == "error: 4 more failures; all of them are recorded"


def test_an_interrupted_run_names_a_few_and_counts_all_that_were_cancelled() -> None:
    names = [f"a{number}" for number in range(9)]
    cancelled = [ended(name, "cancelled") for name in names]
    lines = followed(plan_of(*map(new, names)), *cancelled, finish("cancelled", cancelled=9))
    assert len(lines) == 4
    assert lines[-1] == "interrupted after 2.0 s: 9 cancelled, all recorded  run 7f3a"


def test_retries_waits_and_a_blocked_loop_are_told_as_they_happen() -> None:
    events: list[Event] = [
        StepStarted("r", "b", "never made"),
        StepRetrying("r", "b", 1, 1.5, "OSError: \x1bgone"),
        StepWaiting("r", "c", holder="9c1d"),
        StepWaiting("r", "d", pool="gpu"),
        StepWaiting("r", "f", pool="gpu"),
        LoopBlocked("r", "e", 2.0),
    ]
    plan = plan_of(*map(new, "bcdef"))
    lines = followed(plan, *events)
    assert lines[:3] == [
        "retry: b: attempt 1 failed: OSError: \\x1bgone; again in 1.5 s",
        "waiting: c for run 9c1d",
        "waiting: d for a place in pool 'gpu'",
    ]
    assert lines[3].startswith("warning: e has kept the event loop busy for 2.0 s")
    assert len(lines) == 4
    assert "waiting: f for a place in pool 'gpu'" in followed(plan, *events, verbose=True)
    assert followed(plan, *events, quiet=True) == []


def test_quiet_tells_failures_only() -> None:
    events: list[Event] = [
        ended("a", "materialized"),
        ended("b", "failed", "ValueError: no"),
        finish("failed", failed=1, materialized=1),
    ]
    assert followed(plan_of(new("a"), new("b")), *events, quiet=True) == [
        "",
        "error: b failed: ValueError: no",
    ]


# ---- errors and exit codes


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CycleError(["a", "b"]), 2),
        (DefinitionErrors([ConfigError("x"), TargetError("y")]), 2),
        (SelectionError("x"), 2),
        (PartitionError("x"), 2),
        (SettingsError("x"), 2),
        (DatabaseUnavailableError("x"), 3),
        (ValueLostError("x"), 3),
        (EmptySelectionError("x"), 4),
    ],
)
def test_each_family_of_errors_has_its_exit_code(error: FlowstoneError, code: int) -> None:
    assert faults.exit_code(error) == code


def test_each_of_several_definition_errors_is_told_with_short_paths() -> None:
    several = DefinitionErrors([ConfigError("/project/a.py:1"), TargetError("b\x1b[1m")])
    assert faults.lines(several, HERE) == ["error: a.py:1", "error: b\\x1b[1m"]


@pytest.mark.parametrize(
    ("table", "group"),
    [(COMMANDS, flowstone), (DB_COMMANDS, flowstone.get_command(click.Context(flowstone), "db"))],
)
def test_each_command_is_where_the_table_says_and_does_what_it_says(
    table: dict[str, tuple[str, str]], group: click.Group
) -> None:
    for name, (_, line) in table.items():
        command = group.get_command(click.Context(group), name)
        assert command is not None
        assert command.name == name
        assert (command.help or "").split("\n")[0] == line
