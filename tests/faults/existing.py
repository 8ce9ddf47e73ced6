"""Faults that are tests elsewhere: each of those tests is run, over and over."""

from __future__ import annotations

import functools
import subprocess
import sys
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from tests.faults.frame import Fault, Trial
from tests.integration.scripts import ROOT, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.world import World

#: Tests by the number of the fault they are about.
TESTS = {
    19: [
        "integration/test_damaged_values.py::TestFiles",
        "integration/test_damaged_values.py::TestRows",
        "unit/test_values.py::test_a_damaged_file_is_lost_and_replaced_by_the_next_save",
    ],
    20: [
        "integration/test_incremental_faults.py::TestLostValues",
        "integration/test_run_hazards.py::TestLostValues",
        "integration/test_run.py::TestValues::test_a_lost_value_that_is_asked_for_is_made_again",
        "integration/test_run.py::TestValues::test_a_lost_value_nobody_needs_stays_lost",
    ],
    21: ["unit/test_values.py::test_a_file_swapped_for_an_evil_pickle_runs_nothing"],
    22: [
        "unit/test_output.py::TestBounds",
        "integration/test_store.py::TestCreate::test_caps_a_huge_error_message",
    ],
    24: [
        "integration/test_run.py::TestFailures::test_a_value_no_codec_takes_fails_its_asset_and_names_the_cure",
        "unit/test_values.py::test_a_value_no_codec_takes_is_refused_by_type_and_cure",
    ],
    25: [
        "integration/test_run.py::TestFailures::test_exceptions_that_can_not_be_shown_are_shown_all_the_same",
        "unit/test_failure.py",
    ],
    26: [
        "integration/test_run.py::TestFailures::test_no_exception_of_an_asset_ends_the_run",
        "unit/test_threads.py::test_no_exception_ends_a_thread",
    ],
    27: [
        "integration/test_processes.py::test_the_death_of_a_process_fails_its_call_alone",
        "integration/test_processes.py::test_a_process_that_dies_between_two_calls_is_replaced",
        "unit/test_failure.py::test_deep_recursion_is_cut_short",
    ],
    28: [
        "integration/test_processes.py::test_a_call_whose_time_is_out_is_killed",
        "integration/test_control.py::TestTimeouts",
        "integration/test_sync.py::test_a_function_that_never_returns_does_not_keep_an_interrupted_script",
        "unit/test_threads.py::test_a_job_whose_time_is_out_is_given_up_and_another_thread_takes_over",
    ],
    30: [
        "integration/test_sync.py::test_calls_work_where_a_loop_runs_in_threads_and_after_a_fork",
        "integration/test_embedded.py::test_a_forked_child_neither_stops_nor_keeps_the_server_of_its_parent",
    ],
    32: ["integration/test_notebook.py"],
    33: [
        "integration/test_store_faults.py::TestHeart::test_a_lease_is_trusted_no_longer_than_it_was_taken_for"
    ],
}

#: Hypothesis repeats them itself, and refuses to be repeated.
_BY_HYPOTHESIS = [
    "unit/test_output.py::TestBounds::test_whatever_is_printed_the_text_is_clean_and_within_bounds"
]


def run(number: int, world: World, trials: int, seed: int) -> Iterator[Trial]:
    """Run the tests of a fault, each so many times; every call of one is a trial."""
    report = world.folder / f"report{number}.xml"
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0"),
            *("-p", "tests.faults.repeat", "--repeat", str(trials), f"--randomly-seed={seed}"),
            *(f"--junitxml={report}", f"--basetemp={world.folder / 'tests'}"),
            *(f"tests/{test}" for test in TESTS[number]),
            *(f"--deselect=tests/{test}" for test in _BY_HYPOTHESIS),
        ],
        check=False,
        cwd=ROOT,
        env=environment(world.folder / "home"),
        stdout=subprocess.DEVNULL,
    )
    if not report.exists():
        yield Trial("pytest", ["the tests were not run"])
        return
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - as above
        wrong = [*case.iter("failure"), *case.iter("error")]
        if not list(case.iter("skipped")):
            told = [str(each.get("message"))[:300] for each in wrong]
            yield Trial(str(case.get("name")), told)


_NAMES = {
    19: "value truncated, bit-flipped, swapped",
    20: "value missing",
    21: "value swapped for an evil pickle",
    22: "huge output and messages",
    24: "a result that can't be kept",
    25: "exceptions that can't be shown, huge ones",
    26: "every kind of exception, threads and loop",
    27: "a function that takes its process down",
    28: "functions that never end",
    30: "forks inside of functions and programs",
    32: "notebooks: loops, interrupts, cells run again",
    33: "the machine slept",
}
FAULTS = [
    Fault(number, name, functools.partial(run, number), 0.02) for number, name in _NAMES.items()
]
