"""The edits: what people do to their pipelines, and the functions whose meaning changes by it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from benchmarks.peers.project import HEAD, Asset, Edit, Project

if TYPE_CHECKING:
    from collections.abc import Mapping

_ORDERS = Asset("orders", "list[int]", "return [3, 4, 5]")
_CUSTOMERS = Asset("customers", "int", "return 7")
_REVENUE = Asset("revenue", "int", "return sum(orders)", {"orders": "list[int]"})
_MARGIN = Asset("margin", "int", "return revenue - 2", {"revenue": "int"})
_REPORT = Asset(
    "report",
    "str",
    'return f"{margin} from {customers} customers"',
    {"margin": "int", "customers": "int"},
)

_READ = replace(_ORDERS, reads="orders.csv", body="return [int(line) for line in text.split()]")
_DISCOUNTED = replace(_REVENUE, config="discount", body="return sum(orders) - discount")

Place = tuple[str, str, str]


def _edit(
    name: str,
    title: str,
    change: Place,
    body: str = "return sum(orders)",
    *,
    head: str = "",
    files: Mapping[str, str] | None = None,
    lists: tuple[str, ...] = (),
    decorator: str = "",
    changed: str = "revenue",
    may_run: str = "",
) -> Edit:
    """An edit somewhere in the code that ``revenue`` reaches, or doesn't."""
    revenue = replace(_REVENUE, body=body, lists=lists, decorator=decorator)
    before = Project((_ORDERS, _CUSTOMERS, revenue, _MARGIN, _REPORT), head, files or {})
    meant = frozenset(changed.split())
    after = before.edited(*change).counted_up(meant)
    return Edit(name, title, before, after, meant, frozenset(may_run.split()))


def _input(name: str, title: str, old: str, new: str, *, rewritten: bool = False) -> Edit:
    """An edit of the file that ``orders`` reads."""
    before = Project(
        (_READ, _CUSTOMERS, _REVENUE, _MARGIN, _REPORT), files={"orders.csv": "3\n4\n5\n"}
    )
    return Edit(
        name,
        title,
        before,
        before.edited("orders.csv", old, new),
        frozenset() if rewritten else frozenset({"orders"}),
        rewritten=frozenset({"orders.csv"}) if rewritten else frozenset(),
    )


def _config(name: str, title: str) -> Edit:
    """An edit of a value that ``revenue`` is given from outside."""
    before = Project((_ORDERS, _CUSTOMERS, _DISCOUNTED, _MARGIN, _REPORT), config={"discount": 1})
    after = before.edited("discount", "1", "2")
    return Edit(name, title, before, after, frozenset({"revenue"}))


_EACH = "return sum(net(order) for order in orders)"
_TIMES_RATE = "return sum(orders) * RATE"
_NET = "def net(amount: int) -> int:\n    return amount * 2\n"
_SETTINGS = "RATE = 2\nOTHER = 10\n"

_BODIES = (
    _edit("body", "the body of an asset", ("revenue", "sum(orders)", "sum(orders) * 2")),
    _edit(
        "same-value",
        "the body, with the same value as before",
        ("revenue", "sum(orders)", "sum(orders) + 0"),
    ),
    _edit(
        "local-name",
        "a local variable renamed",
        ("revenue", "total", "amount"),
        "total = sum(orders)\nreturn total",
        changed="",
        may_run="revenue",
    ),
    _edit(
        "comment",
        "a comment in an asset",
        ("revenue", "return", "# all of them\nreturn"),
        changed="",
    ),
    _edit(
        "docstring",
        "the docstring of an asset",
        ("revenue", "Money in.", "All the money that came in."),
        '"""Money in."""\nreturn sum(orders)',
        changed="",
    ),
    _edit(
        "layout",
        "an asset laid out over more lines",
        ("revenue", "sum(orders)", "sum(\n    orders\n)"),
        changed="",
    ),
)

