"""Peak memory of a run that hands on a large value, over the size of that value.

``python benchmarks/memory.py`` measures a producer and a consumer in processes of their own: a
first run (make, keep, hand on), and one that loads what was kept. ``--mb`` sets the size. The
database is that of the settings.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from flowstone import Asset, Flowstone

if TYPE_CHECKING:
    from collections.abc import Callable

_MB = 1 << 20
_COLUMNS = 8


def _array(size: int) -> Any:
    import numpy as np  # noqa: PLC0415 - each kind is measured without the other libraries

    return np.random.default_rng(0).random(size // 8)


def _pandas(size: int) -> Any:
    import numpy as np  # noqa: PLC0415 - see above
    import pandas as pd  # noqa: PLC0415 - see above

    rows = size // 8 // _COLUMNS
    return pd.DataFrame(np.random.default_rng(0).random((rows, _COLUMNS)), copy=False)


def _polars(size: int) -> Any:
    import numpy as np  # noqa: PLC0415 - see above
    import polars as pl  # noqa: PLC0415 - see above

    random = np.random.default_rng(0)
    rows = size // 8 // _COLUMNS
    return pl.DataFrame({f"c{n}": random.random(rows) for n in range(_COLUMNS)})


_KINDS: dict[str, Callable[[int], Any]] = {"array": _array, "pandas": _pandas, "polars": _polars}


def _peak() -> float:
    """The peak of this process so far, in MB; Linux counts in kB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (_MB if sys.platform == "darwin" else 1024)


def _work(kind: str, mb: int, home: Path, mode: str) -> None:
    """Run in this process, and print its peak before the value was there and at the end."""
    make = _KINDS[kind]
    make(_MB)  # the libraries are loaded
    before = _peak()
    if mode == "make":
        make(mb * _MB)
    else:
        # Named and versioned by the folder, so that no earlier measurement is reused.
        once = str(home)
        producer = Asset(lambda: make(mb * _MB), name="producer", code_version=once)
        consumer: Any = Asset(
            lambda producer: producer.shape, name="consumer", code_version=f"{once} {mode}"
        )
        anyio.run(_run, home, [producer, consumer])
    print(json.dumps([before, _peak()]))


async def _run(home: Path, assets: list[Any]) -> None:
    async with Flowstone(values=home) as fs:
        await fs.materialize(assets[1], assets=assets)


def _measure(kind: str, mb: int, home: Path, mode: str) -> tuple[float, float]:
    words = [sys.executable, __file__, "--work", kind, mode, str(home), "--mb", str(mb)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)  # noqa: S603 - our own
    before, after = json.loads(done.stdout.splitlines()[-1])
    return before, after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=1024)
    parser.add_argument("--kind", choices=list(_KINDS), action="append")
    parser.add_argument("--work", nargs=3, metavar=("KIND", "MODE", "HOME"))
    given = parser.parse_args()
    if given.work:
        kind, mode, home = given.work
        _work(kind, given.mb, Path(home), mode)
        return
    print("kind    mode   peak/value (interpreter and libraries taken off)")
    with tempfile.TemporaryDirectory() as folder:
        for kind in given.kind or _KINDS:
            for mode in ("make", "first", "reuse"):
                before, after = _measure(kind, given.mb, Path(folder) / kind, mode)
                print(f"{kind:7} {mode:6} {(after - before) / given.mb:5.2f}   ({after:,.0f} MB)")


if __name__ == "__main__":
    main()
