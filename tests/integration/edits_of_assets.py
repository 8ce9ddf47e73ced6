"""Edits of assets: their bodies, names, inputs, options and config; and dynamic code."""

from __future__ import annotations

from tests.integration.edits import Edit

PRICES = """
    from typing import Annotated
    from flowstone import From, asset

    @asset
    def price():
        return 3

    @asset
    def cost():
        return 4

    @asset
    def total(price):
        return price * 2
    """
CONFIG = """
    RATE = 2

    @asset
    def price(rate: int = 2):
        return rate * 10

    @asset
    def named(rate: int = RATE):
        return rate * 100

    @asset
    def total(price):
        return price + 1
    """

BODIES = [
    Edit(
        "the body of an asset",
        {"pipeline.py": PRICES},
        {"pipeline.py": [("return 3", "return 5")]},
        "price total",
    ),
    Edit(
        "the body of an asset, which makes the same value again",
        {"pipeline.py": PRICES},
        {"pipeline.py": [("return 3", "return sorted([3, 9])[0]")]},
        "price",
        equal="price",
        why="the rebuild ends where equal values come out",
    ),
    Edit(
        "a helper below a diamond, which changes one side only",
        {
            "pipeline.py": """
            def low(x):
                return x + 1

            @asset
            def source():
                return 1

            @asset
            def left(source):
                return low(source)

            @asset
            def right(source):
                return source * 2

            @asset
            def parity(left):
                return left > 0

            @asset
            def after(parity):
                return str(parity)

            @asset
            def joined(left, right):
                return left + right
            """
        },
        {"pipeline.py": [("x + 1", "x + 2")]},
        "left parity joined",
        equal="parity",
        why="it makes the same of both, so what needs it is cut off",
    ),
    Edit(
        "the body of an asynchronous asset",
        {
            "pipeline.py": """
            import asyncio

            async def fetched():
                await asyncio.sleep(0)
                return 3

            @asset
            async def price():
                return await fetched()

            @asset
            async def own():
                await asyncio.sleep(0)
                return 5
            """
        },
        {"pipeline.py": [("return 3", "return 4"), ("return 5", "return 6")]},
        "price own",
    ),
    Edit(
        "an asset becomes asynchronous",
        {"pipeline.py": PRICES},
        {"pipeline.py": [("def price()", "async def price()")]},
        may="price",
        why="its text is another one, what it makes is not",
    ),
    Edit(
        "an asset that didn't work is mended",
        {
            "pipeline.py": """
            def fee(x):
                return x + 1

            @asset
            def price():
                return fee(1)

            @asset
            def told(price):
                return f"{price} EUR"
            """
        },
        {"pipeline.py": [('f"{price} EUR"', 'f"{fee(price)} EUR"')]},
        "told",
    ),
]

