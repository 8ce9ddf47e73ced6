"""Flowstone, floors and peers on the same workloads: ``python benchmarks/run.py --help``."""

from __future__ import annotations

import sys
from pathlib import Path

# in place of this folder, whose modules are not meant to be found by their short names
sys.path[0] = str(Path(__file__).resolve().parents[1])

if __name__ == "__main__":
    if sys.argv[1:2] == ["--sample"]:
        from benchmarks.speed.sample import main as sample  # a sample is not charged for the rest

        sample(sys.argv[2])
    else:
        from benchmarks.speed.main import main

        sys.exit(main())
