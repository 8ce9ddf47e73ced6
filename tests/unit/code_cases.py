"""Small projects and one edit each: does the edit change the code version of ``made``?"""

from __future__ import annotations

import re
import textwrap
from typing import NamedTuple

HEAD = "from flowstone import asset\n"


class Case(NamedTuple):
    """``files`` are texts by name; ``old`` stands in one of them and becomes ``new``."""

    files: dict[str, str]
    old: str
    new: str


def case(text: str, *edit: str) -> Case:
    """A project: what comes before the first ``# file`` line is ``pipeline.py``."""
    parts = re.split(r"^# (\S+\.py)\n", textwrap.dedent(text), flags=re.MULTILINE)
    files = {"pipeline.py": HEAD + parts[0]}
    files |= dict(zip(parts[1::2], parts[2::2], strict=True))
    return Case(files, *edit)


def edited(given: Case) -> dict[str, str]:
    """The files after the edit."""
    holding = [name for name, text in given.files.items() if given.old in text]
    assert len(holding) == 1, (given.old, holding)
    (name,) = holding
    assert given.files[name].count(given.old) == 1
    return given.files | {name: given.files[name].replace(given.old, given.new)}


_MADE = "\n@asset\ndef made():\n    return {0}\n"


def made(body: str, before: str, *edit: str) -> Case:
    """A module with an asset that returns one expression."""
    return case(textwrap.dedent(before) + _MADE.format(body), *edit)


