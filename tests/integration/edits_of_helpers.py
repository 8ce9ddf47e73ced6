"""Edits of helpers, by all the ways a name gets into a module; and code that moves."""

from __future__ import annotations

from tests.integration.edits import Edit

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
            "rates.py": "",
            "shop/__init__.py": "",
            "shop/rates.py": RATES,
            "pipeline.py": """
            import shop.rates as r
            from shop import rates as tariffs

            @asset
            def price():
                return r.fee(1)

            @asset
            def cost():
                return tariffs.fee(1)

            @asset
            def fare():
                return tariffs.toll(1)
            """,
        },
        {"shop/rates.py": DEARER},
        "price cost",
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
        "a helper from a folder that is put on the path",
        {
            "libs/extra_rates.py": RATES,
            "pipeline.py": """
            import pathlib
            import sys

            sys.path.append(str(pathlib.Path(__file__).parent / "libs"))
            import extra_rates

            @asset
            def price():
                return extra_rates.fee(1)

            @asset
            def fare():
                return extra_rates.toll(1)
            """,
        },
        {"libs/extra_rates.py": DEARER},
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
            "rates.py": """
            BASE = 3

            def fee(x):
                return x + BASE

            def toll(x):
                return x
            """,
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
            "pipeline.py": [
                ("from rates import fee, toll", "from rates import toll\nfrom shop.fees import fee")
            ],
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

ROWS = [*HELPERS, *MOVES]
