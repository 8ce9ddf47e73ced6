"""Edits of constants: what gives them their value, and by which names they are used."""

from __future__ import annotations

from tests.integration.edits import Edit, one_by_one

RATES = """
    RATE = 2
    OTHER = 10

    def fee(x):
        return x + 1
    """
#: Constants that are easily taken for each other.
VALUES = [
    ("1", "True"),
    ("2", "2.0"),
    ("0.0", "-0.0"),
    ("'a b'", "'a  b'"),
    ("b'a'", "'a'"),
    ("(1, 2)", "[1, 2]"),
    ("{1: 2}", "{1: 3}"),
    ("{'a': 1, 'b': 2}", "{'b': 2, 'a': 1}"),
    ("f'{1 + 1}!'", "f'{1 + 1:>4}!'"),
    ("f'{1 + 1!r}'", "f'{1 + 2!r}'"),
    ("re.compile('a+')", "re.compile('a*')"),
    ("re.compile('a')", "re.compile('a', re.I)"),
    ("datetime.timedelta(days=1)", "datetime.timedelta(days=2)"),
    ("decimal.Decimal('1.0')", "decimal.Decimal('1.00')"),
    ("sorted({3, 1})", "sorted({3, 2})"),
    ("10 ** 30", "10 ** 31"),
]