REACHED: dict[str, Case] = {
    "own body": made("1", "", "return 1", "return 2"),
    "a helper": made("f()", "def f(): return 1", "return 1", "return 2"),
    "a helper of a helper": made(
        "f()", "def f(): return g()\ndef g(): return 1", "return 1", "return 2"
    ),
    "mutual recursion": made(
        "f(3)",
        "def f(n): return n and g(n - 1)\ndef g(n): return n and f(n - 2)",
        "n - 2",
        "n - 1",
    ),
    "recursion": made("f(3)", "def f(n): return n and f(n - 1)", "n - 1", "n - 2"),
    "a constant": made("K", "K = 1", "K = 1", "K = 2"),
    "a constant's type": made("K", "K = 1", "K = 1", "K = 1.0"),
    "a constant of a constant": made("K", "J = 1\nK = J + 1", "J = 1", "J = 2"),
    "a later binding": made("K", "K = 1\nK = 2", "K = 2", "K = 3"),
    "a binding that is read before it is replaced": made(
        "L", "K = 1\nL = K\nK = 2", "K = 1", "K = 3"
    ),
    "a function that is called before it is replaced": made(
        "L",
        "def f(): return g()\ndef g(): return 1\nL = f()\ndef g(): return 2",
        "return 1",
        "return 3",
    ),
    "a function wrapped by itself": made(
        "f()", "def w(fn): return fn\ndef f(): return 1\nf = w(f)", "return 1", "return 2"
    ),
    "one of two in a tuple": made("A", "A, B = 1, 2", "A, B = 1, 2", "A, B = 3, 2"),
    "a chained assignment": made("A", "A = B = 1", "= 1", "= 2"),
    "unpacking": made("A", "def two(): return 1, 2\nA, B = two()", "1, 2", "3, 2"),
    "an augmented assignment": made("K", "K = 1\nK += 1", "K += 1", "K += 2"),
    "an item of a table": made("T", "T = {}\nT['a'] = 1", "= 1", "= 2"),
    "update of a table": made("T", "T = {}\nT.update(a=1)", "a=1", "a=2"),
    "append to a list": made("T", "T = []\nT.append(1)", "append(1)", "append(2)"),
    "deletion from a table": made("T", "T = {1: 1, 2: 2}\ndel T[1]", "del T[1]", "del T[2]"),
    "an attribute of a class, set later": made(
        "C.k", "class C: pass\nC.k = 1", "C.k = 1", "C.k = 2"
    ),
    "setattr by a name written out": made(
        "C.k", "class C: pass\nsetattr(C, 'k', 1)", "'k', 1", "'k', 2"
    ),
    "a loop that fills a table": made(
        "T", "T = {}\nfor i in range(3):\n    T[i] = i", "range(3)", "range(4)"
    ),
    "a function that fills a table": made(
        "T",
        "T = []\ndef fill(n): T.append(n)\nfill(1)",
        "fill(1)",
        "fill(2)",
    ),
    "the body of a function that fills a table": made(
        "T", "T = []\ndef fill(n): T.append(n)\nfill(1)", "append(n)", "append(-n)"
    ),
    "a call with a table as its argument": made(
        "T", "import random\nT = [1, 2]\nrandom.shuffle(T)", "random.shuffle(T)", "T.reverse()"
    ),
    "a helper that changes its argument": made(
        "T", "T = [1]\ndef add(t): t.append(1)\nadd(T)", "append(1)", "append(2)"
    ),
    "a branch": made("K", "import sys\nif sys.argv: K = 1\nelse: K = 2", "K = 2", "K = 3"),
    "a branch's test": made("K", "F = 1\nif F: K = 1\nelse: K = 2", "if F:", "if not F:"),
    "what a branch's test reads": made("K", "F = 1\nif F: K = 1\nelse: K = 2", "F = 1", "F = 0"),
    "the place of a branch": made(
        "K",
        "F = 1\nif F:\n    K = 1\nelse:\n    pass\nK = 0 if F else K",
        "if F:\n    K",
        "if 1:\n    K",
    ),
    "an import that may fail": made(
        "f()",
        """
        try:
            from no_such_module import f
        except ImportError:
            def f(): return 1
        """,
        "return 1",
        "return 2",
    ),
    "global in a function": made(
        "K", "K = 0\ndef f():\n    global K\n    K = 1\nf()", "K = 1", "K = 2"
    ),
    "a with statement": made(
        "K", "import io\nwith io.StringIO('1') as g: K = g.read()", "'1'", "'2'"
    ),
    "a walrus": made("K", "print(K := 1)", "K := 1", "K := 2"),
    "a default": made("f()", "def f(a=1): return a", "a=1", "a=2"),
    "a default's constant": made("f()", "K = 1\ndef f(a=K): return a", "K = 1", "K = 2"),
    "a keyword's default": made("f()", "def f(*, a=1): return a", "a=1", "a=2"),
    "a decorator": made(
        "f()",
        """
        import functools
        def twice(fn):
            @functools.wraps(fn)
            def around(): return fn() * 2
            return around
        @twice
        def f(): return 1
        """,
        "fn() * 2",
        "fn() * 3",
    ),
    "a decorator's argument": made(
        "f()",
        """
        def times(n):
            def wrap(fn): return lambda: fn() * n
            return wrap
        @times(2)
        def f(): return 1
        """,
        "times(2)",
        "times(3)",
    ),
    "what is decorated": made(
        "f()", "import functools\n@functools.cache\ndef f(): return 1", "return 1", "return 2"
    ),
    "a partial": made(
        "p()",
        "import functools\ndef f(a): return a\np = functools.partial(f, 1)",
        "f, 1",
        "f, 2",
    ),
    "a partial's function": made(
        "p()",
        "import functools\ndef f(a): return a\np = functools.partial(f, 1)",
        "return a",
        "return -a",
    ),
    "a dispatch table": made("T['a']()", "def f(): return 1\nT = {'a': f}", "return 1", "return 2"),
    "a table of lambdas": made("T['a']()", "T = {'a': lambda: 1}", "lambda: 1", "lambda: 2"),
    "a lambda": made("f()", "f = lambda: 1", "lambda: 1", "lambda: 2"),
    "a lambda in the body": made("(lambda: K)()", "K = 1", "K = 1", "K = 2"),
    "singledispatch": made(
        "f(1)",
        """
        import functools
        @functools.singledispatch
        def f(x): return 0
        @f.register
        def _(x: int): return 1
        """,
        "return 1",
        "return 2",
    ),
    "singledispatch's annotation": made(
        "f(1)",
        """
        import functools
        @functools.singledispatch
        def f(x): return 0
        @f.register
        def _(x: int): return 1
        """,
        "x: int",
        "x: str",
    ),
    "a registry": made(
        "REGISTRY['f']()",
        """
        REGISTRY = {}
        def register(fn):
            REGISTRY[fn.__name__] = fn
            return fn
        @register
        def f(): return 1
        """,
        "return 1",
        "return 2",
    ),
    "a registry object": made(
        "registry.run()",
        """
        class Registry:
            def __init__(self): self.fns = []
            def add(self, fn): self.fns.append(fn)
            def run(self): return [fn() for fn in self.fns]
        registry = Registry()
        @registry.add
        def f(): return 1
        """,
        "return 1",
        "return 2",
    ),
    "a registry by arguments": made(
        "registry.run()",
        """
        class Registry:
            def __init__(self): self.fns = []
            def add(self, name):
                return lambda fn: self.fns.append(fn)
            def run(self): return [fn() for fn in self.fns]
        registry = Registry()
        @registry.add("f")
        def f(): return 1
        """,
        "return 1",
        "return 2",
    ),
    "a registry of subclasses": made(
        "[each.k for each in Base.known]",
        """
        class Base:
            known = []
            def __init_subclass__(cls): Base.known.append(cls)
        class One(Base):
            k = 1
        """,
        "k = 1",
        "k = 2",
    ),
    "__subclasses__": made(
        "[each.k for each in Base.__subclasses__()]",
        "class Base: pass\nclass One(Base): pass\nclass Two(One):\n    k = 1",
        "k = 1",
        "k = 2",
    ),
    "a metaclass that registers": made(
        "[each.k for each in Meta.known]",
        """
        class Meta(type):
            known = []
            def __init__(cls, *args): Meta.known.append(cls)
        class Base(metaclass=Meta):
            k = 1
        """,
        "k = 1",
        "k = 2",
    ),
    "a method": made("C().f()", "class C:\n    def f(self): return 1", "return 1", "return 2"),
    "a base class": made(
        "C().f()",
        "class B:\n    def f(self): return 1\nclass C(B): pass",
        "return 1",
        "return 2",
    ),
    "a class attribute": made("C.k", "class C:\n    k = 1", "k = 1", "k = 2"),
    "what a class attribute reads": made("C.k", "K = 1\nclass C:\n    k = K", "K = 1", "K = 2"),
    "a class attribute of the same name": made(
        "C.k", "k = 1\nclass C:\n    k = k", "k = 1", "k = 2"
    ),
    "a class decorator": made(
        "C.k", "def d(c):\n    c.k = 1\n    return c\n@d\nclass C: pass", "c.k = 1", "c.k = 2"
    ),
    "an enum": made("E.A.value", "import enum\nclass E(enum.Enum):\n    A = 1", "A = 1", "A = 2"),
    "a dataclass default": made(
        "D().k",
        "import dataclasses\n@dataclasses.dataclass\nclass D:\n    k: int = 1",
        "= 1",
        "= 2",
    ),
    "a dataclass annotation": made(
        "D(1)",
        "import dataclasses\n@dataclasses.dataclass\nclass D:\n    k: int",
        "k: int",
        "k: dataclasses.InitVar[int]",
    ),
    "a pydantic model": made(
        "M(k=1).k",
        "import pydantic\nclass M(pydantic.BaseModel):\n    k: int",
        "k: int",
        "k: str",
    ),
    "a pydantic validator": made(
        "M(k=1).k",
        """
        import pydantic
        class M(pydantic.BaseModel):
            k: int
            @pydantic.field_validator("k")
            @classmethod
            def check(cls, k): return k + 1
        """,
        "k + 1",
        "k + 2",
    ),
    "a pydantic model in a model": made(
        "M(k={'j': 1})",
        """
        import pydantic
        class N(pydantic.BaseModel):
            j: int
        class M(pydantic.BaseModel):
            k: "N"
        """,
        "j: int",
        "j: str",
    ),
    "validate_call reads annotations": made(
        "f('1')",
        "import pydantic\n@pydantic.validate_call\ndef f(k: int): return k",
        "k: int",
        "k: str",
    ),
    "a NamedTuple": made(
        "N().k", "import typing\nclass N(typing.NamedTuple):\n    k: int = 1", "= 1", "= 2"
    ),
    "a namedtuple": made(
        "N(1)",
        "import collections\nN = collections.namedtuple('N', 'a')",
        "'a'",
        "'b'",
    ),
    "a property": made(
        "C().p", "class C:\n    @property\n    def p(self): return 1", "return 1", "return 2"
    ),
    "a nested function": made(
        "f()", "def f():\n    def g(): return 1\n    return g()", "return 1", "return 2"
    ),
    "a comprehension": made("[K for i in range(3)]", "K = 1", "K = 1", "K = 2"),
    "a comprehension's source": made("[i for i in K]", "K = [1]", "K = [1]", "K = [2]"),
    "an f-string": made("f'{K:>{W}}'", "K = 1\nW = 2", "W = 2", "W = 3"),
    "a match statement": case(
        "K = 1\n@asset\ndef made():\n    match made:\n        case x if x is K: return 1\n",
        "K = 1",
        "K = 2",
    ),
    "an except clause": case(
        "E = ValueError\n@asset\ndef made():\n    try: return 1\n    except E: return 2\n",
        "E = ValueError",
        "E = TypeError",
    ),
    "a literal that is evaluated": made("eval('K + 1')", "K = 1", "K = 1", "K = 2"),
    "globals by a name written out": made("globals()['K']", "K = 1", "K = 1", "K = 2"),
    "own decorator": case(
        """
        import functools
        def twice(fn):
            @functools.wraps(fn)
            def around(): return fn() * 2
            return around
        @asset
        @twice
        def made(): return 1
        """,
        "fn() * 2",
        "fn() * 3",
    ),
    "own decorator without wraps": case(
        """
        def twice(fn):
            def around(): return fn() * 2
            return around
        @asset(name="made")
        @twice
        def made(): return 1
        """,
        "return 1",
        "return 2",
    ),
    "own decorator's argument": case(
        """
        def times(n):
            def wrap(fn): return lambda: fn() * n
            return wrap
        @asset(name="made")
        @times(2)
        def made(): return 1
        """,
        "times(2)",
        "times(3)",
    ),
    "own decorator's constant": case(
        """
        N = 2
        def times(n):
            def wrap(fn): return lambda: fn() * n
            return wrap
        @asset(name="made")
        @times(N)
        def made(): return 1
        """,
        "N = 2",
        "N = 3",
    ),
    "a parameter's class": case(
        """
        class Order:
            def total(self): return 1
        @asset
        def made(order: Order): return order.total()
        """,
        "return 1",
        "return 2",
    ),
    "a parameter's class in a text": case(
        """
        class Order:
            def total(self): return 1
        @asset
        def made(orders: "list[Order]"): return orders[0].total()
        """,
        "return 1",
        "return 2",
    ),
    "a parameter's class for type checkers": case(
        """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from models import Order
        @asset
        def made(order: "Order"): return order.total()
        # models.py
        class Order:
            def total(self): return 1
        """,
        "return 1",
        "return 2",
    ),
    "an asset made by a call": case(
        "def f(): return 1\nmade = asset(name='made')(f)\n", "return 1", "return 2"
    ),
    "an asset of a partial": case(
        """
        import functools
        def f(k): return k
        made = asset(name="made")(functools.partial(f, 1))
        """,
        "f, 1",
        "f, 2",
    ),
    "an asset in a closure": case(
        """
        def make(n):
            @asset
            def made(): return n
            return made
        made = make(1)
        """,
        "make(1)",
        "make(2)",
    ),
    "an asset in a closure: its body": case(
        """
        def make(n):
            @asset
            def made(): return n + 1
            return made
        made = make(1)
        """,
        "n + 1",
        "n + 2",
    ),
    "an asset in a closure: a function it holds": case(
        """
        def f(): return 1
        def make(fn):
            @asset
            def made(): return fn()
            return made
        made = make(f)
        """,
        "return 1",
        "return 2",
    ),
    "an asset in a closure: a lambda it holds": case(
        """
        def make(fn):
            @asset
            def made(): return fn()
            return made
        other, made = make(lambda: 0), make(lambda: 1)
        """,
        "lambda: 1",
        "lambda: 2",
    ),
    "an asset in a closure: a decorator's argument": case(
        """
        def times(n):
            def wrap(fn): return lambda: fn() * n
            return wrap
        def make(n):
            @asset(name="made")
            @times(n)
            def made(): return 1
            return made
        made = make(2)
        """,
        "make(2)",
        "make(3)",
    ),
    "an asset in a closure: an object": case(
        """
        class Plain:
            def f(self): return 1
        def make(it):
            @asset
            def made(): return it.f()
            return made
        made = make(Plain())
        """,
        "return 1",
        "return 2",
    ),
    "an asset in a closure: a local import": case(
        """
        def make():
            import helper
            @asset
            def made(): return helper.f()
            return made
        made = make()
        # helper.py
        def f(): return 1
        """,
        "return 1",
        "return 2",
    ),
    "an asset in a loop": case(
        """
        for n in range(1):
            @asset
            def made(): return 1
        """,
        "return 1",
        "return 2",
    ),
    # Modules
    "an imported function": made("f()", "from helper import f", "", "")._replace(
        files={
            "pipeline.py": HEAD + "from helper import f" + _MADE.format("f()"),
            "helper.py": "def f(): return 1\n",
        },
        old="return 1",
        new="return 2",
    ),
    "a settings constant": case(
        """
        import settings
        @asset
        def made(): return settings.K
        # settings.py
        K = 1
        L = 1
        """,
        "K = 1",
        "K = 2",
    ),
    "an alias": case(
        "import a.b as c\n@asset\ndef made(): return c.f()\n# a/b.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "a local import": case(
        "@asset\ndef made():\n    import a.b\n    return a.b.f()\n# a/b.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "a local import from": case(
        "@asset\ndef made():\n    from a.b import f as g\n    return g()\n"
        "# a/b.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "import by a name written out": case(
        "import importlib\n@asset\ndef made():\n"
        "    return importlib.import_module('a.b').f()\n# a/b.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "import by a name written out, kept": case(
        "import importlib\nm = importlib.import_module('a.b')\n@asset\ndef made():\n"
        "    return m.f()\n# a/b.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "a star import": case(
        "from helper import *\n@asset\ndef made(): return f()\n# helper.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "a star import that replaces": case(
        "def f(): return 0\nfrom helper import *\n@asset\ndef made(): return f()\n"
        "# helper.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "a star import of a star import": case(
        "from one import *\n@asset\ndef made(): return f()\n"
        "# one.py\nfrom two import *\n# two.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "a re-export": case(
        "from pkg import f\n@asset\ndef made(): return f()\n"
        "# pkg/__init__.py\nfrom .inner import f\n# pkg/inner.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "a re-export by another name": case(
        "import pkg\n@asset\ndef made(): return pkg.g()\n"
        "# pkg/__init__.py\nfrom .inner import f as g\n# pkg/inner.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "what a re-export names": case(
        "from pkg import f\n@asset\ndef made(): return f()\n"
        "# pkg/__init__.py\nfrom .one import f\n# pkg/one.py\ndef f(): return 1\n"
        "# pkg/two.py\ndef f(): return 2\n",
        "from .one",
        "from .two",
    ),
    "a submodule of its own package": case(
        "from pkg import inner\n@asset\ndef made(): return inner.f()\n"
        "# pkg/__init__.py\nfrom . import inner\n# pkg/inner.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "a submodule that somebody else imported": case(
        "import pkg\nimport other\n@asset\ndef made(): return pkg.inner.f()\n"
        "# other.py\nimport pkg.inner\n# pkg/__init__.py\n\n# pkg/inner.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "relative imports": case(
        "from pkg.a.b import made\n# pkg/__init__.py\n\n# pkg/a/__init__.py\n\n"
        "# pkg/a/b.py\nfrom flowstone import asset\nfrom ..c import f\n"
        "@asset\ndef made(): return f()\n# pkg/c.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "a namespace package": case(
        "import space.inner.helper as h\n@asset\ndef made(): return h.f()\n"
        "# space/inner/helper.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "a module by computed attribute": case(
        "import helper\n@asset\ndef made(): return getattr(helper, 'f' + '')()\n"
        "# helper.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "a module's __getattr__": case(
        "import helper\n@asset\ndef made(): return helper.x\n"
        "# helper.py\ndef __getattr__(name): return 1\n",
        "return 1",
        "return 2",
    ),
    "singledispatch in another module": case(
        "import one, two\n@asset\ndef made(): return one.f(1)\n"
        "# one.py\nimport functools\n@functools.singledispatch\ndef f(x): return 0\n"
        "# two.py\nimport one\n@one.f.register\ndef _(x: int): return 1\n",
        "return 1",
        "return 2",
    ),
    "a registry in another module": case(
        "import one, two\n@asset\ndef made(): return one.run()\n"
        "# one.py\nR = []\ndef register(fn):\n    R.append(fn)\n    return fn\n"
        "def run(): return [fn() for fn in R]\n"
        "# two.py\nfrom one import register\n@register\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "a subclass in another module": case(
        "import one, two\n@asset\ndef made(): return [c.k for c in one.Base.known]\n"
        "# one.py\nclass Base:\n    known = []\n"
        "    def __init_subclass__(cls): Base.known.append(cls)\n"
        "# two.py\nimport one\nclass Two(one.Base):\n    k = 1\n",
        "k = 1",
        "k = 2",
    ),
    "a patch from another module": case(
        "import one, two\n@asset\ndef made(): return one.f()\n"
        "# one.py\ndef f(): return 0\n"
        "# two.py\nimport one\ndef g(): return 1\none.f = g\n",
        "return 1",
        "return 2",
    ),
    "a plugin that is loaded by name": case(
        "import one\n@asset\ndef made(): return [fn() for fn in one.R]\n"
        "# one.py\nimport importlib\nR = []\n"
        "def fill(): R.append(importlib.import_module('two').f)\nfill()\n"
        "# two.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "a name made by a loop": made(
        "f_a()",
        "def f(): return 1\nfor n in 'ab': globals()['f_' + n] = f",
        "return 1",
        "return 2",
    ),
    "what an import means": case(
        "from json import loads as f\n@asset\ndef made(): return f\n",
        "json import loads",
        "pickle import loads",
    ),
    "an import that depends": case(
        "import sys\nif sys.platform: import one as m\nelse: import two as m\n"
        "@asset\ndef made(): return m.f()\n# one.py\ndef f(): return 1\n"
        "# two.py\ndef f(): return 0\n",
        "return 1",
        "return 2",
    ),
    "what takes the place of a missing import": case(
        "try:\n    from no_such_module import f\nexcept ImportError:\n    from one import f\n"
        "@asset\ndef made(): return f()\n# one.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "a class in a registry": made(
        "R[0].k",
        "R = []\ndef add(c):\n    R.append(c)\n    return c\n@add\nclass C:\n    k = 1",
        "k = 1",
        "k = 2",
    ),
    "what an instance is made from": made(
        "C.k",
        "K = 1\nclass Config:\n    def __init__(self): self.k = K\nC = Config()",
        "K = 1",
        "K = 2",
    ),
    "a relative import by a name written out": case(
        "from pkg.a import made\n# pkg/__init__.py\n\n"
        "# pkg/a.py\nimport importlib\nfrom flowstone import asset\n"
        "@asset\ndef made(): return importlib.import_module('.b', __package__).f()\n"
        "# pkg/b.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "sys.modules by a name written out": case(
        "import sys\nimport one\n@asset\ndef made(): return sys.modules['one'].f()\n"
        "# one.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "its own module by sys.modules": made(
        "getattr(sys.modules[__name__], 'f')()",
        "import sys\ndef f(): return 1",
        "return 1",
        "return 2",
    ),
    "an asset in a class": case(
        "class Steps:\n    @asset\n    def made(): return 1\nmade = Steps.made\n",
        "return 1",
        "return 2",
    ),
    "a bound method in a closure": case(
        """
        class Plain:
            def f(self): return 1
        def make(fn):
            @asset
            def made(): return fn()
            return made
        made = make(Plain().f)
        """,
        "return 1",
        "return 2",
    ),
    "a coroutine": case(
        "async def f(): return 1\n@asset\nasync def made(): return await f()\n",
        "return 1",
        "return 2",
    ),
    "a generator": made("list(f())", "def f(): yield 1", "yield 1", "yield 2"),
    "a context manager": made(
        "f()",
        "import contextlib\n@contextlib.contextmanager\ndef c(): yield 1\n"
        "def f():\n    with c() as k: return k",
        "yield 1",
        "yield 2",
    ),
    "what is there for the interpreter only": made(
        "f()",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    f = None\n"
        "else:\n    def f(): return 1",
        "return 1",
        "return 2",
    ),
    "an annotation's metadata": made(
        "M(k=1)",
        "import pydantic\nfrom typing import Annotated\nLEAST = 1\n"
        "class M(pydantic.BaseModel):\n    k: Annotated[int, pydantic.Field(ge=LEAST)]",
        "LEAST = 1",
        "LEAST = 0",
    ),
    "a default factory": made(
        "D().k",
        "import dataclasses\ndef f(): return 1\n@dataclasses.dataclass\n"
        "class D:\n    k: int = dataclasses.field(default_factory=f)",
        "return 1",
        "return 2",
    ),
    "a global that a function sets": made(
        "get()",
        "K = None\ndef get():\n    global K\n    if K is None: K = make()\n    return K\n"
        "def make(): return 1",
        "return 1",
        "return 2",
    ),
    "a list that another module extends": case(
        "import one, two\n@asset\ndef made(): return one.T\n# one.py\nT = []\n"
        "# two.py\nimport one\none.T.append(1)\n",
        "append(1)",
        "append(2)",
    ),
    "a list that another module's function extends": case(
        "import one, two\n@asset\ndef made(): return one.T\n# one.py\nT = []\n"
        "# two.py\nfrom one import T\ndef fill(n): T.append(n)\nfill(1)\n",
        "fill(1)",
        "fill(2)",
    ),
    "a method that fills a table": made(
        "T",
        "T = []\nclass C:\n    def fill(self): T.append(1)\nC().fill()",
        "append(1)",
        "append(2)",
    ),
    "a type alias of a parameter": case(
        """
        class Order:
            def total(self): return 1
        Orders = list[Order]
        @asset
        def made(orders: Orders): return orders[0].total()
        """,
        "return 1",
        "return 2",
    ),
    "an import inside a with statement": case(
        "import contextlib\nK = 0\n"
        "with contextlib.suppress(ImportError):\n    from other import K\n"
        + _MADE.format("K")
        + "# other.py\nK = 1\n",
        "K = 1",
        "K = 2",
    ),
    "an import that replaces a missing one, in a function": case(
        """
        @asset
        def made():
            try:
                import missing as m
            except ImportError:
                import other as m
            return m.f()
        # other.py
        def f(): return 1
        """,
        "return 1",
        "return 2",
    ),
    "an import by another name that replaces a missing one": case(
        """
        def work():
            try:
                from missing import f
            except ImportError:
                from other import g as f
            return f()
        @asset
        def made():
            return work()
        # other.py
        def g(): return 1
        """,
        "return 1",
        "return 2",
    ),
    "an import inside a loop": case(
        "for _ in range(1):\n    import other as o\n" + _MADE.format("o.K") + "# other.py\nK = 1\n",
        "K = 1",
        "K = 2",
    ),
    "an import inside a class": case(
        "class C:\n    from other import f\n"
        + _MADE.format("C.f()")
        + "# other.py\ndef f(): return 1\n",
        "return 1",
        "return 2",
    ),
    "append to an item of a table": made(
        "T",
        "from collections import defaultdict\nT = defaultdict(list)\nT['a'].append(1)",
        "append(1)",
        "append(2)",
    ),
    "an attribute of an item of a table": made(
        "T[0].k", "class C: k = 0\nT = [C()]\nT[0].k = 1", "k = 1", "k = 2"
    ),
    "an item of a table that a call changes": made(
        "T", "T = {'a': {}}\ndef f(x): x['b'] = 1\nf(T['a'])", "= 1", "= 2"
    ),
    "a registry of lists": case(
        """
        import other
        from registry import T
        @asset
        def made():
            return T['a'][0]()
        # registry.py
        from collections import defaultdict
        T = defaultdict(list)
        def register(key):
            def decorate(fn):
                T[key].append(fn)
                return fn
            return decorate
        # other.py
        from registry import register
        @register('a')
        def f(): return 1
        """,
        "return 1",
        "return 2",
    ),
    "a seed": made("random.random()", "import random\nrandom.seed(1)", "seed(1)", "seed(2)"),
    "a docstring that is read": made(
        "f.__doc__", "def f():\n    'One.'\n    return 1", "'One.'", "'Two.'"
    ),
    "a constant set in the main part": made(
        "K", "K = 1\nif __name__ == '__main__':\n    K = 2", "K = 2", "K = 3"
    ),
}

