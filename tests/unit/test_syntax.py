"""What a piece of source says: equal for equal code, on every Python."""

from __future__ import annotations

import pytest

from flowstone.core.syntax import summary

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


def test_the_digest_is_the_same_on_every_python() -> None:
    """A golden one: the suite runs on all of them."""
    assert summary(SOURCE).plain == "b1a8068435d37919a412f36a1b75aefdb5d1b40a"
    assert summary(SOURCE).documented == "7f1c5e8a7a6bcaa9a35d9eb464c4ca525ec6a9f9"


def test_imports_are_all_found() -> None:
    found = summary(SOURCE).imports
    wanted = {
        (0, "os.path"),
        (0, "numpy"),
        (0, "numpy.linalg.norm"),
        (1, ""),
        (1, "near"),
        (1, "near.thing.other"),
        (1, "deep"),
        (1, "deep.*"),
    }
    assert wanted <= set(found)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = 'a'", "x = b'a'"),
        ("x = 'a]'", "x = ['a']"),
        ("f(a, b)", "f(a, *b)"),
        ("x = a - b - c", "x = a - (b - c)"),
        ("if a: b\nc", "if a:\n b\n c"),
        ("def f(): pass", "async def f(): pass"),
    ],
)
def test_different_code_differs(one: str, other: str) -> None:
    assert summary(one).plain != summary(other).plain


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = (1)", "x=1 # one"),
        ("f(a,\n  b)", "f(a, b)"),
        ("def f():\n    return 1", "def f(): 'doc'; return 1"),
        ("x = 'a'", 'x = u"a"'),
    ],
)
def test_layout_does_not_count(one: str, other: str) -> None:
    assert summary(one).plain == summary(other).plain


def test_deeply_nested_code_is_read() -> None:
    chain = "x = " + " + ".join(["1"] * 700)
    assert summary(chain) != summary(chain + " + 1")


@pytest.mark.parametrize("source", [b"def (", b"\0", b"\xff\xfe", b"(" * 1000])
def test_what_is_no_python_counts_as_text(source: bytes) -> None:
    assert summary(source).plain == summary(source).documented
    assert summary(source) != summary(source + source[:1])


def test_a_huge_number_is_read() -> None:
    assert summary("x = 0x" + "f" * 10_000) != summary("x = 0x" + "f" * 10_001)
