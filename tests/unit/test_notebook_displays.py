"""What notebooks show: everything told, everything escaped, nothing from outside."""

from __future__ import annotations

import sys
import types
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from flowstone import Asset, AssetGraph, Context, asset, graph
from flowstone.api import Flowstone
from flowstone.core.cause import Cause
from flowstone.core.reason import Explanation, Reason
from flowstone.errors import FlowstoneError
from flowstone.notebook import bundle, definitions, tracebacks
from flowstone.notebook.markup import State
from flowstone.notebook.picture import GROUPED_FROM, MOST, picture
from flowstone.notebook.places import readable
from flowstone.notebook.plans import MOST_ROWS
from flowstone.portal import glance
from flowstone.store.memory import MemoryStore

if TYPE_CHECKING:
    from flowstone.core.plan import Plan
    from flowstone.result import RunResult

DOCS = Path(__file__).parents[2] / "docs"
EVIL = "</pre></text><script>alert(1)</script><img src=x onerror='alert(2)'>\"&\x1b[31m\u202e\ud800"
TAGS = """
b details div g li path pre rect span strong style summary svg table tbody td text th thead title
tr tspan ul
"""
ATTRIBUTES = """
aria-hidden aria-label class d fill fill-opacity font-family font-size font-weight height open role
rx scope stroke stroke-dasharray stroke-opacity stroke-width style tabindex text-anchor transform
viewbox width x xmlns y
"""


class Reader(HTMLParser):
    """Collects what an HTML text is made of, and what it says."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.said: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())


def shown(value: Any) -> str:
    """What the HTML of an object says; it must be well formed, and harmless."""
    told = value._repr_mimebundle_(include=None, exclude=None)
    assert set(told) <= {"text/html", "text/plain", "image/svg+xml"}
    reader = Reader(told["text/html"])
    assert reader.tags <= set(TAGS.split())
    assert reader.attributes <= set(ATTRIBUTES.split())
    assert not reader.open
    assert "url(" not in told["text/html"]
    assert "http" not in told["text/html"].replace('xmlns="http://www.w3.org/2000/svg"', "")
    for part in told.values():
        part.encode()  # no lone surrogate
        assert "\x1b" not in part
    if "image/svg+xml" in told:
        assert ET.fromstring(told["image/svg+xml"]).tag.endswith("svg")  # noqa: S314 - our own
    return reader.text


def plain(value: Any) -> str:
    return str(value._repr_mimebundle_()["text/plain"])


@asset(group=EVIL, tags=[EVIL], owners=[EVIL], description=f"First.\n{EVIL}")
def hostile(api_key: str = "hunter2", note: str = EVIL, url: str = "pg://me:pw12@host") -> int:
    raise ValueError(note + api_key[:0] + url[:0] + "\n" + "x" * 5_000)


@asset
def fine() -> list[int]:
    return [1, 2]


@asset
async def sums(fine: list[int], hostile: int, context: Context) -> int:
    """Both."""
    return sum(fine) + hostile + len(context.asset)


@asset
def total(fine: list[int]) -> int:
    return sum(fine)


ALL: list[Asset[..., Any]] = [hostile, fine, sums, total]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def made(*targets: Asset[..., Any], times: int = 1) -> tuple[Plan, RunResult]:
    """The plan before the last of some runs, and its result."""
    async with Flowstone(store=MemoryStore()) as fs:
        for _ in range(times - 1):
            await fs.materialize(*targets, assets=ALL, raise_on_error=False)
        plan = await fs.plan(*targets, assets=ALL)
        return plan, await fs.carry_out(plan, raise_on_error=False)


# ---- assets


def test_an_asset_tells_its_signature_description_and_neighbours() -> None:
    told = shown(sums)
    assert "async sums(fine: list[int], hostile: int, context: Context) -> int" in told
    assert "Both." in told
    assert "needs: fine, hostile" in told
    assert "needed by: sums, total" in shown(fine)
    assert plain(total).splitlines()[0] == "total(fine: list[int]) -> int"


@asset(outputs=["evens", "odds"])
def parts(numbers: list[int], client: object) -> tuple[list[int], list[int]]:
    assert client
    return numbers[::2], numbers[1::2]


@asset
def numbers() -> list[int]:
    return [1]


@asset
def most(evens: list[int]) -> int:
    return max(evens)


resources = {"client": object}


def test_a_function_of_several_assets_tells_what_it_makes_and_takes() -> None:
    told = shown(parts)
    for fact in ("makes: evens, odds", "needs: numbers", "resources: client", "needed by: most"):
        assert fact in told
    one = plain(parts.outputs["evens"])
    assert one.startswith("evens, made by parts(numbers: list[int], client: object)")
    for fact in ("made together with: odds", "resources: client", "needed by: most"):
        assert f"  {fact}\n" in one
    assert "replaced" not in told + one


def test_defaults_that_may_be_secrets_are_masked() -> None:
    for told in (shown(hostile), plain(hostile)):
        assert "hunter2" not in told
        assert "pw12" not in told


def test_what_users_write_is_shown_as_text_and_never_as_markup() -> None:
    told = shown(hostile)
    assert "<script>alert(1)</script>" in told
    assert "\\x1b[31m" in told
    assert "\\u202e" in told


def test_an_asset_with_mistakes_tells_them() -> None:
    wrong = Asset(one, name="no name <b>")
    assert "can't name an asset" in shown(wrong)
    assert "can't name an asset" in plain(wrong)


def test_what_takes_resources_and_makes_several_is_told_as_it_stands() -> None:
    space = types.ModuleType("shop")
    text = """