UNTOUCHED: dict[str, Case] = {
    "a comment": made("f()", "def f(): return 1", "return 1", "return 1  # one"),
    "layout": made("f()", "def f(): return 1", "def f(): return 1", "\n\ndef f(\n):\n  return (1)"),
    "a docstring": made(
        "f()", "def f():\n    return 1", "    return 1\n", "    'Doc.'\n    return 1\n"
    ),
    "an unrelated name": made(
        "f()", "def f(): return 1\ndef g(): return 1\n", "def g(): return 1", "def g(): return 2"
    ),
    "an unrelated constant": made("K", "K = 1\nL = 1", "L = 1", "L = 2"),
    "an unrelated constant made by a call": made(
        "K", "K = 1\nL = print(K)", "L = print(K)", "L = print(K, K)"
    ),
    "a method of an immutable constant": made(
        "K",
        "from pathlib import Path\nK = Path('a')\nL = K.joinpath('b')",
        "joinpath('b')",
        "joinpath('c')",
    ),
    "a new import": made("1", "import sys", "import sys", "import sys, os"),
    "a parameter's annotation": made("f(1)", "def f(x: int): return x", "x: int", "x: float"),
    "a return annotation": made("f(1)", "def f(x) -> int: return x", "-> int", "-> float"),
    "a local annotation": made(
        "f()", "def f():\n    x: int = 1\n    return x", "x: int", "x: float"
    ),
    "what type checkers see": made(
        "1",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import os",
        "import os",
        "import sys",
    ),
    "an option of @asset": case(
        "@asset(group='a')\ndef made(): return 1\n", "group='a'", "group='b', tags=['x']"
    ),
    "another attribute of settings": case(
        "import settings\n@asset\ndef made(): return settings.K\n# settings.py\nK = 1\nL = 1\n",
        "L = 1",
        "L = 2",
    ),
    "the other of two in a tuple": made("A", "A, B = 1, 2", "A, B = 1, 2", "A, B = 1, 3"),
    "a replaced binding": made("K", "K = 1\nK = 2", "K = 1", "K = 3"),
    "own default": case("@asset\ndef made(k=1): return k\n", "k=1", "k=2"),
    "own default's constant": case("K = 1\n@asset\ndef made(k=K): return k\n", "K = 1", "K = 2"),
    "own annotation": case("@asset\ndef made(k: int): return k\n", "k: int", "k: float"),
    "an upstream asset": case(
        """
        from typing import Annotated
        from flowstone import From
        @asset
        def up(): return 1
        @asset
        def made(rows: Annotated[int, From(up)]): return rows
        """,
        "return 1",
        "return 2",
    ),
    "an upstream asset by deps": case(
        "@asset\ndef up(): return 1\n@asset(deps=[up])\ndef made(): return 1 + 1\n",
        "return 1\n@",
        "return 2\n@",
    ),
    "what is made of an item of a table": made(
        "T", "T = {'a': 'x'}\nOTHER = T['a'].zfill(3)", "zfill(3)", "zfill(4)"
    ),
    "another function that is decorated alike": made(
        "f()",
        "def d(fn): return fn\n@d\ndef f(): return 1\n@d\ndef g(): return 3",
        "return 3",
        "return 4",
    ),
    "an unrelated subclass": made(
        "Base().f()",
        "class Base:\n    def f(self): return 1\nclass Two(Base):\n    k = 1",
        "k = 1",
        "k = 2",
    ),
    "the script's main part": made(
        "1",
        "def main(): return 1\nif __name__ == '__main__':\n    main()\n    print(made())",
        "main()\n    print",
        "main(), main()\n    print",
    ),
    "a use of the asset": case(
        "from flowstone import plan\n@asset\ndef made(): return 1\nprint(plan)\nX = [made]\n",
        "X = [made]",
        "X = [made, made]",
    ),
    "a moved helper": case(
        "from one import f\n@asset\ndef made(): return f()\n"
        "# one.py\ndef f(): return 1\n# two.py\ndef f(): return 1\n",
        "from one",
        "from two",
    ),
    "another module of a package": case(
        "from pkg.one import f\n@asset\ndef made(): return f()\n"
        "# pkg/__init__.py\nK = 1\n# pkg/one.py\ndef f(): return 1\n",
        "K = 1",
        "K = 2",
    ),
    "an assertion about nothing": made("1", "assert True", "assert True", "assert 1"),
}
