"""Edits of functions in all their forms: bodies, closures, defaults, annotations."""

from __future__ import annotations

from tests.integration.edits import Edit, one_by_one

HELPER = "def made_{n}(x, y=2, *rest, z=3):\n    {text}"
#: Bodies that are easily taken for each other.
RETURNS = [
    ("return x + y", "return x - y"),
    ("return x < 5", "return x <= 5"),
    ("return x and y", "return x or y"),
    ("return -x", "return +x"),
    ("return 'abc'[y:]", "return 'abc'[:y]"),
    ("return dict(a=x)", "return dict(b=x)"),
    ("return f'{x:>4}'", "return f'{x:<4}'"),
    ("return f'{x}'", "return f'{x=}'"),
    ("return x if y else z", "return z if y else x"),
    ("return [*rest, x]", "return [rest, x]"),
    ("return [n for n in range(x)]", "return [n for n in range(x) if n]"),
    ("return {n: 1 for n in range(y)}", "return {n: 2 for n in range(y)}"),
    ("return [m := x, m + 1]", "return [m := x, m + 2]"),
    ("return (lambda n: n)(x)", "return (lambda n: n + 1)(x)"),
    ("x += 1; return x", "x -= 1; return x"),
    ("return x, y", "return y, x"),
    ("return 0 < x < 9", "return 0 < x > 9"),
]

BODIES = [
    *(one_by_one("bodies", HELPER, "made_{n}(5)", RETURNS, odd) for odd in (0, 1)),
    Edit(
        "a match statement",
        {
            "pipeline.py": """
            def kind(order):
                match order:
                    case {"eur": 0}:
                        return "free"
                    case {"eur": int(n)} if n > 100:
                        return "large"
                    case [first, *_]:
                        return first
                    case _:
                        return "small"

            @asset
            def price():
                return [kind({"eur": 50}), kind([1, 2])]
            """
        },
        {"pipeline.py": [("n > 100", "n > 10")]},
        "price",
    ),
    Edit(
        "a nested function, nonlocal and yield from",
        {
            "pipeline.py": """
            def numbers(n):
                count = 0

                def step():
                    nonlocal count
                    count += 1
                    return count

                def steps():
                    for _ in range(n):
                        yield step()

                yield from steps()

            @asset
            def price():
                return list(numbers(3))
            """
        },
        {"pipeline.py": [("count += 1", "count += 10")]},
        "price",
    ),
    Edit(
        "a helper in an except clause and in an assert",
        {
            "faults.py": """
            class RateError(ValueError):
                rate = 3

            def low(x):
                return x < 9
            """,
            "pipeline.py": """
            from faults import RateError, low

            @asset
            def price():
                try:
                    raise RateError
                except RateError as error:
                    return error.rate

            @asset
            def fare():
                assert low(3)
                return 3
            """,
        },
        {"faults.py": [("rate = 3", "rate = 4"), ("x < 9", "x < 8")]},
        "price fare",
        equal="fare",
        why="what is asserted may fail, so it counts",
    ),
    Edit(
        "a generator, and a context manager that is one",
        {
            "tools.py": """
            import contextlib

            def numbers():
                yield 1
                yield 2

            @contextlib.contextmanager
            def rate():
                yield 3
            """,
            "pipeline.py": """
            from tools import numbers, rate

            @asset
            def price():
                return list(numbers())

            @asset
            def fare():
                with rate() as found:
                    return found
            """,
        },
        {"tools.py": [("yield 3", "yield 4")]},
        "fare",
    ),
    Edit(
        "asynchronous helpers",
        {
            "tools.py": """
            import contextlib

            async def fee(x):
                return x + 1

            async def numbers():
                yield 1

            @contextlib.asynccontextmanager
            async def rate():
                yield 3
            """,
            "pipeline.py": """
            import tools

            @asset
            async def price():
                return await tools.fee(1)

            @asset
            async def listed():
                return [n async for n in tools.numbers()]

            @asset
            async def fare():
                async with tools.rate() as found:
                    return found
            """,
        },
        {"tools.py": [("x + 1", "x + 2"), ("yield 1", "yield 7")]},
        "price listed",
    ),
    Edit(
        "a helper handed on as a value",
        {
            "pipeline.py": """
            from functools import reduce
            from operator import itemgetter

            def fee(x):
                return x + 1

            def rank(x):
                return -x

            def join(a, b):
                return a * b

            by = itemgetter("eur")

            @asset
            def mapped():
                return list(map(fee, [1, 2]))

            @asset
            def ranked():
                return sorted([1, 2], key=rank)

            @asset
            def reduced():
                return reduce(join, [1, 2, 3])

            @asset
            def got():
                return by({"eur": 1, "vat": 2})
            """
        },
        {
            "pipeline.py": [
                ("x + 1", "x + 2"),
                ("return -x", "return x"),
                ("a * b", "a + b"),
                ('r("eur")', 'r("vat")'),
            ]
        },
        "mapped ranked reduced got",
        equal="reduced",
        why="1 * 2 * 3 is 1 + 2 + 3",
    ),
]