from flowstone import asset

resources = {"db": lambda: 1}

@asset(outputs=["train", "test"])
def split(db, at: int = 2):
    return 1, 2

@asset
def fitted(train, db):
    return 1
"""
    exec(text, vars(space))  # noqa: S102 - stands for a module's text
    split, fitted = space.split, space.fitted
    assert plain(fitted).splitlines()[:3] == [
        "fitted(train, db)",
        "  needs: train",
        "  resources: db",
    ]
    assert plain(split).startswith("split(db, at: int = 2)\n  makes: train, test\n  resources: db")
    assert "needed by: fitted" in plain(split)
    assert plain(split.outputs["train"]).startswith("train, made by split(db, at: int = 2)\n")
    for each in (split, fitted, split.outputs["test"]):
        assert "replaced" not in plain(each)


def test_an_asset_without_a_function_is_shown() -> None:
    assert shown(Asset(name="c", depends_on=["a", "b"])) == "c needs: a, b"


def one() -> int:
    return 1


def looking() -> int:
    pytest.fail("it was called")


def test_a_display_calls_no_function_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planning would call what observes the outside, so no plan is asked for."""
    monkeypatch.setattr(definitions, "glance", lambda *_: pytest.fail("it asked"))
    seen = Asset(one, observe=looking)
    assert shown(seen)
    assert shown(AssetGraph([seen]))


def test_a_glance_opens_no_connection() -> None:
    assert glance(lambda _: pytest.fail("it connected"), 1.0) is None


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError


ODD = Unspeakable()


def unspeakable(x: object = ODD) -> object:
    return x


def test_a_display_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Unspeakable" in shown(Asset(unspeakable))
    monkeypatch.setattr(definitions, "signature", lambda _: 1 / 0)
    assert bundle(fine) == {"text/plain": "<Asset fine>"}


# ---- graphs


def svg(drawn: AssetGraph, **states: State) -> ET.Element:
    return ET.fromstring(picture(drawn, states))  # noqa: S314 - our own


def labels(drawn: ET.Element) -> list[str]:
    return ["".join(each.itertext()) for each in drawn.iter("{http://www.w3.org/2000/svg}text")]


def test_a_graph_names_every_asset_and_says_what_it_is_to_those_who_do_not_see_it() -> None:
    drawn = svg(AssetGraph(ALL))
    assert sorted(labels(drawn)) == ["fine", "hostile", "sums", "total"]
    assert drawn.get("role") == "img"
    assert drawn.get("aria-label") == "Graph of 4 assets, 3 dependencies"
    assert "4 assets, 3 dependencies" in shown(AssetGraph(ALL))
    assert "sums     <- fine, hostile" in plain(AssetGraph(ALL))


