"""Edits in a notebook: cells that redefine, fail, and are run out of their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Instead of names: any asset may run, only the values count.
ANY = "?"


@dataclass(frozen=True)
class Cell:
    """A cell that is run, which assets the next run then makes, and the values it gives."""

    source: str
    runs: str
    values: Sequence[object]


@dataclass(frozen=True)
class Story:
    """Cells run one after the other in a kernel that others use too.

    ``targets`` are the assets, which no other story names. After each cell they are materialized
    twice; the second time nothing runs, except in stories that ``repeat``.
    """

    name: str
    targets: str
    cells: Sequence[Cell]
    repeats: bool = False


IN_ORDER = [
    Story(
        "a helper",
        "by_helper beside_helper",
        [
            Cell(
                """
def fee(x):
    return x + 1

def toll(x):
    return x + 5

@asset
def by_helper():
    return fee(1)

@asset
def beside_helper():
    return toll(1)
""",
                "by_helper beside_helper",
                [2, 6],
            ),
            Cell("def fee(x):\n    return x + 2", "by_helper", [3, 6]),
            Cell('def fee(x):\n    """Costs."""\n    return (x + 2)  # as before', "", [3, 6]),
            Cell("def fee(x):\n    return x + 1", "", [2, 6]),
            Cell("fee = lambda x: x + 30", "by_helper", [31, 6]),
            Cell("def fee(x):\n    return x + 2", "", [3, 6]),
        ],
    ),
    Story(
        "a constant",
        "by_constant",
        [
            Cell("RATE = 1\n\n@asset\ndef by_constant():\n    return RATE", "by_constant", [1]),
            Cell("RATE = 2", "by_constant", [2]),
            Cell("RATE = 1", "", [1]),
            Cell("RATE += 4", "by_constant", [5]),
            Cell("RATE, OTHER = 2, 7", ANY, [2]),
            Cell("OTHER = 8", "", [2]),
        ],
    ),
    Story(
        "a class",
        "by_class",
        [
            Cell(
                """
class Shop:
    def fee(self):
        return 1

@asset
def by_class():
    return Shop().fee()
""",
                "by_class",
                [1],
            ),
            Cell("class Shop:\n    def fee(self):\n        return 2", "by_class", [2]),
            Cell("class Shop:\n    def fee(self):\n        return 1", "", [1]),
        ],
    ),
    Story(
        "the cell of an asset, as it was and otherwise",
        "by_cell after_cell",
        [
            Cell(
                "@asset\ndef by_cell():\n    return 1\n\n"
                "@asset\ndef after_cell(by_cell):\n    return by_cell * 2",
                "by_cell after_cell",
                [1, 2],
            ),
            Cell("@asset\ndef by_cell():\n    return 1", "", [1, 2]),
            Cell("@asset\ndef by_cell():\n    # better\n    return 5 - 4", "by_cell", [1, 2]),
            Cell("@asset\nasync def by_cell():\n    return 3", "by_cell after_cell", [3, 6]),
            Cell("@asset\ndef by_cell():\n    return 1", "", [1, 2]),
        ],
    ),
    Story(
        "a container that later cells fill",
        "by_container",
        [
            Cell(
                "TABLE = {'x': 1}\n\n@asset\ndef by_container():\n    return sorted(TABLE)",
                "by_container",
                [["x"]],
            ),
            Cell("TABLE['y'] = 2", "by_container", [["x", "y"]]),
            Cell("TABLE.update(z=3)", "by_container", [["x", "y", "z"]]),
            Cell("TABLE = {'x': 1}", "", [["x"]]),
        ],
    ),
    Story(
        "a cell that appends is run twice",
        "by_append",
        [
            Cell(
                "LISTED = [1]\n\n@asset\ndef by_append():\n    return list(LISTED)",
                "by_append",
                [[1]],
            ),
            Cell("LISTED.append(2)", "by_append", [[1, 2]]),
            Cell("LISTED.append(2)", "by_append", [[1, 2, 2]]),
        ],
    ),
    Story(
        "a cell that fails before it sets a constant",
        "by_failed",
        [
            Cell("LIMIT = 1\n\n@asset\ndef by_failed():\n    return LIMIT", "by_failed", [1]),
            Cell("1 / 0\nLIMIT = 99", "", [1]),
            Cell("LIMIT = 50\nthis is no Python", "", [1]),
            Cell("LIMIT = 99", "by_failed", [99]),
            Cell("LIMIT = 50", "by_failed", [50]),
            Cell("LIMIT = 70\n1 / 0", "by_failed", [70]),
            Cell("LIMIT = 1", "", [1]),
        ],
    ),
    Story(
        "a cell that fails before it defines a helper",
        "by_unmade",
        [
            Cell(
                "def cost(x):\n    return x + 1\n\n@asset\ndef by_unmade():\n    return cost(1)",
                "by_unmade",
                [2],
            ),
            Cell("1 / 0\n\ndef cost(x):\n    return x + 9", "", [2]),
            Cell("def cost(x):\n    return x + 9", "by_unmade", [10]),
            Cell("def cost(x):\n    return x + 1", "", [2]),
        ],
    ),
    Story(
        "the default of a config parameter",
        "by_config",
        [
            Cell("@asset\ndef by_config(rate: int = 2):\n    return rate", "by_config", [2]),
            Cell("@asset\ndef by_config(rate: int = 3):\n    return rate", "by_config", [3]),
            Cell("@asset\ndef by_config(rate: int = 2):\n    return rate", "", [2]),
        ],
    ),
    Story(
        "registered functions",
        "by_registry",
        [
            Cell(
                """