ROWS = [
    Edit(
        "a constant of the same module",
        {
            "pipeline.py": """
            RATE = 2
            OTHER = 3

            @asset
            def price():
                return RATE

            @asset
            def fare():
                return OTHER
            """
        },
        {"pipeline.py": [("RATE = 2", "RATE = 4")]},
        "price",
    ),
    Edit(
        "a constant of another module, in three ways",
        {
            "settings.py": RATES,
            "pipeline.py": """
            import settings
            from settings import RATE, RATE as R

            @asset
            def by_attribute():
                return settings.RATE

            @asset
            def by_name():
                return RATE

            @asset
            def by_alias():
                return R
            """,
        },
        {"settings.py": [("RATE = 2", "RATE = 4")]},
        "by_attribute by_name by_alias",
    ),
    Edit(
        "settings.OTHER",
        {
            "settings.py": RATES,
            "pipeline.py": """
            import settings
            from settings import RATE as R

            @asset
            def price():
                return settings.RATE + R
            """,
        },
        {"settings.py": [("OTHER = 10", "OTHER = 11")]},
    ),
    Edit(
        "a constant computed from another",
        {
            "settings.py": """
            def doubled(x):
                return x * 2

            BASE = 1
            RATE = doubled(BASE)
            LIMITS = {"low": RATE, "high": [BASE, 9]}
            OTHER = 5
            """,
            "pipeline.py": """
            from settings import LIMITS, OTHER, RATE

            @asset
            def price():
                return RATE

            @asset
            def limits():
                return LIMITS["high"]

            @asset
            def other():
                return OTHER
            """,
        },
        {"settings.py": [("BASE = 1", "BASE = 3")]},
        "price limits",
    ),
    Edit(
        "the function that computes a constant",
        {
            "settings.py": "def start():\n    return 4\n\nRATE = start()",
            "pipeline.py": """
            from settings import RATE

            @asset
            def price():
                return RATE
            """,
        },
        {"settings.py": [("return 4", "return 5")]},
        "price",
    ),
    Edit(
        "one of a tuple of constants",
        {
            "pipeline.py": """
            A, B = 1, 2
            (C, [D, E]) = (3, [4, 5])

            @asset
            def of_a():
                return A

            @asset
            def of_b():
                return B

            @asset
            def of_e():
                return E
            """
        },
        {"pipeline.py": [("1, 2", "1, 7"), ("[4, 5]", "[9, 5]")]},
        "of_b",
        may="of_e",
        why="a nested pattern may count as a whole",
    ),
    Edit(
        "constants unpacked from what a function returns",
        {
            "pipeline.py": """
            def pair():
                return 1, 2

            A, *B = pair()

            @asset
            def of_a():
                return A

            @asset
            def of_b():
                return B
            """
        },
        {"pipeline.py": [("return 1, 2", "return 1, 3")]},
        "of_b",
        may="of_a",
        why="which of them the function changed can't be read from the source",
    ),
    Edit(
        "a constant that is given a value twice",
        {
            "pipeline.py": """
            RATE = 1
            RATE = 2

            @asset
            def price():
                return RATE
            """
        },
        {"pipeline.py": [("RATE = 2", "RATE = 3")]},
        "price",
    ),
    Edit(
        "the value of a constant that a later one replaces",
        {
            "pipeline.py": """
            RATE = 1
            RATE = 2

            @asset
            def price():
                return RATE
            """
        },
        {"pipeline.py": [("RATE = 1", "RATE = 0")]},
    ),
    Edit(
        "an augmented assignment",
        {
            "settings.py": "RATE = 2\nOTHER = 1\nRATE += 1\nOTHER += 1",
            "pipeline.py": """
            import settings

            @asset
            def price():
                return settings.RATE

            @asset
            def other():
                return settings.OTHER
            """,
        },
        {"settings.py": [("RATE += 1", "RATE += 5")]},
        "price",
    ),
    Edit(
        "containers that are filled statement by statement",
        {
            "settings.py": """
            NAMES = ["a"]
            NAMES.append("b")
            TABLE = {}
            TABLE["x"] = 1
            MORE = {}
            MORE.update(y=2)
            SEEN = set()
            SEEN |= {3}
            """,
            "pipeline.py": """
            import settings
            from settings import MORE, TABLE

            @asset
            def listed():
                return settings.NAMES

            @asset
            def keyed():
                return TABLE["x"]

            @asset
            def updated():
                return MORE["y"]

            @asset
            def merged():
                return sorted(settings.SEEN)
            """,
        },
        {"settings.py": [('"b"', '"c"'), ("= 1", "= 10"), ("y=2", "y=20"), ("{3}", "{30}")]},
        "listed keyed updated merged",
    ),
    Edit(
        "a container that another module fills",
        {
            "settings.py": "TABLE = {}\nOTHER = {}",
            "extras.py": "import settings\n\nsettings.TABLE['x'] = 1\nsettings.OTHER['x'] = 2",
            "pipeline.py": """
            import extras
            from settings import TABLE

            @asset
            def price():
                return TABLE["x"]
            """,
        },
        {"extras.py": [("'x'] = 1", "'x'] = 5")]},
        "price",
    ),
    Edit(
        "a container that a function fills while the module is imported",
        {
            "pipeline.py": """
            TABLE = {}

            def fill(table):
                table["x"] = 1

            fill(TABLE)

            @asset
            def price():
                return TABLE["x"]
            """
        },
        {"pipeline.py": [('"x"] = 1', '"x"] = 5')]},
        "price",
    ),
    Edit(
        "a setting that another module overrides",
        {
            "settings.py": RATES,
            "local_settings.py": "import settings\n\nsettings.RATE = 7",
            "pipeline.py": """
            import settings
            import local_settings

            @asset
            def price():
                return settings.RATE
            """,
        },
        {"local_settings.py": [("RATE = 7", "RATE = 8")]},
        "price",
    ),
    Edit(
        "a helper that another module replaces",
        {
            "rates.py": RATES,
            "patches.py": "import rates\n\ndef better(x):\n    return x + 50\n\nrates.fee = better",
            "pipeline.py": """
            import patches
            import rates

            @asset
            def price():
                return rates.fee(1)
            """,
        },
        {"patches.py": [("x + 50", "x + 60")]},
        "price",
        whenever="price",
        why="a replaced function may be taken for code that can't be followed",
    ),
    Edit(
        "a constant set by a function with a global statement",
        {
            "pipeline.py": """
            RATE = None
            OTHER = 1

            def set_up():
                global RATE
                RATE = 3

            set_up()

            @asset
            def price():
                return RATE

            @asset
            def other():
                return OTHER
            """
        },
        {"pipeline.py": [("RATE = 3", "RATE = 4")]},
        "price",
    ),
    Edit(
        "the branch of an if at module level",
        {
            "settings.py": """
            FAST = False
            if FAST:
                RATE = 1
            else:
                RATE = 2
            """,
            "pipeline.py": """
            from settings import RATE

            @asset
            def price():
                return RATE
            """,
        },
        {"settings.py": [("RATE = 2", "RATE = 3")]},
        "price",
    ),
    Edit(
        "the test of an if at module level",
        {
            "settings.py": """
            FAST = False
            if FAST:
                def fee(x):
                    return x
            else:
                def fee(x):
                    return x + 2
            """,
            "pipeline.py": """
            from settings import fee

            @asset
            def price():
                return fee(1)
            """,
        },
        {"settings.py": [("FAST = False", "FAST = True")]},
        "price",
    ),
    Edit(
        "a loop and a with statement at module level",
        {
            "pipeline.py": """
            import contextlib

            SQUARES = {}
            for n in range(3):
                SQUARES[n] = n * n

            with contextlib.suppress(KeyError):
                LAST = SQUARES[2]

            COUNT = 0
            while COUNT < 3:
                COUNT += 1

            @asset
            def squares():
                return SQUARES

            @asset
            def last():
                return LAST

            @asset
            def count():
                return COUNT
            """
        },
        {"pipeline.py": [("n * n", "n * n * n")]},
        "squares last",
    ),
    Edit(
        "a branch by the version of Python, and one that is not taken",
        {
            "pipeline.py": """
            import sys

            def toll(x):
                return x + 5

            if sys.version_info >= (3, 99):
                RATE = 1
            else:
                RATE = 2

            @asset
            def price():
                return RATE

            @asset
            def fare():
                return toll(1) if RATE > 100 else 3
            """
        },
        {"pipeline.py": [("RATE = 2", "RATE = 3"), ("x + 5", "x + 6")]},
        "price",
        may="fare",
        why="whether a branch is taken is known only when it runs",
    ),
    Edit(
        "values that are others in each process",
        {
            "settings.py": """
            import os
            import random
            import time

            MISSING = object()
            SEED = random.random()
            BEGAN = time.time()
            PROCESS = os.getpid()
            NAMES = {"b", "a", "c"}
            OTHER = 1
            """,
            "pipeline.py": """
            import settings
            from settings import MISSING, NAMES

            @asset
            def price():
                kinds = [settings.SEED, settings.BEGAN, settings.PROCESS]
                return [type(kind).__name__ for kind in kinds]

            @asset
            def fare(limit: object = None):
                return limit is MISSING, sorted(NAMES)
            """,
        },
        {"settings.py": [("OTHER = 1", "OTHER = 2")]},
        fresh=True,
    ),
    Edit(
        "the fallback of a variable of the environment",
        {
            "pipeline.py": """
            import os

            REGION = os.environ.get("A_VARIABLE_NOBODY_SETS", "eu")

            @asset
            def price():
                return REGION
            """
        },
        {"pipeline.py": [('"eu"', '"us"')]},
        "price",
    ),
    Edit(
        "a constant beside a very deep expression",
        {
            "pipeline.py": f"""
            LONG = {" + ".join(["'a'"] * 900)}
            RATE = 1

            @asset
            def price():
                return RATE

            @asset
            def length():
                return len(LONG)
            """
        },
        {"pipeline.py": [("RATE = 1", "RATE = 2")]},
        "price",
        may="length",
        why="an expression too deep to be read may make its file count as a whole",
    ),
    Edit(
        "imports for type checkers only, and what runs as a script only",
        {
            "rates.py": RATES,
            "pipeline.py": """
            from __future__ import annotations
            from typing import TYPE_CHECKING
            from flowstone import asset

            if TYPE_CHECKING:
                from collections.abc import Sequence

            @asset
            def price():
                return helped([1])

            def helped(numbers: Sequence[int]) -> int:
                return sum(numbers)

            if __name__ == "__main__":
                print("once")
            """,
        },
        {
            "pipeline.py": [
                ("    from collections.abc import Sequence", "    from typing import Sequence"),
                ('print("once")', 'print("twice")'),
            ]
        },
    ),
    Edit(
        "a statement at module level that gives no name a value",
        {
            "pipeline.py": """
            print("loading")

            @asset
            def price():
                return 3
            """
        },
        {"pipeline.py": [('"loading"', '"loading more"')]},
    ),
    *(
        one_by_one("constants", "made_{n} = {text}", "repr(made_{n})", VALUES, odd)
        for odd in (0, 1)
    ),
    Edit(
        "a constant written differently",
        {
            "pipeline.py": r"""
            A = [1000, 255, 1000.0, "one", r"\d", "it's", (1 + 2) * 3, "two" "three"]
            B = 1; C = 2

            @asset
            def price():
                return [A, B, C]
            """
        },
        {
            "pipeline.py": r"""
            A = [
                1_000,
                0xFF,
                1e3,
                'one',
                "\\d",
                'it\'s',
                ((1 + 2)) * 3,
                "twothree",
            ]
            B = 1
            C = \
                2

            @asset
            def price():
                return [
                    A, B, C]
            """
        },
    ),
    Edit(
        "an array",
        {
            "pipeline.py": """
            import numpy as np

            WEIGHTS = np.array([1, 2, 3])
            LARGE = np.zeros(1_000_000)

            @asset
            def price():
                return WEIGHTS.tolist()

            @asset
            def large():
                return len(LARGE)
            """
        },
        {"pipeline.py": [("[1, 2, 3]", "[1, 2, 4]")]},
        "price",
    ),
    Edit(
        "a comment at a logger's line",
        {
            "pipeline.py": """
            import logging
            import threading

            log = logging.getLogger(__name__)  # where it goes
            LOCK = threading.Lock()  # only one

            @asset
            def price():
                log.info("working")
                with LOCK:
                    return 3
            """
        },
        {"pipeline.py": [("# where it goes", "# elsewhere"), ("  # only one", "")]},
    ),
    Edit(
        "the assignment of a logger",
        {
            "pipeline.py": """
            import logging

            log = logging.getLogger("a")

            @asset
            def price():
                log.info("working")
                return 3
            """
        },
        {"pipeline.py": [('"a"', '"b"')]},
        "price",
        equal="price",
        why="what has no canonical form counts by the source of its assignment",
    ),
]