CLOSURES = [
    Edit(
        "a value in a closure",
        {
            "pipeline.py": """
            def multiplier(n):
                def multiply(x):
                    return x * n
                return multiply

            triple = multiplier(3)
            double = multiplier(2)

            @asset
            def price():
                return triple(1)

            @asset
            def fare():
                return double(1)
            """
        },
        {"pipeline.py": [("multiplier(3)", "multiplier(4)")]},
        "price",
    ),
    Edit(
        "a function in a closure, and the one around it",
        {
            "pipeline.py": """
            def fee(x):
                return x + 1

            def toll(x):
                return x + 5

            def twice(fn):
                return lambda x: fn(fn(x))

            fees = twice(fee)
            tolls = twice(toll)

            @asset
            def price():
                return fees(1)

            @asset
            def fare():
                return tolls(1)
            """
        },
        {"pipeline.py": [("x + 1", "x + 2")]},
        "price",
    ),
    Edit(
        "the factory of a closure",
        {
            "pipeline.py": """
            def multiplier(n):
                n = n + 1

                def multiply(x):
                    return x * n
                return multiply

            triple = multiplier(3)

            @asset
            def price():
                return triple(1)
            """
        },
        {"pipeline.py": [("n = n + 1", "n = n + 2")]},
        "price",
    ),
    Edit(
        "assets made by a factory",
        {
            "pipeline.py": """
            def fee(x):
                return x

            def toll(x):
                return x * 10

            def build(title, rate, fn):
                @asset(name=title)
                def made():
                    return fn(rate)
                return made

            price = build("price", 3, fee)
            fare = build("fare", 3, toll)
            fine = build("fine", 9, fee)
            """
        },
        {"pipeline.py": [('"price", 3', '"price", 4'), ("x * 10", "x * 20")]},
        "price fare",
    ),
    Edit(
        "lambdas, two on one line",
        {
            "pipeline.py": """
            add, sub = lambda x: x + 1, lambda x: x - 1
            by = {"a": lambda x: x * 2, "b": lambda x: x * 3}
            fee = lambda x: x + 10

            @asset
            def added():
                return add(1)

            @asset
            def subbed():
                return sub(1)

            @asset
            def keyed():
                return by["b"](1)

            @asset
            def price():
                return fee(1)
            """
        },
        {"pipeline.py": [("x - 1", "x - 2"), ("x * 3", "x * 4"), ("x + 10", "x + 20")]},
        "subbed keyed price",
    ),
]

