"""Which annotations admit which: our verdicts on a table of pairs, and mypy's."""

from __future__ import annotations

import re
import subprocess
import sys
import types
from typing import TYPE_CHECKING

import pytest

from flowstone.core.annotations import Names
from flowstone.core.typed.assignable import why_not
from flowstone.core.typed.reading import read
from tests.unit.type_pairs import PAIRS, WORLD, Pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module", params=["as objects", "as texts"])
def world(request: pytest.FixtureRequest) -> Iterator[types.ModuleType]:
    """The names of the table, defined with and without the import that makes texts of them."""
    module = types.ModuleType(f"pairs_{request.param.replace(' ', '_')}")
    sys.modules[module.__name__] = module
    future = "from __future__ import annotations\n" if request.param == "as texts" else ""
    exec(compile(future + WORLD, module.__name__, "exec", dont_inherit=True), vars(module))  # noqa: S102 - ours
    yield module
    del sys.modules[module.__name__]


def reason(world: types.ModuleType, pair: Pair) -> str:
    def anchor() -> None: ...

    names = Names(types.FunctionType(anchor.__code__, vars(world)))
    as_text = world.__name__ == "pairs_as_texts"
    source, target = (
        each if as_text else eval(each, vars(world))  # noqa: S307 - the table's
        for each in (pair.source, pair.target)
    )
    return why_not(read(source, names.evaluate), read(target, names.evaluate))


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.source} to {pair.target}")
def test_verdict(world: types.ModuleType, pair: Pair) -> None:
    """A pair is admitted or refused as the table says, whichever way annotations are kept."""
    assert (reason(world, pair) == "") == pair.fits


def test_mypy_says_the_same(tmp_path: Path) -> None:
    """Of every pair, except of those with a reason to differ."""
    lines = WORLD.splitlines()
    places: dict[int, Pair] = {}
    for i, pair in enumerate(PAIRS):
        result = " -> T" if re.search(r"\bT\b", pair.target) else " -> None"
        result = " -> list[Pet]" if re.search(r"\bPet\b", pair.target) else result
        result = " -> Number" if pair.target == "Number" else result
        lines += [f"def takes_{i}(value: {pair.target}){result}: raise NotImplementedError"]
        lines += [f"def passes_{i}(value: {pair.source}) -> None:", f"    takes_{i}(value)"]
        places[len(lines)] = pair
    module = tmp_path / "pairs.py"
    module.write_text("\n".join(lines) + "\n", "utf-8")
    options = ["--strict", "--config-file=", f"--cache-dir={tmp_path / 'cache'}"]
    lenient = "--disable-error-code=type-arg"  # ``list`` alone is one of the cases
    command = [sys.executable, "-m", "mypy", *options, lenient, str(module)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.stderr
    told = done.stdout
    refused = {int(line) for line in re.findall(r"pairs\.py:(\d+): error", told)}
    assert refused - set(places) == set()
    differing = [
        (pair, line in refused)
        for line, pair in places.items()
        if ((line not in refused) == pair.fits) == bool(pair.differs)
    ]
    assert not differing
