"""What changed in code, as people are told it: by definition, in a small diff."""

from __future__ import annotations

import textwrap

from flowstone.core.cause import Cause
from flowstone.core.changes import definition_causes, difference
from flowstone.core.code import Code, Definition

LONG = '''
    def delays() -> list[str]:
        """What is told."""
        return [
            "flights",  # all of them
            "mean",

            "late",
        ]
'''


def diff(old: str, new: str) -> list[str]:
    return difference(textwrap.dedent(old), textwrap.dedent(new))


def test_a_small_edit_of_a_long_expression_is_a_small_diff() -> None:
    assert diff(LONG, LONG.replace('"mean"', '"median"')) == [
        "@@ -3,3 +3,3 @@",
        '         "flights",',
        '-        "mean",',
        '+        "median",',
        '         "late",',
    ]


def test_comments_docstrings_and_empty_lines_are_not_told() -> None:
    other = LONG.replace("all of them", "every one").replace("What is told.", "Other.")
    assert diff(LONG, other.replace('"mean",\n\n', '"mean",\n')) == []


def test_a_change_of_layout_does_not_drown_the_edit() -> None:
    before = "def f(a, b):\n    return [a,\n            b, 1]\n"
    after = "def f(\n    a,\n    b,\n):\n    return [\n        a,\n        b,\n        2,\n    ]\n"
    assert diff(before, after) == [
        "@@ -1,2 +1,2 @@",
        " def f(a, b):",
        "-    return [a, b, 1]",
        "+    return [a, b, 2]",
    ]


def test_what_is_no_python_is_compared_as_it_is() -> None:
    assert diff("a b c", "a b d") == ["@@ -1 +1 @@", "-a b c", "+a b d"]


def test_definitions_that_differ_are_new_or_gone_are_told_by_name() -> None:
    def defined(name: str, digest: str) -> Definition:
        return Definition(f"shop.{name}", digest, f"shop.py:{name}", "")

    now = Code("v2", (defined("a", "1"), defined("b", "2"), defined("c", "3")))
    before = {"shop.a": ("1", "old:1"), "shop.b": ("9", "old:2"), "shop.d": ("4", "old:4")}
    told = list(definition_causes(now, before))
    assert told == [
        Cause("code_changed", "shop.b", "9", "2", "shop.py:b"),
        Cause("code_changed", "shop.c", None, "3", "shop.py:c"),
        Cause("code_changed", "shop.d", "4", None, "old:4"),
    ]
    assert [str(cause) for cause in told] == [
        "code of shop.b changed (shop.py:b)",
        "code of shop.c changed: newly reached (shop.py:c)",
        "code of shop.d changed: reached no more (old:4)",
    ]