DEFAULTS = [
    Edit(
        "the defaults of helpers",
        {
            "pipeline.py": """
            BASE = 5

            def base():
                return 7

            def fee(x, rate=2):
                return x * rate

            def toll(x, *, rate=2):
                return x * rate

            def fine(x, rate=BASE):
                return x * rate

            def rent(x, rate=base()):
                return x * rate

            def other(x, rate=2):
                return x * rate

            @asset
            def positional():
                return fee(1)

            @asset
            def keyword():
                return toll(1)

            @asset
            def named():
                return fine(1)

            @asset
            def called():
                return rent(1)

            @asset
            def untouched():
                return other(1)
            """
        },
        {
            "pipeline.py": [
                ("fee(x, rate=2)", "fee(x, rate=3)"),
                ("*, rate=2", "*, rate=3"),
                ("BASE = 5", "BASE = 6"),
                ("return 7", "return 8"),
            ]
        },
        "positional keyword named called",
    ),
    Edit(
        "type annotations",
        {
            "pipeline.py": """
            from typing import Any
            from flowstone import asset

            def fee(x, *rest, rate=2, **more):
                return x * rate

            @asset
            def price():
                return fee(1)

            @asset
            def total(price):
                return price * 2
            """
        },
        {
            "pipeline.py": [
                (
                    "def fee(x, *rest, rate=2, **more):",
                    "def fee(x: int, *rest: Any, rate: int = 2, **more: Any) -> int:",
                ),
                ("def price():", "def price() -> int:"),
                ("def total(price):", "def total(price: int) -> int:"),
            ]
        },
    ),
    Edit(
        "annotations become text",
        {
            "pipeline.py": """
            from flowstone import asset

            def fee(x: int) -> int:
                return x * 2

            @asset
            def price() -> int:
                return fee(1)
            """
        },
        {
            "pipeline.py": [
                ("from flowstone", "from __future__ import annotations\nfrom flowstone"),
                ("fee(x: int)", 'fee(x: "int | None")'),
            ]
        },
    ),
    Edit(
        "annotations of local variables",
        {
            "pipeline.py": """
            @asset
            def price():
                found: int = 3
                return found
            """
        },
        {"pipeline.py": [("found: int", "found: object")]},
        may="price",
        why="they are never evaluated, but stand in the body",
    ),
    Edit(
        "annotations that project code reads",
        {
            "pipeline.py": """
            import typing

            def fee(x: int):
                return x

            def kinds(fn):
                return [kind.__name__ for kind in typing.get_type_hints(fn).values()]

            @asset
            def price():
                return fee.__annotations__["x"].__name__

            @asset
            def hinted():
                return kinds(fee)
            """
        },
        {"pipeline.py": [("x: int", "x: float")]},
        "price hinted",
    ),
    Edit(
        "docstrings that project code reads",
        {
            "rates.py": '"""Rates."""\n\ndef fee(x):\n    """Costs."""\n    return x',
            "pipeline.py": """
            import inspect
            import rates

            def usage(fn):
                return "usage: " + fn.__doc__

            @asset
            def price():
                return usage(rates.fee)

            @asset
            def about():
                return rates.__doc__

            @asset
            def cleaned():
                return inspect.getdoc(rates.fee)
            """,
        },
        {"rates.py": [('"""Rates."""', '"""Tolls."""'), ('"""Costs."""', '"""Gains."""')]},
        "price about cleaned",
        docstrings=False,
    ),
    Edit(
        "docstrings that nobody reads",
        {
            "rates.py": '"""Rates."""\n\ndef fee(x):\n    """Costs."""\n    return x',
            "pipeline.py": '''
            import rates

            class Shop:
                """A shop."""

                def rate(self):
                    """Its rate."""
                    return 3

            @asset
            def price():
                """What it costs."""
                return rates.fee(Shop().rate())
            ''',
        },
        {
            "rates.py": [('"""Rates."""', ""), ('    """Costs."""\n', "")],
            "pipeline.py": [('"""A shop."""', '"""Shops."""'), ("What it costs", "The price")],
        },
    ),
]

ROWS = [*BODIES, *CLOSURES, *DEFAULTS]
