"""What a piece of code is, from its text alone: digests, names, liveness, rings, secrets."""

from __future__ import annotations

import ast
from itertools import permutations

import pytest

from flowstone.core.config import MASK
from flowstone.core.fingerprint.canonical import digest
from flowstone.core.fingerprint.liveness import Event, live
from flowstone.core.fingerprint.mask import cut
from flowstone.core.fingerprint.merkle import Edge, digests
from flowstone.core.fingerprint.module import summarise
from flowstone.core.fingerprint.summary import Summary


def code(source: str) -> str:
    return digest("test", ast.parse(source).body, undressed=lambda _: False).digest


SOURCE = '''
"""A module."""
import os.path, numpy as np
from . import near
from .deep import *
async def f(a, /, b: int = 0xFF, *c, d="\\u00e9\\U0001fae8", **e) -> "x":
    """Documented."""
    with open(a) as g, open(b): pass
    return f"{a!r:>{b}} {c}" "x" + (lambda: 1j)() or {**e, "k": [i async for i in b if i]}
class C(B, metaclass=M):
    x: float = 1e300; y = b"\\x00"; z = ...
    match = None
match f:
    case {"a": [1, *_], **rest} if rest: del rest
    case C(x=-1) | None: np.linalg.norm(near.thing.other)
try: pass
except* ValueError as error: raise error from None
'''


def test_digests_are_golden() -> None:
    """The suite runs on every supported Python; a change of them raises ``ALGORITHM``."""
    summary = summarise(SOURCE)
    found = {name: summary.parts[numbers[-1]].digest for name, numbers in summary.names.items()}
    assert code(SOURCE) == "0eeee2b464841e75c9b30a5ca94f6d4826a136a8"
    assert found["f"] == "6ab57db658086d8e6b5b02b790cb4c63a4d11d5e"
    assert found["C"] == "415e8d950133f6af51867d27741da8276a9a1ab2"
    assert summary.parts[summary.names["f"][0]].root == "bff026ccc7566c4e1c2f82b8da882c59f2f0863a"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = 0.0", "x = -0.0"),
        ("x = 'a'", "x = b'a'"),
        ("x = 'a]'", "x = ['a']"),
        ("x = None", "x = ..."),
        ("f(a, b)", "f(a, *b)"),
        ("x = a - b - c", "x = a - (b - c)"),
        ("if a: b()\nc()", "if a:\n b()\n c()"),
        ("def f(): pass", "async def f(): pass"),
        ("def f(*, a): pass", "def f(*, a=None): pass"),
        ("def f(a, /): pass", "def f(a): pass"),
        ("@d\ndef f(a: int): pass", "@d\ndef f(a: str): pass"),
        ("class C:\n    a: int", "class C:\n    a: str"),
        ("x = f'{a!r}'", "x = f'{a!s}'"),
        ("match x:\n    case True: a()", "match x:\n    case False: a()"),
        ("match x:\n    case None: a()", "match x:\n    case _: a()"),
        ("x = f'{a}b'", "x = f'{a}' 'c'"),
        ("x = '\\ud800'", "x = '\\ud801'"),
    ],
)
def test_different_code_differs(one: str, other: str) -> None:
    assert code(one) != code(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = (1)", "x=1 # one"),
        ("x = 255", "x = 0xFF"),
        ("f(a,\n  b)", "f(a, b)"),
        ("def f():\n    return 1", "def f(): 'doc'; return 1"),
        ("def f(a: int) -> str:\n    b: int = a", "def f(a):\n    b: float = a"),
        ("x = 'a'", 'x = u"a"'),
        ("x = f'{a}b'", "x = f'{a}' 'b'"),
        ("x = f'{a:>{b}}'", "x = f'''{a:>{b}}'''"),
        ("def f():\n    pass", "def f():\n    ..."),
        ("if TYPE_CHECKING:\n    import a\nb()", "b()"),
    ],
)
def test_layout_and_what_nothing_reads_don_t_count(one: str, other: str) -> None:
    assert code(one) == code(other)


def test_deeply_nested_code_is_read() -> None:
    chain = "x = " + " + ".join(["1"] * 900)
    assert summarise(chain).whole == ""
    assert code(chain) != code(chain + " + 1")


@pytest.mark.parametrize("source", ["def (", "\0", "(" * 1000, "x = '" + "\ud800"])
def test_what_the_parser_refuses_is_told(source: str) -> None:
    assert summarise(source).whole