DECLARATIONS = [
    Edit(
        "options that say nothing about the value",
        {"pipeline.py": PRICES},
        {
            "pipeline.py": [
                (
                    "@asset\ndef price():",
                    """@asset(
    tags=["daily"], group="raw", description="d", owners=["me"], metadata={"a": 1}
)
def price():
    'What it costs.'""",
                ),
                ("@asset\ndef total", "@asset()\ndef total"),
            ]
        },
    ),
    Edit(
        "how an asset is executed, and what is called when it has ended",
        {
            "pipeline.py": """
            def told(event):
                return 1

            @asset(retries=2, timeout=30, on_success=told)
            def price():
                return 3

            @asset
            def total(price):
                return price * 2
            """
        },
        {
            "pipeline.py": [
                ("return 1", "return 2"),
                (
                    "(retries=2, timeout=30, on_success=told)",
                    '(retries=5, durability="strict", executor="thread", on_failure=[told])',
                ),
            ]
        },
    ),
    Edit(
        "a new asset, and one is gone",
        {"pipeline.py": PRICES},
        {"pipeline.py": [("def cost():\n    return 4", "def more(total):\n    return total + 1")]},
        "more",
    ),
    Edit(
        "a parameter takes another upstream by its name",
        {"pipeline.py": PRICES},
        {
            "pipeline.py": [
                ("def total(price):\n    return price * 2", "def total(cost):\n    return cost * 2")
            ]
        },
        "total",
    ),
    Edit(
        "a parameter takes another upstream by From",
        {"pipeline.py": PRICES},
        {"pipeline.py": [("total(price)", 'total(price: Annotated[int, From("cost")])')]},
        "total",
    ),
    Edit(
        "a parameter says by From what it took by its name",
        {"pipeline.py": PRICES},
        {"pipeline.py": [("total(price)", 'total(price: Annotated[int, From("price")])')]},
    ),
    Edit(
        "another input is passed",
        {"pipeline.py": PRICES},
        {"pipeline.py": [("def total(price):", "def total(price, cost):")]},
        "total",
        equal="total",
        why="an input counts, used or not",
    ),
    Edit(
        "an input that is not passed is added",
        {"pipeline.py": PRICES},
        {"pipeline.py": [("@asset\ndef total", "@asset(deps=[cost])\ndef total")]},
        "total",
        equal="total",
        why="an input counts, used or not",
    ),
    Edit(
        "an input that is not passed is taken away",
        {
            "pipeline.py": """
            @asset
            def cost():
                return 4

            @asset(deps=[cost])
            def total():
                return 1
            """
        },
        {"pipeline.py": [("@asset(deps=[cost])", "@asset")]},
        "total",
        equal="total",
        why="an input counts, used or not",
    ),
    Edit(
        "what an input that is not passed makes",
        {
            "pipeline.py": """
            @asset
            def cost():
                return 4

            @asset(deps=[cost])
            def total():
                return 1
            """
        },
        {"pipeline.py": [("return 4", "return 5")]},
        "cost total",
        equal="total",
        why="an input counts, used or not",
    ),
    Edit(
        "parameters change places",
        {"pipeline.py": PRICES.replace("total(price)", "total(price, cost)")},
        {"pipeline.py": [("total(price, cost)", "total(cost, price)")]},
        may="total",
        why="inputs are passed by name, but the text of the function is another one",
    ),
    Edit(
        "an asset gets another name",
        {
            "pipeline.py": """
            @asset
            def price():
                return 3
            """
        },
        {"pipeline.py": [("def price", "def cost")]},
        "cost",
    ),
    Edit(
        "an asset gets another name, and says which it had",
        {
            "pipeline.py": """
            from typing import Annotated
            from flowstone import From, asset

            @asset
            def price():
                return 3

            @asset
            def total(price):
                return price * 2
            """
        },
        {
            "pipeline.py": [
                ("@asset\ndef price()", '@asset(aliases=["price"])\ndef cost()'),
                ("total(price)", 'total(price: Annotated[int, From("cost")])'),
            ]
        },
    ),
    Edit(
        "an asset with an earlier name gets another body too",
        {"pipeline.py": "@asset\ndef price():\n    return 3"},
        {"pipeline.py": '@asset(aliases=["price"])\ndef cost():\n    return 4'},
        "cost",
    ),
    Edit(
        "a name is given by name= instead of by the function",
        {"pipeline.py": "@asset\ndef price():\n    return 3"},
        {"pipeline.py": '@asset(name="price")\ndef make_price():\n    return 3'},
    ),
]

CONTROLS = [
    Edit(
        "the code of an asset whose version is pinned",
        {
            "pipeline.py": """
            def fee(x):
                return x + 0 * 1

            @asset(code_version="1")
            def price():
                return fee(1)
            """
        },
        {"pipeline.py": [("x + 0 * 1", "x + 0 * 2"), ("return fee(1)", "return fee(2 - 1)")]},
    ),
    Edit(
        "the pinned version",
        {
            "pipeline.py": """
            @asset(code_version="1")
            def price():
                return 3
            """
        },
        {"pipeline.py": [('"1"', '"2"')]},
        "price",
        equal="price",
        why="the pin says so",
    ),
    Edit(
        "a helper that is ignored",
        {
            "tools.py": "def note(x):\n    return None\n\ndef tell(x):\n    return None",
            "pipeline.py": """
            import tools
            from tools import note

            def fee(x):
                note(x)
                tools.tell(x)
                return x + 1

            @asset(ignore=[note, "tools.tell"])
            def price():
                return fee(1)

            @asset
            def heeding():
                return fee(1)
            """,
        },
        {
            "tools.py": "def note(x):\n    return 1 + 1\n\ndef tell(x):\n    return 'told'",
        },
        "heeding",
        equal="heeding",
        why="only the other asset ignores them",
    ),
    Edit(
        "a helper beside one that is ignored",
        {
            "tools.py": "def note(x):\n    return None\n\ndef fee(x):\n    return x + 1",
            "pipeline.py": """
            from tools import fee, note

            @asset(ignore=[note])
            def price():
                note(1)
                return fee(1)
            """,
        },
        {"tools.py": [("x + 1", "x + 2")]},
        "price",
    ),
    Edit(
        "a module that is ignored",
        {
            "tools.py": "LEVEL = 1\n\ndef note(x):\n    return LEVEL",
            "pipeline.py": """
            import tools

            @asset(ignore=["tools"])
            def price():
                tools.note(1)
                return 3
            """,
        },
        {"tools.py": [("LEVEL = 1", "LEVEL = 2")]},
    ),
]