_HELPERS = (
    _edit(
        "helper-here",
        "a helper in the same module",
        (HEAD, "* 2", "* 3"),
        "return sum(_net(order) for order in orders)",
        head="\n\ndef _net(amount: int) -> int:\n    return amount * 2",
        lists=("_net",),
    ),
    _edit(
        "helper-elsewhere",
        "a helper in another module",
        ("pricing.py", "* 2", "* 3"),
        _EACH,
        head="from pricing import net",
        files={"pricing.py": _NET},
        lists=("net",),
    ),
    _edit(
        "helper-deep",
        "a helper of a helper, two modules away",
        ("rates.py", "return 2", "return 3"),
        _EACH,
        head="from pricing import net",
        files={
            "pricing.py": "import rates\n\n\n"
            "def net(amount: int) -> int:\n    return amount * rates.rate()\n",
            "rates.py": "def rate() -> int:\n    return 2\n",
        },
        lists=("net",),
    ),
    _edit(
        "helper-default",
        "the default argument of a helper",
        ("pricing.py", "= 2", "= 3"),
        _EACH,
        head="from pricing import net",
        files={
            "pricing.py": "def net(amount: int, factor: int = 2) -> int:\n"
            "    return amount * factor\n"
        },
        lists=("net",),
    ),
    _edit(
        "recursion",
        "one of two helpers that call each other",
        ("pricing.py", "1 + even", "2 + even"),
        "return even(sum(orders))",
        head="from pricing import even",
        files={
            "pricing.py": "def even(amount: int) -> int:\n"
            "    return odd(amount - 1) if amount > 0 else amount\n\n\n"
            "def odd(amount: int) -> int:\n"
            "    return 1 + even(amount - 1) if amount > 0 else amount\n"
        },
        lists=("even",),
    ),
    _edit(
        "helper-comment",
        "a comment in a helper",
        ("pricing.py", "    return", "    # without tax\n    return"),
        _EACH,
        head="from pricing import net",
        files={"pricing.py": _NET},
        lists=("net",),
        changed="",
    ),
    _edit(
        "helper-neighbour",
        "another function of the helper's module",
        ("pricing.py", "+ 1", "+ 2"),
        _EACH,
        head="from pricing import net",
        files={"pricing.py": f"{_NET}\n\ndef gross(amount: int) -> int:\n    return amount + 1\n"},
        lists=("net",),
        changed="",
    ),
)

_CONSTANTS = (
    _edit(
        "constant",
        "a constant imported from another module",
        ("settings.py", "RATE = 2", "RATE = 3"),
        _TIMES_RATE,
        head="from settings import RATE",
        files={"settings.py": _SETTINGS},
        lists=("RATE",),
    ),
    _edit(
        "constant-attribute",
        "a constant used as `settings.RATE`",
        ("settings.py", "RATE = 2", "RATE = 3"),
        "return sum(orders) * settings.RATE",
        head="import settings",
        files={"settings.py": _SETTINGS},
        lists=("settings.RATE",),
    ),
    _edit(
        "constant-derived",
        "a constant that another one is computed from",
        ("settings.py", "BASE = 1", "BASE = 2"),
        _TIMES_RATE,
        head="from settings import RATE",
        files={"settings.py": "BASE = 1\nRATE = BASE + 1\n"},
        lists=("RATE",),
    ),
    _edit(
        "constant-other",
        "`settings.OTHER`, which no asset uses",
        ("settings.py", "OTHER = 10", "OTHER = 11"),
        "return sum(orders) * settings.RATE",
        head="import settings",
        files={"settings.py": _SETTINGS},
        lists=("settings.RATE",),
        changed="",
    ),
    _edit(
        "constant-unused",
        "an unused constant in the pipeline's module",
        (HEAD, "UNUSED = 1", "UNUSED = 2"),
        "return sum(orders) * RATE",
        head="RATE = 2\nUNUSED = 1",
        lists=("RATE",),
        changed="",
    ),
)

_CLASSES = (
    _edit(
        "method",
        "a method of a class",
        ("pricing.py", "* 2", "* 3"),
        "return Tariff().net(sum(orders))",
        head="from pricing import Tariff",
        files={
            "pricing.py": "class Tariff:\n"
            "    def net(self, amount: int) -> int:\n        return amount * 2\n"
        },
        lists=("Tariff.net",),
    ),
    _edit(
        "base-class",
        "a base class in another module",
        ("tariffs.py", "* 2", "* 3"),
        "return Tariff().net(sum(orders))",
        head="from pricing import Tariff",
        files={
            "pricing.py": "from tariffs import Base\n\n\nclass Tariff(Base):\n    name = 'plain'\n",
            "tariffs.py": "class Base:\n"
            "    def net(self, amount: int) -> int:\n        return amount * 2\n",
        },
        lists=("Tariff.net",),
    ),
    _edit(
        "dataclass-default",
        "the default of a dataclass field",
        ("pricing.py", "= 2", "= 3"),
        "return sum(orders) * Tariff().factor",
        head="from pricing import Tariff",
        files={
            "pricing.py": "from dataclasses import dataclass\n\n\n"
            "@dataclass\nclass Tariff:\n    factor: int = 2\n"
        },
        lists=("Tariff.factor",),
    ),
    _edit(
        "enum-member",
        "the value of an enum member",
        ("pricing.py", "HIGH = 2", "HIGH = 3"),
        "return sum(orders) * Level.HIGH.value",
        head="from pricing import Level",
        files={
            "pricing.py": "from enum import Enum\n\n\n"
            "class Level(Enum):\n    LOW = 1\n    HIGH = 2\n"
        },
        lists=("Level.HIGH",),
    ),
)