STEPS = {}

def step(fn):
    STEPS[fn.__name__] = fn
    return fn

@step
def first(x):
    return x + 1

@asset
def by_registry():
    return [fn(1) for fn in STEPS.values()]
""",
                "by_registry",
                [[2]],
            ),
            Cell("@step\ndef first(x):\n    return x + 2", "by_registry", [[3]]),
            Cell("@step\ndef second(x):\n    return x * 7", "by_registry", [[3, 7]]),
        ],
    ),
]

OUT_OF_ORDER = [
    Story(
        "a constant computed from one that is redefined",
        "by_computed",
        [
            Cell("BASE = 1", ANY, []),
            Cell(
                "COMPUTED = BASE * 2\n\n@asset\ndef by_computed():\n    return COMPUTED",
                "by_computed",
                [2],
            ),
            Cell("BASE = 5", ANY, [2]),
            Cell("COMPUTED = BASE * 2", "by_computed", [10]),
        ],
    ),
    Story(
        "a wrapper that is redefined, and only then what it wraps",
        "by_wrapper",
        [
            Cell("def wrap(fn):\n    return lambda x: fn(x) * 2", ANY, []),
            Cell(
                "@wrap\ndef wrapped(x):\n    return x\n\n"
                "@asset\ndef by_wrapper():\n    return wrapped(1)",
                "by_wrapper",
                [2],
            ),
            Cell("def wrap(fn):\n    return lambda x: fn(x) * 3", ANY, [2]),
            Cell("@wrap\ndef wrapped(x):\n    return x", "by_wrapper", [3]),
        ],
    ),
    Story(
        "a base class that is redefined, and only then its subclass",
        "by_base",
        [
            Cell("class Base:\n    rate = 1", ANY, []),
            Cell(
                "class Derived(Base):\n    pass\n\n@asset\ndef by_base():\n    return Derived.rate",
                "by_base",
                [1],
            ),
            Cell("class Base:\n    rate = 2", ANY, [1]),
            Cell("class Derived(Base):\n    pass", "by_base", [2]),
        ],
    ),
    Story(
        "a constant that was a default when the function was defined",
        "by_default",
        [
            Cell("SHARE = 1", ANY, []),
            Cell(
                "def shared(x, share=SHARE):\n    return x * share\n\n"
                "@asset\ndef by_default():\n    return shared(1)",
                "by_default",
                [1],
            ),
            Cell("SHARE = 4", ANY, [1]),
            Cell("def shared(x, share=SHARE):\n    return x * share", "by_default", [4]),
        ],
    ),
    Story(
        "a closure that was made before its factory was redefined",
        "by_factory",
        [
            Cell("def factory(n):\n    return lambda x: x * n", ANY, []),
            Cell(
                "tripled = factory(3)\n\n@asset\ndef by_factory():\n    return tripled(1)",
                "by_factory",
                [3],
            ),
            Cell("def factory(n):\n    return lambda x: x * n + 100", ANY, [3]),
            Cell("tripled = factory(3)", "by_factory", [103]),
        ],
    ),
    Story(
        "an imported module, edited and then reloaded",
        "by_module",
        [
            Cell(
                """
import importlib, os, pathlib, sys
sys.path.insert(0, os.getcwd())
FILE = pathlib.Path("nb_rates.py")
FILE.write_text("def fee(x):\\n    return x + 1\\n")
import nb_rates

@asset
def by_module():
    return nb_rates.fee(1)
""",
                "by_module",
                [2],
            ),
            Cell('_ = FILE.write_text("def fee(x):\\n    return x + 20\\n")', ANY, [2]),
            Cell("_ = importlib.reload(nb_rates)", "by_module", [21]),
            Cell('_ = FILE.write_text("def fee(x):\\n    return x + 1\\n")', ANY, [21]),
            Cell("_ = importlib.reload(nb_rates)", ANY, [2]),
        ],
        repeats=True,
    ),
    Story(
        "a cell with magic in it",
        "by_magic",
        [
            Cell(
                "%pwd\ndef conjured(x):\n    return x + 1\n\n"
                "@asset\ndef by_magic():\n    return conjured(1)",
                "by_magic",
                [2],
            ),
            Cell("%%time\ndef conjured(x):\n    return x + 2", "by_magic", [3]),
            Cell("def conjured(x):\n    return x + 3", "by_magic", [4]),
        ],
        repeats=True,
    ),
    Story(
        "a name that is deleted and given again",
        "by_deleted",
        [
            Cell("GIVEN = 1\n\n@asset\ndef by_deleted():\n    return GIVEN", "by_deleted", [1]),
            Cell("del GIVEN\nGIVEN = 2", "by_deleted", [2]),
            Cell("GIVEN = 1", "", [1]),
        ],
    ),
]
