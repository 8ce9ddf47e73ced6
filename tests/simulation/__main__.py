"""``python -m tests.simulation``: histories by seed, and what came of them."""

from __future__ import annotations

import argparse
import sys

from tests.simulation.bad import BAD
from tests.simulation.history import History
from tests.simulation.trials import Trials, sweep


def main() -> int:
    """Run histories; 1 if one of them went wrong, and that one is told."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--histories", type=int, default=10_000, help="how many (10,000)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the first (0)")
    parser.add_argument("--sweep", action="store_true", help="fail each call of each history once")
    parser.add_argument("--bad", choices=list(BAD), help="what is to be wrong on purpose")
    parser.add_argument(
        "--story", action="store_true", help="tell every history, not bad ones only"
    )
    given = parser.parse_args()
    found = Trials()
    for seed in range(given.seed, given.seed + given.histories):
        if given.sweep:
            found += sweep(seed)
        else:
            history = History(seed, bad=given.bad)
            found.add(f"seed {seed}", history)
            if given.story:
                say(history.story)
        if not found.histories % 1_000:
            sys.stderr.write(f"{found}\n")
    for label, history in found.violations.items():
        say(f"{label}: {history.violation}\n{history.story}\n")
    say(str(found))
    say(f"seeds={given.seed}..{given.seed + given.histories - 1}")
    for label, history in found.violations.items():
        say(f"{label}: {history.violation}")
    return 1 if found.violations else 0


def say(text: str) -> None:
    """A line of the result."""
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