_WAYS = (
    _edit(
        "local-import",
        "a helper imported inside the function",
        ("pricing.py", "* 2", "* 3"),
        f"from pricing import net\n\n{_EACH}",
        files={"pricing.py": _NET},
    ),
    _edit(
        "star-import",
        "a helper from a star import",
        ("pricing.py", "* 2", "* 3"),
        _EACH,
        head="from pricing import *",
        files={"pricing.py": _NET},
        lists=("net",),
    ),
    _edit(
        "re-export",
        "a helper that a package re-exports",
        ("shop/pricing.py", "* 2", "* 3"),
        _EACH,
        head="from shop import net",
        files={"shop/__init__.py": "from shop.pricing import net\n", "shop/pricing.py": _NET},
        lists=("net",),
    ),
    _edit(
        "dispatch",
        "a function in a dispatch table",
        ("pricing.py", "* 2", "* 3"),
        'return RULES["double"](sum(orders))',
        head="from pricing import RULES",
        files={
            "pricing.py": "def double(amount: int) -> int:\n    return amount * 2\n\n\n"
            "def same(amount: int) -> int:\n    return amount\n\n\n"
            'RULES = {"double": double, "same": same}\n'
        },
        lists=('RULES["double"]',),
    ),
    _edit(
        "partial",
        "an argument bound by `functools.partial`",
        ("pricing.py", "factor=2", "factor=3"),
        "return double(sum(orders))",
        head="from pricing import double",
        files={
            "pricing.py": "from functools import partial\n\n\n"
            "def scale(amount: int, factor: int) -> int:\n    return amount * factor\n\n\n"
            "double = partial(scale, factor=2)\n"
        },
        lists=("double",),
    ),
    _edit(
        "decorator",
        "the wrapper of an asset's own decorator",
        ("wrapping.py", "* 2", "* 3"),
        head="from wrapping import doubled",
        decorator="@doubled",
        files={
            "wrapping.py": "from functools import wraps\n\n\n"
            "def doubled(function):\n"
            "    @wraps(function)\n"
            "    def wrapper(*args, **kwargs):\n"
            "        return function(*args, **kwargs) * 2\n\n"
            "    return wrapper\n"
        },
        lists=("doubled",),
    ),
    _edit(
        "closure",
        "a value that a closure holds",
        (HEAD, "scaler(2)", "scaler(3)"),
        "return _scale(sum(orders))",
        head="from pricing import scaler\n\n_scale = scaler(2)",
        files={
            "pricing.py": "def scaler(factor: int):\n"
            "    def scale(amount: int) -> int:\n        return amount * factor\n\n"
            "    return scale\n"
        },
    ),
)

_HIDDEN = (
    _edit(
        "computed-name",
        "a helper found by `getattr` with a computed name",
        ("pricing.py", "* 2", "* 3"),
        'return getattr(pricing, "n" + "et")(sum(orders))',
        head="import pricing",
        files={"pricing.py": _NET},
        lists=("pricing.net",),
    ),
    _edit(
        "dynamic-import",
        "a helper in a module imported by a computed name",
        ("pricing.py", "* 2", "* 3"),
        'return import_module("pri" + "cing").net(sum(orders))',
        head="from importlib import import_module",
        files={"pricing.py": _NET},
    ),
    _edit(
        "undeclared-file",
        "a file that a helper opens by itself",
        ("rate.txt", "2", "3"),
        _EACH,
        head="from pricing import net",
        files={
            "pricing.py": "from pathlib import Path\n\n\n"
            "def net(amount: int) -> int:\n"
            '    return amount * int(Path("rate.txt").read_text())\n',
            "rate.txt": "2\n",
        },
        lists=("net",),
    ),
)

_DATA = (
    _input("input", "the content of an input file", "5", "6"),
    _input("input-same-value", "an input file, with nothing that matters", "4\n", "4\n\n"),
    _input("input-rewritten", "an input file written anew, same content", "5", "5", rewritten=True),
    _config("config", "a config value"),
)

EDITS: tuple[Edit, ...] = (*_BODIES, *_HELPERS, *_CONSTANTS, *_CLASSES, *_WAYS, *_HIDDEN, *_DATA)