def test_states_are_told_by_mark_word_and_legend_not_by_colour_alone() -> None:
    drawn = svg(AssetGraph(ALL), fine=State("=", "fresh", "good"))
    assert {"= fine", "=", "fresh"} <= set(labels(drawn))
    titles = ["".join(each.itertext()) for each in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert "fine: fresh" in titles
    assert "1 fresh" in str(drawn.get("aria-label"))


def drawn_for_docs() -> str:
    """The graph of the page on notebooks when ``rate`` was edited after a run."""
    page = (DOCS / "notebooks.md").read_text("utf-8")
    module = types.ModuleType("shop")
    exec(page.split("```python\n")[1].split("```")[0], vars(module))  # noqa: S102 - our own page
    whole = AssetGraph.from_module(module)
    known = dict.fromkeys(whole.names, State("=", "fresh", "good"))
    known["rate"] = State("~", "outdated", "todo", "code of notebook.rate changed")
    for name in whole.dependents("rate", transitive=True):
        known[name] = State("~", "perhaps outdated", "maybe")
    return picture(whole, known, alone=True) + "\n"


def test_the_picture_in_the_docs_is_what_is_drawn() -> None:
    """If it is meant to differ, write ``drawn_for_docs()`` to the file."""
    assert (DOCS / "notebook-graph.svg").read_text("utf-8") == drawn_for_docs()


def test_an_empty_graph_is_no_picture() -> None:
    told = AssetGraph([])._repr_mimebundle_()
    assert told["text/plain"] == "an empty graph"
    assert "image/svg+xml" not in told
    assert shown(AssetGraph([])) == "Graph no assets"


def chain(length: int, group: int = 0) -> AssetGraph:
    return AssetGraph(
        [
            Asset(
                name=f"a{number}",
                depends_on=[f"a{number - 1}"] if number else [],
                group=f"g{number // group}" if group else None,
            )
            for number in range(length)
        ]
    )


def test_groups_of_a_large_graph_become_one_box_each() -> None:
    assert len(labels(svg(chain(GROUPED_FROM - 1, 10)))) == GROUPED_FROM - 1
    assert labels(svg(chain(GROUPED_FROM, 20))) == [f"g{n} (20)" for n in range(4)]


def test_a_group_is_marked_by_the_most_urgent_state_in_it() -> None:
    todo, fresh = State("~", "outdated", "todo"), State("=", "fresh", "good")
    known = {f"a{number}": todo if number == 5 else fresh for number in range(100)}
    assert labels(svg(chain(100, 50), **known))[:2] == ["~ g0 (50)", "= g1 (50)"]


def test_groups_that_take_from_each_other_stay_open() -> None:
    """Such boxes would lie on a ring, and no box could stand before the other."""
    assets: list[Asset[..., Any]] = [
        Asset(
            name=f"a{number:03}",
            depends_on=[f"a{number - 1:03}"] if number else [],
            group="x" if number < 2 else "even" if number % 2 else "odd",
        )
        for number in range(100)
    ]
    assert labels(svg(AssetGraph(assets)))[0] == "x (2)"
    assert len(labels(svg(AssetGraph(assets)))) == 99


def test_a_graph_too_large_to_draw_says_so() -> None:
    assert "too many to draw" in shown(chain(MOST + 1))


def test_graph_is_of_what_the_targets_need() -> None:
    assert graph(total).execution_order() == ["fine", "total"]
    assert graph("total", assets=ALL).execution_order() == ["fine", "total"]
    assert len(graph(assets=ALL)) == len(ALL)


# ---- plans, runs, reasons


@pytest.mark.anyio
async def test_a_plan_is_the_table_of_the_command_line_and_its_graph() -> None:
    drawn, _ = await made(sums)
    told = shown(drawn)
    assert "Plan 3 to materialize action asset last ok est. why" in told
    assert "+ materialize sums - ? never made; upstream fine will run" in told
    assert "never made" in told.split("graph", 1)[1]
    assert plain(drawn).splitlines()[-1].startswith("3 to materialize")


@pytest.mark.anyio
async def test_of_a_large_plan_what_is_fresh_is_left_out() -> None:
    many = [Asset(one, name=f"a{number}") for number in range(MOST_ROWS + 50)]
    async with Flowstone(store=MemoryStore()) as fs:
        assert "and 50 more steps to come" in shown(await fs.plan(assets=many))
        result = await fs.materialize(assets=many)
        assert "and 50 more" in shown(result)
        told = shown(await fs.plan(assets=many, force="a7"))
        assert "and 149 assets are up to date" in told
        again = await fs.materialize(assets=many, force="a7")
        assert "and 149 reused" in shown(again)


@pytest.mark.anyio
async def test_a_run_tells_how_each_asset_ended_and_the_line_that_failed() -> None:
    _, result = await made(sums, total)
    told = shown(result)
    for words in ("✓ materialized fine", "✗ failed hostile", "- skipped sums"):
        assert words in told
    assert "error: hostile failed: ValueError: </pre>" in told
    assert "raise ValueError(note + api_key[:0]" in told
    assert "bytes left out" in told
    assert "✗ hostile" in plain(result)
    assert "raise ValueError(note + api_key[:0]" in plain(result)


@pytest.mark.anyio
async def test_a_run_with_nothing_to_do_says_so() -> None:
    _, result = await made(total, times=2)
    assert "nothing to do: 2 assets are up to date" in shown(result)
    assert "json, 1 B" in shown(result)


@pytest.mark.anyio
async def test_no_display_decodes_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, result = await made(total, times=2)
    monkeypatch.setattr(type(result), "__getitem__", lambda *_: pytest.fail("it decoded"))
    monkeypatch.setattr(type(result._values), "load", lambda *_: pytest.fail("it decoded"))
    assert shown(plan)
    assert shown(result)


def test_an_explanation_is_a_list_with_its_diffs() -> None:
    deep = Reason(Cause("code_changed", "m.helper"), ("-a <b>", "+b"))
    told = Explanation("x", None, "would run:", (Reason(Cause("forced"), (), "y", (deep,)),))
    assert shown(told) == "x would run: forced y : code of m.helper changed -a <b> +b"
    assert "-a <b>" in plain(told)


# ---- places


def test_a_kernels_files_are_told_as_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = SimpleNamespace(format_code_name=lambda _: ("Cell", "In[3]"))
    shell = SimpleNamespace(compile=compiler)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert readable("x (/tmp/ipykernel_12/345.py:1)") == "x (Cell In[3]:1)"
    assert readable(f"{Path.cwd()}/shop.py:3") == "shop.py:3"


def test_a_traceback_without_our_frames_has_the_others() -> None:
    def users() -> None:
        AssetGraph([])["x"]

    with pytest.raises(FlowstoneError) as caught:
        users()
    kept = tracebacks.without_ours(caught.value.__traceback__)
    names = []
    while kept is not None:
        names.append(kept.tb_frame.f_code.co_name)
        kept = kept.tb_next
    assert names[-1] == "users"
