"""Edits of classes: what they define, inherit, are made by, and hold."""

from __future__ import annotations

from tests.integration.edits import Edit

BASES = """
    class Meta(type):
        def rate(cls):
            return 2

    class Root:
        def fee(self):
            return 1

        def __init_subclass__(cls, **options):
            cls.label = "made"

    class Mixin:
        @property
        def toll(self):
            return 5
    """
SHOP = """
    from bases import Meta, Mixin, Root

    class Shop(Mixin, Root):
        def total(self):
            return self.fee() + self.toll

    class Rated(metaclass=Meta):
        pass

    class Lone:
        def total(self):
            return 0

    @asset
    def price():
        return Shop().total()

    @asset
    def label():
        return Shop.label

    @asset
    def rate():
        return Rated.rate()

    @asset
    def lone():
        return Lone().total()
    """


def one(name: str, source: str, old: str, new: str) -> Edit:
    """A row about classes of ``shop.py``, used by ``pipeline.py``, where ``source`` has both."""
    classes, _, assets = source.partition("    # pipeline.py\n")
    return Edit(
        name, {"shop.py": classes, "pipeline.py": assets}, {"shop.py": [(old, new)]}, "price"
    )


KINDS_OF_METHODS = """
    class Shop:
        rate = 2

        def method(self):
            return 1

        @classmethod
        def of_class(cls):
            return cls.rate

        @staticmethod
        def of_none():
            return 3

        @property
        def read(self):
            return 4

        def __call__(self):
            return 5

        def __add__(self, other):
            return 6

    class Other:
        def method(self):
            return 1
    # pipeline.py
    import shop
    from shop import Shop

    @asset
    def price():
        found = Shop()
        return [found.method(), Shop.of_class(), Shop.of_none(), found.read, found(), found + 1]

    @asset
    def other():
        return shop.Other().method()
    """

INNER = """
    class Base:
        def fee(self):
            return 1

    class Shop(Base):
        class Inner:
            x = 7

        def fee(self):
            return super().fee() + self.Inner.x
    # pipeline.py
    from shop import Shop

    @asset
    def price():
        return Shop().fee()
    """