def refs(source: str, name: str = "f") -> set[str]:
    summary = summarise(source)
    return {ref for number in summary.names[name] for ref in summary.parts[number].refs}


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("return a.b.c", {"a.b.c"}),
        ("a = 1; return a", set()),
        ("global a; a = 1; return a", {"a"}),
        ("return [a for a in b if a > c]", {"b", "c"}),
        ("return [(y := a) for a in b], y", {"b"}),
        ("return lambda a, b=c: a + b + d", {"c", "d"}),
        ("import a.b as z; return z.c", {"a.b:c"}),
        ("import a.b; return a.b.c", {"a:b.c"}),
        ("from .a import b as z; return z.c", {".a:b.c"}),
        ("from . import b; return b.c", {".:b.c"}),
        ("for a in b: c(a)", {"b", "c"}),
        ("with a as b: b()", {"a"}),
        ("try: a()\n    except b as c: c()", {"a", "b"}),
        ("match a:\n        case b.c | [d, *e]: d(e)", {"a", "b.c"}),
        ("def g(a): return a + b\n    return g", {"b"}),
        ("class a:\n        b = b\n        def c(self): return b, d\n    return a", {"b", "d"}),
        ("return eval('a + b')", {"a", "b"}),
        ("return len(a)", {"a"}),
        ("x: a = b; return x", {"b"}),
        ("return importlib.import_module('a.b').c", {"a.b:c"}),
    ],
)
def test_references_are_scoped_as_python_scopes_them(body: str, wanted: set[str]) -> None:
    assert refs(f"def f():\n    {body}\n") - {"importlib.import_module"} == wanted


def test_a_summary_survives_being_stored() -> None:
    summary = summarise(
        SOURCE + "\nK = 1\nT = {}\nT[K] = 2\nfor i in T: f(i)\n@f.g\ndef h(): T.add(1)\n"
    )
    raw = summary.dump()
    loaded = Summary.load(raw)
    assert loaded is not None
    assert loaded.dump() == raw
    assert Summary.load(raw[:-1]) is None
    assert Summary.load(raw[:-3] + b"9" + raw[-2:]) is None


def test_a_later_binding_replaces_an_earlier_one_unless_it_is_conditional() -> None:
    first, second = Event(0, ("a",), True, ()), Event(1, ("a",), True, ())
    assert live([first, second], {}).names == {"a": [1]}
    assert live([first, second._replace(replaces=False)], {}).names == {"a": [0, 1]}


def test_what_a_statement_saw_is_remembered() -> None:
    """Also through a function that reads the name when it is called."""
    events = [
        Event(0, ("a",), True, ()),
        Event(1, ("f",), True, ()),
        Event(2, ("b",), True, ("f",)),
        Event(3, ("a",), True, ()),
    ]
    assert live(events, {"f": ["a"]}) == ({"a": [3], "f": [1], "b": [2]}, {2: [0]})


def test_rings_have_digests_that_do_not_depend_on_order() -> None:
    """Three nodes on a ring, two of which look alike, and one that sees one of them."""
    own = ["one", "same", "same", "sees"]
    edges: list[list[Edge]] = [[("x", 1)], [("x", 2)], [("x", 0)], [("y", 1)]]
    rings = [[0, 1, 2], [3]]
    first = digests(own, edges, rings)
    assert len(set(first)) == 4
    for order in permutations(range(4)):
        place = {old: new for new, old in enumerate(order)}
        moved = digests(
            [own[old] for old in order],
            [[(label, place[to]) for label, to in edges[old]] for old in order],
            [[place[old] for old in ring] for ring in rings],
        )
        assert [moved[place[old]] for old in range(4)] == first


@pytest.mark.parametrize(
    ("source", "secret"),
    [
        ("PASSWORD = 'hunter2'", "hunter2"),
        ("db.api_key = 'hunter2'", "hunter2"),
        ("connect(user='me', password='hunter2')", "hunter2"),
        ("A = {'user': 'me', 'token': ['hunter2', 'swordfish']}", "hunter2"),
        ("A['secret'] = f'hunter{2}'", "hunter"),
        ("USER, PASSWORD = 'me', 'hunter2'", "hunter2"),
        ("def f(user='me', password='hunter2'): pass", "hunter2"),
        ("def f(*, password='''hunter2\nswordfish'''): return 'me'", "swordfish"),
        ("def f(x): return x.password == 'hunter2'", "hunter2"),
        ("URL = 'postgres://me:hunter2@there'", "hunter2"),
        ("DSN = 'host=there password=hunter2'", "hunter2"),
    ],
)
def test_secrets_are_masked_in_sources_but_not_in_digests(source: str, secret: str) -> None:
    def shown(text: str) -> tuple[str, str]:
        part = summarise(text).parts[-1]
        return part.digest, cut(text.encode(), part.start, part.end, part.secrets)

    digest_before, text = shown(source)
    digest_after, _ = shown(source.replace(secret, "other"))
    assert secret not in text
    assert MASK in text
    assert digest_before != digest_after


def test_what_is_no_secret_is_shown() -> None:
    text = "MONKEY = 'banana'\n"
    part = summarise(text).parts[-1]
    assert cut(text.encode(), part.start, part.end, part.secrets) == "MONKEY = 'banana'"