CONFIGURED = [
    Edit(
        "the default of a config parameter",
        {"pipeline.py": CONFIG},
        {"pipeline.py": [("price(rate: int = 2)", "price(rate: int = 3)")]},
        "price total",
    ),
    Edit(
        "the constant that is the default of a config parameter",
        {"pipeline.py": CONFIG},
        {"pipeline.py": [("RATE = 2", "RATE = 3")]},
        "named",
    ),
    Edit(
        "config that overrides the default",
        {"pipeline.py": CONFIG},
        runs="price total",
        edited_config={"price.rate": 3},
    ),
    Edit(
        "config from one value to another",
        {"pipeline.py": CONFIG},
        runs="price total",
        config={"price.rate": 1},
        edited_config={"price.rate": 2},
    ),
    Edit(
        "config that says what the default says",
        {"pipeline.py": CONFIG},
        edited_config={"price.rate": 2},
    ),
    Edit(
        "a default that config overrides",
        {"pipeline.py": CONFIG},
        {"pipeline.py": [("price(rate: int = 2)", "price(rate: int = 9)")]},
        config={"price.rate": 5},
    ),
    Edit(
        "the number of a config parameter becomes one of another type",
        {"pipeline.py": CONFIG.replace("rate: int = 2", "rate: float | int = 2")},
        {"pipeline.py": [("rate: float | int = 2", "rate: float | int = 2.0")]},
        "price total",
    ),
    Edit(
        "the name of a config parameter",
        {"pipeline.py": CONFIG},
        {
            "pipeline.py": [
                (
                    "price(rate: int = 2):\n    return rate",
                    "price(factor: int = 2):\n    return factor",
                )
            ]
        },
        "price",
        equal="price",
        why="config counts by the name of its parameter",
    ),
]

DYNAMIC = [
    Edit(
        "code that is executed or evaluated",
        {
            "pipeline.py": """
            def shown(text):
                return eval(text)

            @asset
            def executed():
                found = {}
                exec("x = 1", found)
                return found["x"]

            @asset
            def evaluated():
                return shown("1 + 1")

            @asset
            def after(executed):
                return executed + 1
            """
        },
        {"pipeline.py": [('"x = 1"', '"x = 2"')]},
        "executed after",
        always="evaluated",
        why="only code that is written out where it is executed can be followed",
    ),
    Edit(
        "modules imported by a computed name",
        {
            "rates.py": "def fee(x):\n    return x + 1",
            "pipeline.py": """
            import importlib

            @asset
            def price(module: str = "rates"):
                return importlib.import_module(module).fee(1)

            @asset
            def builtin():
                return __import__("rates").fee(1)
            """,
        },
        {"rates.py": [("x + 1", "x + 2")]},
        "price builtin",
        always="price",
        whenever="builtin",
        why="a computed name can't be followed; one that stands there might be",
    ),
    Edit(
        "helpers that were made by executing text",
        {
            "pipeline.py": """
            SCOPE = {}
            exec("def fee(x):\\n    return x + 1", SCOPE)
            fee = SCOPE["fee"]

            @asset
            def price():
                return fee(1)
            """
        },
        {"pipeline.py": [("x + 1", "x + 2")]},
        "price",
        whenever="price",
        why="it may be taken for code that can't be followed",
    ),
    Edit(
        "helpers looked up in globals()",
        {
            "pipeline.py": """
            def fee(x):
                return x + 1

            @asset
            def price(kind: str = "fee"):
                return globals()[kind](1)
            """
        },
        {"pipeline.py": [("x + 1", "x + 2")]},
        "price",
        whenever="price",
        why="it may be taken for code that can't be followed",
    ),
]

DYNAMIC_NAMES = [
    Edit(
        "names set through globals() in a loop",
        {
            "pipeline.py": """
            def make(n):
                return lambda x: x * n

            for n in (1, 2):
                globals()[f"fee_{n}"] = make(n)

            @asset
            def price():
                return fee_2(3)
            """
        },
        {"pipeline.py": [("x * n", "x * n + 1")]},
        "price",
        whenever="price",
        why="it may be taken for code that can't be followed",
    ),
    Edit(
        "the subclasses that a class knows of",
        {
            "bases.py": "class Step:\n    def run(self):\n        return 0",
            "steps.py": """
            from bases import Step

            class First(Step):
                def run(self):
                    return 1
            """,
            "pipeline.py": """
            import steps
            from bases import Step

            @asset
            def price():
                return [kind().run() for kind in Step.__subclasses__()]
            """,
        },
        {"steps.py": [("return 1", "return 2")]},
        "price",
        whenever="price",
        why="it may be taken for code that can't be followed",
    ),
    Edit(
        "a method picked by its name",
        {
            "pipeline.py": """
            from operator import methodcaller

            class Shop:
                def on_low(self):
                    return 1

            @asset
            def price(kind: str = "low"):
                return getattr(Shop(), f"on_{kind}")()

            @asset
            def called():
                return methodcaller("on_low")(Shop())
            """
        },
        {"pipeline.py": [("return 1", "return 2")]},
        "price called",
    ),
]

ROWS = [*BODIES, *DECLARATIONS, *CONTROLS, *CONFIGURED, *DYNAMIC, *DYNAMIC_NAMES]