ROWS = [
    *(
        one(f"a class: {name}", KINDS_OF_METHODS, old, new)
        for name, old, new in [
            ("a class attribute", "rate = 2", "rate = 20"),
            ("a classmethod", "return cls.rate", "return cls.rate + 1"),
            ("a staticmethod", "return 3", "return 30"),
            ("a property", "return 4", "return 40"),
            ("__call__", "return 5", "return 50"),
            ("an operator", "return 6", "return 60"),
        ]
    ),
    Edit(
        "a method",
        {
            "pipeline.py": """
            class Shop:
                def __init__(self, rate):
                    self.rate = rate

                def fee(self):
                    return self.rate + 1

            SHOP = Shop(3)

            @asset
            def made():
                return Shop(1).fee()

            @asset
            def held():
                return SHOP.fee()
            """
        },
        {"pipeline.py": [("self.rate + 1", "self.rate + 2")]},
        "made held",
    ),
    Edit(
        "what an instance at module level is made with",
        {
            "pipeline.py": """
            class Shop:
                def __init__(self, rate):
                    self.rate = rate

            SHOP = Shop(3)

            @asset
            def made():
                return Shop(1).rate

            @asset
            def held():
                return SHOP.rate
            """
        },
        {"pipeline.py": [("Shop(3)", "Shop(4)")]},
        "held",
    ),
    Edit(
        "a method the asset doesn't call",
        {
            "pipeline.py": """
            class Shop:
                def fee(self):
                    return 1

                def toll(self):
                    return 5

            @asset
            def price():
                return Shop().fee()
            """
        },
        {"pipeline.py": [("return 5", "return 6")]},
        may="price",
        why="a class may count as one piece",
    ),
    Edit(
        "a base class in another module",
        {"bases.py": BASES, "pipeline.py": SHOP},
        {"bases.py": [("return 1", "return 3")]},
        "price",
        may="label",
        why="a class may count as one piece with its bases",
    ),
    Edit(
        "a property of a second base class",
        {"bases.py": BASES, "pipeline.py": SHOP},
        {"bases.py": [("return 5", "return 6")]},
        "price",
        may="label",
        why="a class may count as one piece with its bases",
    ),
    Edit(
        "__init_subclass__",
        {"bases.py": BASES, "pipeline.py": SHOP},
        {"bases.py": [('"made"', '"born"')]},
        "label",
        may="price",
        why="a class may count as one piece with its bases",
    ),
    Edit(
        "a metaclass",
        {"bases.py": BASES, "pipeline.py": SHOP},
        {"bases.py": [("return 2", "return 4")]},
        "rate",
    ),
    Edit(
        "another base class",
        {
            "bases.py": "class A:\n    x = 1\n\nclass B:\n    x = 2",
            "pipeline.py": """
            from bases import A, B

            class Shop(A):
                pass

            @asset
            def price():
                return Shop.x
            """,
        },
        {"pipeline.py": [("Shop(A)", "Shop(B)")]},
        "price",
    ),
    one(
        "super, and a class inside of a class",
        INNER,
        "x = 7",
        "x = 8",
    ),
    Edit(
        "a class decorator",
        {
            "tools.py": """
            def rated(cls):
                cls.rate = 3
                return cls
            """,
            "pipeline.py": """
            from tools import rated

            @rated
            class Shop:
                pass

            @asset
            def price():
                return Shop.rate
            """,
        },
        {"tools.py": [("rate = 3", "rate = 4")]},
        "price",
    ),
    Edit(
        "classes registered by __init_subclass__",
        {
            "bases.py": """
            KINDS = {}

            class Step:
                def __init_subclass__(cls):
                    KINDS[cls.__name__] = cls
            """,
            "steps.py": """
            from bases import Step

            class First(Step):
                def run(self):
                    return 1
            """,
            "pipeline.py": """
            import steps
            from bases import KINDS

            @asset
            def price():
                return [kind().run() for kind in KINDS.values()]
            """,
        },
        {"steps.py": [("return 1", "return 2")]},
        "price",
    ),
    Edit(
        "a method that is put onto a class later",
        {
            "shop.py": "class Shop:\n    def fee(self):\n        return 1",
            "patches.py": """
            from shop import Shop

            def fee(self):
                return 2

            Shop.fee = fee
            Shop.rate = 5
            Shop.toll = lambda self: 7
            """,
            "pipeline.py": """
            import patches
            from shop import Shop

            @asset
            def price():
                return Shop().fee()

            @asset
            def rate():
                return Shop.rate

            @asset
            def toll():
                return Shop().toll()
            """,
        },
        {"patches.py": [("return 2", "return 3"), ("rate = 5", "rate = 6"), (": 7", ": 8")]},
        "price rate toll",
        whenever="price rate toll",
        why="a replaced method may be taken for code that can't be followed",
    ),
    Edit(
        "a descriptor, and a cached property",
        {
            "tools.py": """
            class Doubled:
                def __init__(self, x):
                    self.x = x

                def __get__(self, instance, owner=None):
                    return self.x * 2
            """,
            "pipeline.py": """
            import functools
            from tools import Doubled

            class Shop:
                rate = Doubled(3)

                @functools.cached_property
                def fee(self):
                    return self.rate + 1

            @asset
            def price():
                return Shop().fee
            """,
        },
        {"tools.py": [("self.x * 2", "self.x * 3")]},
        "price",
    ),
    Edit(
        "defaults of dataclasses",
        {
            "shop.py": """
            from dataclasses import dataclass, field

            def start():
                return [1]

            @dataclass
            class Plain:
                rate: int = 2

            @dataclass(slots=True, frozen=True)
            class Slotted:
                rate: int = 3

            @dataclass
            class Made:
                rates: list = field(default_factory=start)
                sums: int = 0

                def __post_init__(self):
                    self.sums = sum(self.rates) + 1

            @dataclass
            class Other:
                rate: int = 2
            """,
            "pipeline.py": """
            import shop

            @asset
            def plain():
                return shop.Plain().rate

            @asset
            def slotted():
                return shop.Slotted().rate

            @asset
            def made():
                return shop.Made().rates

            @asset
            def other():
                return shop.Other().rate
            """,
        },
        {
            "shop.py": [
                ("class Plain:\n    rate: int = 2", "class Plain:\n    rate: int = 4"),
                ("rate: int = 3", "rate: int = 5"),
                ("return [1]", "return [1, 2]"),
            ]
        },
        "plain slotted made",
    ),
    Edit(
        "the decorator of a dataclass",
        {
            "pipeline.py": """
            from dataclasses import dataclass

            @dataclass
            class Shop:
                rate: int = 2

            @asset
            def price():
                return "rate" in repr(Shop())
            """
        },
        {"pipeline.py": [("@dataclass\n", "@dataclass(repr=False)\n")]},
        "price",
    ),
    Edit(
        "fields of a dataclass",
        {
            "pipeline.py": """
            from dataclasses import dataclass, fields
            from flowstone import asset

            @dataclass
            class Shop:
                rate: int = 2

            @asset
            def price():
                return [f"{each.name}: {each.type}" for each in fields(Shop)]
            """
        },
        {"pipeline.py": [("rate: int = 2", "rate: float = 2\n    toll: int = 1")]},
        "price",
    ),
    Edit(
        "named tuples, by both ways to make them",
        {
            "pipeline.py": """
            from collections import namedtuple
            from typing import NamedTuple

            class Typed(NamedTuple):
                rate: int = 2

            Called = namedtuple("Called", "x y", defaults=[5])
            Other = namedtuple("Other", "x y")

            @asset
            def typed():
                return Typed().rate

            @asset
            def called():
                return list(Called(1))

            @asset
            def other():
                return Other(1, 2).y
            """
        },
        {"pipeline.py": [("rate: int = 2", "rate: int = 3"), ("[5]", "[6]")]},
        "typed called",
    ),
    Edit(
        "members and methods of enums",
        {
            "pipeline.py": """
            import enum

            class Kind(enum.Enum):
                LOW = 1
                HIGH = 5

                def fee(self):
                    return self.value + 1

            class Flags(enum.IntFlag):
                A = enum.auto()
                B = enum.auto()

            Called = enum.Enum("Called", {"X": 1})

            @asset
            def member():
                return Kind.HIGH.value

            @asset
            def method():
                return Kind["LOW"].fee()

            @asset
            def flags():
                return int(Flags.B)

            @asset
            def called():
                return Called.X.value
            """
        },
        {"pipeline.py": [("HIGH = 5", "HIGH = 6"), ('{"X": 1}', '{"X": 2}')]},
        "member called",
        may="method",
        why="a class may count as one piece",
    ),
    Edit(
        "defaults and validators of pydantic models",
        {
            "models.py": """
            from typing import Annotated
            from pydantic import BaseModel, BeforeValidator, Field, field_validator

            def doubled(x):
                return x * 2

            Doubled = Annotated[int, BeforeValidator(doubled)]

            class Plain(BaseModel):
                rate: int = 2

            class Factory(BaseModel):
                rates: list[int] = Field(default_factory=lambda: [1])

            class Checked(BaseModel):
                rate: int

                @field_validator("rate")
                @classmethod
                def raised(cls, value: int) -> int:
                    return value + 1

            class Reached(BaseModel):
                rate: Doubled

            class Other(BaseModel):
                rate: int = 2
            """,
            "pipeline.py": """
            import models

            @asset
            def plain():
                return models.Plain().rate

            @asset
            def factory():
                return models.Factory().rates

            @asset
            def checked():
                return models.Checked(rate=1).rate

            @asset
            def reached():
                return models.Reached(rate=1).rate

            @asset
            def other():
                return models.Other().rate
            """,
        },
        {
            "models.py": [
                (
                    "class Plain(BaseModel):\n    rate: int = 2",
                    "class Plain(BaseModel):\n    rate: int = 3",
                ),
                ("[1]", "[2]"),
                ("value + 1", "value + 2"),
                ("x * 2", "x * 3"),
            ]
        },
        "plain factory checked reached",
    ),
    Edit(
        "a constraint of a pydantic model, and a model it holds",
        {
            "pipeline.py": """
            from pydantic import BaseModel, Field

            class Inner(BaseModel):
                rate: int = 2

            class Outer(BaseModel):
                inner: Inner = Inner()
                top: int = Field(default=1, le=5)

            def fits(top):
                try:
                    Outer(top=top)
                except ValueError:
                    return False
                return True

            @asset
            def inner():
                return Outer().inner.rate

            @asset
            def top():
                return fits(9)
            """
        },
        {"pipeline.py": [("rate: int = 2", "rate: int = 3"), ("le=5", "le=10")]},
        "inner top",
    ),
    Edit(
        "a TypedDict and a protocol in annotations of helpers",
        {
            "pipeline.py": """
            from typing import Protocol, TypedDict
            from flowstone import asset

            class Row(TypedDict):
                eur: int

            class Rated(Protocol):
                def rate(self) -> int: ...

            class Shop:
                def rate(self) -> int:
                    return 3

            def fee(row: Row, rated: Rated) -> Row:
                return {"eur": row["eur"] + rated.rate()}

            @asset
            def price():
                return fee({"eur": 1}, Shop())
            """
        },
        {
            "pipeline.py": [
                ("eur: int", "eur: int\n    vat: int"),
                ("def rate(self) -> int: ...", "def rate(self) -> float: ..."),
            ]
        },
    ),
    Edit(
        "a TypedDict in the annotation of an asset's parameter",
        {
            "pipeline.py": """
            from typing import TypedDict

            class Row(TypedDict):
                eur: int

            @asset
            def row():
                return {"eur": 1}

            @asset
            def price(row: Row):
                return row["eur"]
            """
        },
        {"pipeline.py": [("eur: int", "eur: float")]},
        may="price",
        why="it has no behaviour; but the classes a parameter is annotated with are followed",
    ),
    Edit(
        "a method that a class inherits from a protocol",
        {
            "pipeline.py": """
            from typing import Generic, Protocol, TypeVar

            T = TypeVar("T")

            class Rated(Protocol):
                def rate(self):
                    return 3

            class Shop(Rated, Generic[T]):
                pass

            @asset
            def price():
                return Shop().rate()
            """
        },
        {"pipeline.py": [("return 3", "return 4")]},
        "price",
    ),
    Edit(
        "a method of the class a parameter is annotated with",
        {
            "orders.py": """
            from dataclasses import dataclass

            @dataclass
            class Order:
                eur: int

                def total(self):
                    return self.eur * 2

            @dataclass
            class Line:
                eur: int

                def total(self):
                    return self.eur * 3
            """,
            "pipeline.py": """
            from orders import Line, Order
            from flowstone import asset

            @asset
            def order() -> Order:
                return Order(2)

            @asset
            def lines() -> list[Line]:
                return [Line(1)]

            @asset
            def price(order: Order) -> int:
                return order.total()

            @asset
            def sums(lines: "list[Line]") -> int:
                return sum(line.total() for line in lines)
            """,
        },
        {"orders.py": [("self.eur * 2", "self.eur * 20"), ("self.eur * 3", "self.eur * 30")]},
        "order price lines sums",
        equal="order lines",
        why="a class counts as one piece where it is made",
    ),
    Edit(
        "a method of the class of a value that comes without an annotation",
        {
            "orders.py": """
            from dataclasses import dataclass

            @dataclass
            class Order:
                eur: int

                def total(self):
                    return self.eur * 2
            """,
            "pipeline.py": """
            from orders import Order
            from flowstone import asset

            @asset
            def order() -> Order:
                return Order(2)

            @asset
            def price(order):
                return order.total()
            """,
        },
        {"orders.py": [("self.eur * 2", "self.eur * 20")]},
        "order price",
        equal="order",
        why="a class counts as one piece where it is made",
    ),
    Edit(
        "__slots__, and a class made by calling type",
        {
            "pipeline.py": """
            class Slotted:
                __slots__ = ("a", "b")

            def fee(self):
                return 1

            Called = type("Called", (), {"fee": fee, "rate": 3})

            @asset
            def slots():
                return Slotted.__slots__

            @asset
            def called():
                return Called().fee() + Called.rate
            """
        },
        {"pipeline.py": [('("a", "b")', '("a", "c")'), ("return 1", "return 2")]},
        "slots called",
    ),
]
