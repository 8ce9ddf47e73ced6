"""Flowstone and its peers on the same edits: ``python benchmarks/peers/compare.py --help``."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    # in place of this folder, whose modules are named like the peers
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    runpy.run_module("benchmarks.peers", run_name="__main__")
