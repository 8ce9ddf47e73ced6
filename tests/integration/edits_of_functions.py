"""Edits of functions in all their forms: bodies, decorators, closures, dispatch, defaults."""

from __future__ import annotations

from tests.integration.edits import Edit, one_by_one

WRAPPER = """
    import functools

    def doubled(fn):
        @functools.wraps(fn)
        def wrapper(*args, **kwargs):
            return fn(*args, **kwargs) * 2
        return wrapper

    def times(n):
        def decorate(fn):
            @functools.wraps(fn)
            def wrapper(*args, **kwargs):
                return fn(*args, **kwargs) * n
            return wrapper
        return decorate
    """
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
            "faults.py": "class RateError(ValueError):\n    rate = 3\n\ndef low(x):\n    return x < 9",
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

DECORATORS = [
    Edit(
        "the wrapper around a helper",
        {
            "wrappers.py": WRAPPER,
            "pipeline.py": """
            from wrappers import doubled, times

            @doubled
            def fee(x):
                return x + 1

            @times(3)
            def toll(x):
                return x

            @asset
            def price():
                return fee(1)

            @asset
            def fare():
                return toll(1)
            """,
        },
        {"wrappers.py": [("* 2", "* 20")]},
        "price",
    ),
    Edit(
        "the argument of a decorator",
        {
            "wrappers.py": WRAPPER,
            "pipeline.py": """
            from wrappers import times

            FACTOR = 3

            @times(FACTOR)
            def fee(x):
                return x

            @times(5)
            def toll(x):
                return x

            @asset
            def price():
                return fee(1)

            @asset
            def fare():
                return toll(1)
            """,
        },
        {"pipeline.py": [("FACTOR = 3", "FACTOR = 4")]},
        "price",
    ),
    Edit(
        "the body below a wrapper",
        {
            "wrappers.py": WRAPPER,
            "pipeline.py": """
            from wrappers import doubled

            @doubled
            def fee(x):
                return x + 1

            @asset
            def price():
                return fee(1)
            """,
        },
        {"pipeline.py": [("x + 1", "x + 2")]},
        "price",
    ),
    Edit(
        "the wrapper around an asset",
        {
            "wrappers.py": WRAPPER,
            "pipeline.py": """
            from wrappers import doubled, times

            @asset
            @doubled
            def price():
                return 1

            @asset
            @times(7)
            def fare():
                return 1

            @asset
            def total(price, fare):
                return price + fare
            """,
        },
        {"wrappers.py": [("* 2", "* 20")]},
        "price total",
    ),
    Edit(
        "the argument of the decorator of an asset",
        {
            "wrappers.py": WRAPPER,
            "pipeline.py": """
            from wrappers import times

            @asset
            @times(7)
            def fare():
                return 1
            """,
        },
        {"pipeline.py": [("times(7)", "times(8)")]},
        "fare",
    ),
    Edit(
        "the body of an asset below a wrapper",
        {
            "wrappers.py": WRAPPER,
            "pipeline.py": """
            from wrappers import doubled

            @asset
            @doubled
            def price():
                return 1
            """,
        },
        {"pipeline.py": [("return 1", "return 2")]},
        "price",
    ),
    Edit(
        "a decorator is put on and taken off",
        {
            "wrappers.py": WRAPPER,
            "pipeline.py": """
            from wrappers import doubled

            def fee(x):
                return x + 1

            @asset
            def price():
                return fee(1)
            """,
        },
        {"pipeline.py": [("def fee", "@doubled\ndef fee")]},
        "price",
    ),
    Edit(
        "a wrapper that is a class",
        {
            "wrappers.py": """
            class Doubled:
                def __init__(self, fn):
                    self.fn = fn

                def __call__(self, x):
                    return self.fn(x) * 2
            """,
            "pipeline.py": """
            from wrappers import Doubled

            @Doubled
            def fee(x):
                return x + 1

            @asset
            def price():
                return fee(1)
            """,
        },
        {"wrappers.py": [("* 2", "* 3")]},
        "price",
    ),
    Edit(
        "cached helpers",
        {
            "pipeline.py": """
            import functools

            @functools.lru_cache(maxsize=None)
            def fee(x):
                return x + 1

            @functools.cache
            def toll(x):
                return x + 5

            def base(x):
                return x + 7

            cached = functools.lru_cache(base)

            @asset
            def price():
                return fee(1)

            @asset
            def fare():
                return toll(1)

            @asset
            def based():
                return cached(1)
            """
        },
        {"pipeline.py": [("x + 1", "x + 2"), ("x + 7", "x + 8")]},
        "price based",
    ),
    Edit(
        "the arguments held by a partial",
        {
            "pipeline.py": """
            from functools import partial

            def scale(factor, x, *, plus=0):
                return x * factor + plus

            half = partial(scale, 0.5)
            third = partial(scale, 3, plus=1)
            both = partial(third, plus=2)

            @asset
            def of_half():
                return half(8)

            @asset
            def of_third():
                return third(8)

            @asset
            def of_both():
                return both(8)
            """
        },
        {"pipeline.py": [("scale, 3", "scale, 30")]},
        "of_third of_both",
    ),
    Edit(
        "the function below a partial",
        {
            "rates.py": "def scale(factor, x):\n    return x * factor",
            "pipeline.py": """
            from functools import partial
            import rates

            half = partial(rates.scale, 0.5)

            @asset
            def price():
                return half(8)
            """,
        },
        {"rates.py": [("x * factor", "x + factor")]},
        "price",
    ),
    Edit(
        "an asset made of a partial and a lambda",
        {
            "pipeline.py": """
            from functools import partial
            from flowstone import Asset, asset

            def scale(orders, factor):
                return orders * factor

            orders = Asset(lambda: 4, name="orders")
            price = Asset(partial(scale, factor=3), name="price")
            """
        },
        {"pipeline.py": [("factor=3", "factor=5")]},
        "price",
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
            "pipeline.py": '''
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
            ''',
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

REGISTRIES = [
    Edit(
        "a function in a table of functions",
        {
            "rates.py": "def fee(x):\n    return x + 1\n\ndef toll(x):\n    return x + 5",
            "pipeline.py": """
            import rates

            TABLE = {"fee": rates.fee, "toll": rates.toll}

            @asset
            def price(kind: str = "toll"):
                return TABLE[kind](1)
            """,
        },
        {"rates.py": [("x + 5", "x + 6")]},
        "price",
    ),
    Edit(
        "functions registered by a decorator, in the same and in another module",
        {
            "registry.py": """
            STEPS = {}
            OTHERS = []

            def step(name):
                def decorate(fn):
                    STEPS[name] = fn
                    return fn
                return decorate

            def other(fn):
                OTHERS.append(fn)
                return fn

            @step("first")
            def first(x):
                return x + 1
            """,
            "steps.py": """
            from registry import other, step

            @step("second")
            def second(x):
                return x * 2

            @other
            def third(x):
                return x * 3
            """,
            "pipeline.py": """
            import steps
            from registry import OTHERS, STEPS

            @asset
            def price():
                found = 1
                for name in sorted(STEPS):
                    found = STEPS[name](found)
                return found

            @asset
            def other():
                return [fn(1) for fn in OTHERS]
            """,
        },
        {"steps.py": [("x * 2", "x * 4")]},
        "price",
    ),
    Edit(
        "one more function is registered",
        {
            "registry.py": """
            STEPS = {}

            def step(fn):
                STEPS[fn.__name__] = fn
                return fn
            """,
            "steps.py": "from registry import step\n\n@step\ndef first(x):\n    return x + 1",
            "pipeline.py": """
            import steps
            from registry import STEPS

            @asset
            def price():
                return [fn(1) for fn in STEPS.values()]
            """,
        },
        {
            "steps.py": "from registry import step\n\n@step\ndef first(x):\n    return x + 1\n\n"
            "@step\ndef second(x):\n    return x * 3\n"
        },
        "price",
    ),
    Edit(
        "functions put into containers by statements, in the same and in another module",
        {
            "rates.py": """
            def fee(x):
                return x + 1

            def toll(x):
                return x + 5

            def fine(x):
                return x + 7

            LISTED = []
            LISTED.append(fee)
            KEYED = {}
            UPDATED = {}
            """,
            "entries.py": """
            import rates

            rates.KEYED["toll"] = rates.toll
            rates.UPDATED.update(fine=rates.fine)
            """,
            "pipeline.py": """
            import entries
            import rates

            @asset
            def listed():
                return [fn(1) for fn in rates.LISTED]

            @asset
            def keyed():
                return rates.KEYED["toll"](1)

            @asset
            def updated():
                return rates.UPDATED["fine"](1)
            """,
        },
        {"rates.py": [("x + 5", "x + 6"), ("x + 7", "x + 8")]},
        "keyed updated",
    ),
    Edit(
        "implementations of singledispatch, in the same and in another module",
        {
            "shapes.py": """
            from functools import singledispatch

            @singledispatch
            def show(x):
                return "?"

            @show.register
            def _(x: int):
                return "int"
            """,
            "more_shapes.py": """
            from shapes import show

            @show.register(str)
            def show_text(x):
                return "text"
            """,
            "pipeline.py": """
            import more_shapes
            from shapes import show

            @asset
            def price():
                return [show(1), show("a"), show(1.0)]
            """,
        },
        {"more_shapes.py": [('"text"', '"words"')]},
        "price",
    ),
    Edit(
        "an implementation of singledispatch beside its function",
        {
            "pipeline.py": """
            from functools import singledispatch

            @singledispatch
            def show(x):
                return "?"

            @show.register(int)
            def show_int(x):
                return "int"

            @asset
            def price():
                return [show(1), show("a")]
            """
        },
        {"pipeline.py": [('"int"', '"number"')]},
        "price",
    ),
    Edit(
        "the annotation that registers an implementation",
        {
            "pipeline.py": """
            from functools import singledispatch
            from flowstone import asset

            @singledispatch
            def show(x):
                return "?"

            @show.register
            def _(x: int):
                return "registered"

            @asset
            def price():
                return [show(1), show(1.5)]
            """
        },
        {"pipeline.py": [("x: int", "x: float")]},
        "price",
    ),
]

ROWS = [*BODIES, *DECORATORS, *CLOSURES, *DEFAULTS, *REGISTRIES]
