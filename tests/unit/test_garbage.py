"""Python's garbage collector, while nothing is garbage."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from flowstone.core.garbage import uncollected

ROOT = Path(__file__).parents[2]


def printed(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize("was", [True, False])
def test_collections_are_afterwards_as_they_were(was: bool) -> None:
    before = gc.isenabled()
    (gc.enable if was else gc.disable)()
    try:
        with uncollected():
            assert not gc.isenabled()
        assert gc.isenabled() is was
    finally:
        (gc.enable if before else gc.disable)()


def test_in_a_young_process_nobody_looks_at_what_was_imported_again() -> None:
    assert (
        int(printed("import flowstone, gc; flowstone.asset; print(gc.get_freeze_count())")) > 1_000
    )


def test_objects_of_an_older_process_are_left_to_the_collector() -> None:
    code = (
        "import gc; gc.collect(); import flowstone; flowstone.asset; print(gc.get_freeze_count())"
    )
    assert printed(code) == "0"
