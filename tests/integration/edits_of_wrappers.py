"""Edits of what stands around functions: decorators, partials, registries, dispatch."""

from __future__ import annotations

from tests.integration.edits import Edit

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

ROWS = [*DECORATORS, *REGISTRIES]
