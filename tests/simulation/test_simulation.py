"""Whatever befalls several runners of one store, what is recorded is right, and nobody hangs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import flowstone
from tests.simulation import surroundings
from tests.simulation.bad import BAD
from tests.simulation.history import History
from tests.simulation.trials import Trials, sweep, trials

if TYPE_CHECKING:
    from tests.simulation.network import Bad

pytestmark = pytest.mark.once

_ROOT = Path(flowstone.__file__).parent
#: Asks a clock; ``time`` and ``dt`` are the modules.
_CLOCK = re.compile(r"\b(time|dt)\.(?:datetime\.now|time|time_ns|monotonic|perf_counter)\(")


def assert_clean(found: Trials) -> None:
    told = [f"{label}: {each.violation}" for label, each in found.violations.items()]
    again = "python -m tests.simulation --histories 1 --seed SEED tells it again"
    assert not told, "\n".join([*told, again])


@pytest.mark.parametrize("first", range(0, 300, 100))
def test_any_history_keeps_all_promises(first: int) -> None:
    assert_clean(trials(range(first, first + 100)))


@pytest.mark.parametrize("seed", [26, 42])
def test_whichever_call_of_the_store_fails_all_promises_are_kept(seed: int) -> None:
    assert_clean(sweep(seed))


@pytest.mark.parametrize("bad", BAD)
def test_what_is_wrong_on_purpose_shows(bad: Bad) -> None:
    within = BAD[bad][1]
    for seed in range(within):
        if trials([seed], bad).violations:
            return
    pytest.fail(f"{BAD[bad][0]}, and {within} histories did not show it")


def test_a_seed_tells_the_same_history_again() -> None:
    for seed in range(10):
        first, second = History(seed), History(seed)
        first.run()
        second.run()
        assert first.story == second.story


def test_a_seed_tells_the_same_history_in_another_process() -> None:
    """Not even the order of sets of texts, which Python draws anew, makes a difference."""
    command = [sys.executable, "-m", "tests.simulation", "--story", "--histories", "6"]
    told = {
        re.sub(r"histories_per_minute=\S+", "", _output([*command, "--seed", "40"], hash_seed))
        for hash_seed in ("1", "2")
    }
    assert len(told) == 1


def _output(command: list[str], hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    asked = subprocess.run(
        command, env=environment, cwd=_ROOT.parent, capture_output=True, text=True, check=True
    )
    return asked.stdout


def test_no_clock_of_the_runner_is_missed() -> None:
    """Whatever asks for the time, the simulation has put its own clock there."""
    simulated = {each.__name__ for each, _ in (*surroundings.CLOCKS, *surroundings.TICKS)}
    paths = [*_ROOT.glob("runner/**/*.py"), *_ROOT.glob("store/memory*.py"), _ROOT / "planning.py"]
    asking = {
        ".".join(path.relative_to(_ROOT.parent).with_suffix("").parts)
        for path in paths
        if _CLOCK.search(path.read_text("utf-8"))
    }
    elsewhere = {f"flowstone.runner.executors.{name}" for name in ("crew", "worker")}
    assert asking - elsewhere <= simulated
