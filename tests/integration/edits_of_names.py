"""Edits of helpers and constants, by all the ways a name gets from one module into another."""

from __future__ import annotations

from tests.integration.edits import Edit, one_by_one

FEE = """
    def fee(x):
        return x + 1
    """
DEARER = [("x + 1", "x + 2")]
RATES = """
    RATE = 2
    OTHER = 10

    def fee(x):
        return x + 1

    def toll(x):
        return x + 5
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

HELPERS = [
    Edit(
        "a helper of the same module",
        {
            "pipeline.py": """
            def fee(x):
                return x + 1

            def toll(x):
                return x + 5

            @asset
            def price():
                return fee(1)

            @asset
            def fare():
                return toll(1)

            @asset
            def total(price, fare):
                return price + fare
            """
        },
        {"pipeline.py": DEARER},
        "price total",
    ),
    Edit(
        "a helper nobody uses",
        {"pipeline.py": FEE + "\n    @asset\n    def price():\n        return 3"},
        {"pipeline.py": DEARER},
    ),
    Edit(
        "a helper of another module, by name",
        {
            "rates.py": RATES,
            "pipeline.py": """
            from rates import fee, toll

            @asset
            def price():
                return fee(1)

            @asset
            def fare():
                return toll(1)
            """,
        },
        {"rates.py": DEARER},
        "price",
    ),
    Edit(
        "a helper of another module, by attribute",
        {
            "rates.py": RATES,
            "pipeline.py": """
            import rates

            @asset
            def price():
                return rates.fee(1)

            @asset
            def fare():
                return rates.toll(1)
            """,
        },
        {"rates.py": DEARER},
        "price",
    ),
    Edit(
        "another helper of the imported module",
        {
            "rates.py": RATES,
            "pipeline.py": """
            import rates
            from rates import fee

            @asset
            def price():
                return rates.fee(1) + fee(2)
            """,
        },
        {"rates.py": [("x + 5", "x + 6")]},
    ),
    Edit(
        "a helper by the alias of its module",
        {
            "rates.py": RATES,
            "pipeline.py": """
            import rates as r

            @asset
            def price():
                return r.fee(1)
            """,
        },
        {"rates.py": DEARER},
        "price",
    ),
    Edit(
        "a helper by an alias of its own",
        {
            "rates.py": RATES,
            "pipeline.py": """
            from rates import fee as costs
            cost = costs

            @asset
            def price():
                return cost(1)
            """,
        },
        {"rates.py": DEARER},
        "price",
    ),
    Edit(
        "a helper through what a package exports",
        {
            "shop/__init__.py": "from .inner import fee",
            "shop/inner/__init__.py": "from shop.inner.rates import fee as fee",
            "shop/inner/rates.py": RATES,
            "pipeline.py": """
            from shop import fee

            @asset
            def price():
                return fee(1)
            """,
        },
        {"shop/inner/rates.py": DEARER},
        "price",
    ),
    Edit(
        "a helper down a dotted path",
        {
            "shop/__init__.py": "",
            "shop/inner/__init__.py": "",
            "shop/inner/rates.py": RATES,
            "pipeline.py": """
            import shop.inner.rates

            @asset
            def price():
                return shop.inner.rates.fee(1)

            @asset
            def fare():
                return shop.inner.rates.toll(1)
            """,
        },
        {"shop/inner/rates.py": DEARER},
        "price",
    ),
    Edit(
        "a helper from a star import",
        {
            "rates.py": RATES,
            "more.py": "from rates import *",
            "pipeline.py": """
            from more import *

            @asset
            def price():
                return fee(1)

            @asset
            def fare():
                return toll(1)
            """,
        },
        {"rates.py": DEARER},
        "price",
    ),
    Edit(
        "__all__ grows by a name that hides a builtin",
        {
            "rates.py": """
            __all__ = ["fee"]

            def fee(x):
                return x + 1

            def round(x):
                return -1
            """,
            "pipeline.py": """
            from rates import *

            @asset
            def price():
                return round(fee(1.2))

            @asset
            def fare():
                return fee(1)
            """,
        },
        {"rates.py": [('["fee"]', '["fee", "round"]')]},
        "price",
    ),
    Edit(
        "a later star import brings the same name",
        {
            "rates.py": FEE,
            "others.py": "def toll(x):\n    return x",
            "pipeline.py": """
            from rates import *
            from others import *

            @asset
            def price():
                return fee(1)
            """,
        },
        {"others.py": "def fee(x):\n    return x * 100"},
        "price",
    ),
    Edit(
        "relative imports",
        {
            "shop/__init__.py": "",
            "shop/rates.py": RATES,
            "shop/flows/__init__.py": "",
            "shop/flows/steps.py": """
            from .. import rates
            from ..rates import toll

            @asset
            def price():
                return rates.fee(1)

            @asset
            def fare():
                return toll(1)
            """,
        },
        {"shop/rates.py": DEARER},
        "price",
        target="shop.flows.steps",
    ),
    Edit(
        "a package's __init__ imports its own submodule",
        {
            "shop/__init__.py": "from . import rates\n\ndef fee(x):\n    return rates.fee(x)",
            "shop/rates.py": RATES,
            "pipeline.py": """
            import shop

            @asset
            def price():
                return shop.fee(1)

            @asset
            def fare():
                return shop.rates.toll(1)
            """,
        },
        {"shop/rates.py": DEARER},
        "price",
    ),
    Edit(
        "a helper of a namespace package",
        {
            "shop/money/rates.py": RATES,
            "pipeline.py": """
            from shop.money.rates import fee
            from shop.money import rates

            @asset
            def price():
                return fee(1)

            @asset
            def fare():
                return rates.toll(1)
            """,
        },
        {"shop/money/rates.py": DEARER},
        "price",
    ),
    Edit(
        "imports inside of functions",
        {
            "rates.py": RATES,
            "pipeline.py": """
            def costs(x):
                import rates as r
                return r.fee(x)

            @asset
            def price():
                from rates import fee
                return fee(1)

            @asset
            def cost():
                return costs(1)

            @asset
            def fare():
                import rates
                return rates.toll(1)
            """,
        },
        {"rates.py": DEARER},
        "price cost",
    ),
    Edit(
        "a helper of a helper of a helper",
        {
            "rates.py": RATES,
            "costs.py": "import rates\n\ndef cost(x):\n    return rates.fee(x) * 2",
            "pipeline.py": """
            from costs import cost

            def twice(x):
                return cost(x) + cost(x)

            @asset
            def price():
                return twice(1)
            """,
        },
        {"rates.py": DEARER},
        "price",
    ),
    Edit(
        "functions that call each other",
        {
            "pipeline.py": """
            def even(n):
                return "yes" if n == 0 else odd(n - 1)

            def odd(n):
                return "no" if n == 0 else even(n - 1)

            def down(n):
                return 0 if n == 0 else down(n - 1)

            @asset
            def price():
                return even(3)

            @asset
            def fare():
                return odd(4)

            @asset
            def depth():
                return down(3)
            """
        },
        {"pipeline.py": [('"no" if', '"never" if')]},
        "price fare",
    ),
    Edit(
        "modules that import each other",
        {
            "left.py": "import right\n\ndef go(n):\n    return right.back(n) if n else 1",
            "right.py": "import left\n\ndef back(n):\n    return left.go(n - 1) + 1",
            "pipeline.py": """
            import left

            @asset
            def price():
                return left.go(3)
            """,
        },
        {"right.py": [(") + 1", ") + 2")]},
        "price",
    ),
    Edit(
        "an asset that another one calls as a function",
        {
            "pipeline.py": """
            @asset
            def price():
                return 3

            @asset
            def total():
                return price() * 2
            """
        },
        {"pipeline.py": [("return 3", "return 4")]},
        "price total",
    ),
    Edit(
        "a fallback for an import that fails",
        {
            "rates.py": RATES,
            "pipeline.py": """
            try:
                from a_module_nobody_has import fee
            except ImportError:
                from rates import fee

            @asset
            def price():
                return fee(1)
            """,
        },
        {"rates.py": DEARER},
        "price",
    ),
    Edit(
        "the module that was missing appears",
        {
            "rates.py": RATES,
            "pipeline.py": """
            try:
                from fast_rates import fee
            except ImportError:
                from rates import fee

            @asset
            def price():
                return fee(1)
            """,
        },
        {"fast_rates.py": "def fee(x):\n    return x + 9"},
        "price",
    ),
    Edit(
        "a package appears beside the module of its name",
        {
            "rates.py": RATES,
            "pipeline.py": """
            import rates

            @asset
            def price():
                return rates.fee(1)
            """,
        },
        {"rates/__init__.py": "def fee(x):\n    return x + 9"},
        "price",
    ),
    Edit(
        "a module that answers for names it has not",
        {
            "rates.py": """
            FACTOR = 2

            def __getattr__(name):
                if name == "factor":
                    return FACTOR
                raise AttributeError(name)
            """,
            "pipeline.py": """
            import rates

            @asset
            def price():
                return rates.factor
            """,
        },
        {"rates.py": [("FACTOR = 2", "FACTOR = 3")]},
        "price",
        whenever="price",
        why="what such a module answers can't be followed in general",
    ),
    Edit(
        "helpers picked by getattr from a module",
        {
            "rates.py": RATES,
            "pipeline.py": """
            import rates

            @asset
            def price(kind: str = "fee"):
                return getattr(rates, kind)(1)
            """,
        },
        {"rates.py": DEARER},
        "price",
        whenever="price",
        why="it may be taken for code that can't be followed",
    ),
]

MOVES = [
    Edit(
        "a helper's file gets another name",
        {
            "rates.py": RATES,
            "pipeline.py": """
            from rates import fee

            @asset
            def price():
                return fee(1)
            """,
        },
        {
            "rates.py": None,
            "tariffs.py": RATES,
            "pipeline.py": [("from rates", "from tariffs")],
        },
    ),
    Edit(
        "a helper moves to another module, with what it needs",
        {
            "rates.py": "BASE = 3\n\ndef fee(x):\n    return x + BASE\n\ndef toll(x):\n    return x",
            "pipeline.py": """
            from rates import fee, toll

            @asset
            def price():
                return fee(1) + toll(1)
            """,
        },
        {
            "rates.py": "def toll(x):\n    return x",
            "shop/__init__.py": "",
            "shop/fees.py": "BASE = 3\n\ndef fee(x):\n    return x + BASE",
            "pipeline.py": [("from rates import fee, toll", "from rates import toll\n"
                             "from shop.fees import fee")],
        },
    ),
    Edit(
        "a module becomes a package that exports the same",
        {
            "rates.py": RATES,
            "pipeline.py": """
            import rates
            from rates import toll

            @asset
            def price():
                return rates.fee(1) + toll(1)
            """,
        },
        {
            "rates.py": None,
            "rates/__init__.py": "from .tolls import toll\nfrom .fees import fee",
            "rates/fees.py": FEE,
            "rates/tolls.py": "def toll(x):\n    return x + 5",
        },
    ),
    Edit(
        "an asset moves to another module",
        {
            "pipeline.py": """
            RATE = 3

            @asset
            def price():
                return RATE

            @asset
            def total(price):
                return price * 2
            """
        },
        {
            "sources.py": "RATE = 3\n\n@asset\ndef price():\n    return RATE",
            "pipeline.py": "from sources import price\n\n@asset\ndef total(price):\n"
            "    return price * 2\n",
        },
    ),
    Edit(
        "functions change places, and unused imports come and go",
        {
            "pipeline.py": """
            import json
            import math

            def fee(x):
                return x + 1

            def toll(x):
                return x + 5

            @asset
            def price():
                return fee(1) + toll(1)

            @asset
            def total(price):
                return price * 2
            """
        },
        {
            "pipeline.py": """
            import math
            import re
            from rates import *

            @asset
            def total(price):
                return price * 2

            @asset
            def price():
                return fee(1) + toll(1)

            def toll(x):
                return x + 5

            def fee(x):
                return x + 1
            """,
            "rates.py": "def unheard_of(x):\n    return x",
        },
    ),
    Edit(
        "two helpers swap their names",
        {
            "pipeline.py": """
            def fee(x):
                return x + 1

            def toll(x):
                return x * 9

            @asset
            def price():
                return fee(1)

            @asset
            def fare():
                return toll(1)

            @asset
            def both():
                return [toll(2), fee(2)]
            """
        },
        {
            "pipeline.py": [
                ("def fee(x):\n    return x + 1", "def toll(x):\n    return x + 1"),
                ("def toll(x):\n    return x * 9", "def fee(x):\n    return x * 9"),
            ]
        },
        "price fare both",
    ),
    Edit(
        "a helper and its callers get another name for it",
        {
            "pipeline.py": """
            def fee(x):
                return x + 1

            @asset
            def price():
                return fee(1)
            """
        },
        {"pipeline.py": [("def fee", "def cost"), ("return fee", "return cost")]},
        may="price",
        why="the text of the asset's body is another one, what it does is not",
    ),
    Edit(
        "a helper is taken by attribute instead of by name",
        {
            "rates.py": RATES,
            "pipeline.py": """
            from rates import fee

            @asset
            def price():
                return fee(1)
            """,
        },
        {"pipeline.py": [("from rates import fee", "import rates"), (" fee(1)", " rates.fee(1)")]},
        may="price",
        why="the text of the asset's body is another one, what it does is not",
    ),
    Edit(
        "a helper gives its name to another one of the same signature",
        {
            "rates.py": RATES,
            "pipeline.py": """
            from rates import fee

            @asset
            def price():
                return fee(1)
            """,
        },
        {"pipeline.py": [("import fee", "import toll as fee")]},
        "price",
    ),
]

CONSTANTS = [
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
        "imports for type checkers only, and what runs as a script only",
        {
            "rates.py": FEE,
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
    *(one_by_one("constants", "made_{n} = {text}", "repr(made_{n})", VALUES, odd) for odd in (0, 1)),
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

ROWS = [*HELPERS, *MOVES, *CONSTANTS]
