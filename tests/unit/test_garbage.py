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


def frozen_by_import(first: str = "") -> int:
    """How many objects the import of what a user needs has put out of the collector's sight."""
    count = "gc.get_freeze_count()"
    before = f"import gc; {first or None}; was = {count}"
    return int(printed(f"{before}; import flowstone; flowstone.asset; print({count} - was)"))


def test_in_a_young_process_nobody_looks_at_what_was_imported_again() -> None:
    assert frozen_by_import() > 1_000


def test_objects_of_an_older_process_are_left_to_the_collector() -> None:
    assert frozen_by_import("gc.collect()") == 0
